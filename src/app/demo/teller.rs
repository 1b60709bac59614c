//! Tells the run in words: what is about to happen, decisions as they fall, and how it went.

use std::fmt::Write as _;
use std::io::Write;
use std::net::SocketAddr;
use std::time::Duration;

use super::hold::Stretch;
use super::traffic::{CANARY_SHARE, FAULT_AT, LENGTH, PARTITIONS, RATE};
use crate::cli::print;
use crate::error::Result;
use crate::event::{Micros, SECOND};
use crate::output::text::{short_id, time_of_day};
use crate::plan::Signal;
use crate::verdict::Decision;

/// What is counted for the summary, and where words go.
pub(super) struct DemoOutput<'a> {
    out: &'a mut dyn Write,
    decisions: u64,
    /// The first decision after the fault: its event time, and how long after the fault it was acknowledged.
    first: Option<(Signal, Micros, Duration)>,
}

impl<'a> DemoOutput<'a> {
    /// Nothing told yet.
    pub(super) fn new(out: &'a mut dyn Write) -> Self {
        Self { out, decisions: 0, first: None }
    }

    fn say(&mut self, text: &str) -> Result<()> {
        print(self.out, &format!("{text}\n"))
    }

    /// Says what is about to happen.
    pub(super) fn introduce(&mut self, seed: u64, broker: &str, (http, proxy): (SocketAddr, SocketAddr)) -> Result<()> {
        let canary_pct = CANARY_SHARE * 100.0;
        let (minutes, fault) = (LENGTH / (60 * SECOND), time_of_day(FAULT_AT));
        self.say(&format!(
            "A canary rollout on this machine, seed {seed}.
  broker   {broker}, in this process, {PARTITIONS} partitions
  traffic  {minutes} minutes of a fraud model, {RATE} requests per second, {canary_pct} % of them to the new version v2
  proxy    {proxy} sends them where weights.json says, a file in which `haldane act` carries decisions out
  fault    from {fault} UTC on v2 is given amounts in cents, and 9 % of its requests fail
  http     http://{http}/ui the dashboard  /v1/windows  /v1/rollouts  /v1/decisions  /metrics
"
        ))
    }

    /// Says how somebody may act.
    pub(super) fn admit(&mut self, http: SocketAddr, token: &str) -> Result<()> {
        self.say(&format!("To act, log in at http://{http}/ui/login with the token {token}\n"))
    }

    /// Says that it does not end by itself.
    pub(super) fn keep(&mut self) -> Result<()> {
        self.say("The traffic is over; the dashboard goes on until Ctrl-C.")
    }

    /// Tells a decision, so long after the fault (or before it: none).
    pub(super) fn decided(&mut self, decision: &Decision, since_fault: Option<Duration>) -> Result<()> {
        self.decisions += 1;
        if let Some(since) = since_fault {
            self.first.get_or_insert((decision.action, decision.time, since));
        }
        self.say(&sentence(decision))
    }

    /// Says how it went.
    pub(super) fn conclude(&mut self, run: &RunTotals, stretches: &[Stretch], carried_out: &[Micros]) -> Result<()> {
        let seconds = run.took.as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
        let rate = run.events as f64 / seconds;
        let mut text = format!("\n{}\n", shares(stretches));
        write!(
            text,
            "\n{} events in {seconds:.1} s ({rate:.0} per second), {} refused; {} windows judged; {} decisions.",
            run.events, run.rejects, run.windows, self.decisions
        )
        .expect("a string takes all text");
        if let Some((action, time, since)) = self.first {
            let (event_s, wall_s) = ((time - FAULT_AT) / SECOND, since.as_secs_f64());
            let action = action.name();
            write!(
                text,
                "\nFrom the fault to the first decision, {action}: {event_s} s of event time, {wall_s:.2} s here."
            )
            .expect("a string takes all text");
        }
        if let Some(took) = carried_out.iter().max() {
            let (n, wall_s) = (carried_out.len(), Duration::from_micros((*took).max(0).unsigned_abs()).as_secs_f64());
            write!(
                text,
                "\nFrom a decision on its topic to the share in the file: {wall_s:.2} s here at most, of {n}."
            )
            .expect("a string takes all text");
        }
        self.say(&text)
    }
}

/// What is told at the end.
#[derive(Debug, Clone, Copy)]
pub(super) struct RunTotals {
    /// Events read.
    pub(super) events: u64,
    /// Events refused.
    pub(super) rejects: u64,
    /// Windows judged.
    pub(super) windows: u64,
    /// From the first event to the last window.
    pub(super) took: Duration,
}

/// What the proxy did, in words.
fn shares(stretches: &[Stretch]) -> String {
    let last = stretches.len().saturating_sub(1);
    let told = stretches.iter().enumerate().map(|(i, stretch)| {
        let until = if i == last { "to the end".to_owned() } else { format!("until {}", time_of_day(stretch.until)) };
        format!("{:.1} % {until}", stretch.share_pct)
    });
    format!("  traffic  of requests went to v2: {}", told.collect::<Vec<_>>().join(", "))
}

/// A decision in words, with its numbers.
fn sentence(decision: &Decision) -> String {
    let (time, action, candidate) = (time_of_day(decision.time), decision.action.name(), &decision.candidate);
    let to = match (decision.action, decision.cap_pct) {
        (Signal::Contain | Signal::PromoteOk | Signal::Resume, Some(cap)) => format!(" to {cap} %"),
        (Signal::Rollback, _) => format!(" to {}", decision.baseline),
        _ => String::new(),
    };
    // Some sentences say it of each number.
    let untold = decision.evidence.first().filter(|_| !decision.reason.text.contains("(n "));
    let n = untold.map_or(String::new(), |evidence| match evidence.n_baseline {
        0 => format!(" (n {})", evidence.n_candidate),
        n_baseline => format!(" (n {}, {n_baseline} of {})", evidence.n_candidate, decision.baseline),
    });
    let id = short_id(&decision.id);
    format!("{time}  {id}  {action} {candidate}{to}: {}{n}", decision.reason.text)
}

#[cfg(test)]
mod tests {
    use super::super::traffic::START;
    use super::*;

    #[test]
    fn shares_are_told_with_the_times_at_which_they_changed() {
        let stretch = |after_s, share_pct| Stretch { until: FAULT_AT + after_s * SECOND, share_pct };
        assert_eq!(
            shares(&[stretch(26, 19.96), stretch(76, 5.04), stretch(180, 0.0)]),
            "  traffic  of requests went to v2: 20.0 % until 09:05:26, 5.0 % until 09:06:16, 0.0 % to the end"
        );
    }

    #[test]
    fn times_are_told_as_on_a_wall() {
        assert_eq!(time_of_day(START), "09:00:00");
        assert_eq!(time_of_day(FAULT_AT + 20 * SECOND), "09:05:20");
    }
}
