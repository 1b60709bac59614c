//! What a change is called: from the evidence of all sensors to one finding that names the leading ones.
//!
//! **Acts** at `A`, the patience: a healthy candidate is contained in one of `A` windows on average, and within the
//! planned windows with a chance of at most `alpha` (`GuardPlan::patience`). **Holds** at `A / 10`: a healthy candidate
//! waits in one of so many windows on average, at its present share, until the evidence has gone. That is two nats of
//! evidence earlier, and all that a wrong hold costs is time. **Warns** where the newest window's own `e` is as much,
//! be it in one window, which never acts by itself: its mean is at most one, so the same bound holds. **Names** the
//! sensors that stand out by the e-d-BH rule, the largest `k` of which each has a weighted `R` of at least `A / k`
//! (Dandapanthula and Ramdas, "Multiple testing in multi-stream sequential change detection", 2025), and always the
//! first.

use super::detector::{Contribution, Detector, Gathered};
use crate::infer::multiplicity::e_d_bh;
use crate::plan::Action;
use crate::verdict::decision::{Evidence, Reason, Remark, Test};
use crate::verdict::finding::Finding;
use crate::verdict::guard::GuardName;
use crate::verdict::guard::number::float;
use crate::verdict::judged::Judged;

const SOURCE: GuardName = GuardName::Change;
/// Holds come this many times as often as containments, if nothing is wrong.
/// Origin: choice; a hold costs a wait, a containment costs traffic.
const HOLDS_PER_CONTAINMENT: f64 = 10.0;
/// Sensors that are named at most.
/// Origin: choice; more are not read at night.
const NAMED_MAX: usize = 5;
/// Evidence is written down up to this; it must stay a number.
/// Origin: numerics; JSON has no infinity.
const R_MAX: f64 = 1e300;

impl Detector {
    /// What all evidence so far calls for: to contain the candidate, to hold it, to warn of it, or nothing.
    pub(crate) fn finding(&self, gathered: &mut Gathered, judged: &Judged<'_>, baseline: &str) -> Option<Finding> {
        self.settle(gathered);
        let change = self.change(gathered);
        gathered.spend();
        let (patience, hold_at) = (self.guard().patience(), self.hold_at());
        let (action, named, value) = if change.value >= patience {
            let named = standing(&change.by, patience);
            gathered.doubt(named);
            (Action::Contain, named, change.value)
        } else if change.value >= hold_at {
            (Action::Hold, &change.by[..1], change.value)
        } else if change.at_once >= hold_at {
            let by_surprise = |a: &&Contribution, b: &&Contribution| a.surprise().total_cmp(&b.surprise());
            let leading = change.by.iter().max_by(by_surprise)?;
            (Action::Warn, std::slice::from_ref(leading), change.at_once)
        } else {
            return None;
        };
        let is_own = |one: &&Contribution<'_>| judged.order.1.speaks_of(one.sensor.metric);
        let named: Vec<Contribution<'_>> = named.iter().filter(is_own).copied().collect();
        if named.is_empty() {
            return None;
        }
        let mut finding = self.name(action, &named, value, judged, baseline);
        if gathered.iid_assumed {
            let all = finding.evidence.iter_mut().chain(&mut finding.beside);
            all.for_each(|evidence| evidence.flags.push(Remark::IidAssumed.into()));
        }
        Some(finding)
    }

    /// Whether there is evidence of a change, be it too little to act.
    pub(crate) fn suspects(&self, gathered: &Gathered) -> bool {
        self.change(gathered).value >= self.hold_at()
    }

    fn hold_at(&self) -> f64 {
        self.guard().patience() / HOLDS_PER_CONTAINMENT
    }

    fn name(
        &self,
        action: Action,
        named: &[Contribution<'_>],
        value: f64,
        judged: &Judged<'_>,
        baseline: &str,
    ) -> Finding {
        let guard = self.guard();
        let evidence = |one: &Contribution<'_>| Evidence {
            rule: SOURCE.into(),
            metric: one.sensor.metric.to_owned(),
            column: one.sensor.column.clone(),
            segment: String::new(),
            baseline_kind: format!("concurrent:{baseline}"),
            convention: "difference".to_owned(),
            estimate: one.seen.difference,
            lo: None,
            hi: None,
            bound: one.sensor.look.margin(guard),
            test: Test::Contrast.into(),
            e_value: Some(one.r.min(R_MAX)),
            alpha: Some(1.0 / guard.patience()),
            margin: Some(one.sensor.look.margin(guard)),
            n_candidate: one.seen.n.0,
            n_baseline: one.seen.n.1,
            breaches: (0, 0),
            window: (judged.newest_from, judged.end),
            reference: String::new(),
            flags: Vec::new(),
        };
        let (named, more) = named.split_at(named.len().min(NAMED_MAX));
        Finding {
            source: SOURCE.into(),
            action,
            cap_pct: (action == Action::Contain).then_some(guard.contain_to_pct),
            hard: true,
            reason: Reason { code: named[0].sensor.code.into(), text: text(action, named, value, guard.patience()) },
            evidence: named.iter().map(evidence).collect(),
            beside: more.iter().map(evidence).collect(),
            world: false,
        }
    }
}

impl Contribution<'_> {
    /// How unlikely its newest window alone is.
    fn surprise(&self) -> f64 {
        self.seen.e * self.sensor.weight
    }
}

/// The sensors that stand out, of all in order of what they contribute.
fn standing<'a, 'b>(by: &'b [Contribution<'a>], patience: f64) -> &'b [Contribution<'a>] {
    let log_r: Vec<f64> = by.iter().map(|one| libm::log(one.r)).collect();
    let weights: Vec<f64> = by.iter().map(|one| one.sensor.weight * float(by.len())).collect();
    let k = e_d_bh(&log_r, &weights, patience).len();
    &by[..k.max(1).min(by.len())]
}

fn text(action: Action, named: &[Contribution<'_>], value: f64, patience: f64) -> String {
    let what: Vec<String> = named.iter().map(|one| one.sensor.title()).collect();
    let (what, value) = (what.join(", "), value.min(R_MAX));
    let unlike = "the candidate is no longer like the baseline version";
    match action {
        Action::Contain => {
            format!(
                "{unlike} in {what}: evidence {value:.3e} from the windows so far, of which {patience:.0} is enough"
            )
        }
        _ if value >= patience => format!("{unlike} in {what}, in the last window; no single window acts"),
        _ => format!(
            "{unlike} in {what}, it seems: evidence {value:.0} from the windows so far, {patience:.0} would be enough"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::detector::LastReading;
    use super::super::sensor::{Sensor, SensorKind};
    use super::*;
    use crate::reason::ReasonCode;

    fn sensor(column: &str) -> Sensor {
        let (metric, code) = ("mean_shift", ReasonCode::FeatureDrift);
        Sensor { metric, column: column.to_owned(), code, weight: 0.25, first_part: 0, look: SensorKind::Failures }
    }

    #[test]
    fn those_are_named_that_stand_out_and_always_the_first() {
        let sensors = ["a", "b", "c", "d"].map(sensor);
        let named_of = |shares: [f64; 4]| {
            let contribution =
                |(sensor, share): (_, f64)| Contribution { sensor, r: share * 4.0, seen: LastReading::default() };
            let by: Vec<_> = sensors.iter().zip(shares).map(contribution).collect();
            standing(&by, 1000.0).iter().map(|one| one.sensor.column.clone()).collect::<String>()
        };
        assert_eq!(named_of([5000.0, 600.0, 100.0, 1.0]), "ab");
        assert_eq!(named_of([5000.0, 400.0, 340.0, 1.0]), "abc", "three with a third of the bound each");
        assert_eq!(named_of([1000.0, 100.0, 100.0, 100.0]), "a");
        assert_eq!(named_of([400.0, 300.0, 200.0, 100.0]), "a", "together enough, none alone");
    }

    #[test]
    fn evidence_beyond_all_numbers_stays_one() {
        let sensor = sensor("x");
        let one = Contribution { sensor: &sensor, r: f64::INFINITY, seen: LastReading::default() };
        assert!(!text(Action::Contain, &[one], f64::INFINITY, 28_800.0).contains("inf"));
    }
}
