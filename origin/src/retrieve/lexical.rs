//! The lexical view: BM25 over tantivy. Takes in passages, commits them with the epoch they belong to, and ranks.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use perigee_shared::id::Epoch;
use serde::{Deserialize, Serialize};
use tantivy::directory::MmapDirectory;
use tantivy::indexer::{IndexWriterOptions, LogMergePolicy};
use tantivy::query::{BooleanQuery, BoostQuery, Occur, Query, TermQuery};
use tantivy::schema::{FAST, Field, INDEXED, IndexRecordOption, Schema, TextFieldIndexing, TextOptions};
use tantivy::tokenizer::{
    AsciiFoldingFilter, Language, LowerCaser, RemoveLongFilter, SimpleTokenizer, Stemmer, StopWordFilter,
    TextAnalyzer,
};
use tantivy::{Index, IndexReader, IndexWriter, ReloadPolicy, Searcher, TantivyDocument, Term};

use super::basis::Word;
use super::bm25::{self, Frame, Statistics};
use super::top_passages::{Ranked, TopPassages};
use crate::corpus::CorpusError;

/// Name of the analyser in the index's schema. Another analysis needs another name: the index is then rebuilt.
const ANALYSER: &str = "english-1";

/// The fast field with the passage's number.
pub(super) const PASSAGE_FIELD: &str = "passage";

/// Weight of title and headings beside the body's 1. Tried: 0, 0.5, 1, 2 (`docs/retrieval.md`).
pub(super) const CONTEXT_WEIGHT: f32 = 0.5;

/// Words of a question that say nothing about its subject. They are indexed all the same: a question of nothing
/// else is looked up as it is.
const STOP_WORDS: [&str; 48] = [
    "a", "an", "and", "are", "as", "at", "be", "been", "but", "by", "can", "did", "do", "does", "for",
    "from", "had", "has", "have", "how", "i", "if", "in", "into", "is", "it", "its", "my", "of", "on", "or",
    "that", "the", "their", "then", "there", "these", "they", "this", "to", "was", "were", "what", "when",
    "where", "which", "who", "will",
];

/// Different words of a query that are looked up; a longer text says what it is about before that.
const QUERY_TERMS_MAX: usize = 128;

/// Bytes of one word that is indexed; longer ones are encoded data.
const WORD_BYTES_MAX: usize = 64;

/// Memory of the index writer before it flushes a segment: tantivy's smallest plus room for a large commit.
const WRITER_BYTES: usize = 32 << 20;

/// The part of a segment that may be deleted before it is merged, whatever its size.
const DELETED_PART_MAX: f32 = 0.2;

/// One corpus's lexical index.
pub(crate) struct Lexical {
    folder: PathBuf,
    index: Index,
    reader: IndexReader,
    fields: Fields,
    /// Opened for the first write: a corpus that is only read needs none of its threads.
    writer: Mutex<Option<IndexWriter>>,
}

#[derive(Clone, Copy)]
struct Fields {
    /// First passage of the version, the key to delete by.
    version: Field,
    passage: Field,
    context: Field,
    body: Field,
}

/// What a commit is of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stamp {
    /// The last change in it.
    pub(crate) epoch: Epoch,
    /// The database whose view this is; a restored one is another.
    pub(crate) database: String,
}

/// What the index takes in of a passage.
pub(crate) struct LexicalPassage<'a> {
    pub(crate) number: u64,
    pub(crate) first: u64,
    pub(crate) title: &'a str,
    pub(crate) headings: &'a [String],
    pub(crate) text: &'a str,
}

impl Lexical {
    /// Opens the index in `folder`, creating it if there is none.
    ///
    /// # Errors
    /// The index is damaged or of another schema: the caller removes the folder and rebuilds.
    pub(crate) fn open(folder: &Path) -> Result<Self, CorpusError> {
        let wrong = |error: tantivy::TantivyError| CorpusError::lexical(folder, &error);
        let (schema, fields) = schema();
        let directory = MmapDirectory::open(folder).map_err(|error| wrong(error.into()))?;
        let index = Index::open_or_create(directory, schema).map_err(wrong)?;
        index.tokenizers().register(ANALYSER, analyser());
        // Reads the meta file's segments now, so that a damaged one is found here and not by a search.
        let reader = index.reader_builder().reload_policy(ReloadPolicy::Manual).try_into().map_err(wrong)?;
        Ok(Self { folder: folder.to_path_buf(), index, reader, fields, writer: Mutex::default() })
    }

    /// What the last commit said it was of.
    ///
    /// # Errors
    /// The index's meta file cannot be read.
    pub(crate) fn stamp(&self) -> Result<Option<Stamp>, CorpusError> {
        let meta = self.index.load_metas().map_err(|error| self.error(&error))?;
        Ok(meta.payload.and_then(|payload| serde_json::from_str(&payload).ok()))
    }

    /// Begins a change. Searches see nothing of it before it is committed and published.
    ///
    /// # Errors
    /// The index's writer cannot be opened.
    pub(crate) fn change(&self) -> Result<Change<'_>, CorpusError> {
        let mut writer = self.writer();
        if writer.is_none() {
            *writer = Some(self.open_writer().map_err(|error| self.error(&error))?);
        }
        Ok(Change { lexical: self, writer, committed: false })
    }

    fn open_writer(&self) -> tantivy::Result<IndexWriter> {
        let options = IndexWriterOptions::builder()
            .num_worker_threads(1)
            .num_merge_threads(1)
            .memory_budget_per_thread(WRITER_BYTES)
            .build();
        let writer = self.index.writer_with_options(options)?;
        let mut merges = LogMergePolicy::default();
        merges.set_del_docs_ratio_before_merge(DELETED_PART_MAX);
        writer.set_merge_policy(Box::new(merges));
        Ok(writer)
    }

    fn document(&self, passage: &LexicalPassage<'_>) -> TantivyDocument {
        let mut document = TantivyDocument::new();
        document.add_u64(self.fields.version, passage.first);
        document.add_u64(self.fields.passage, passage.number);
        for part in std::iter::once(passage.title).chain(passage.headings.iter().map(String::as_str)) {
            document.add_text(self.fields.context, part);
        }
        document.add_text(self.fields.body, passage.text);
        document
    }

    /// Lets searches see the last commit.
    ///
    /// # Errors
    /// The committed files cannot be opened; searches go on with what they had.
    pub(crate) fn publish(&self) -> Result<(), CorpusError> {
        self.reader.reload().map_err(|error| self.error(&error))
    }

    /// Lets go of the writer's threads and memory until the next commit. Merges under way are finished.
    pub(crate) fn rest(&self) {
        if let Some(writer) = self.writer().take()
            && let Err(error) = writer.wait_merging_threads()
        {
            tracing::warn!(folder = %self.folder.display(), %error, "merging the lexical index failed");
        }
    }

    /// What searches see now.
    pub(crate) fn searcher(&self) -> Searcher {
        self.reader.searcher()
    }

    /// The words of a question that are looked up, with the passages of `searcher` that have each.
    ///
    /// # Errors
    /// The index cannot be read.
    pub(crate) fn words(&self, searcher: &Searcher, query: &str) -> Result<Vec<Word>, CorpusError> {
        let mut words = different_words(&mut question_analyser(), query);
        if words.is_empty() {
            words = different_words(&mut analyser(), query);
        }
        words.into_iter().map(|text| self.word(searcher, text)).collect()
    }

    /// How many passages of `searcher` have this word.
    ///
    /// # Errors
    /// The index cannot be read.
    pub(crate) fn word(&self, searcher: &Searcher, text: String) -> Result<Word, CorpusError> {
        let frequency = |field| {
            let frequency = bm25::frequency(searcher, &Term::from_field_text(field, &text));
            frequency.map_err(|error| self.error(&error))
        };
        let (body, context) = (frequency(self.fields.body)?, frequency(self.fields.context)?);
        Ok(Word { text: text.into_boxed_str(), body, context })
    }

    /// The best `count` passages for a question's `words` among those that `allow` allows: BM25, best first, and by
    /// number where scores are equal. The words are looked up as they are: a question has no syntax.
    ///
    /// # Errors
    /// The index cannot be read.
    pub(crate) fn search(
        &self,
        searcher: &Searcher,
        words: &[Word],
        count: usize,
        frame: Frame,
        allow: impl Fn(u64) -> bool + Sync,
    ) -> Result<Vec<Ranked>, CorpusError> {
        if words.is_empty() {
            return Ok(Vec::new());
        }
        let mut frequencies = HashMap::with_capacity(2 * words.len());
        let mut clauses: Vec<(Occur, Box<dyn Query>)> = Vec::with_capacity(2 * words.len());
        for word in words {
            let Fields { body, context, .. } = self.fields;
            for (field, weight, frequency) in
                [(body, 1.0, word.body), (context, CONTEXT_WEIGHT, word.context)]
            {
                let term = Term::from_field_text(field, &word.text);
                let query = TermQuery::new(term.clone(), IndexRecordOption::WithFreqs);
                clauses.push((Occur::Should, Box::new(BoostQuery::new(Box::new(query), weight))));
                frequencies.insert(term, frequency);
            }
        }
        let statistics = Statistics::new(frame, self.fields.body, frequencies);
        let top = TopPassages::new(count, &allow);
        searcher
            .search_with_statistics_provider(&BooleanQuery::new(clauses), &top, &statistics)
            .map_err(|error| self.error(&error))
    }

    fn writer(&self) -> MutexGuard<'_, Option<IndexWriter>> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn error(&self, error: &tantivy::TantivyError) -> CorpusError {
        CorpusError::lexical(&self.folder, error)
    }
}

/// A change to the index. Dropped without commit, it is undone.
pub(crate) struct Change<'a> {
    lexical: &'a Lexical,
    writer: MutexGuard<'a, Option<IndexWriter>>,
    committed: bool,
}

impl Change<'_> {
    /// Removes the version whose first passage is `first`, if it is there.
    pub(crate) fn remove(&mut self, first: u64) {
        if let Some(writer) = self.writer.as_ref() {
            writer.delete_term(Term::from_field_u64(self.lexical.fields.version, first));
        }
    }

    /// Adds a passage.
    ///
    /// # Errors
    /// The index's writer died, of a full disk for one; nothing of the change will stay.
    pub(crate) fn add(&mut self, passage: &LexicalPassage<'_>) -> Result<(), CorpusError> {
        let writer = self.writer.as_ref().ok_or(CorpusError::Closed)?;
        let added = writer.add_document(self.lexical.document(passage));
        added.map(drop).map_err(|error| self.lexical.error(&error))
    }

    /// Makes the change durable.
    ///
    /// # Errors
    /// Nothing of the change stays.
    pub(crate) fn commit(mut self, stamp: &Stamp) -> Result<(), CorpusError> {
        let payload = serde_json::to_string(stamp)
            .map_err(|error| CorpusError::damaged(&self.lexical.folder, error))?;
        let writer = self.writer.as_mut().ok_or(CorpusError::Closed)?;
        let committed = writer.prepare_commit().and_then(|mut prepared| {
            prepared.set_payload(&payload);
            prepared.commit()
        });
        committed.map_err(|error| self.lexical.error(&error))?;
        self.committed = true;
        Ok(())
    }
}

impl Drop for Change<'_> {
    fn drop(&mut self) {
        if !self.committed {
            // Dropping the writer rolls back, and one that met an error accepts no more work.
            *self.writer = None;
        }
    }
}

fn schema() -> (Schema, Fields) {
    let indexing =
        TextFieldIndexing::default().set_tokenizer(ANALYSER).set_index_option(IndexRecordOption::WithFreqs);
    let text = TextOptions::default().set_indexing_options(indexing);
    let mut schema = Schema::builder();
    let fields = Fields {
        version: schema.add_u64_field("version", INDEXED),
        passage: schema.add_u64_field(PASSAGE_FIELD, FAST),
        context: schema.add_text_field("context", text.clone()),
        body: schema.add_text_field("body", text),
    };
    (schema.build(), fields)
}

fn different_words(analyser: &mut TextAnalyzer, query: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    analyser.token_stream(query).process(&mut |token| {
        if words.len() < QUERY_TERMS_MAX && !words.contains(&token.text) {
            words.push(token.text.clone());
        }
    });
    words
}

/// How often each word stands in a text, and how many words it has, as the index counts them.
pub(super) fn counted<'a>(texts: impl Iterator<Item = &'a str>) -> (HashMap<String, u32>, u32) {
    let mut analyser = analyser();
    let (mut times, mut length) = (HashMap::new(), 0);
    for text in texts {
        analyser.token_stream(text).process(&mut |token| {
            *times.entry(token.text.clone()).or_insert(0) += 1;
            length += 1;
        });
    }
    (times, length)
}

/// What passages are indexed with.
fn analyser() -> TextAnalyzer {
    TextAnalyzer::builder(SimpleTokenizer::default())
        .filter(RemoveLongFilter::limit(WORD_BYTES_MAX))
        .filter(LowerCaser)
        .filter(AsciiFoldingFilter)
        .filter(Stemmer::new(Language::English))
        .build()
}

/// The same, without the stop words.
fn question_analyser() -> TextAnalyzer {
    TextAnalyzer::builder(SimpleTokenizer::default())
        .filter(RemoveLongFilter::limit(WORD_BYTES_MAX))
        .filter(LowerCaser)
        .filter(AsciiFoldingFilter)
        .filter(StopWordFilter::remove(STOP_WORDS.map(str::to_owned)))
        .filter(Stemmer::new(Language::English))
        .build()
}
