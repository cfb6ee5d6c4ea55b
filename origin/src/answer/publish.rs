//! What edges are told of a corpus's answers: which of them stand, and how near other words must come to one of them.

use perigee_shared::answer_index::Uses;

use super::Answers;
use crate::answered::Published;
use crate::corpus::Corpus;

impl Answers {
    /// Takes note of how often an edge gave which of the corpus's answers: the most used are published.
    pub(crate) fn used_at_an_edge(&self, corpus: &Corpus, uses: &Uses) {
        if uses.is_empty() {
            return;
        }
        self.standing(corpus).used_at_an_edge(uses);
        let labels = [("tenant", corpus.tenant().to_string()), ("corpus", corpus.name().to_string())];
        metrics::counter!("perigee_answers_given_by_edges_total", &labels).increment(uses.total());
    }

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
