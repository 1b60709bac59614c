//! The adapters of a pipeline at work, each on a thread and a connection of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::acting::{Actor, Mode};
use super::watch::AdapterObserver;
use super::{ActConfig, TargetKind, notify};
use crate::config::KafkaConfig;
use crate::error::{Error, Fault, Result};
use crate::kafka::Connection;
use crate::plan::Plan;

/// The pause before Kafka is tried again.
const AGAIN: Duration = Duration::from_secs(5);

/// Which adapters work, and on what.
#[derive(Clone, Copy)]
pub struct Adapters<'a> {
    /// Where decisions are carried out, and whom they are told.
    pub chosen: &'a [&'a ActConfig],
    /// What is judged.
    pub plan: &'a Arc<Plan>,
    /// Where decisions are read.
    pub kafka: &'a KafkaConfig,
    /// Who is told what they do.
    pub watch: &'a dyn AdapterObserver,
}

/// Takes the name of an adapter, and what it did, or would, in words.
pub type Listens<'a> = dyn FnMut(&str, &Result<Vec<String>>) -> Result<()> + 'a;

/// Ends the others, however its thread ends.
struct EndsAll<'a>(&'a AtomicBool);

impl Drop for EndsAll<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Adapters<'_> {
    /// One after the other, what is in force now; one that fails does not keep the others from it. Returns the
    /// first error.
    ///
    /// # Errors
    /// When something in force was not carried out, or `told` fails.
    pub fn once(self, mode: Mode, told: &mut Listens<'_>) -> Result<()> {
        let stop = AtomicBool::new(false);
        let mut failed = None;
        for config in self.chosen {
            let done = self.act(config, mode, &stop);
            told(&config.terms.adapter, &done)?;
            failed = failed.or(done.err());
        }
        failed.map_or(Ok(()), Err)
    }

    /// Side by side, so that a target that is slow holds up no other, until they are told to stop. What may pass is
    /// tried again. A fault of haldane's own ends all, and sets `stop`.
    ///
    /// # Errors
    /// That fault.
    pub fn on(self, stop: &AtomicBool) -> Result<()> {
        std::thread::scope(|scope| {
            let act = |config| move || self.keep_on(config, stop);
            let threads: Vec<_> = self.chosen.iter().map(|&config| scope.spawn(act(config))).collect();
            let ended = threads
                .into_iter()
                .map(|thread| thread.join().unwrap_or_else(|_| Err(Error::internal("a target's thread has panicked"))));
            ended.collect::<Vec<_>>().into_iter().collect()
        })
    }

    /// The same beside other work: whichever ends, ends both.
    ///
    /// # Errors
    /// That of the work, or that of the adapters.
    pub fn beside<T>(self, stop: &AtomicBool, work: impl FnOnce() -> Result<T>) -> Result<T> {
        if self.chosen.is_empty() {
            return work();
        }
        std::thread::scope(|scope| {
            let acting = scope.spawn(|| self.on(stop));
            let worked = {
                let _ends_all = EndsAll(stop);
                work()
            };
            let acted = acting.join().unwrap_or_else(|_| Err(Error::internal("the thread of targets has panicked")));
            worked.and_then(|done| acted.map(|()| done))
        })
    }

    fn keep_on(self, config: &ActConfig, stop: &AtomicBool) -> Result<()> {
        let _ends_all = EndsAll(stop);
        loop {
            match self.act(config, Mode::On, stop) {
                Err(error) if error.fault() == Fault::External && !stop.load(Ordering::Relaxed) => {
                    let name = config.terms.adapter.as_str();
                    tracing::warn!(adapter = name, %error, hint = error.advice(), "nothing is changed meanwhile; trying again");
                    std::thread::park_timeout(AGAIN);
                }
                ended => return ended.map(drop),
            }
        }
    }

    /// The arguments and the file were checked: what is wrong from here on is mended elsewhere, and trying again helps.
    fn act(self, config: &ActConfig, mode: Mode, stop: &AtomicBool) -> Result<Vec<String>> {
        self.try_act(config, mode, stop).map_err(Error::elsewhere)
    }

    fn try_act(self, config: &ActConfig, mode: Mode, stop: &AtomicBool) -> Result<Vec<String>> {
        let cluster = Connection::open(self.kafka)?;
        if let Some(target) = super::open(config)? {
            return Actor::open(config, target, self.plan, (&cluster, self.watch), mode)?.run(stop);
        }
        let TargetKind::Notify(notify) = &config.kind else { return Ok(Vec::new()) };
        if mode == Mode::DryRun {
            return Ok(vec![format!("{}: would tell {} of new decisions", config.terms.adapter, notify.whom())]);
        }
        let about = (&config.terms, self.plan.policy.rollout.as_str(), config.timeout);
        notify::tell(notify, about, (&cluster, self.watch), (mode == Mode::Once, stop)).map(|()| Vec::new())
    }
}
