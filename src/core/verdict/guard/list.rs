//! The guards, in their order.

use serde::Deserialize;
use serde::ser::{Serialize, SerializeStruct, Serializer};

use super::Guard;
use super::account::Account;
use super::calibration::Calibration;
use super::change::detector::Detector;
use super::classes::ClassGuard;
use super::drift::Drift;
use super::fairness::FairnessGuard;
use super::label_gate::{self, Gate};
use super::measures::Measures;
use super::rails::noise::LatencyHistory;
use super::rails::watch::Rails;
use super::scene::Scene;
use super::segments::Segments;
use super::shadow::ShadowGuard;
use super::share::Share;
use super::slo::Limits;
use super::starved::Volume;
use super::success::Successes;
use super::window::Shown;
use super::world::{Now, World};
use crate::name::named;
use crate::plan::{GuardPlan, Plan};
use crate::summary::{Quality, Traffic};
use crate::verdict::finding::{Validity, Verdict};

/// Makes of the list of guards their names, the guards of a plan, what they remember of one candidate, and calls of all
/// of them. Each has a memory of a type of its own, so a list of boxed guards would not do.
macro_rules! guards {
    (
        guards: $(#[doc = $meaning:literal] $name:ident = $text:literal, $field:ident[$place:literal]: $guard:ty;)+
        beside: $($beside:ident[$at:literal]: $kept:ty;)+
    ) => {
        named! {
            /// A guard, as findings and evidence name it.
            pub enum GuardName { $(#[doc = $meaning] $name = $text,)+ }
        }

        /// The lines of the error budget that each guard writes.
        pub(super) const ACCOUNTS: &[(GuardName, &[Account])] =
            &[$((GuardName::$name, <$guard as Guard>::ACCOUNTS),)+];

        /// When guards act, in words.
        #[must_use]
        pub fn words(plan: &Plan, guard: &GuardPlan) -> Vec<String> {
            [$(<$guard as Guard>::words(plan, guard),)+ label_gate::words(plan)].concat()
        }

        /// What guards cannot see, and why not.
        #[must_use]
        pub fn blind_spots(plan: &Plan, guard: &GuardPlan) -> Vec<String> {
            [$(<$guard as Guard>::blind_spots(plan, guard),)+ label_gate::blind_spots(plan)].concat()
        }

        /// The guards of a plan, the same for every candidate.
        #[derive(Debug, Clone)]
        pub(crate) struct Guards {
            pub(super) baseline_version: String,
            pub(super) guard: GuardPlan,
            $(pub(super) $field: $guard,)+
        }

        /// What is known about one candidate so far.
        #[derive(Debug, Clone, PartialEq, Default, Deserialize)]
        #[serde(default)]
        pub struct Memory {
            $(pub(super) $field: <$guard as Guard>::Memory,)+
            $(pub(super) $beside: $kept,)+
        }

        /// Fields are written in the order of their places, as earlier releases wrote them.
        impl Serialize for Memory {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                const FIELDS: usize = [$($place,)+ $($at,)+].len();
                let mut fields = serializer.serialize_struct("Memory", FIELDS)?;
                for place in 0..FIELDS {
                    match place {
                        $($place => fields.serialize_field(stringify!($field), &self.$field)?,)+
                        $($at => fields.serialize_field(stringify!($beside), &self.$beside)?,)+
                        _ => unreachable!("places are numbered without gaps"),
                    }
                }
                fields.end()
            }
        }

        impl Guards {
            pub(crate) fn new(plan: &Plan, guard: &GuardPlan) -> Self {
                Self {
                    baseline_version: plan.policy.baseline_version.clone(),
                    guard: guard.clone(),
                    $($field: <$guard as Guard>::new(plan, guard),)+
                }
            }

            pub(super) fn show_traffic(&self, memory: &mut Memory, shown: &Shown<'_, '_, Traffic>) {
                $(Guard::traffic(&self.$field, &mut memory.$field, shown);)+
            }

            pub(super) fn show_labels(&self, memory: &mut Memory, shown: &Shown<'_, '_, Quality>) {
                $(Guard::labels(&self.$field, &mut memory.$field, shown);)+
            }

            pub(super) fn forget_labels(&self, memory: &mut Memory) {
                $(Guard::forget_labels(&self.$field, &mut memory.$field, &self.guard);)+
            }

            pub(super) fn show_world(&self, memory: &mut Memory, now: Now<'_>, scene: Scene<'_, '_>) {
                $(Guard::world(&self.$field, &mut memory.$field, now, scene);)+
            }

            pub(super) fn ask(&self, memory: &mut Memory, scene: Scene<'_, '_>, verdict: &mut Verdict) {
                $(Guard::rule(&self.$field, &mut memory.$field, scene, verdict);)+
            }

            pub(super) fn ask_of_world(
                &self,
                memory: &Memory,
                now: Option<Now<'_>>,
                scene: Scene<'_, '_>,
                verdict: &mut Verdict,
            ) {
                $(Guard::rule_world(&self.$field, &memory.$field, now, scene, verdict);)+
            }
        }
    };
}

// A guard is a line here: what it finds, its name, and in findings, evidence and rollout states how it is called there;
// the field of its memory, and that field's place in states, which never changes. A new one takes the next place.
//
// They are asked in this order, and these depend on it:
// * `Shadow` says what pairs of answers show of losses, on which `Rails` rests.
// * `Rails` says whether the candidate is safe at all; whoever comes later can only deny it.
// * `Segments` says of findings about columns in which segment most of it is: those of `Detector` and `Drift`.
// * `Volume` begins anew when anybody else restricts the candidate, so it comes after all that do.
guards! {
    guards:
    /// errs more than the baseline version on the same requests, or answers them otherwise
    Shadow = "shadow", shadow[16]: ShadowGuard;
    /// worse than a margin, or worse at all
    Guardrails = "guardrails", rails[1]: Rails;
    /// the mean of a measure is worse than its margin
    Measures = "measures", measures[13]: Measures;
    /// groups of requests are treated less alike than by the baseline version
    Fairness = "fairness", fairness[14]: FairnessGuard;
    /// errs more often in one of several classes
    Classes = "classes", classes[15]: ClassGuard;
    /// shown to achieve what it is to achieve
    Success = "success", success[9]: Successes;
    /// unlike the baseline version in anything that is looked at
    Change = "change", change[0]: Detector;
    /// beyond a limit
    Limits = "slo", limits[2]: Limits;
    /// moved away from a reference
    Drift = "drift", drift[6]: Drift;
    /// unlike the baseline version within a segment
    Segments = "segments", segments[7]: Segments;
    /// scores fit outcomes no more
    Calibration = "calibration", calibration[8]: Calibration;
    /// traffic is not split as declared
    Share = "share", share[3]: Share;
    /// gets less traffic than it used to
    Volume = "volume", starved[4]: Volume;
    /// the version that serves the world is not as it used to be
    World = "world", usual[11]: World;

    // What is remembered beside: whether labels may speak, how the baseline version's latency wandered before the
    // candidate came, and whether the newest traffic can be trusted.
    beside:
    gate[5]: Gate;
    history[10]: LatencyHistory;
    validity[12]: Validity;
}
