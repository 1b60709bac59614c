//! Reading ahead: files are read and decoded on a thread of their own, a few steps before the engine needs them.

use std::panic::resume_unwind;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::{self, JoinHandle};

use crate::error::Result;

use super::ReplayStep;
use super::merge::FileMerge;

/// Steps that wait for the engine, at most.
const STEPS_MAX: usize = 4;

/// A merge that runs ahead. It gives the same steps in the same order; the first error is the last of them.
#[derive(Debug)]
pub(super) struct Ahead {
    steps: Receiver<Result<ReplayStep>>,
    /// `None` once it was seen to end.
    reader: Option<JoinHandle<()>>,
}

impl Ahead {
    /// Starts reading.
    pub(super) fn start(mut merge: FileMerge) -> Self {
        let (sender, steps) = sync_channel(STEPS_MAX);
        let read = move || {
            while let Some(step) = merge.step().transpose() {
                let is_last = step.is_err();
                // Nobody to send to: the replay was given up.
                if sender.send(step).is_err() || is_last {
                    break;
                }
            }
        };
        Self { steps, reader: Some(thread::spawn(read)) }
    }
}

impl Iterator for Ahead {
    type Item = Result<ReplayStep>;

    fn next(&mut self) -> Option<Self::Item> {
        let step = self.steps.recv().ok();
        if step.is_none() {
            self.reader.take()?.join().unwrap_or_else(|panic| resume_unwind(panic));
        }
        step
    }
}
