//! Questions, answers and index entries out of nothing, for tests on either side. Only with the feature `testing`, which
//! no product build has.
#![expect(clippy::unwrap_used, reason = "what a test stands on must be there")]

use crate::answer::{Answer, Finish, Generator, Usage};
use crate::answer_index::{AnswerMark, Entry, Header};
use crate::cache_key::{CacheKey, ContextTag};
use crate::caller::Audience;
use crate::evidence::Evidence;
use crate::gate::{GATE_VERSION, Reading};
use crate::id::{CorpusName, Epoch, Similarity, TenantId};
use crate::question::{Options, Question, Speaker, Turn};
use crate::static_model::{StaticModel, StaticVector};

/// Asked of the corpus `docs` of the tenant `acme` by somebody without labels, in one turn.
#[must_use]
pub fn question(text: &str) -> Question {
    Question {
        tenant: TenantId::new("acme").unwrap(),
        corpus: CorpusName::new("docs").unwrap(),
        audience: Audience::public(),
        turns: vec![Turn { speaker: Speaker::User, text: text.to_owned() }],
        options: Options::default(),
    }
}

/// A whole answer of the corpus `docs`, on no evidence.
#[must_use]
pub fn answer(text: &str, epoch: u64) -> Answer {
    Answer {
        id: "chatcmpl-1".to_owned(),
        created_s: 1,
        corpus: CorpusName::new("docs").unwrap(),
        text: text.to_owned(),
        citations: Vec::new(),
        evidence: Evidence::default(),
        epoch: Epoch::new(epoch),
        finish: Finish::Stop,
        usage: Usage::default(),
        generator: Generator::Upstream,
    }
}

/// Of an index that this release has made, at this epoch; all that is half as near is near enough.
#[must_use]
pub fn index_header(epoch: u64) -> Header {
    Header {
        model: StaticModel::bundled().id(),
        gate_version: u16::from(GATE_VERSION),
        epoch: Epoch::new(epoch),
        threshold: Some(Similarity::new(0.5)),
    }
}

/// A question of one turn as an index lists it. One that has no vector has zeros.
#[must_use]
pub fn index_entry(key: CacheKey, text: &str, context: ContextTag) -> Entry {
    let vector = StaticModel::bundled().embed(text);
    Entry {
        key,
        context,
        vector: vector.unwrap_or_else(|| StaticVector::from_bytes(&[0; 64])),
        signature: Reading::of(text).signature().to_bytes(),
        mark: AnswerMark::from_bytes([0; 4]),
    }
}
