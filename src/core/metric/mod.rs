//! Metrics: pure comparisons of summaries.
//!
//! A metric is one file and one line in [`METRICS`]. Its configuration key, help, gauge, result rows and the table in
//! the README come from that list, and one contract test covers whatever is in it. Most metrics are a [`Spec`] and a
//! formula, handed to one of four families: `OneSided` (one summary, one number), `Binned` (reliability bins),
//! `Distance` (shares of two sides) and `Contrast` (two histograms).

mod accuracy;
pub(crate) mod alike;
mod auc;
mod average_precision;
mod base_rate;
mod bias;
mod binned;
mod brier;
mod calibration_in_the_large;
mod chi_square;
mod cliffs_delta;
mod contrast;
mod cramers_v;
mod disagreement_rate;
mod distance;
mod ece;
mod ece_debiased;
mod ece_excess;
mod error_rate;
mod extreme;
mod f1;
mod hellinger;
mod js;
mod kl_divergence;
pub mod ks;
mod l_infinity;
mod latency_mean;
mod latency_quantile;
pub mod line;
mod log_loss;
mod mae;
mod markdown;
mod mce;
mod mean;
mod mean_shift;
mod missing_rate;
mod murphy;
mod nan_rate;
mod one_sided;
mod out_of_range_rate;
pub mod paired;
mod paired_loss_difference;
mod positive_rate;
mod precision;
mod psi;
mod reading;
mod recalibration;
mod recall;
mod rejected_rate;
mod rmsce;
mod rmse;
pub mod row;
mod score_difference;
mod side;
mod spec;
mod spiegelhalter_z;
mod std_dev;
mod std_ratio;
#[cfg(test)]
mod tests;
mod throughput;
mod total_variation;
mod unpaired_rate;
mod unseen_rate;
pub(crate) mod view;
mod wasserstein;
mod welch_t;

pub use markdown::table;
pub use reading::{MetricResult, Value};
pub use side::{Context, Quantiles, Side};
pub use spec::{COLUMN_UNIT, MarginKind, MetricSubject, Moment, Reads, Scores, Spec, Visibility, WorseDirection};

/// A metric. `baseline` is `Some` exactly when the spec needs one.
pub trait Metric: Sync {
    /// The metric's row.
    fn spec(&self) -> &Spec;

    /// The readings: our own conventions first, then those in `context.compat` that this metric knows. None at all when
    /// the metric does not read this kind of side, or its labels are not those of the pipeline's task.
    fn read(&self, current: Side<'_>, baseline: Option<Side<'_>>, context: &Context<'_>) -> Vec<MetricResult>;
}

/// Every metric: distances, then columns, answers, latency and labels.
pub static METRICS: &[&dyn Metric] = &[
    &psi::PSI,
    &kl_divergence::KL_DIVERGENCE,
    &js::JS_DIVERGENCE,
    &js::JS_DISTANCE,
    &hellinger::HELLINGER,
    &total_variation::TOTAL_VARIATION,
    &l_infinity::L_INFINITY,
    &chi_square::CHI_SQUARE,
    &cramers_v::CRAMERS_V,
    &ks::KS,
    &wasserstein::WASSERSTEIN,
    &mean_shift::MEAN_SHIFT,
    &welch_t::WELCH_T,
    &cliffs_delta::CLIFFS_DELTA,
    &std_ratio::STD_RATIO,
    &mean::MEAN,
    &std_dev::STD_DEV,
    &extreme::MIN,
    &extreme::MAX,
    &missing_rate::MISSING_RATE,
    &nan_rate::NAN_RATE,
    &out_of_range_rate::OUT_OF_RANGE_RATE,
    &unseen_rate::UNSEEN_RATE,
    &error_rate::ERROR_RATE,
    &rejected_rate::REJECTED_RATE,
    &positive_rate::POSITIVE_RATE,
    &throughput::THROUGHPUT,
    &disagreement_rate::DISAGREEMENT_RATE,
    &score_difference::SCORE_DIFFERENCE,
    &unpaired_rate::UNPAIRED_RATE,
    &latency_mean::LATENCY_MEAN,
    &latency_quantile::P50,
    &latency_quantile::P90,
    &latency_quantile::P95,
    &latency_quantile::P99,
    &latency_quantile::P999,
    &ece::ECE,
    &ece_excess::ECE_EXCESS,
    &ece_debiased::ECE_DEBIASED,
    &mce::MCE,
    &rmsce::RMSCE,
    &brier::BRIER,
    &murphy::RELIABILITY,
    &murphy::RESOLUTION,
    &murphy::UNCERTAINTY,
    &log_loss::LOG_LOSS,
    &auc::AUC,
    &average_precision::AVERAGE_PRECISION,
    &accuracy::ACCURACY,
    &precision::PRECISION,
    &recall::RECALL,
    &f1::F1,
    &base_rate::BASE_RATE,
    &calibration_in_the_large::CALIBRATION_IN_THE_LARGE,
    &recalibration::SLOPE,
    &recalibration::INTERCEPT,
    &spiegelhalter_z::SPIEGELHALTER_Z,
    &mae::MAE,
    &rmse::RMSE,
    &bias::BIAS,
    &paired_loss_difference::PAIRED_LOSS_DIFFERENCE,
];

/// The distance by which columns are watched and ranked: numeric and categorical ones have it.
pub static DRIFT: &dyn Metric = &psi::PSI;

/// The metric with this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static dyn Metric> {
    METRICS.iter().copied().find(|metric| metric.spec().name == name)
}

/// The name of a quantile of latency, whether it is a metric or not.
pub(crate) fn latency_quantile(quantile: f64) -> String {
    latency_quantile::name(quantile)
}

/// What a number of this name tells of: a metric, or a quantile of latency that is none. `None` of other names.
#[must_use]
pub fn subject(name: &str) -> Option<MetricSubject> {
    let quantile = || latency_quantile::is_name(name).then_some(MetricSubject::Latency);
    find(name).map(|metric| metric.spec().subject).or_else(quantile)
}

/// The metrics that are shown in a place unasked, in their order.
pub fn shown(place: Visibility) -> impl Iterator<Item = &'static str> {
    METRICS.iter().map(|metric| metric.spec()).filter(move |spec| spec.is_shown(place)).map(|spec| spec.name)
}
