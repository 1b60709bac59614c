//! Files as people have them: named one by one, as folders, patterns or pipes; packed or not; told apart by what they
//! begin with.

mod arrow_ipc;
pub(crate) mod columns;
mod csv;
pub mod format;
mod inputs;
mod parquet;
pub(crate) mod records;
mod stream;

pub use columns::RowPosition;
pub(crate) use format::open_columns;
pub use format::{FileFormat, recognise};
pub use inputs::{InputFiles, is_table};
pub use stream::{opened, unpacked};
