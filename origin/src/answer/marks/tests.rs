//! What stays and what goes, however the text is cut.

use proptest::prelude::*;

use super::*;

fn whole(text: &str, passages: usize) -> (String, Vec<Mark>) {
    let mut filter = MarkFilter::new(passages);
    let mut out = filter.push(text);
    let (rest, marks) = filter.finish();
    out.push_str(&rest);
    (out, marks)
}

fn shown(text: &str) -> String {
    whole(text, 3).0
}

#[test]
fn marks_of_passages_that_do_not_exist_are_removed() {
    assert_eq!(shown("So it is [9]."), "So it is.");
    assert_eq!(shown("So it is [0]. And [4] so"), "So it is. And so");
    assert_eq!(shown("So[9] it is"), "So it is");
    assert_eq!(shown("So it is [1, 9]."), "So it is [1].");
    assert_eq!(shown("So it is [7,8]"), "So it is");
    assert_eq!(shown("So it is [1][9][2]."), "So it is [1][2].");
    assert_eq!(shown("[9]"), "");
    assert_eq!(shown("- [9] x"), "- x");
}

#[test]
fn marks_that_exist_stay_and_are_found_again_by_their_offsets() {
    let (text, marks) = whole("Größe [1]. Und [2, 3]!", 3);
    assert_eq!(text, "Größe [1]. Und [2][3]!");
    let at = |mark: &Mark| -> String { text.chars().skip(mark.start).take(mark.end - mark.start).collect() };
    assert_eq!(marks.iter().map(at).collect::<Vec<_>>(), ["[1]", "[2]", "[3]"]);
    assert_eq!(marks.iter().map(|mark| mark.number).collect::<Vec<_>>(), [1, 2, 3]);
}

#[test]
fn code_and_links_are_left_alone() {
    for text in [
        "use `arr[0]` and `a[9]`",
        "``a ` [9]`` b",
        "```\nx = a[9]\n```\n",
        "~~~py\na[9]\n~~~\n",
        "````\n```\na[9]\n```\n````\n",
        "see [9](https://example.com/[9])",
        "see [the docs](a.md) and [x]",
        "- [ ] todo\n- [x] done",
        "\\[9\\]",
        "a[i] and a[b][c]",
        "in [2024] and [1-3] and [] and [,]",
    ] {
        let (out, marks) = whole(text, 3);
        assert_eq!(out, text);
        assert_eq!(marks, [], "{text}");
    }
}

#[test]
fn after_code_marks_count_again() {
    assert_eq!(shown("`a[9]` so [9]."), "`a[9]` so.");
    assert_eq!(shown("```\na[9]\n```\nso [9]."), "```\na[9]\n```\nso.");
    assert_eq!(shown("a lone ` tick\n\nso [9]."), "a lone ` tick\n\nso.");
}

#[test]
fn removing_a_mark_makes_no_new_one() {
    for text in ["[[9]1]", "[1,[9]2]", "[[9][9]1]", "[ [9]1]"] {
        let (out, marks) = whole(text, 3);
        assert_eq!(whole(&out, 3), (out.clone(), marks.clone()), "{text} became {out}");
        assert_eq!(marks, []);
    }
}

#[test]
fn only_a_possible_mark_is_held_back() {
    let mut filter = MarkFilter::new(3);
    assert_eq!(filter.push("So it is"), "So it is");
    assert_eq!(filter.push(" [1"), "");
    assert_eq!(filter.push("]"), "");
    assert_eq!(filter.push("."), " [1].");
    assert_eq!(filter.push("[not"), "[not");
}

proptest! {
    #[test]
    fn chunks_do_not_matter(
        text in r"([a\[\]0-9,. ()`~\n\\é]|\[[0-9]\]|```|~~~){0,60}",
        cuts in prop::collection::vec(0usize..120, 0..12),
    ) {
        let mut filter = MarkFilter::new(4);
        let mut out = String::new();
        let mut rest = text.as_str();
        for cut in cuts {
            let (now, later) = rest.split_at(rest.floor_char_boundary(cut.min(rest.len())));
            out.push_str(&filter.push(now));
            rest = later;
        }
        out.push_str(&filter.push(rest));
        let (end, marks) = filter.finish();
        out.push_str(&end);
        prop_assert_eq!((out, marks), whole(&text, 4));
    }

    #[test]
    fn filtering_again_changes_nothing(text in r"([a\[\]0-9,. (é]|\[[0-9]\]){0,60}") {
        let once = whole(&text, 4);
        prop_assert_eq!(whole(&once.0, 4), once);
    }
}
