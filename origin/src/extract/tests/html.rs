//! HTML.

use super::*;

#[test]
fn a_page_becomes_its_content() {
    let page = r##"<!doctype html><html><head><title>Ducks &amp; Geese</title><style>p{}</style></head><body>
        <nav><a href="/">Home</a></nav><script>alert("no")</script>
        <main><h1>Feeding</h1><p>Ducks eat <b>weeds</b>.</p><ul><li>bread</li><li>corn</li></ul>
        <img src="data:image/png;base64,AAAA" alt="a duck"><pre><code># not a heading</code></pre></main>
        <footer>Imprint</footer></body></html>"##;
    let read = extract(Format::Html, page.as_bytes()).unwrap();
    assert_eq!(read.title.as_deref(), Some("Ducks & Geese"));
    assert_eq!(read.markup, Markup::Markdown);
    for kept in ["# Feeding", "**weeds**", "bread", "corn", "a duck", "# not a heading"] {
        assert!(read.text.contains(kept), "{kept} in {}", read.text);
    }
    for dropped in ["Home", "alert", "p{}", "Imprint", "base64", "Geese"] {
        assert!(!read.text.contains(dropped), "{dropped} in {}", read.text);
    }
}

#[test]
fn without_a_title_element_the_first_heading_is_the_title() {
    let read = extract(Format::Html, b"<h2>About <i>ducks</i></h2><p>They swim.").unwrap();
    assert_eq!(read.title.as_deref(), Some("About ducks"));
}

#[test]
fn deep_nesting_is_refused_and_does_not_overflow() {
    for tag in ["div", "b", "table><tr><td", "span", "ul><li", "svg><g", "x-y", "DIV/", "!-- --><i"] {
        let deep = format!("<{tag}>").repeat(5_000);
        let refused = refusal(Format::Html, format!("{deep}duck"));
        assert!(matches!(refused, ExtractError::TooDeep { .. }), "{tag}: {refused}");
    }
    let allowed = format!("{}duck", "<div>".repeat(400));
    assert_eq!(text_of(Format::Html, allowed), "duck");
}

#[test]
fn a_long_page_is_not_a_deep_one() {
    for part in [
        "<p>duck",
        "<ul><li>duck<li>duck</ul>",
        "<svg><path d='M0'/><g/></svg><p>duck",
        "<script>if (a<b) '<div>'</script>duck",
        "<!-- <div> <div> -->duck<br>",
        "<table><tr><td>duck</table>",
        "<a name='x'/>duck",
    ] {
        assert!(text_of(Format::Html, part.repeat(2_000)).contains("duck"), "{part}");
    }
}

#[test]
fn a_huge_page_is_refused() {
    assert!(matches!(refusal(Format::Html, "<p>duck</p>".repeat(1_000_000)), ExtractError::TooMuch { .. }));
}

#[test]
fn a_page_of_scripts_is_empty() {
    assert_eq!(refusal(Format::Html, "<title>App</title><script>run()</script>"), ExtractError::Empty);
    assert!(matches!(extract(Format::Html, b"&#0;<p>&#x0;"), Err(ExtractError::Empty) | Ok(_)));
}
