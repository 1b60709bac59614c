//! The events that one file gives one source, in the order of the file: what replays merge, for those who ask what is
//! in a file and not when it came.

use std::path::Path;
use std::sync::Arc;

use crate::error::Result;
use crate::kafka::ports::Schemas;
use crate::plan::Plan;

use super::file::{self, Input};
use super::{BATCH_ROWS, Offsets, ReadBlock};

/// A file that was looked into, and can be read as often as one likes.
#[derive(Debug, Clone)]
pub(crate) struct EventFile {
    plan: Arc<Plan>,
    input: Input,
}

impl EventFile {
    /// Looks into a file for a plan of one source. What is of other topics is left out; where the file tells nothing of
    /// the source, it feeds it.
    pub(crate) fn open(plan: &Arc<Plan>, path: &Path, schemas: &Arc<dyn Schemas>) -> Result<Self> {
        let input = file::open(plan, path, None, schemas).or_else(|_| file::open(plan, path, Some(0), schemas))?;
        Ok(Self { plan: Arc::clone(plan), input })
    }

    /// What is odd about it.
    pub(crate) fn warnings(&self) -> &[String] {
        &self.input.warnings
    }

    /// Its events, some at a time.
    pub(crate) fn blocks(&self) -> Result<impl Iterator<Item = Result<ReadBlock>> + use<>> {
        let mut blocks = self.input.clone().blocks(&self.plan, BATCH_ROWS)?;
        let mut offsets = Offsets::new();
        Ok(std::iter::from_fn(move || blocks.next_block(&mut offsets).transpose()))
    }
}
