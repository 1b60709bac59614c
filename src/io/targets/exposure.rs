//! Shares of traffic on their way from looks to the topic of exposures.
//!
//! Every look is written, whatever it shows: who reads them knows by that how far they are whole, and a restart needs
//! nothing. Nobody waits for a write. One that fails is told and made good by the next look.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::watch::Event;
use super::{Subject, Tried};
use crate::act::{CandidateKey, ObservedShare};
use crate::error::{Error, Result};
use crate::event::Micros;
use crate::kafka::cloud_event::{Letter, SeenExposure, rfc3339};
use crate::kafka::ports::{Cluster, Sink};

/// What the looks of one adapter have shown.
pub(super) struct ExposureWriter {
    pipeline: String,
    adapter: String,
    topic: String,
    /// When each candidate was looked at last, whatever came of it.
    looked: BTreeMap<CandidateKey, Micros>,
    /// The newest of each that is not written yet.
    unwritten: BTreeMap<CandidateKey, SeenExposure>,
    /// Its own: what becomes of its records is nothing to acknowledgements.
    sink: Option<Arc<dyn Sink>>,
    /// How many records are on their way.
    leaving: usize,
}

impl ExposureWriter {
    pub(super) fn new(pipeline: &str, adapter: &str, topic: &str) -> Self {
        Self {
            pipeline: pipeline.to_owned(),
            adapter: adapter.to_owned(),
            topic: topic.to_owned(),
            looked: BTreeMap::new(),
            unwritten: BTreeMap::new(),
            sink: None,
            leaving: 0,
        }
    }

    /// Whether it is time for the next look.
    pub(super) fn is_due(&self, about: &CandidateKey, now: Micros, every: Micros) -> bool {
        self.looked.get(about).is_none_or(|last| now.saturating_sub(*last) >= every)
    }

    /// Takes what a look showed that began then. Nothing is said of a share that is not known, or is another version's.
    pub(super) fn looked(&mut self, subject: &Subject, at: Micros, seen: &Tried<ObservedShare>) {
        let about = (subject.model.clone(), subject.candidate.clone());
        self.looked.insert(about.clone(), at);
        let Ok(ObservedShare { version, share_pct: Some(share_pct), .. }) = seen else { return };
        if version.as_ref().is_some_and(|version| *version != subject.candidate) {
            return;
        }
        let seen = SeenExposure {
            pipeline: self.pipeline.clone(),
            rollout: subject.rollout.clone(),
            model: subject.model.clone(),
            version: subject.candidate.clone(),
            exposure: (share_pct / 100.0).clamp(0.0, 1.0),
            adapter: self.adapter.clone(),
            time: rfc3339(at),
            at,
        };
        self.unwritten.insert(about, seen);
    }

    /// Hands over what is not written, once what was handed over before is. Whatever became of that is told; `waits`:
    /// at once.
    pub(super) fn write(&mut self, cluster: &dyn Cluster, waits: bool, told: impl Fn(Event<'_>)) {
        if !self.has_left(false, &told) {
            return;
        }
        let shares = self.unwritten.len();
        match self.hand_over(cluster) {
            Ok(()) => self.leaving = shares,
            Err(error) => self.fail(shares, &error, &told),
        }
        self.has_left(waits, &told);
    }

    /// Whether nothing is on its way any more.
    fn has_left(&mut self, waits: bool, told: &impl Fn(Event<'_>)) -> bool {
        let shares = self.leaving;
        let Some(sink) = self.sink.as_ref().filter(|_| shares > 0) else { return true };
        let settled = if waits { sink.settle().map(|()| true) } else { sink.is_settled() };
        match settled {
            Ok(false) => return false,
            Ok(true) => {
                self.leaving = 0;
                told(Event::Exposed { shares, written: true });
            }
            Err(error) => self.fail(shares, &error, told),
        }
        true
    }

    fn hand_over(&mut self, cluster: &dyn Cluster) -> Result<()> {
        let unwritten = std::mem::take(&mut self.unwritten);
        if unwritten.is_empty() {
            return Ok(());
        }
        let sink = match &self.sink {
            Some(sink) => sink,
            None => self.sink.insert(cluster.producer()?),
        };
        // Whoever reads them knows by one that those before it in time are there.
        let mut unwritten: Vec<SeenExposure> = unwritten.into_values().collect();
        unwritten.sort_by_key(|seen| seen.at);
        unwritten.iter().try_for_each(|seen| sink.send(Letter::exposure(seen).to(&self.topic)))
    }

    /// A producer that has failed once says so ever after.
    fn fail(&mut self, shares: usize, error: &Error, told: &impl Fn(Event<'_>)) {
        tracing::warn!(adapter = self.adapter, %error, hint = error.advice(), "a share that was seen is not written");
        (self.sink, self.leaving) = (None, 0);
        told(Event::Exposed { shares, written: false });
    }
}
