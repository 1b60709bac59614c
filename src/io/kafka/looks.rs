//! Early results: looks at the open window, every now and then, beside the engine's work.
//!
//! The engine's thread adds up what there is, a few milliseconds at a time, and a thread of its own measures it. What
//! has arrived comes first: while records wait nothing is added up, and there and where a look takes long, looks are
//! left out, counted, and said.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};

use super::ports::Machine;
use super::watch::RunObserver;
use crate::engine::Engine;
use crate::judge::{LookStep, OpenWindow, WindowRow};
use crate::plan::Plan;

/// Looks take at most one of so many parts of one processor's time.
const PARTS: u32 = 20;

/// The engine's thread adds up no longer than this, and goes on after the next records. It waits for the rows of a look
/// no longer than that either.
const AT_ONCE_MAX: Duration = Duration::from_millis(2);

/// Groups that are added up before the clock is asked again: some tenths of a millisecond.
const GROUPS: usize = 2;

/// Looks at open windows.
pub(super) struct Looks {
    machine: Arc<dyn Machine>,
    /// When the next one is due.
    next_at: Option<Instant>,
    /// How long the one that is being added up has kept the engine's thread.
    adding_up: Option<Duration>,
    under_way: Option<UnderWay>,
    /// Whether it was said that some are left out.
    skips: bool,
}

/// A look that is measured.
struct UnderWay {
    begun: Instant,
    /// How long it kept the engine's thread.
    added_up_in: Duration,
    rows: Receiver<(Vec<WindowRow>, Duration)>,
}

impl Looks {
    /// None yet.
    pub(super) fn new(machine: Arc<dyn Machine>) -> Self {
        Self { machine, next_at: None, adding_up: None, under_way: None, skips: false }
    }

    /// Shows the look that is measured, if it is, and begins with the next one, when that is due.
    pub(super) fn show(&mut self, plan: &Plan, is_behind: bool, watch: &dyn RunObserver) {
        let every = every(plan);
        self.collect(every, Duration::ZERO, watch);
        let now = self.machine.now();
        if self.next_at.is_none_or(|at| now >= at) {
            self.next_at = Some(now + every);
            if is_behind || self.under_way.is_some() || self.adding_up.is_some() {
                self.skip(1, Duration::ZERO, watch);
            } else {
                self.adding_up = Some(Duration::ZERO);
            }
        }
    }

    /// Adds up some more of the look that was begun, and measures it once it is whole.
    pub(super) fn go_on(&mut self, engine: &mut Engine, plan: &Plan, is_behind: bool, watch: &dyn RunObserver) {
        let Some(before) = self.adding_up.filter(|_| !is_behind) else { return };
        let begun = self.machine.now();
        let step = loop {
            match engine.early(GROUPS) {
                LookStep::Unfinished if self.machine.since(begun) < AT_ONCE_MAX => {}
                step => break step,
            }
        };
        let added_up_in = before + self.machine.since(begun);
        self.adding_up = matches!(step, LookStep::Unfinished).then_some(added_up_in);
        let Some(look) = step.look() else { return };
        match measure(look, &self.machine) {
            Ok(rows) => {
                self.under_way = Some(UnderWay { begun, added_up_in, rows });
                self.collect(every(plan), AT_ONCE_MAX, watch);
            }
            Err(error) => {
                tracing::warn!(%error, "no thread for early results");
                self.skip(1, added_up_in, watch);
            }
        }
    }

    /// Shows the rows of the look that is under way, if they are there.
    fn collect(&mut self, every: Duration, wait: Duration, watch: &dyn RunObserver) {
        let Some(UnderWay { begun, added_up_in, rows }) = self.under_way.take() else { return };
        match rows.recv_timeout(wait) {
            Ok((rows, measured_in)) => {
                watch.provisional(rows);
                let took = added_up_in + measured_in;
                let pause = every.max(took * PARTS);
                self.next_at = self.next_at.max(Some(begun + pause));
                let left_out = pause.as_micros() / every.as_micros().max(1) - 1;
                self.skip(u64::try_from(left_out).unwrap_or(u64::MAX), took, watch);
            }
            Err(RecvTimeoutError::Timeout) => self.under_way = Some(UnderWay { begun, added_up_in, rows }),
            Err(RecvTimeoutError::Disconnected) => tracing::warn!("an early result could not be measured"),
        }
    }

    fn skip(&mut self, looks: u64, took: Duration, watch: &dyn RunObserver) {
        if looks == 0 {
            return;
        }
        watch.skipped(looks);
        if !std::mem::replace(&mut self.skips, true) {
            tracing::warn!(
                took_ms = took.as_secs_f64() * 1e3,
                "open windows are shown less often than `early_every` says, so that reading is not held up"
            );
        }
    }
}

/// How often open windows are looked at.
fn every(plan: &Plan) -> Duration {
    Duration::from_micros(u64::try_from(plan.time.early_every).unwrap_or(1_000_000))
}

/// Measures a look on a thread of its own; says how long that took, too.
fn measure(look: OpenWindow, machine: &Arc<dyn Machine>) -> std::io::Result<Receiver<(Vec<WindowRow>, Duration)>> {
    let (sender, receiver) = crossbeam_channel::bounded(1);
    let clock = Arc::clone(machine);
    let work = move || {
        let begun = clock.now();
        let rows = look.rows();
        // Nobody listens any more once the run has ended.
        let _ = sender.send((rows, clock.since(begun)));
    };
    machine.beside("early", Box::new(work))?;
    Ok(receiver)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::kafka::clock::now;
    use crate::kafka::machine::Here;

    /// Notes how many times rows were shown, and how many looks were left out.
    #[derive(Default)]
    struct Heard(Mutex<(u64, u64)>);

    impl RunObserver for Heard {
        fn provisional(&self, _: Vec<WindowRow>) {
            self.0.lock().expect("no panic").0 += 1;
        }

        fn skipped(&self, looks: u64) {
            self.0.lock().expect("no panic").1 += looks;
        }
    }

    #[test]
    fn a_look_that_takes_long_is_shown_later_and_others_are_left_out() {
        let (every, heard) = (Duration::from_secs(2), Heard::default());
        let (sender, rows) = crossbeam_channel::bounded(1);
        let under_way = UnderWay { begun: now(), added_up_in: Duration::ZERO, rows };
        let mut looks = Looks { under_way: Some(under_way), ..Looks::new(Arc::new(Here)) };
        looks.collect(every, Duration::ZERO, &heard);
        assert!(looks.under_way.is_some() && *heard.0.lock().expect("no panic") == (0, 0));
        sender.send((Vec::new(), Duration::from_secs(1))).expect("it listens");
        looks.collect(every, Duration::ZERO, &heard);
        assert!(looks.under_way.is_none() && looks.skips);
        // A second of work, at most one in twenty: nine looks of every two seconds are left out.
        assert_eq!(*heard.0.lock().expect("no panic"), (1, 9));
        assert!(looks.next_at.is_some_and(|at| at > now() + Duration::from_secs(10)));
    }

    #[test]
    fn while_records_wait_looks_are_left_out_counted_and_said() {
        let text = "sources: { predictions: { topic: p, id: id, version: v } }\nrollout: { baseline: v1 }\n";
        let plan = crate::config::parse(text, "p.yaml", std::path::Path::new("")).expect("a pipeline").plan;
        let (heard, mut looks) = (Heard::default(), Looks::new(Arc::new(Here)));
        looks.show(&plan, true, &heard);
        assert!(looks.skips && *heard.0.lock().expect("no panic") == (0, 1));
        looks.show(&plan, true, &heard);
        assert_eq!(*heard.0.lock().expect("no panic"), (0, 1), "the next one is not due");
    }
}
