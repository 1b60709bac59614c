//! The cells of a file of JSON that is small: it is read once for what fields it has, and would be read again for every
//! question about its rows.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayBuilder as _, ArrayRef, StringArray, StringBuilder};

use super::Chunk;
use crate::replay::BATCH_ROWS;

/// The files of a table are read once, and their cells kept, while all of them take no more than this.
pub(super) const KEPT_BYTES: usize = 64 << 20;

/// Some rows, with every field that they have.
#[derive(Debug)]
pub(super) struct KeptChunk {
    columns: BTreeMap<Vec<String>, ArrayRef>,
    rows: usize,
    refused: RefusedSoFar,
}

/// All rows of one topic of a file.
#[derive(Debug, Clone)]
pub(super) struct TopicRows {
    pub(super) bytes: usize,
    pub(super) chunks: Arc<[KeptChunk]>,
}

/// Records that could not be read: how many, and what is wrong with the first of them.
#[derive(Debug, Clone, Default)]
pub(super) struct RefusedSoFar {
    n: u64,
    example: Option<String>,
}

impl RefusedSoFar {
    pub(super) fn add(&mut self, example: &str) {
        self.n += 1;
        self.example.get_or_insert_with(|| example.to_owned());
    }
}

impl KeptChunk {
    /// The columns asked for, by their paths.
    pub(super) fn chunk(&self, paths: &[Vec<String>]) -> Chunk {
        let absent: ArrayRef = Arc::new(StringArray::new_null(self.rows));
        let array = |path: &Vec<String>| Arc::clone(self.columns.get(path).unwrap_or(&absent));
        let RefusedSoFar { n, example } = self.refused.clone();
        Chunk { arrays: paths.iter().map(array).collect(), rows: self.rows, refused: n, passed_over: 0, example }
    }
}

/// Keeps cells, as many rows to a chunk as are handed out at once.
#[derive(Debug, Default)]
pub(super) struct ChunkBuilder {
    /// What all cells take, about.
    bytes: usize,
    cells: BTreeMap<Vec<String>, StringBuilder>,
    rows: usize,
    refused: RefusedSoFar,
    chunks: Vec<KeptChunk>,
}

impl ChunkBuilder {
    /// After so many records that could not be read.
    pub(super) fn after(refused: RefusedSoFar) -> Self {
        Self { refused, ..Self::default() }
    }

    /// A cell of the row that is being read.
    pub(super) fn cell(&mut self, above: &[String], name: &String, text: &str) {
        self.bytes += text.len();
        let (rows, name) = (self.rows, std::slice::from_ref(name));
        let add = |cells: &mut StringBuilder| {
            cells.append_nulls(rows - cells.len());
            cells.append_value(text);
        };
        // Most fields stand in no other: their path is not put together for every row.
        let known = if above.is_empty() { self.cells.get_mut(name) } else { None };
        if let Some(cells) = known {
            add(cells);
        } else {
            add(self.cells.entry([above, name].concat()).or_insert_with(|| StringBuilder::with_capacity(0, 0)));
        }
    }

    /// The row has ended. Every field takes room in every row, so that few bytes of rare fields may take much.
    pub(super) fn end_row(&mut self) {
        self.rows += 1;
        self.bytes += self.cells.len() * size_of::<i32>();
        if self.rows == BATCH_ROWS {
            self.close();
        }
    }

    pub(super) fn refuse(&mut self, example: &str) {
        self.refused.add(example);
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    fn close(&mut self) {
        let (rows, refused) = (std::mem::take(&mut self.rows), std::mem::take(&mut self.refused));
        let full = |mut cells: StringBuilder| {
            cells.append_nulls(rows - cells.len());
            Arc::new(cells.finish()) as ArrayRef
        };
        let columns = std::mem::take(&mut self.cells).into_iter().map(|(path, cells)| (path, full(cells))).collect();
        self.chunks.push(KeptChunk { columns, rows, refused });
    }

    /// All that was kept.
    pub(super) fn finish(mut self) -> TopicRows {
        if self.rows > 0 || self.refused.n > 0 {
            self.close();
        }
        TopicRows { bytes: self.bytes, chunks: self.chunks.into() }
    }
}
