//! Retrieval: from a question to the ordered passages that bear on it.
//!
//! Three views of a corpus answer together: what may be found at all (facets), which words it has (lexical), what it
//! is about (vectors). Writing them is `corpus`'s business. What a ranking rests on is kept with it (`basis`), so that of
//! a later change it can be told whether it could have come out otherwise (`moved`).

mod basis;
mod bm25;
mod cache;
mod facets;
mod fuse;
mod lexical;
mod method;
mod moved;
mod passage_set;
mod quantized;
mod readers;
mod snapshot;
mod top_passages;
mod vectors;
mod views;

use std::sync::Arc;

use perigee_shared::evidence::{Evidence, PassageRef};
use perigee_shared::id::{ContentHash, DocumentId, Epoch};
use perigee_shared::search::{LexicalRank, VectorRank};

pub(crate) use self::basis::Basis;
pub(crate) use self::cache::{Key, RetrievalCache};
pub(crate) use self::facets::Facets;
pub(crate) use self::fuse::Fused;
pub(crate) use self::lexical::{Lexical, LexicalPassage};
pub(crate) use self::moved::{ChangedPassage, Moved, NewPassage, Rule, Rules};
pub(crate) use self::quantized::{QuantizedVector, QueryVector};
pub(crate) use self::vectors::{SEARCHES_MAX, Vectors};
pub(crate) use self::views::{Folder, Origin, Ranking, State, Views};

/// What a search found, best first, all of it at one epoch.
#[derive(Debug, Clone)]
pub struct Retrieved {
    pub epoch: Epoch,
    pub hits: Vec<Hit>,
    /// What the ranking rests on; of a search for an answer.
    pub(crate) basis: Option<Arc<Basis>>,
}

/// One passage with its place in both rankings.
#[derive(Debug, Clone)]
pub struct Hit {
    /// Number of the passage within its corpus; never given to another.
    pub passage: u64,
    pub document: DocumentId,
    pub title: String,
    pub url: Option<String>,
    /// Headings above the passage, outermost first.
    pub headings: Vec<String>,
    pub text: String,
    /// Offsets in characters into the document's canonical text; `end` is exclusive.
    pub start: usize,
    pub end: usize,
    /// SHA-256 of title, headings and text: all that a generator is shown.
    pub hash: ContentHash,
    /// Fused score in [0, 1], comparable within one search.
    pub score: f32,
    pub vector: Option<VectorRank>,
    pub lexical: Option<LexicalRank>,
}

impl Retrieved {
    /// The first `count` passages as evidence.
    #[must_use]
    pub fn evidence(&self, count: usize) -> Evidence {
        let refs = self.hits.iter().take(count);
        Evidence::new(refs.map(|h| PassageRef { document: h.document.clone(), hash: h.hash }).collect())
    }
}
