//! Why a question was or was not answered here by another's answer, for whoever manages the tenant (`Perigee-Explain: 1`).
//! What the origin makes of it is put beside it.

use perigee_shared::cache_key::{CacheKey, ContextKey};
use perigee_shared::caller::{Caller, Scope};
use perigee_shared::header::EXPLAIN;
use perigee_shared::id::Epoch;
use perigee_shared::question::Question;
use serde::Serialize;

use crate::answer_index::{Considered, Index, consider};
use crate::visit::Visit;

/// What this edge saw, as JSON. Only keys, likenesses and reasons: no text of anybody's question is here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Explanation(String);

#[derive(Serialize)]
struct Seen {
    /// Absent: this edge has no index of the corpus yet.
    index: Option<Listed>,
    /// The answered questions near enough for the gate to be asked, nearest first.
    candidates: Vec<Candidate>,
}

#[derive(Serialize)]
struct Listed {
    epoch: Epoch,
    answers: usize,
    /// The similarity that is asked for; absent where no answer may be given to other words.
    threshold: Option<f32>,
}

#[derive(Serialize)]
struct Candidate {
    /// The key of its answer.
    answer: String,
    similarity: f32,
    /// What the gate says, and why. Only what is the same is served.
    gate: String,
}

/// Whether a request asks for an explanation and its caller may have one. Everybody else is answered as if they had not
/// asked.
pub(crate) fn is_wanted(visit: &Visit, caller: &Caller) -> bool {
    may_have(visit.header(EXPLAIN).as_deref(), caller)
}

fn may_have(header: Option<&str>, caller: &Caller) -> bool {
    header == Some("1") && caller.may(Scope::Admin)
}

impl Explanation {
    /// Of a question and its key, by the index that is held now.
    pub(crate) fn of(question: &Question, own: &CacheKey, index: Option<&Index>) -> Self {
        let context = ContextKey::of(question);
        let candidates = index.map(|index| consider(&index.snapshot, question, own, &context));
        let seen = Seen {
            index: index.map(|index| Listed {
                epoch: index.snapshot.header().epoch,
                answers: index.snapshot.len(),
                threshold: index.snapshot.header().threshold.map(|asked| asked.get()),
            }),
            candidates: candidates.unwrap_or_default().into_iter().map(Candidate::from).collect(),
        };
        Self(serde_json::to_string(&seen).unwrap_or_default())
    }

    /// Puts it on the response, beside what the origin said if it was asked.
    pub(crate) fn tell(&self, visit: &Visit, origin: Option<&str>) {
        visit.will_tell(EXPLAIN, self.beside(origin));
    }

    fn beside(&self, origin: Option<&str>) -> String {
        let Self(edge) = self;
        match origin {
            Some(origin) => format!(r#"{{"edge":{edge},"origin":{origin}}}"#),
            None => format!(r#"{{"edge":{edge}}}"#),
        }
    }
}

impl From<Considered> for Candidate {
    fn from(Considered { key, similarity, verdict }: Considered) -> Self {
        Self { answer: key.to_string(), similarity: similarity.get(), gate: verdict.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use perigee_shared::caller::{Audience, CorpusScope};
    use perigee_shared::id::TenantId;

    fn caller(scopes: &[Scope]) -> Caller {
        Caller {
            tenant: TenantId::new("acme").unwrap(),
            corpora: CorpusScope::All,
            audience: Audience::public(),
            scopes: scopes.iter().copied().collect(),
        }
    }

    #[test]
    fn only_who_manages_the_tenant_and_asks_for_it_is_told_why() {
        assert!(may_have(Some("1"), &caller(&[Scope::Ask, Scope::Admin])));
        assert!(!may_have(Some("1"), &caller(&[Scope::Ask, Scope::Search, Scope::Read, Scope::Write])));
        for other in [None, Some("0"), Some("true"), Some("1, 1")] {
            assert!(!may_have(other, &caller(&Scope::ALL)), "{other:?}");
        }
    }

    #[test]
    fn what_the_origin_said_stands_beside_what_was_seen_here() {
        let explanation = Explanation(r#"{"index":null,"candidates":[]}"#.to_owned());
        let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        let alone = read(&explanation.beside(None));
        assert!(alone["edge"]["candidates"].is_array() && alone.get("origin").is_none());
        assert_eq!(read(&explanation.beside(Some(r#"{"mode":"open"}"#)))["origin"]["mode"], "open");
    }
}
