//! What is looked at: the number, the events it is of, and how far it may go.

use super::level::count;
use crate::infer::two_sample::Arm;
use crate::metric::Moment;
use crate::summary::Traffic;
use crate::verdict::guard::change::sensor::Place;

/// How many times its level a share may be.
/// Origin: choice; seasons and incidents of an hour move shares by less.
pub(super) const SHARE_KEPT: f64 = 1.5;
/// The same of failures and refusals, once their noise is known.
/// Origin: choice; a quarter more is seldom worth a call.
pub(super) const FAILED_KEPT: f64 = 1.25;
/// By how much more a share must be larger.
/// Origin: choice; one in a thousand more is not worth telling.
const SHARE_MIN: f64 = 0.001;
/// Standard errors by which a level may be wrong.
/// Origin: choice; one level in six is lower by more than that.
const UNSURE: f64 = 1.0;
/// How many times as slow a quantile may be, and once its noise is known.
/// Origin: choice; a fifth, as people mostly set limits above what is usual.
const SLOWER: f64 = 1.2;
/// Origin: choice; half of that.
pub(super) const SLOWER_KNOWN: f64 = 1.1;
/// Latency quantiles.
/// Origin: choice; the usual, the slow and the slowest requests.
pub(super) const QUANTILES: [(f64, &str); 3] = [(0.5, "latency_p50"), (0.9, "latency_p90"), (0.99, "latency_p99")];

/// One thing that is looked at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Look {
    Failed,
    Rejected,
    Missing(Place),
    Unseen(usize),
    Slow(usize),
    Volume,
    /// Where the values of a column lie, or how wide.
    Located(usize, Moment),
}

impl Look {
    /// Whether it is of how requests are answered. Such shares have no noise of their own beyond seasons and incidents,
    /// while latency comes in excursions, by hosts and caches.
    pub(super) fn is_answer(self) -> bool {
        matches!(self, Self::Failed | Self::Rejected)
    }

    /// Whether its hours and its noise are learnt.
    pub(super) fn has_rhythm(self) -> bool {
        self.is_answer() || matches!(self, Self::Slow(_))
    }

    /// Of a column's scores.
    pub(super) fn moment(self) -> Option<Moment> {
        if let Self::Located(_, moment) = self { Some(moment) } else { None }
    }

    /// Requests that it is of.
    pub(super) fn events(self, traffic: &Traffic) -> u64 {
        if matches!(self, Self::Slow(_)) { traffic.latency.n() } else { self.count(traffic).n }
    }

    /// How far a level of so many events may go; nothing where it may go anywhere.
    pub(super) fn bound(self, level: f64, events: f64, is_known: bool) -> Option<f64> {
        if matches!(self, Self::Slow(_)) {
            return Some(level * if is_known { SLOWER_KNOWN } else { SLOWER });
        }
        let error = (level.max(1.0 / events.max(1.0)) * (1.0 - level) / events.max(1.0)).sqrt();
        let level = level + UNSURE * error;
        let bound =
            if is_known { (FAILED_KEPT * level).max(level + SHARE_MIN) } else { SHARE_KEPT * level + SHARE_MIN };
        Some(bound).filter(|bound| *bound < 1.0)
    }

    /// Requests beyond a value, and their share where the value is as usual.
    pub(super) fn beyond(self, traffic: &Traffic, value: f64) -> (Arm, f64) {
        let Self::Slow(q) = self else { return (self.count(traffic), value) };
        let (slower, n) = traffic.slower_than(value);
        (Arm { n, x: count(slower) }, 1.0 - QUANTILES[q].0)
    }

    pub(super) fn count(self, traffic: &Traffic) -> Arm {
        let rates = &traffic.rates;
        let (x, n) = match self {
            Self::Failed => (rates.errors, rates.requests),
            Self::Rejected => (rates.rejected, rates.requests),
            Self::Missing(Place::Numeric(index)) => {
                let histogram = &traffic.numeric[index];
                (histogram.missing + histogram.nan, histogram.rows())
            }
            Self::Missing(Place::Categorical(index)) => {
                (traffic.categorical[index].missing, traffic.categorical[index].rows())
            }
            Self::Unseen(index) => (traffic.categorical[index].n_unseen(), traffic.categorical[index].n()),
            Self::Slow(_) | Self::Volume | Self::Located(..) => (0, 0),
        };
        Arm { n, x: count(x) }
    }

    /// The number that people know, of what is counted without a reference.
    pub(super) fn number(self, traffic: &Traffic) -> Option<f64> {
        match self {
            Self::Slow(q) => traffic.latency.quantile_ms(QUANTILES[q].0),
            Self::Volume => Some(count(traffic.rates.requests)),
            Self::Located(..) => None,
            _ => Some(self.count(traffic)).filter(|arm| arm.n > 0).map(Arm::rate),
        }
    }

    pub(super) fn metric(self) -> &'static str {
        match self {
            Self::Failed => "error_rate",
            Self::Rejected => "rejected_rate",
            Self::Missing(_) => "missing_rate",
            Self::Unseen(_) => "unseen_rate",
            Self::Slow(q) => QUANTILES[q].1,
            Self::Volume => "throughput",
            Self::Located(_, moment) => moment.metric(),
        }
    }

    pub(super) fn convention(self) -> &'static str {
        match self {
            Self::Volume => "requests",
            Self::Located(..) => "normal_scores",
            _ => "value",
        }
    }
}
