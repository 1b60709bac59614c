//! What of the input does not count, as an exit code and as warnings.

use clap::ValueEnum;

use crate::error::{Error, Result};
use crate::output::Losses;
use crate::replay::ReplayProgress;

/// What makes the exit code 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FailOnLosses {
    /// Nothing.
    Never,
    /// Rows, labels or columns that do not count.
    Quality,
}

/// Tells of losses on standard error; `of` says of what, where that is not clear.
pub(super) fn warn(losses: &Losses, of: &str, progress: &ReplayProgress) {
    losses.sentences().iter().for_each(|sentence| progress.say(&format!("warning: {of}{sentence}")));
}

/// Fails where something is lost, when that was asked for.
pub(super) fn gate(losses: &Losses, fail_on: FailOnLosses) -> Result<()> {
    match losses.sentences().first() {
        Some(first) if fail_on == FailOnLosses::Quality => {
            Err(Error::candidate(first.clone())
                .hint("the summary tells of every loss; --fail-on says what may be lost"))
        }
        _ => Ok(()),
    }
}
