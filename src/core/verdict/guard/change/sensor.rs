//! What a guard looks at: one thing that two versions should have in common, and how it is looked at.

use crate::plan::{ColumnRole, Columns, GuardPlan};
use crate::reason::ReasonCode;
use crate::verdict::guard::change::reading::{BEYOND, OTHER_SHARE, SHIFTS, SLOTS, SLOWER, SPREADS, WORSE};
use crate::verdict::guard::change::{labels, moved};
use crate::verdict::guard::number::float;
use crate::verdict::guard::rails::entities::Inflation;

/// Where `SensorKind::Moved` remembers how latency differed; the score's place is 1.
/// Origin: choice; a place.
pub(crate) const OF_LATENCY: usize = 0;
/// Relative efficiency of the median, whose noise is known, to normal scores, which see more of it: `2 / pi`.
/// Origin: literature; the efficiency of the sign test (Pitman 1948).
const MEDIAN_EFFICIENCY: f64 = std::f64::consts::FRAC_2_PI;

/// One thing that is looked at.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sensor {
    /// The metric that shows people what is meant.
    pub(crate) metric: &'static str,
    /// Column, or empty.
    pub(crate) column: String,
    /// The reason code of a change.
    pub(crate) code: ReasonCode,
    /// Its share of the family.
    pub(crate) weight: f64,
    /// Position of its first part in the pool.
    pub(crate) first_part: usize,
    pub(crate) look: SensorKind,
}

/// How it is looked at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum SensorKind {
    Failures,
    Slower(usize),
    Missing(Place),
    /// Where the values of a numeric column lie; answers are held against a tolerance, since another model may answer
    /// otherwise.
    Location(usize, ColumnRole),
    /// How far they spread; with the same tolerance.
    Spread(usize, ColumnRole),
    Categories(usize),
    /// How location (0) or spread (1) of a numeric column differ from the baseline's, compared with how they differed
    /// before; the last number says where that is remembered.
    Moved(usize, usize, usize),
    /// Mean of score minus label.
    Residual,
    /// Mean squared error.
    Loss,
}

impl SensorKind {
    /// Whether it is about the labels of predictions.
    pub(crate) fn is_of_labels(self) -> bool {
        matches!(self, Self::Residual | Self::Loss)
    }
}

/// A column of the plan.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Place {
    Numeric(usize),
    Categorical(usize),
}

/// Sensors in the making: metric, column, reason code, weight within their family, and look.
type SensorParts = Vec<(&'static str, String, ReasonCode, f64, SensorKind)>;

/// The sensors for these columns. Half of the weight is for columns, half for what users feel, and of that as much for
/// failures as for latency and for labels.
pub(crate) fn sensors(looked_at: &Columns, has_labels: bool) -> Vec<Sensor> {
    let failures = vec![("error_rate", String::new(), ReasonCode::ErrorRate, 1.0, SensorKind::Failures)];
    let (mut latency, mut labels, mut columns): (SensorParts, SensorParts, SensorParts) =
        (Vec::new(), Vec::new(), Vec::new());
    for (index, column) in looked_at.numeric.iter().enumerate() {
        match column.role {
            ColumnRole::Latency => latency.extend(of_latency(&column.name, index)),
            // Better is no harm, and what is worse has a guard of its own.
            ColumnRole::Measure => {}
            role => columns.extend(of_numbers(&column.name, index, role)),
        }
    }
    for (index, column) in looked_at.categorical.iter().enumerate() {
        let name = || column.name.clone();
        columns.push(("total_variation", name(), ReasonCode::FeatureDrift, 0.75, SensorKind::Categories(index)));
        columns.push((
            "missing_rate",
            name(),
            ReasonCode::DataQuality,
            0.25,
            SensorKind::Missing(Place::Categorical(index)),
        ));
    }
    if has_labels {
        labels.push((
            "calibration_in_the_large",
            String::new(),
            ReasonCode::CalibrationRegression,
            1.0,
            SensorKind::Residual,
        ));
        labels.push(("brier", String::new(), ReasonCode::OutcomeRegression, 1.0, SensorKind::Loss));
    }
    let mut families = vec![failures, latency, labels];
    families.retain(|family| !family.is_empty());
    let of_felt = if columns.is_empty() { 1.0 } else { 0.5 } / float(families.len());
    let mut all = Vec::new();
    let mut first_part = 0;
    for (family, share) in families.into_iter().map(|family| (family, of_felt)).chain([(columns, 0.5)]) {
        let total: f64 = family.iter().map(|(.., weight, _)| weight).sum();
        for (metric, column, code, weight, look) in family {
            all.push(Sensor { metric, column, code, weight: weight / total * share, first_part, look });
            first_part += look.parts();
        }
    }
    all
}

fn of_latency(name: &str, index: usize) -> SensorParts {
    let quantiles = ["latency_p50", "latency_p90", "latency_p99"].into_iter().enumerate();
    let slower =
        quantiles.map(|(q, metric)| (metric, String::new(), ReasonCode::LatencyQuantile, 1.0, SensorKind::Slower(q)));
    let moved = ["mean_shift", "std_ratio"].into_iter().enumerate();
    let moved = moved.map(|(moment, metric)| {
        (metric, name.to_owned(), ReasonCode::LatencyShape, 0.5, SensorKind::Moved(index, moment, OF_LATENCY))
    });
    slower.chain(moved).collect()
}

fn of_numbers(name: &str, index: usize, role: ColumnRole) -> SensorParts {
    let code = if role == ColumnRole::Score { ReasonCode::ScoreDrift } else { ReasonCode::FeatureDrift };
    let mut family = vec![
        ("mean_shift", name.to_owned(), code, 0.4, SensorKind::Location(index, role)),
        ("std_ratio", name.to_owned(), code, 0.35, SensorKind::Spread(index, role)),
        ("missing_rate", name.to_owned(), ReasonCode::DataQuality, 0.25, SensorKind::Missing(Place::Numeric(index))),
    ];
    if role == ColumnRole::Score {
        let moved = ["mean_shift", "std_ratio"].into_iter().enumerate();
        family.extend(
            moved.map(|(moment, metric)| (metric, name.to_owned(), code, 0.375, SensorKind::Moved(index, moment, 1))),
        );
    }
    family
}

impl Sensor {
    /// Share of the family of each alternative.
    pub(crate) fn part_weight(&self) -> f64 {
        self.weight / f64::from(u32::try_from(self.look.parts()).expect("few alternatives"))
    }

    /// Positions in the pool, each with this weight.
    pub(crate) fn parts_with(&self, weight: f64) -> impl Iterator<Item = (usize, f64)> + Clone + use<> {
        (self.first_part..self.first_part + self.look.parts()).map(move |part| (part, weight))
    }

    /// What is looked at, in words.
    pub(crate) fn title(&self) -> String {
        let usual =
            if matches!(self.look, SensorKind::Moved(..)) { " (compared with its usual difference)" } else { "" };
        match self.column.as_str() {
            "" => format!("{}{usual}", self.metric),
            column => format!("{} of {column}{usual}", self.metric),
        }
    }
}

impl SensorKind {
    /// What deflates this look.
    pub(crate) fn deflation(self, by: Inflation) -> f64 {
        match self {
            Self::Failures => by.failed,
            Self::Slower(q) => by.slow[q],
            Self::Moved(.., OF_LATENCY) => 1.0 + (by.slow[0] - 1.0) / MEDIAN_EFFICIENCY,
            Self::Residual | Self::Loss => by.losses,
            _ => by.columns,
        }
    }

    /// The difference that is tolerated, in the unit of the look.
    pub(crate) fn margin(self, guard: &GuardPlan) -> f64 {
        match self {
            Self::Slower(_) => guard.latency,
            Self::Location(_, ColumnRole::Score) | Self::Spread(_, ColumnRole::Score) => guard.answers,
            Self::Residual => labels::RESIDUAL_TOLERATED,
            Self::Loss => guard.loss - 1.0,
            _ => 0.0,
        }
    }

    /// Number of alternatives.
    pub(crate) fn parts(self) -> usize {
        match self {
            Self::Failures => WORSE.len(),
            Self::Missing(_) => OTHER_SHARE.len(),
            Self::Slower(q) => SLOWER[q].len(),
            Self::Location(_, ColumnRole::Score) | Self::Spread(_, ColumnRole::Score) => 2 * BEYOND.len(),
            Self::Location(..) => SHIFTS.len(),
            Self::Spread(..) => SPREADS.len(),
            Self::Categories(_) => SLOTS * OTHER_SHARE.len(),
            Self::Moved(..) => moved::PARTS,
            Self::Residual | Self::Loss => labels::PARTS,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::baseline::cut::equal_width;
    use crate::plan::NumericColumn;

    /// Shares of the family of failures, latency, labels and columns.
    fn shares(roles: &[ColumnRole], has_labels: bool) -> [f64; 4] {
        let cut = Arc::new(equal_width(0.0, 1.0, 20));
        let column = |&role: &ColumnRole| NumericColumn { name: format!("{role:?}"), role, cut: Arc::clone(&cut) };
        let columns = Columns { numeric: roles.iter().map(column).collect(), categorical: Vec::new() };
        let mut shares = [0.0; 4];
        for sensor in sensors(&columns, has_labels) {
            let family = match sensor.code {
                ReasonCode::ErrorRate => 0,
                ReasonCode::LatencyQuantile | ReasonCode::LatencyShape => 1,
                ReasonCode::CalibrationRegression | ReasonCode::OutcomeRegression => 2,
                _ => 3,
            };
            shares[family] += sensor.weight;
        }
        shares
    }

    #[test]
    fn what_is_felt_shares_one_half_and_columns_the_other() {
        for (roles, has_labels, wanted) in [
            (&[][..], false, [1.0, 0.0, 0.0, 0.0]),
            (&[ColumnRole::Latency], false, [0.5, 0.5, 0.0, 0.0]),
            (&[ColumnRole::Feature], false, [0.5, 0.0, 0.0, 0.5]),
            (&[ColumnRole::Score, ColumnRole::Latency], true, [1.0 / 6.0, 1.0 / 6.0, 1.0 / 6.0, 0.5]),
        ] {
            let found = shares(roles, has_labels);
            assert!(found.iter().zip(&wanted).all(|(a, b)| (a - b).abs() < 1e-12), "{roles:?}: {found:?}");
        }
    }
}
