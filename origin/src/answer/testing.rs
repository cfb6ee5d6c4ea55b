//! What the tests of these modules share: passages out of nothing, and the bundled model.

use std::path::Path;

use perigee_shared::id::{ContentHash, DocumentId, Similarity};
use perigee_shared::search::{LexicalRank, VectorRank};
pub(super) use perigee_shared::testing::question;

use crate::embed::{EmbedOptions, Embedder};
use crate::retrieve::Hit;

/// A passage that stands at character 100 of the document `d{number}` and was found by both rankings.
pub(super) fn hit(number: u64, title: &str, text: &str) -> Hit {
    let rank = usize::try_from(number).unwrap();
    Hit {
        passage: number,
        document: DocumentId::new(format!("d{number}")).unwrap(),
        title: title.to_owned(),
        url: Some(format!("https://docs.example/{number}")),
        headings: vec!["Guide".to_owned()],
        text: text.to_owned(),
        start: 100,
        end: 100 + text.chars().count(),
        hash: ContentHash::of(format!("{title}\0Guide\0{text}").as_bytes()),
        score: 1.0 / number as f32,
        vector: Some(VectorRank { rank, similarity: Similarity::new(0.6) }),
        lexical: Some(LexicalRank { rank, score: 10.0 }),
    }
}

/// The bundled model.
pub(super) fn embedder() -> Embedder {
    let model_dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/all-MiniLM-L6-v2-int8");
    match Embedder::load(EmbedOptions::new(model_dir)) {
        Ok(embedder) => embedder,
        Err(error) => panic!("{error}"),
    }
}
