//! The `trust` section: from when on the data of a window is not trusted any more. Every key has a default, which
//! stands in the plan.

use schemars::JsonSchema;
use serde::Deserialize;

use super::problem::Problems;
use super::value::{At, OrOff, Period, Ratio};
use crate::plan::{Cause, TrustLimits, TrustPlan};

/// When the data of a window is degraded, of which people are told, and when it is untrusted: then nothing passes on
/// it, and it may still restrict. Of each cause the share of the records of the source that is worst off counts.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TrustSection {
    /// Fewer records than this say nothing against a window, whatever their share. Default: 10.
    min_n: Option<At<u64>>,
    /// How far an event time may be ahead of its broker time. Beyond, it counts as `skew`. Default: 10s.
    max_ahead: Option<At<Period>>,
    /// Records that were refused, by all that came; or `off`. Default: 1% and 5%.
    poison: Option<At<OrOff<SharesSection>>>,
    /// Rows that came too late for their window, while this one was open; or `off`. Default: 1% and 5%.
    late: Option<At<OrOff<SharesSection>>>,
    /// Re-deliveries, which are counted once; or `off`. Default: 10% and 50%.
    duplicates: Option<At<OrOff<SharesSection>>>,
    /// Records that were deleted from the log before they were read; or `off`. Default: 1% and 5%.
    gaps: Option<At<OrOff<SharesSection>>>,
    /// Rows that silent partitions usually bring, while others of the topic spoke; or `off`. Default: 1% and 5%.
    missing: Option<At<OrOff<SharesSection>>>,
    /// Rows whose event time is ahead of their broker time by more than `max_ahead`; or `off`. Default: 1% and 5%.
    skew: Option<At<OrOff<SharesSection>>>,
}

/// Shares of a window's records.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SharesSection {
    /// From this share on people are told.
    degraded: Option<At<Ratio>>,
    /// From this share on nothing passes.
    untrusted: Option<At<Ratio>>,
}

impl TrustSection {
    /// The plan, with every default filled in.
    pub(crate) fn resolve(&self, problems: &mut Problems) -> TrustPlan {
        let Self { poison, late, duplicates, gaps, missing, skew, .. } = self;
        let given = [
            (Cause::Poison, poison),
            (Cause::Late, late),
            (Cause::Duplicates, duplicates),
            (Cause::Gaps, gaps),
            (Cause::Missing, missing),
            (Cause::Skew, skew),
        ];
        let mut plan = TrustPlan::default();
        plan.n_min = self.min_n.map_or(plan.n_min, |n| n.value);
        plan.max_ahead = self.max_ahead.map_or(plan.max_ahead, |period| period.value.0);
        for (cause, section) in given.into_iter().filter_map(|(cause, section)| Some((cause, section.as_ref()?))) {
            let limits = &mut plan.limits[cause as usize];
            match &section.value {
                OrOff::Off => *limits = None,
                OrOff::On(section) => *limits = limits.map(|default| section.resolve(default, problems)),
            }
        }
        plan
    }
}

impl SharesSection {
    fn resolve(self, default: TrustLimits, problems: &mut Problems) -> TrustLimits {
        let share = |given: Option<At<Ratio>>, default: f64| given.map_or(default, |share| share.value.0);
        let untrusted = share(self.untrusted, default.untrusted);
        let degraded = share(self.degraded, default.degraded.min(untrusted));
        let spot = self.degraded.or(self.untrusted).map(|share| share.spot).unwrap_or_default();
        if degraded <= 0.0 || untrusted <= 0.0 {
            problems.add(spot, "a share of 0 is reached by every window").help("write a share above 0, or `off`");
        } else if degraded > untrusted {
            problems
                .add(spot, format!("`degraded` {degraded} is above `untrusted` {untrusted}"))
                .help("what is untrusted is degraded, too: make `degraded` the smaller share");
        }
        TrustLimits { degraded, untrusted }
    }
}
