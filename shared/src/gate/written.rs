//! How numbers, units and contractions are written, and what they stand for.

use super::lexicon;

/// Reads `15`, `0.4s`, `1,000`, `v3.5`, `$5`, `10%`, `-1`, `1st`: what stands before, the value, what stands after.
/// Versions and decimals keep every digit: 3.5 is not 3.50.
pub(super) fn number(text: &str) -> Option<(String, String, String)> {
    let digit = text.find(|c: char| c.is_ascii_digit())?;
    let (before, rest) = text.split_at(digit);
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.' && c != ',').unwrap_or(rest.len());
    let (value, after) = rest.split_at(end);
    let grouped =
        value.split(',').enumerate().all(|(at, group)| at == 0 || group.len() == 3 || group.contains('.'));
    let plain_value = grouped && !value.ends_with(['.', ',']) && !value.contains("..");
    let (before, after) = (before.to_lowercase(), after.to_lowercase());
    let sign = match before.as_str() {
        "" | "v" => "",
        "-" => "-",
        money if lexicon::unit(money).is_some() && !money.contains(char::is_alphabetic) => "",
        _ => return None,
    };
    let after_known = match after.as_str() {
        "" => true,
        "st" | "nd" | "rd" | "th" => true,
        unit => lexicon::unit(unit).is_some(),
    };
    let ordinal = matches!(after.as_str(), "st" | "nd" | "rd" | "th");
    let value = format!("{sign}{}{}", value.replace(',', ""), if ordinal { "th" } else { "" });
    (plain_value && after_known).then_some((before, value, after))
}

/// A small b after a large prefix are bits, not bytes.
pub(super) fn bits(written: &str) -> Option<&'static str> {
    match written {
        "Kb" => Some("kbit"),
        "Mb" => Some("mbit"),
        "Gb" => Some("gbit"),
        "Tb" => Some("tbit"),
        _ => None,
    }
}

/// *One* is also a pronoun, and stays a word.
pub(super) fn spelt_number(word: &str) -> Option<&'static str> {
    Some(match word {
        "zero" => "0",
        "two" => "2",
        "three" => "3",
        "four" => "4",
        "five" => "5",
        "six" => "6",
        "seven" => "7",
        "eight" => "8",
        "nine" => "9",
        "ten" => "10",
        "eleven" => "11",
        "twelve" => "12",
        _ => return None,
    })
}

/// What a contraction stands for. Without its apostrophe only where it can be nothing else.
pub(super) fn contraction(word: &str) -> Option<Vec<&str>> {
    Some(match word {
        "can't" | "cant" | "cannot" => vec!["can", "not"],
        "won't" => vec!["will", "not"],
        "shan't" => vec!["shall", "not"],
        "dont" => vec!["do", "not"],
        "doesnt" => vec!["does", "not"],
        "didnt" => vec!["did", "not"],
        "isnt" => vec!["is", "not"],
        "arent" => vec!["are", "not"],
        "wasnt" => vec!["was", "not"],
        "havent" => vec!["have", "not"],
        "hasnt" => vec!["has", "not"],
        "couldnt" => vec!["could", "not"],
        "shouldnt" => vec!["should", "not"],
        "wouldnt" => vec!["would", "not"],
        "whats" => vec!["what", "is"],
        "wheres" => vec!["where", "is"],
        "hows" => vec!["how", "is"],
        "whys" => vec!["why", "is"],
        "im" | "i'm" => vec!["i", "am"],
        "ive" => vec!["i", "have"],
        "wanna" => vec!["want", "to"],
        "gonna" => vec!["going", "to"],
        "gotta" => vec!["have", "to"],
        _ => {
            let (head, tail) = word.split_once('\'')?;
            if let ("t", Some(verb)) = (tail, head.strip_suffix('n')) {
                return Some(vec![verb, "not"]);
            }
            let verb = match tail {
                "re" => "are",
                "ll" => "will",
                "ve" => "have",
                "d" => "would",
                _ => return None,
            };
            vec![head, verb]
        }
    })
}
