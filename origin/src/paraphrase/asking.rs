//! Questions out of nothing but their text, for trials and replays.

use perigee_shared::caller::Audience;
use perigee_shared::id::{CorpusName, TenantId};
use perigee_shared::question::{Options, Question, Speaker, Turn};

/// A question of one turn by somebody who may read everything.
pub(super) fn question(tenant: &TenantId, corpus: &CorpusName, text: &str) -> Question {
    Question {
        tenant: tenant.clone(),
        corpus: corpus.clone(),
        audience: Audience::Everything,
        turns: vec![Turn { speaker: Speaker::User, text: text.trim().to_owned() }],
        options: Options::default(),
    }
}
