//! What edges are told of a corpus's answers: which of them stand, and how near other words must come to one of them.

use super::Answers;
use crate::answered::Published;
use crate::corpus::Corpus;

impl Answers {
    /// Publishes the answers that stand, under what the corpus tolerates and what watching reuse has made of that.
    /// `known` and `differences` as in [`crate::answered::Standing::publish`].
    pub(crate) async fn published(
        &self,
        corpus: &Corpus,
        known: Option<&str>,
        differences: bool,
    ) -> Published {
        let tolerance = self.shared.tolerance(corpus.reuse_tolerance());
        let terms = self.shared.watches.terms(corpus.incarnation(), tolerance).now;
        self.standing(corpus).publish(corpus, known, differences, terms.edge_threshold()).await
    }
}
