//! What is known of the losses of pairs: evidence that the shadow's are larger than its margin allows, that they are
//! not, and the means for people.

use serde::{Deserialize, Serialize};

use crate::event::Micros;
use crate::infer::balanced::ValueBin;
use crate::infer::hx::{Direction, Hx, HxPlan};
use crate::infer::paired_bet::PairedBet;
use crate::plan::{GuardPlan, Task};
use crate::summary::{Fixed, PairLosses};
use crate::verdict::guard::number::{count, e_value};

/// Before anything is known half a request has been wrong, of the baseline version and in the squares.
/// Origin: literature; half an event, after Jeffreys (1946).
const PRIOR: f64 = 0.5;

/// How evidence is gathered.
#[derive(Debug, Clone, Copy)]
pub(super) struct PairTerms<'a> {
    pub(super) guard: &'a GuardPlan,
    pub(super) task: Task,
    /// Whether losses are those of scores.
    pub(super) has_scores: bool,
    /// How many times as large losses may be.
    pub(super) margin: f64,
}

impl PairTerms<'_> {
    /// What `f` of a request is: the shadow's loss less this many times the other's. Of quantities it is 1 where the
    /// shadow is farther off by more than the margin, and -1 where the other is.
    fn ratio(self) -> f64 {
        if self.task == Task::Regression { 1.0 } else { self.margin }
    }

    fn plan(self, direction: Direction) -> HxPlan {
        let GuardPlan { alpha, beta, planned, windows_min, .. } = *self.guard;
        let alpha = if direction == Direction::Safety { beta } else { alpha };
        HxPlan { alpha, margin: self.ratio(), direction, planned, windows_min }
    }

    /// How many requests have which `f`.
    fn bins(self, losses: &PairLosses) -> Vec<ValueBin> {
        if self.has_scores && self.task == Task::Binary {
            let bin = |(place, bin): (usize, &crate::summary::pairs::ExcessBin)| {
                let (low, high) = PairLosses::edges(place, self.margin);
                ValueBin { low, high, n: bin.n, sum: bin.sum.value() }
            };
            return losses.excess.iter().enumerate().map(bin).collect();
        }
        let values = [0.0, 1.0, -self.ratio(), 1.0 - self.ratio()];
        let point = |(value, &n): (f64, &u64)| ValueBin { low: value, high: value, n, sum: value * count(n) };
        values.into_iter().zip(&losses.wrong).map(point).collect()
    }

    /// The baseline version's losses on the scale of `f`.
    fn baseline(self, losses: &PairLosses) -> f64 {
        match self.task {
            Task::Regression => count(losses.wrong[2]),
            Task::Binary | Task::Multiclass => losses.losses[1].value(),
        }
    }
}

/// What earlier windows say of `f`.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
struct PastPairs {
    n: u64,
    baseline: f64,
    squares: f64,
}

/// What is known.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct PairEvidence {
    harm: Option<Hx>,
    safe: Option<Hx>,
    past: PastPairs,
    pub(super) windows: u32,
    /// Start of the first window.
    pub(super) since: Option<Micros>,
    pub(super) n: u64,
    /// Requests with a loss of both that is known, and what both versions lost in them.
    pub(super) summed: u64,
    pub(super) losses: [f64; 2],
}

impl PairEvidence {
    /// Takes one window. The first only says what is to be expected. One whose data is not trusted `proves` nothing for
    /// the shadow.
    pub(super) fn update(&mut self, terms: PairTerms<'_>, losses: &PairLosses, start: Micros, deff: f64, proves: bool) {
        if losses.is_empty() {
            return;
        }
        let bins = terms.bins(losses);
        if self.past.n > 0 {
            let n = count(self.past.n) + 1.0;
            let (level, square) = ((self.past.baseline + PRIOR) / n, (self.past.squares + PRIOR) / n);
            let bet = |above: bool, gap: f64| PairedBet { above, gap, square, range: (-terms.ratio(), 1.0) };
            let plan = terms.plan(Direction::Harm);
            let worse = |ratio: f64| bet(true, (ratio - terms.ratio()) * level).log_e(&bins);
            self.harm.get_or_insert_with(|| Hx::new(&plan)).gather(&plan, worse, deff, 1.0);
            let plan = terms.plan(Direction::Safety);
            let no_worse = |ratio: f64| bet(false, (terms.ratio() - ratio) * level).log_e(&bins);
            let safe = self.safe.get_or_insert_with(|| Hx::new(&plan));
            if proves {
                safe.gather(&plan, no_worse, deff, 1.0);
            }
        }
        self.past.n += losses.n;
        self.past.baseline += terms.baseline(losses);
        self.past.squares += bins.iter().map(square_of).sum::<f64>();
        self.n += losses.n;
        let more = losses.losses.map(Fixed::value);
        // Sums of quantities may be beyond what is counted.
        if more.iter().all(|more| more.is_finite()) {
            self.summed += losses.summed;
            self.losses.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
        }
        self.windows += 1;
        self.since.get_or_insert(start);
    }

    /// `ln e` that the shadow's losses are larger than its margin allows.
    pub(super) fn log_e(&self, terms: PairTerms<'_>) -> f64 {
        self.harm.as_ref().map_or(0.0, |hx| hx.log_e(&terms.plan(Direction::Harm)))
    }

    /// Evidence that they are not.
    pub(super) fn safe(&self, terms: PairTerms<'_>) -> f64 {
        self.safe.as_ref().map_or(1.0, |hx| e_value(hx.log_e(&terms.plan(Direction::Safety))))
    }
}

/// Sum of squares in a bin, about: as if its values were all at their mean.
fn square_of(bin: &ValueBin) -> f64 {
    if bin.n == 0 { 0.0 } else { bin.sum * bin.sum / count(bin.n) }
}
