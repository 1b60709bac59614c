//! What haldane saw and decided, kept as plain Parquet in a directory or a bucket.
//!
//! A folder a table, below it a folder a day and model (`windows/date=2024-03-01/model=fraud/…`), so that `DuckDB`,
//! Polars and every other reader of Parquet finds its way. Files are named by their content and never changed. What
//! counts is what the manifests name (`manifest`): a crash between two steps leaves files that nobody reads, and a
//! manifest is written in one piece or not at all. The engine is deterministic, so after a crash it says the same
//! again, and the [`StoreWriter`] knows what is stored already: rows are neither lost nor doubled.

mod columns;
mod compact;
mod file;
mod histogram;
mod known;
mod labels;
mod latency;
mod manifest;
mod mark;
mod panes;
mod place;
mod portion;
mod quality;
mod rows;
mod state;
#[expect(clippy::module_inception, reason = "the store itself, beside its parts")]
mod store;
mod table;
mod writer;

pub use compact::{Compacted, Keep, compact, compact_over};
pub use histogram::{StoredHistogram, counted, histogram_type, histograms, lists};
pub use latency::{Latencies, latencies, latency_in, latency_type};
pub use manifest::StoredFile;
pub use place::{StoreFolder, probe};
pub use quality::Read;
pub use store::{PaneDay, RowFilter, Store, sizes};
pub use table::StoreTable;
pub use writer::{Every, StoreWriter};
