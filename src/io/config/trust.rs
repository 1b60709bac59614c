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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::SECOND;

    fn resolved(text: &str) -> Result<TrustPlan, String> {
        let section: TrustSection = serde_saphyr::from_str(text).expect("a section");
        let mut problems = Problems::default();
        let plan = section.resolve(&mut problems);
        problems.into_result("p.yaml", text).map(|()| plan).map_err(|error| error.to_string())
    }

    fn limits(text: &str, cause: Cause) -> Option<(f64, f64)> {
        let plan = resolved(text).expect("a plan");
        plan.limits[cause as usize].map(|limits| (limits.degraded, limits.untrusted))
    }

    #[test]
    fn what_is_said_is_meant_of_its_own_cause_alone() {
        assert_eq!(resolved("{}"), Ok(TrustPlan::default()));
        let plan = resolved("min_n: 3\nmax_ahead: 2s\nlate: off").expect("a plan");
        assert_eq!((plan.n_min, plan.max_ahead), (3, 2 * SECOND));
        for cause in [Cause::Poison, Cause::Late, Cause::Duplicates, Cause::Gaps, Cause::Missing, Cause::Skew] {
            let default = TrustPlan::default().limits[cause as usize];
            let expected = if cause == Cause::Late { None } else { default };
            assert_eq!(plan.limits[cause as usize], expected, "{cause:?}");
        }
        assert_eq!(limits("gaps: { degraded: 2%, untrusted: 30% }", Cause::Gaps), Some((0.02, 0.3)));
    }

    #[test]
    fn one_share_alone_never_contradicts_the_default_of_the_other() {
        assert_eq!(limits("late: { untrusted: 0.1% }", Cause::Late), Some((0.001, 0.001)), "no longer below");
        assert_eq!(limits("late: { untrusted: 50% }", Cause::Late), Some((0.01, 0.5)));
        let error = resolved("late: { degraded: 20% }").expect_err("above what is untrusted");
        assert!(error.contains("p.yaml:1:19: `degraded` 0.2 is above `untrusted` 0.05"), "{error}");
        assert!(error.contains("make `degraded` the smaller share"), "{error}");
    }

    #[test]
    fn a_share_of_nothing_is_refused() {
        for text in ["skew: { degraded: 0% }", "skew: { untrusted: 0 }", "skew: { degraded: 1%, untrusted: 0 }"] {
            let error = resolved(text).expect_err(text);
            assert!(error.contains("a share of 0 is reached by every window"), "{text}: {error}");
            assert!(error.contains("= write a share above 0, or `off`"), "{text}: {error}");
        }
    }
}
