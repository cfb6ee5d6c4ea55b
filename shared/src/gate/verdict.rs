//! What the gate says of two questions, and why.

use std::fmt;

/// Whether two questions ask the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// One's answer answers the other.
    Same,
    /// It does not, for a reason that both texts show.
    Different(Difference),
    /// The words do not settle it.
    Unsure(Doubt),
}

/// What tells two questions apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Difference {
    /// Numbers, units, versions or dates.
    Numbers,
    /// Names, quoted things, code, flags or files.
    Names,
    /// One denies what the other does not.
    Negation,
    /// A word and its opposite.
    Opposites,
    /// All, some, only, more, at most, …
    Quantity,
    /// Before and after, to and from, with and without, …
    Direction,
    /// What is asked for: a way, a reason, a time, a yes or no, …
    Kind,
    /// The same words in other roles.
    Roles,
}

/// Why the gate does not say more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Doubt {
    /// Another writing or language, look-alike or hidden characters, or no words at all.
    Unreadable,
    /// A signature made by other rules.
    Version,
    /// What is asked for is put so differently that it may be something else.
    Kind,
    /// Words of one have no equal, inflection or synonym in the other.
    Words,
    /// Equal but for words that are synonyms in some of their senses.
    Synonyms,
    /// The words agree, their order does not.
    Order,
    /// Small words that can change the meaning differ.
    Particles,
}

impl Verdict {
    #[must_use]
    pub const fn is_same(self) -> bool {
        matches!(self, Self::Same)
    }

    #[must_use]
    pub const fn is_different(self) -> bool {
        matches!(self, Self::Different(_))
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Same => f.write_str("same"),
            Self::Different(difference) => write!(f, "different: {difference}"),
            Self::Unsure(doubt) => write!(f, "unsure: {doubt}"),
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Numbers => "numbers, units, versions or dates differ",
            Self::Names => "names, files, flags or quoted words differ",
            Self::Negation => "one denies what the other does not",
            Self::Opposites => "a word and its opposite",
            Self::Quantity => "how many or how much differs",
            Self::Direction => "direction or time order differs",
            Self::Kind => "something else is asked for",
            Self::Roles => "the same words in other roles",
        })
    }
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unreadable => "the text is not plain English",
            Self::Version => "the signature was made by other rules",
            Self::Kind => "what is asked for may differ",
            Self::Synonyms => "equal but for synonyms",
            Self::Words => "words without a counterpart",
            Self::Order => "the same words in another order",
            Self::Particles => "small words differ",
        })
    }
}
