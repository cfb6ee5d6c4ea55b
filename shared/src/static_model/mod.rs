//! The edge's own embedding: a table with one row of 64 numbers for each word piece, distilled from the bundled model.
//!
//! A text's vector is the weighted sum of its pieces' rows: microseconds, no model call, the same numbers in the worker
//! and at the origin. It finds questions that may mean the same; whether they do is for the gate to say. It knows nothing
//! of the order of words, and for finding passages it is far worse than the model: never use it for that.
//!
//! `cargo xtask distil` makes the table; `table` describes its format.

mod normalise;
mod pieces;
mod pool;
mod table;
mod vector;
mod vocabulary;

use std::fmt;
use std::ops::ControlFlow;
use std::sync::OnceLock;

pub use self::pieces::{Piece, Special};
pub use self::table::{InvalidTable, ModelHash, NewRow, write_table};
pub use self::vector::{DIMENSIONS, StaticVector};
pub use self::vocabulary::Row;

use self::pool::Pool;
use self::table::Table;

/// Word pieces of a text that count; the origin's model reads as many and no more.
pub const PIECES_MAX: usize = 256;

static BUNDLED: &[u8] = include_bytes!("../../models/static-table.bin");

/// Names a table: vectors of two tables can't be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ModelId([u8; 8]);

impl ModelId {
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 8]) -> Self {
        Self(bytes)
    }

    #[must_use]
    pub const fn to_bytes(self) -> [u8; 8] {
        self.0
    }
}

impl fmt::Display for ModelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// A table that was read, over the bytes that hold it: nothing is copied.
#[derive(Debug)]
pub struct StaticModel<'a> {
    table: Table<'a>,
}

impl StaticModel<'static> {
    /// The table that is part of the program.
    #[must_use]
    #[expect(clippy::expect_used, reason = "the table is compiled in, and a test reads it")]
    pub fn bundled() -> &'static Self {
        static MODEL: OnceLock<StaticModel<'static>> = OnceLock::new();
        MODEL.get_or_init(|| Self::parse(BUNDLED).expect("the bundled table is whole"))
    }
}

impl<'a> StaticModel<'a> {
    /// Reads a table.
    ///
    /// # Errors
    /// It is of another format version, cut off, or its parts don't fit together.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, InvalidTable> {
        Table::parse(bytes).map(|table| Self { table })
    }

    #[must_use]
    pub const fn id(&self) -> ModelId {
        self.table.id
    }

    /// SHA-256 of the model that the table was distilled from.
    #[must_use]
    pub const fn source(&self) -> &ModelHash {
        &self.table.source
    }

    /// A text's vector, over its first [`PIECES_MAX`] word pieces. `None`: the table knows no word of it.
    #[must_use]
    pub fn embed(&self, text: &str) -> Option<StaticVector> {
        let mut pool = Pool::new();
        let mut left = PIECES_MAX;
        // Cut short or not: what was pooled until then is the text's vector.
        let _cut = self.each_piece(text, |piece| {
            if let Piece::Known(row) = piece
                && let Some((scale, numbers)) = self.table.row(row)
            {
                pool.add(scale, numbers);
            }
            left -= 1;
            if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        StaticVector::quantise(pool.sum())
    }

    /// Cuts a text into word pieces as Hugging Face's `tokenizers` does for the model, without `[CLS]` and `[SEP]`, and
    /// hands them over in order until told to stop.
    pub fn each_piece(&self, text: &str, found: impl FnMut(Piece) -> ControlFlow<()>) -> ControlFlow<()> {
        pieces::each_piece(&self.table.vocabulary, text, found)
    }

    /// A piece as the model's vocabulary writes it: `##ing` continues a word.
    #[must_use]
    pub fn text_of(&self, piece: Piece) -> String {
        match piece {
            Piece::Known(row) => self.table.vocabulary.text_of(row),
            Piece::Unknown => "[UNK]".to_owned(),
            Piece::Special(special) => special.text().to_owned(),
        }
    }
}
