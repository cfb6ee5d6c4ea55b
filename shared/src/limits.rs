//! Every bound that both sides must agree on: value, unit, why.

/// Bytes of a JSON question (`POST /v1/chat/completions`, `POST search`). A long conversation of text is
/// tens of kilobytes; a megabyte leaves room and still costs the edge well under its CPU budget to read.
pub const QUESTION_BODY_BYTES_MAX: usize = 1 << 20;

/// Bytes of one uploaded document or multipart upload. The edge holds it in memory once to sign it.
pub const UPLOAD_BODY_BYTES_MAX: usize = 32 << 20;

/// Bytes of an NDJSON batch sent straight to an origin, which reads it line by line.
pub const BATCH_BODY_BYTES_MAX: usize = 256 << 20;

/// Characters of a document's canonical text; about 2,500 printed pages.
pub const DOCUMENT_CHARS_MAX: usize = 8_000_000;

/// Characters of one turn. Questions are sentences; pasted logs and code are not much longer.
pub const TURN_CHARS_MAX: usize = 32_000;

/// Turns of a conversation.
pub const TURNS_MAX: usize = 128;

/// Characters of a search query. The embedding model reads 256 word pieces; more would only be cut.
pub const QUERY_CHARS_MAX: usize = 4_000;

/// Results of one search.
pub const SEARCH_RESULTS_MAX: usize = 100;

/// Passages that an answer may rest on.
pub const EVIDENCE_PASSAGES_MAX: usize = 8;

/// Tokens that are reserved for the passages before a question and, where a caller sets no `max_tokens`, for its answer; and
/// the bytes of text that make at least one token. What an answer takes in the end is what counts.
pub const EVIDENCE_TOKENS_MAX: u64 = 2_048;
pub const ANSWER_TOKENS_DEFAULT: u64 = 1_024;
pub const BYTES_PER_TOKEN: usize = 4;

/// Levels of `and`/`or`/`not` in a filter, and conditions in all. Evaluation is recursive.
pub const FILTER_DEPTH_MAX: usize = 16;
pub const FILTER_CONDITIONS_MAX: usize = 256;

/// Bytes of a document's metadata, serialised; keys in it; bytes of a key.
pub const METADATA_BYTES_MAX: usize = 16 << 10;
pub const METADATA_KEYS_MAX: usize = 64;
pub const METADATA_KEY_BYTES_MAX: usize = 64;

/// Bytes of ids, labels, titles and URLs.
pub const DOCUMENT_ID_BYTES_MAX: usize = 256;
pub const NAME_BYTES_MAX: usize = 64;
pub const LABEL_BYTES_MAX: usize = 64;
pub const LABELS_MAX: usize = 64;
pub const TITLE_CHARS_MAX: usize = 500;
pub const URL_BYTES_MAX: usize = 2_000;

/// Corpora of one tenant. Each costs an origin about a megabyte of memory when it is empty.
pub const CORPORA_PER_TENANT_MAX: usize = 1_000;

/// Corpora that one key may name.
pub const KEY_CORPORA_MAX: usize = 256;

/// Keys of one tenant that are not revoked; web origins of one key; bytes of one such origin; characters of a key's
/// name.
pub const KEYS_PER_TENANT_MAX: usize = 10_000;
pub const WEB_ORIGINS_MAX: usize = 32;
pub const WEB_ORIGIN_BYTES_MAX: usize = 256;
pub const KEY_NAME_CHARS_MAX: usize = 100;

/// Documents on one page of a listing: default and most.
pub const PAGE_DEFAULT: usize = 100;
pub const PAGE_MAX: usize = 1_000;

/// Seconds by which a signed request's time may differ from the origin's clock, either way.
pub const SIGNATURE_SKEW_S_MAX: u64 = 60;

/// Milliseconds that a question may take from the edge's admission to the first byte of its answer.
pub const DEADLINE_MS_DEFAULT: u64 = 30_000;
pub const DEADLINE_MS_MAX: u64 = 120_000;

/// Milliseconds that an origin waits for `Perigee-Min-Epoch` before it answers 503.
pub const MIN_EPOCH_WAIT_MS_MAX: u64 = 5_000;

/// Entries of an answer index that an edge reads: 6.4 MB, a twentieth of what an isolate has. Origins publish 10,000 unless
/// told otherwise.
pub const ANSWER_INDEX_ENTRIES_MAX: usize = 50_000;
