//! Counts of a numeric column over fixed edges, with guard bins for what has no place on the line, and exact moments.

use serde::{Deserialize, Serialize};

use crate::kernel::bin::Edges;
use crate::kernel::moment::{self, Grid};
use crate::summary::Tails;
use crate::summary::seal::{Reader, Seal, Writer};

/// Twice the largest relative error of a number in single precision.
pub const SINGLE: f64 = 1.2e-7;
/// The largest relative error of a number in half precision, rounded up.
pub const HALF: f64 = 5e-4;

/// How a numeric column is cut and added up: fixed when the plan is made, equal on every side that is compared.
#[derive(Debug, Clone, PartialEq)]
pub struct Cut {
    /// The fine edges. They reach over the range of the reference.
    pub edges: Edges,
    /// The grid of the moments.
    pub grid: Grid,
    /// Coarser cuts of the same edges, each a list of indexes into them.
    pub recuts: Recuts,
}

impl Cut {
    /// Whether the edges were written down by somebody: then every cut keeps all of them.
    #[must_use]
    pub fn keeps_all(&self) -> bool {
        self.recuts.bins10.len() == self.edges.as_slice().len()
    }
}

/// Coarser cuts: each is an increasing list of indexes of fine edges that are kept.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Recuts {
    /// The range of the reference: three bins, below, within and above it.
    pub range: Vec<u16>,
    /// Interior deciles of the reference, duplicates collapsed.
    pub bins10: Vec<u16>,
    /// Interior 20-quantiles, duplicates collapsed.
    pub bins20: Vec<u16>,
    /// `NannyML`'s edges (Doane's rule on the reference, left-closed), where the profile holds them.
    pub doane: Vec<u16>,
}

/// Counts of one numeric column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Histogram {
    /// One count per bin of the cut's edges.
    #[serde(with = "crate::summary::histogram::sparse")]
    pub counts: Vec<u64>,
    /// Nulls.
    pub missing: u64,
    /// Values that are no finite number: NaN, and infinite ones.
    pub nan: u64,
    /// Sum of fixed-point values.
    pub sum: i128,
    /// Sum of squared fixed-point values; at its largest when it is not known.
    pub sum_sq: i128,
    /// Smallest value; `None` when empty.
    pub min: Option<f64>,
    /// Largest value; `None` when empty.
    pub max: Option<f64>,
    /// Values held at the end of the grid: with any, mean and deviation are not known.
    pub n_clamped: u64,
    /// Once more the values beyond the reach of the edges, where two versions must be told apart, too. They are sent
    /// and stored beside all else; what an earlier release has counted has none.
    #[serde(skip)]
    pub tails: Tails<u64>,
}

impl Histogram {
    /// An empty histogram for a cut.
    #[must_use]
    pub fn new(cut: &Cut) -> Self {
        Self {
            counts: vec![0; cut.edges.n_bins()],
            missing: 0,
            nan: 0,
            sum: 0,
            sum_sq: 0,
            min: None,
            max: None,
            n_clamped: 0,
            tails: Tails::default(),
        }
    }

    /// Adds finite values.
    pub fn update(&mut self, cut: &Cut, values: &[f64]) {
        cut.edges.count(values, &mut self.counts);
        self.update_sums(cut, values);
    }

    /// Adds values to all but the counts.
    pub(crate) fn update_sums(&mut self, cut: &Cut, values: &[f64]) {
        let sums = moment::sums(cut.grid, values);
        self.sum += sums.sum;
        self.sum_sq = self.sum_sq.saturating_add(sums.sum_sq);
        self.widen(values.first().map(|_| (sums.min, sums.max)));
        self.n_clamped += sums.n_clamped;
        if let Some(reach) = cut.edges.reach().filter(|reach| sums.min <= reach.low || sums.max > reach.high) {
            values.iter().for_each(|&value| self.tails.add(reach, value, &1));
        }
    }

    /// How many bytes it takes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + size_of_val(&*self.counts) + self.tails.bytes()
    }

    /// Adds another histogram of the same cut.
    pub fn merge(&mut self, other: &Self) {
        assert_eq!(self.counts.len(), other.counts.len(), "histograms of one cut merge");
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.merge_sums(other);
    }

    /// Adds all but the counts of another histogram of the same cut.
    pub(crate) fn merge_sums(&mut self, other: &Self) {
        self.missing += other.missing;
        self.nan += other.nan;
        self.sum += other.sum;
        self.sum_sq = self.sum_sq.saturating_add(other.sum_sq);
        self.widen(other.min.zip(other.max));
        self.n_clamped += other.n_clamped;
        self.tails.merge(&other.tails);
    }

    fn widen(&mut self, range: Option<(f64, f64)>) {
        let Some((low, high)) = range else { return };
        self.min = Some(self.min.map_or(low, |min| min.min(low)));
        self.max = Some(self.max.map_or(high, |max| max.max(high)));
    }

    /// Number of values that have a place on the line.
    #[must_use]
    pub fn n(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Number of rows: values, those that are no finite number, and missing ones.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.n() + self.nan + self.missing
    }

    /// Values below the smallest and above the largest value of the reference.
    #[must_use]
    pub fn n_out_of_range(&self, cut: &Cut) -> u64 {
        match self.recut(&cut.recuts.range).as_slice() {
            [below, _, above] => below + above,
            _ => 0,
        }
    }

    /// Counts over a coarser cut that keeps the fine edges `kept`.
    #[must_use]
    pub fn recut(&self, kept: &[u16]) -> Vec<u64> {
        let mut bins = Vec::with_capacity(kept.len() + 1);
        let mut from = 0;
        for &edge in kept {
            let to = usize::from(edge) + 1;
            bins.push(self.counts[from..to].iter().sum());
            from = to;
        }
        bins.push(self.counts[from..].iter().sum());
        bins
    }

    /// Mean of the values, `None` when there is none, one that was too far out to be added, or the grid is too coarse
    /// for them.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "sums are rounded once, here")]
    pub fn mean(&self, grid: Grid) -> Option<f64> {
        let n = self.n();
        let (min, max) = self.min.zip(self.max).filter(|_| n > 0 && self.n_clamped == 0)?;
        let is_constant = min.to_bits() == max.to_bits();
        if is_constant || !grid.resolves(min.abs().max(max.abs())) {
            return is_constant.then_some(min);
        }
        Some(grid.center + self.sum as f64 / n as f64 / grid.scale())
    }

    /// Sample standard deviation (divisor n - 1), `None` below two values, when one was too far out to be added, or the
    /// grid is too coarse for how far they spread.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "the sum of squares is rounded once, here")]
    pub fn std_dev(&self, grid: Grid) -> Option<f64> {
        let n = self.n();
        // A sum of squares that reached the end of its range stays there.
        let is_known = self.n_clamped == 0 && self.sum_sq < i128::MAX;
        let (min, max) = self.min.zip(self.max).filter(|_| n > 1 && is_known)?;
        let is_constant = min.to_bits() == max.to_bits();
        if is_constant || !grid.resolves(max - min) {
            return is_constant.then_some(0.0);
        }
        Some((self.squares_about_mean(n) / (n - 1) as f64).sqrt() / grid.scale())
    }

    /// Sum of squared fixed-point distances from the mean. With the mean `q + r / n` in whole numbers it is
    /// `(sum_sq - n q^2 - 2 q r) - r^2 / n`: all that cancels does so exactly.
    #[expect(clippy::cast_precision_loss, reason = "rounded once, here")]
    fn squares_about_mean(&self, n: u64) -> f64 {
        let (n, sum) = (i128::from(n), self.sum);
        let (whole, rest) = (sum.div_euclid(n), sum.rem_euclid(n));
        let about_whole = self.sum_sq.wrapping_sub(n.wrapping_mul(whole.wrapping_mul(whole)));
        let about_whole = about_whole.wrapping_sub(2 * whole * rest);
        (about_whole as f64 - (rest * rest) as f64 / n as f64).max(0.0)
    }
}

impl Seal for Histogram {
    fn seal(&self, out: &mut Writer) {
        out.counts(&self.counts);
        out.all([self.missing, self.nan, self.n_clamped]);
        out.sum(self.sum);
        out.sum(self.sum_sq);
        out.float(self.min);
        out.float(self.max);
        self.tails.seal(out);
    }

    fn add_sealed(&mut self, from: &mut Reader<'_>) {
        from.counts(&mut self.counts);
        let [missing, nan, n_clamped] = from.all();
        self.missing += missing;
        self.nan += nan;
        self.n_clamped += n_clamped;
        self.sum += from.sum();
        self.sum_sq = self.sum_sq.saturating_add(from.sum());
        let (min, max) = (from.float(), from.float());
        self.widen(min.zip(max));
        self.tails.add_sealed(from);
    }
}

/// Counts on the wire: pairs of (bins to skip, count), since most bins of a small pane are empty.
pub(crate) mod sparse {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    /// The longest histogram that is read back; see [`crate::kernel::bin::EDGES_MAX`].
    const LEN_MAX: u32 = 16_384;

    pub(crate) fn serialize<S: Serializer>(counts: &[u64], serializer: S) -> Result<S::Ok, S::Error> {
        let mut pairs: Vec<(u32, u64)> = Vec::new();
        let mut skipped = 0;
        for &count in counts {
            if count == 0 {
                skipped += 1;
            } else {
                pairs.push((skipped, count));
                skipped = 0;
            }
        }
        (u32::try_from(counts.len()).map_err(serde::ser::Error::custom)?, pairs).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u64>, D::Error> {
        let (len, pairs) = <(u32, Vec<(u32, u64)>)>::deserialize(deserializer)?;
        if len > LEN_MAX {
            return Err(serde::de::Error::custom("histogram is too long"));
        }
        let mut counts = vec![0; len as usize];
        let mut next = 0_usize;
        for (skipped, count) in pairs {
            next += skipped as usize;
            *counts.get_mut(next).ok_or_else(|| serde::de::Error::custom("count beyond the last bin"))? = count;
            next += 1;
        }
        Ok(counts)
    }
}
