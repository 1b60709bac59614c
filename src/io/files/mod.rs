//! Files as people have them: named one by one, as folders, patterns or pipes; packed or not; told apart by what they
//! begin with.

pub(crate) mod columns;
pub(crate) mod csv;
pub mod format;
mod inputs;
pub(crate) mod parquet;
pub(crate) mod records;
mod stream;

pub use columns::Place;
pub use format::{Format, recognise};
pub use inputs::{InputFiles, is_table};
pub use stream::{opened, unpacked};
