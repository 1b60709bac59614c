//! The `rollout`, `guards` and `policy` sections: when to act.

use super::judging::{Readable, unknown_metric};
use crate::config::document::{Document, RuleSection};
use crate::config::guards::{CLASSES_MARGIN, without_rollout};
use crate::config::problem::{Problems, suggestion};
use crate::config::value::{At, OrOff};
use crate::metric::{Reads, Spec};
use crate::plan::{
    Action, Against, Authority, Baseline, Bound, GuardPlan, PolicyPlan, RolloutPlan, Rule, Task, TrustPlan,
};

/// The most windows a rule looks back on.
const WINDOWS_MAX: u64 = 1000;

/// What rules may refer to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RuleScope<'a> {
    pub(crate) pipeline: &'a str,
    pub(crate) specs: &'a [&'static Spec],
    /// Metrics that are computed.
    pub(crate) metrics: &'a [&'static str],
    pub(crate) baselines: &'a [Baseline],
    pub(crate) segments: &'a [&'a str],
    pub(crate) readable: Readable<'a>,
}

/// The policy plan.
pub(crate) fn policy(document: &Document, scope: RuleScope<'_>, problems: &mut Problems) -> PolicyPlan {
    let rollout = document.rollout.as_ref();
    let name = rollout.and_then(|rollout| rollout.name.clone()).unwrap_or_else(|| scope.pipeline.to_owned());
    let baseline_version = rollout.map(|rollout| rollout.baseline.value.clone()).unwrap_or_default();
    if let Some(rollout) = rollout.filter(|rollout| rollout.baseline.is_empty()) {
        problems.add(rollout.baseline.spot, "the baseline version is empty").help("write a version name");
    }
    if let Some(rollout) = rollout.filter(|_| name.starts_with('@')) {
        problems
            .add(rollout.baseline.spot, format!("the rollout is called `{name}`"))
            .help("names that begin with @ are haldane's own; write another `name` here");
    }
    let mut rules: Vec<Rule> = Vec::new();
    for section in &document.policy {
        if rules.iter().any(|rule| rule.name == section.name.value) {
            problems
                .add(section.name.spot, format!("two rules are called `{}`", section.name.value))
                .help("decisions name their rule; give each its own name");
        }
        let checker = Checker { section, scope, has_rollout: rollout.is_some() };
        rules.extend(checker.rule(problems));
    }
    let authority = Authority::from(rollout.map(|rollout| rollout.authority).unwrap_or_default());
    let stages =
        rollout.map_or_else(RolloutPlan::default, |rollout| rollout.stages(document.shadow.is_some(), problems));
    let guards = guards(document, scope, problems);
    PolicyPlan { rollout: name, baseline_version, authority, rules, guards, stages, trust: trust(document, problems) }
}

/// From when on windows are not trusted: the default, unless the file says otherwise.
fn trust(document: &Document, problems: &mut Problems) -> TrustPlan {
    match &document.trust {
        None => TrustPlan::default(),
        Some(At { value: OrOff::Off, .. }) => TrustPlan::off(),
        Some(At { value: OrOff::On(section), .. }) => section.resolve(problems),
    }
}

/// What guards a rollout: the default, unless the file says otherwise.
fn guards(document: &Document, scope: RuleScope<'_>, problems: &mut Problems) -> Option<GuardPlan> {
    let has_classes = scope.readable.quality.is_some_and(|quality| quality.task == Task::Multiclass);
    let guards = named_guards(document, scope, has_classes, problems)?;
    let classes = has_classes.then(|| guards.classes.unwrap_or(CLASSES_MARGIN));
    Some(GuardPlan { classes, ..guards })
}

fn named_guards(
    document: &Document,
    scope: RuleScope<'_>,
    has_classes: bool,
    problems: &mut Problems,
) -> Option<GuardPlan> {
    match (&document.guards, &document.rollout) {
        (None, rollout) => rollout.as_ref().map(|_| GuardPlan::default()),
        (Some(At { value: OrOff::Off, .. }), _) => None,
        (Some(At { value: OrOff::On(section), spot }), rollout) => {
            if rollout.is_none() {
                without_rollout(*spot, problems);
            }
            let spec = |metric: &str| scope.specs.iter().find(|spec| spec.name == metric);
            section.check_columns(|column| scope.readable.has_column(column), problems);
            section.check_success(|metric| scope.readable.lack(spec(metric)?), problems);
            section.check_classes(has_classes, problems);
            section.check_fairness(scope.segments, |metric| scope.readable.lack(spec(metric)?), problems);
            Some(section.resolve(problems))
        }
    }
}

/// One rule of the file and what it may refer to.
struct Checker<'a> {
    section: &'a At<RuleSection>,
    scope: RuleScope<'a>,
    has_rollout: bool,
}

impl Checker<'_> {
    /// The rule, unless its metric is unknown.
    fn rule(&self, problems: &mut Problems) -> Option<Rule> {
        let section = self.section;
        let bound = self.bound(problems);
        self.check_action(problems);
        self.check_counts(problems);
        let Some(spec) = self.scope.specs.iter().find(|spec| spec.name == section.metric.value) else {
            unknown_metric(&section.metric, self.scope.specs, problems);
            return None;
        };
        self.check_metric(spec, problems);
        self.check_columns(spec, problems);
        let of = section.of.map_or(section.breaches.value, |of| of.value);
        Some(Rule {
            name: section.name.value.clone(),
            metric: spec.name,
            columns: section.columns.iter().map(|column| column.value.clone()).collect(),
            baseline: self.baseline(spec, problems),
            against: self.against(spec, problems),
            segments: section.segments.value,
            bound,
            n_min: section.min_n.value,
            breaches: u32::try_from(section.breaches.value).unwrap_or(u32::MAX),
            windows: u32::try_from(of).unwrap_or(u32::MAX),
            action: section.action.value,
            cap_pct: section.cap.map(|cap| cap.0 * 100.0),
        })
    }

    fn bound(&self, problems: &mut Problems) -> Bound {
        let section = self.section;
        let bound = match (section.above, section.below) {
            (Some(above), None) => (Bound::Above(above.value), above),
            (None, Some(below)) => (Bound::Below(below.value), below),
            (Some(_), Some(below)) => {
                problems
                    .add(below.spot, "a rule has one bound")
                    .help("keep `above` or `below`; write two rules for both");
                return Bound::Below(below.value);
            }
            (None, None) => {
                problems
                    .add(section.spot, format!("rule `{}` has no bound", section.name.value))
                    .help("add `above: NUMBER` or `below: NUMBER`");
                return Bound::Above(0.0);
            }
        };
        if !bound.1.is_finite() {
            problems.add(bound.1.spot, "a bound must be a finite number");
        }
        bound.0
    }

    fn check_action(&self, problems: &mut Problems) {
        let RuleSection { action, cap, .. } = &self.section.value;
        match (action.value, cap) {
            (Action::Observe, _) => {
                problems
                    .add(action.spot, "a rule that only observes does nothing")
                    .help("write warn, hold, contain or rollback");
            }
            (Action::Contain, None) => {
                problems
                    .add(action.spot, "`contain` needs a cap")
                    .help("add the share the version may keep: `cap: 5%`");
            }
            (Action::Warn | Action::Hold | Action::Rollback, Some(cap)) => {
                problems
                    .add(cap.spot, format!("`cap` has no effect with action {}", action.name()))
                    .help("drop it, or write `action: contain`");
            }
            _ => {}
        }
        if matches!(action.value, Action::Contain | Action::Rollback) && !self.has_rollout {
            problems
                .add(action.spot, format!("`{}` needs a version to go back to", action.name()))
                .help("add `rollout: { baseline: VERSION }`");
        }
    }

    fn check_counts(&self, problems: &mut Problems) {
        let RuleSection { breaches, of, .. } = &self.section.value;
        let windows = of.unwrap_or(*breaches);
        if breaches.value == 0 || breaches.value > windows.value || windows.value > WINDOWS_MAX {
            let spot = breaches.spot.max(windows.spot);
            problems
                .add(spot, format!("{} breaches of {} windows cannot be", breaches.value, windows.value))
                .help(format!("make `breaches` 1 to `of`, and `of` at most {WINDOWS_MAX}"));
        }
    }

    fn check_metric(&self, spec: &Spec, problems: &mut Problems) {
        let metric = &self.section.metric;
        if let Some(lack) = self.scope.readable.lack(spec) {
            problems
                .add(metric.spot, format!("metric `{}` needs {lack}", metric.value))
                .help("add it, or drop the rule");
        } else if !self.scope.metrics.contains(&spec.name) {
            problems
                .add(metric.spot, format!("metric `{}` is not computed", metric.value))
                .help("add it to `metrics: { names: … }`, or write `all` there");
        }
        if self.section.segments.value && self.scope.segments.is_empty() {
            problems
                .add(self.section.segments.spot, "there are no segments to watch")
                .help("name segment fields in the source: `segments: { name: path }`");
        }
    }

    fn check_columns(&self, spec: &Spec, problems: &mut Problems) {
        let columns = self.scope.readable.columns;
        let numeric = columns.numeric.iter().map(|column| column.name.as_str());
        let categorical = columns.categorical.iter().map(|column| column.name.as_str());
        let allowed: Vec<&str> = match spec.reads {
            Reads::Numeric => numeric.collect(),
            Reads::Categorical => categorical.collect(),
            Reads::Column => numeric.chain(categorical).collect(),
            Reads::Latency
            | Reads::Rates
            | Reads::Pairs
            | Reads::PairLosses
            | Reads::Classification
            | Reads::Binary
            | Reads::Regression => Vec::new(),
        };
        for column in self.section.columns.iter().filter(|column| !allowed.contains(&column.as_str())) {
            let help = if allowed.is_empty() {
                "this metric looks at whole versions; drop `columns`".to_owned()
            } else {
                suggestion(column, &allowed)
            };
            problems
                .add(column.spot, format!("metric `{}` cannot read a column `{}`", spec.name, column.value))
                .help(help);
        }
    }

    fn baseline(&self, spec: &Spec, problems: &mut Problems) -> Option<Baseline> {
        match (&self.section.baseline, spec.needs_baseline) {
            (None, false) => None,
            (None, true) => self.scope.baselines.first().cloned(),
            (Some(name), true) => {
                if !self.scope.baselines.contains(&name.value.0) {
                    let known: Vec<String> = self.scope.baselines.iter().map(Baseline::name).collect();
                    problems
                        .add(name.spot, format!("nothing is compared with `{}`", name.value))
                        .help(format!("add it to `baselines`, which now holds: {}", known.join(", ")));
                }
                Some(name.value.0.clone())
            }
            (Some(name), false) => {
                problems
                    .add(name.spot, format!("metric `{}` has no baseline of its own", spec.name))
                    .help("to compare versions write `against: difference` or `against: ratio`");
                None
            }
        }
    }

    fn against(&self, spec: &Spec, problems: &mut Problems) -> Against {
        let Some(against) = self.section.against.filter(|against| against.value != Against::Value) else {
            return Against::Value;
        };
        if spec.needs_baseline {
            problems
                .add(against.spot, format!("metric `{}` already compares with its baseline", spec.name))
                .help("drop `against`");
        } else if !self.has_rollout {
            problems
                .add(against.spot, "a difference needs a version to compare with")
                .help("add `rollout: { baseline: VERSION }`");
        }
        against.value
    }
}
