//! What a replay or a service saw and decided: the windows and decisions that it wrote, as series, a log and summaries.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};

use super::model::{Beside, DecisionNote, History, Point, Rollout, Series, SeriesLine};
use crate::error::{Error, Result};
use crate::event::Micros;
use crate::files::opened;
use crate::metric::row::{ALL_VERSIONS, WindowRow};
use crate::metric::{DRIFT, Visibility, shown};
use crate::output::evidence as told_as;
use crate::output::read_windows;
use crate::output::text::{instant, number, plural};
use crate::plan::{Authority, Signal};
use crate::reason::ReasonCode;
use crate::trust::Trust;
use crate::verdict::{Decision, Evidence};

/// Series that are shown.
const SERIES_MAX: usize = 18;
/// Columns whose drift is shown though no decision names them.
const COLUMNS_MAX: usize = 6;
/// Said beside what was decided: a log is no answer to what holds now.
pub(super) const WHAT_COUNTS_NOW: &str =
    "This is what was decided. What a candidate may have now is told by haldane gate and GET /v1/verdict.";

/// Where results are, and which are asked for.
#[derive(Debug, Clone, Default)]
pub struct Log {
    /// Files of windows, as `haldane replay --windows` writes them.
    pub windows: Vec<PathBuf>,
    /// Files of decisions, as `haldane replay --decisions` writes them.
    pub decisions: Vec<PathBuf>,
    /// A store with both, as `haldane replay --store` fills it.
    pub store: Option<String>,
    /// Only windows that start, and decisions that were made, from this time on.
    pub from: Option<Micros>,
    /// And before this time.
    pub until: Option<Micros>,
    /// Only this rollout.
    pub rollout: Option<String>,
    /// Only this candidate.
    pub candidate: Option<String>,
}

impl Log {
    /// Whether nothing is named.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.windows.is_empty() && self.decisions.is_empty() && self.store.is_none()
    }

    fn holds(&self, time: Micros) -> bool {
        self.from.is_none_or(|from| from <= time) && self.until.is_none_or(|until| time < until)
    }

    /// What is read of the store.
    fn selection(&self) -> crate::store::RowFilter {
        crate::store::RowFilter { model: None, from: self.from, to: self.until }
    }
}

/// One number of a window, as far as a report needs it.
struct WindowNumber {
    start: Micros,
    end: Micros,
    revision: u32,
    value: f64,
    n: u64,
}

/// What names a series.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct SeriesKey {
    model: String,
    metric: String,
    column: String,
    segment: String,
    baseline: String,
}

/// What names a line of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct LineKey {
    series: SeriesKey,
    version: String,
}

/// The newest number of each window and line, each line in the first convention it came in.
#[derive(Default)]
struct HistoryWindows {
    lines: BTreeMap<LineKey, (String, BTreeMap<Micros, WindowNumber>)>,
    /// Every window, and how far it is trusted.
    spans: BTreeMap<(Micros, Micros), Trust>,
    references: BTreeSet<String>,
}

/// Reads what was written and puts it together.
pub fn history(log: &Log) -> Result<History> {
    let mut decisions = Vec::new();
    log.decisions.iter().try_for_each(|path| read_decisions(path, &mut decisions))?;
    if let Some(url) = &log.store {
        decisions.extend(crate::store::Store::open(url)?.decisions(&log.selection())?);
    }
    decisions.retain(|decision| log.holds(decision.time));
    let wanted = |asked: &Option<String>, name: &str| asked.as_deref().is_none_or(|asked| asked == name);
    decisions.retain(|decision| wanted(&log.rollout, &decision.rollout) && wanted(&log.candidate, &decision.candidate));
    decisions.retain(|decision| decision.action != Signal::Heartbeat);
    if decisions.is_empty() && (log.rollout.is_some() || log.candidate.is_some()) {
        let asked = [&log.rollout, &log.candidate].into_iter().flatten().cloned().collect::<Vec<_>>().join(" and ");
        return Err(Error::user(format!("no decision is about {asked}"))
            .hint("check --rollout and --candidate, and name the file of decisions with --decisions"));
    }
    let named: BTreeSet<(&str, &str)> = decisions
        .iter()
        .flat_map(|decision| &decision.evidence)
        .filter(|evidence| !evidence.segment.is_empty())
        .map(|evidence| (evidence.metric.as_str(), evidence.segment.as_str()))
        .collect();
    let mut windows = HistoryWindows::default();
    let wanted = |metric: &str, segment: &str| segment.is_empty() || named.contains(&(metric, segment));
    log.windows.iter().try_for_each(|path| windows.read(path, log, &wanted))?;
    if let Some(url) = &log.store {
        let rows = crate::store::Store::open(url)?.windows(&log.selection())?;
        rows.into_iter().for_each(|row| windows.take(row, &wanted));
    }
    if windows.spans.is_empty() && decisions.is_empty() {
        return Err(nothing(log));
    }
    Ok(told(&windows, &decisions, log))
}

fn nothing(log: &Log) -> Error {
    let from = log.from.map_or_else(String::new, |from| format!(" from {}", instant(from)));
    let until = log.until.map_or_else(String::new, |until| format!(" before {}", instant(until)));
    let hint = if from.is_empty() && until.is_empty() {
        "check that the pipeline has judged a window by then"
    } else {
        "widen --from and --until, or leave them out"
    };
    Error::user(format!("no window was judged and nothing was decided{from}{until}")).hint(hint)
}

fn told(windows: &HistoryWindows, decisions: &[Decision], log: &Log) -> History {
    let versions: BTreeSet<&String> =
        windows.lines.keys().map(|key| &key.version).filter(|name| *name != ALL_VERSIONS).collect();
    let is_of_model = |key: &LineKey| decisions.iter().any(|decision| decision.model == key.series.model);
    let is_asked = |key: &LineKey| {
        let baseline = decisions.iter().any(|decision| decision.baseline == key.version);
        log.candidate.as_deref().is_none_or(|candidate| candidate == key.version || baseline)
    };
    let is_narrow = log.rollout.is_some() || log.candidate.is_some();
    let wanted = |key: &LineKey| !is_narrow || is_of_model(key) && is_asked(key);
    History {
        windows: windows.spans.len(),
        first: windows.spans.keys().map(|span| span.0).min(),
        last: windows.spans.keys().map(|span| span.1).max(),
        versions: versions.into_iter().cloned().collect(),
        references: windows.references.iter().cloned().collect(),
        series: series(windows, decisions, wanted),
        decisions: decisions.iter().map(note).collect(),
        rollouts: rollouts(windows, decisions),
    }
}

fn read_decisions(path: &Path, decisions: &mut Vec<Decision>) -> Result<()> {
    for (at, line) in lines(path)? {
        decisions.push(serde_json::from_str(&line?).map_err(|error| {
            Error::user(format!("{}: line {at} is not a decision", path.display()))
                .because(error)
                .hint("give the file that `haldane replay --decisions` wrote")
        })?);
    }
    Ok(())
}

impl HistoryWindows {
    fn read(&mut self, path: &Path, log: &Log, wanted: &impl Fn(&str, &str) -> bool) -> Result<()> {
        read_windows(path, |row| {
            if log.holds(row.window_start) {
                self.take(row, wanted);
            }
        })
    }

    fn take(&mut self, row: WindowRow, wanted: &impl Fn(&str, &str) -> bool) {
        let trust = self.spans.entry((row.window_start, row.window_end)).or_default();
        *trust = row.trust.max(*trust);
        if !row.reference.is_empty() {
            self.references.insert(row.reference);
        }
        let Some(value) = row.value.filter(|_| wanted(&row.metric, &row.segment)) else { return };
        let series = SeriesKey {
            model: row.model,
            metric: row.metric,
            column: row.column,
            segment: row.segment,
            baseline: row.baseline,
        };
        let key = LineKey { series, version: row.version };
        let (convention, line) = self.lines.entry(key).or_insert_with(|| (row.convention.clone(), BTreeMap::new()));
        if *convention != row.convention {
            return;
        }
        let found =
            WindowNumber { start: row.window_start, end: row.window_end, revision: row.revision, value, n: row.n };
        match line.get_mut(&row.window_start) {
            Some(known) if known.revision <= found.revision => *known = found,
            Some(_) => {}
            None => {
                line.insert(row.window_start, found);
            }
        }
    }
}

impl HistoryWindows {
    /// How many windows are not trusted wholly, in words; nothing where all are.
    fn distrust(&self) -> String {
        let n = |trust: Trust| self.spans.values().filter(|one| **one == trust).count();
        let (untrusted, degraded) = (n(Trust::Untrusted), n(Trust::Degraded));
        if untrusted + degraded == 0 {
            return String::new();
        }
        format!("; of {}, {untrusted} untrusted and {degraded} degraded", plural(self.spans.len() as u64, "window"))
    }
}

/// The lines of a file that hold something, each with its number.
fn lines(path: &Path) -> Result<impl Iterator<Item = (u64, Result<String>)>> {
    let failed = |error| Error::user(format!("cannot read {}", path.display())).because(error);
    let lines = (1..).zip(BufReader::new(opened(path)?).lines());
    Ok(lines
        .map(move |(at, line)| (at, line.map_err(failed)))
        .filter(|(_, line)| line.as_ref().map_or(true, |line| !line.trim().is_empty())))
}

/// Which series are shown: what decisions rest on, then the usual metrics, then the columns that moved most.
fn chosen(windows: &HistoryWindows, decisions: &[Decision]) -> Vec<SeriesKey> {
    let exists = |key: &SeriesKey| windows.lines.keys().any(|line| line.series == *key);
    let evidence = evidence(decisions).flat_map(|(decision, evidence)| {
        let of = |baseline: &str| SeriesKey {
            model: decision.model.clone(),
            metric: evidence.metric.clone(),
            column: evidence.column.clone(),
            segment: evidence.segment.clone(),
            baseline: baseline.to_owned(),
        };
        [of(&evidence.baseline_kind), of("")]
    });
    let models: BTreeSet<&String> = windows.lines.keys().map(|key| &key.series.model).collect();
    let usual =
        shown(Visibility::History).flat_map(|metric| models.iter().map(move |model| whole_group(model, metric)));
    let mut moved: Vec<(&SeriesKey, f64)> = windows
        .lines
        .iter()
        .map(|(key, line)| (&key.series, line))
        .filter(|(key, _)| {
            key.metric == DRIFT.spec().name && key.segment.is_empty() && key.baseline.starts_with("concurrent")
        })
        .map(|(key, (_, line))| (key, line.values().map(|number| number.value).fold(0.0, f64::max)))
        .collect();
    moved.sort_by(|a, b| b.1.total_cmp(&a.1));
    let moved = moved.into_iter().take(COLUMNS_MAX).map(|(key, _)| key.clone());
    let mut all: Vec<SeriesKey> = Vec::new();
    for series in evidence.chain(usual).chain(moved) {
        if all.len() < SERIES_MAX && !all.contains(&series) && exists(&series) {
            all.push(series);
        }
    }
    all
}

/// Numbers behind decisions, each with its decision.
fn evidence(decisions: &[Decision]) -> impl Iterator<Item = (&Decision, &Evidence)> {
    decisions.iter().flat_map(|decision| decision.evidence.iter().map(move |evidence| (decision, evidence)))
}

/// A metric of all traffic of a version that needs nothing to compare with.
fn whole_group(model: &str, metric: &str) -> SeriesKey {
    SeriesKey {
        model: model.to_owned(),
        metric: metric.to_owned(),
        column: String::new(),
        segment: String::new(),
        baseline: String::new(),
    }
}

fn series(windows: &HistoryWindows, decisions: &[Decision], wanted: impl Fn(&LineKey) -> bool) -> Vec<Series> {
    let one = |series: SeriesKey| {
        let fits = |key: &LineKey| key.series == series && key.version != ALL_VERSIONS && wanted(key);
        let lines: Vec<_> = windows.lines.iter().filter(|(key, _)| fits(key)).collect();
        let point =
            |number: &WindowNumber| Point { start: number.start, end: number.end, value: number.value, n: number.n };
        let bounds: BTreeSet<u64> = evidence(decisions)
            .filter(|(decision, evidence)| {
                decision.model == series.model
                    && evidence.metric == series.metric
                    && evidence.column == series.column
                    && evidence.segment == series.segment
                    && evidence.baseline_kind == series.baseline
            })
            .map(|(_, evidence)| evidence)
            .filter(|evidence| evidence.bound.is_finite() && lines.iter().any(|(_, (_, line))| shows(line, evidence)))
            .map(|evidence| evidence.bound.to_bits())
            .collect();
        let SeriesKey { model, metric, column, segment, baseline } = series;
        Series {
            convention: lines.first().map(|(_, (convention, _))| convention.clone()).unwrap_or_default(),
            bounds: bounds.into_iter().map(f64::from_bits).collect(),
            lines: lines
                .into_iter()
                .map(|(key, (_, line))| SeriesLine {
                    version: key.version.clone(),
                    points: line.values().map(point).collect(),
                })
                .collect(),
            model,
            metric,
            column,
            segment,
            baseline,
        }
    };
    chosen(windows, decisions).into_iter().map(one).filter(|series| !series.lines.is_empty()).collect()
}

/// Whether the number that was held against the bound is one of the line's, and not a difference or a ratio of two.
fn shows(line: &BTreeMap<Micros, WindowNumber>, evidence: &Evidence) -> bool {
    let near = |value: f64| (value - evidence.estimate).abs() <= 1e-9 * evidence.estimate.abs();
    line.values().any(|number| number.end == evidence.window.1 && near(number.value))
}

fn note(decision: &Decision) -> DecisionNote {
    let evidence = decision.evidence.iter().map(|evidence| {
        let on = [evidence.column.as_str(), evidence.segment.as_str()].into_iter().filter(|text| !text.is_empty());
        let on = on.map(|text| format!(" of {text}")).collect::<Vec<_>>().concat();
        let to = if evidence.baseline_kind.is_empty() {
            String::new()
        } else {
            format!(" against {}", evidence.baseline_kind)
        };
        let bound = told_as::bound(evidence).map_or_else(String::new, |bound| format!(", {bound}"));
        let gathered = told_as::gathered(evidence).map_or_else(String::new, |all| format!(", e-value {all}"));
        let is_doubt =
            |remark: &&str| [Trust::Degraded, Trust::Untrusted].iter().any(|one| remark.starts_with(one.name()));
        let doubts =
            evidence.remarks().into_iter().filter(is_doubt).flat_map(|doubt| [", ", doubt]).collect::<String>();
        format!(
            "{}: {}{on}{to}: {}{bound}{gathered}, {} (n {}, baseline {}){doubts}",
            evidence.rule,
            evidence.metric,
            told_as::estimate(evidence),
            told_as::over(evidence),
            evidence.n_candidate,
            evidence.n_baseline
        )
    });
    DecisionNote {
        id: decision.id.clone(),
        sequence: decision.sequence,
        time: decision.time,
        action: decision.action.name().to_owned(),
        cap_pct: decision.cap_pct,
        rollout: decision.rollout.clone(),
        model: decision.model.clone(),
        candidate: decision.candidate.clone(),
        reason: decision.reason.text.clone(),
        code: decision.reason.code.to_string(),
        who: who(decision),
        policy: decision.inputs.policy.clone(),
        evidence: evidence.collect(),
    }
}

/// Who may act on a decision, and who has approved it.
fn who(decision: &Decision) -> String {
    let approved = decision.approval.as_ref().map(|approval| approval.granted.join(", ")).unwrap_or_default();
    match decision.authority {
        _ if !approved.is_empty() => format!("approved by {approved}"),
        _ if decision.reason.code == ReasonCode::Manual => "a person, as the reason says".to_owned(),
        Authority::Auto => "haldane, for machines to carry out".to_owned(),
        Authority::Approval => "nobody yet: it waits for approval".to_owned(),
        Authority::Advisory => "nobody: it is advice".to_owned(),
        Authority::Frozen => "nobody: the rollout was frozen".to_owned(),
    }
}

/// One summary per candidate; decisions about the baseline version itself are the world's.
fn rollouts(windows: &HistoryWindows, decisions: &[Decision]) -> Vec<Rollout> {
    let mut by_candidate: BTreeMap<(&str, &str, &str), Vec<&Decision>> = BTreeMap::new();
    for decision in decisions.iter().filter(|decision| decision.candidate != decision.baseline) {
        by_candidate.entry((&decision.rollout, &decision.model, &decision.candidate)).or_default().push(decision);
    }
    by_candidate.into_values().filter_map(|decisions| rollout(windows, &decisions)).collect()
}

fn rollout(windows: &HistoryWindows, decisions: &[&Decision]) -> Option<Rollout> {
    let (first, last) = (decisions.first()?, decisions.last()?);
    let mut actions: Vec<(String, u64)> = Vec::new();
    for decision in decisions {
        let name = decision.action.name();
        match actions.iter_mut().find(|(known, _)| known == name) {
            Some((_, n)) => *n += 1,
            None => actions.push((name.to_owned(), 1)),
        }
    }
    let standing = decisions.iter().rev().find(|decision| decision.action != Signal::Warn).unwrap_or(last);
    Some(Rollout {
        rollout: first.rollout.clone(),
        model: first.model.clone(),
        candidate: first.candidate.clone(),
        baseline: first.baseline.clone(),
        summary: summary(standing, decisions.len()) + &windows.distrust(),
        last_action: standing.action.name().to_owned(),
        from: first.time,
        to: last.time,
        actions,
        compared: beside(windows, &first.model, [&first.candidate, &first.baseline]),
    })
}

/// What was decided last, as of its own time. What a candidate may have now is the answer of a permission, which needs
/// the state and signs of life that a log does not have.
fn summary(standing: &Decision, n: usize) -> String {
    let Decision { candidate, baseline, time, cap_pct, .. } = standing;
    let cap = to_cap(*cap_pct);
    let what = match standing.action {
        Signal::Rollback => format!("roll {candidate} back to {baseline}"),
        Signal::Contain => format!("contain {candidate}{cap}"),
        Signal::Hold => format!("hold {candidate} where it is"),
        Signal::PromoteOk => format!("let {candidate} rise{cap}"),
        Signal::Resume => format!("let {candidate} go on{cap}"),
        action => format!("{} for {candidate}", action.name()),
    };
    let exercise = if standing.drill { " as an exercise" } else { "" };
    format!(
        "{}{exercise} on {}: {what}; {} ({})",
        worth(standing.authority),
        instant(*time),
        standing.reason.text,
        plural(n as u64, "decision")
    )
}

/// To which share of traffic, where a decision says so.
pub(super) fn to_cap(cap_pct: Option<f64>) -> String {
    cap_pct.map_or_else(String::new, |cap| format!(" to {} %", number(cap)))
}

/// What a decision is worth, by who may act on it.
fn worth(authority: Authority) -> &'static str {
    match authority {
        Authority::Auto => "Decided",
        Authority::Approval => "Asked of people",
        Authority::Advisory => "Advised",
        Authority::Frozen => "Found while frozen",
    }
}

/// Metrics of both versions over the windows that have both, pooled: every window counts with the version's own rows.
fn beside(windows: &HistoryWindows, model: &str, [candidate, baseline]: [&str; 2]) -> Vec<Beside> {
    let line = |metric: &str, version: &str| {
        let key = LineKey { series: whole_group(model, metric), version: version.to_owned() };
        windows.lines.get(&key).map(|(_, line)| line)
    };
    let one = |metric: &str| {
        let (mine, theirs) = (line(metric, candidate)?, line(metric, baseline)?);
        let both = mine.iter().filter_map(|(start, number)| Some((number, theirs.get(start)?)));
        let (mine, theirs): (Vec<&WindowNumber>, Vec<&WindowNumber>) = both.unzip();
        Some(Beside {
            metric: metric.to_owned(),
            column: String::new(),
            candidate: pooled(&mine)?,
            baseline: pooled(&theirs)?,
            n: mine.iter().map(|number| number.n).sum(),
        })
    };
    shown(Visibility::Summary).filter_map(one).collect()
}

/// Numbers of windows put together, each weighted by its rows; `None` without any.
#[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
fn pooled(numbers: &[&WindowNumber]) -> Option<f64> {
    let n: u64 = numbers.iter().map(|number| number.n).sum();
    (n > 0).then(|| numbers.iter().map(|number| number.value * number.n as f64).sum::<f64>() / n as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::row::RowStatus;

    const HOUR: Micros = 3_600_000_000;

    fn row(hour: i64, version: &str, metric: &str, value: f64) -> WindowRow {
        WindowRow {
            window_start: hour * HOUR,
            window_end: (hour + 1) * HOUR,
            model: "m".to_owned(),
            version: version.to_owned(),
            segment: String::new(),
            baseline: String::new(),
            reference: String::new(),
            column: String::new(),
            metric: metric.to_owned(),
            convention: "exact".to_owned(),
            revision: 0,
            status: RowStatus::Ok,
            value: Some(value),
            low: None,
            high: None,
            p_value: None,
            n: 100,
            n_baseline: 0,
            bins: 0,
            coverage: None,
            doubts: String::new(),
            trust: Trust::default(),
        }
    }

    fn decision(action: Signal) -> Decision {
        let line = include_str!("../../../tests/data/recorded/flights.decisions.jsonl").lines().next();
        let recorded: Decision = serde_json::from_str(line.expect("a line")).expect("a decision");
        Decision {
            action,
            rollout: "r".to_owned(),
            model: "m".to_owned(),
            candidate: "v2".to_owned(),
            baseline: "v1".to_owned(),
            evidence: Vec::new(),
            time: HOUR,
            ..recorded
        }
    }

    fn rests_on(metric: &str, estimate: f64, bound: f64) -> Evidence {
        let line = include_str!("../../../tests/data/recorded/flights.decisions.jsonl").lines().next();
        let recorded: Decision = serde_json::from_str(line.expect("a line")).expect("a decision");
        let first = recorded.evidence.into_iter().next().expect("evidence");
        Evidence {
            metric: metric.to_owned(),
            column: String::new(),
            baseline_kind: String::new(),
            window: (0, HOUR),
            estimate,
            bound,
            ..first
        }
    }

    fn of(rows: Vec<WindowRow>, decisions: &[Decision]) -> History {
        asked(rows, decisions, &Log::default())
    }

    fn asked(rows: Vec<WindowRow>, decisions: &[Decision], log: &Log) -> History {
        let mut windows = HistoryWindows::default();
        rows.into_iter().for_each(|row| windows.take(row, &|_, _| true));
        told(&windows, decisions, log)
    }

    fn values(history: &History, metric: &str) -> Vec<(String, Vec<f64>)> {
        let of = |series: &Series| -> Vec<(String, Vec<f64>)> {
            let line =
                |line: &SeriesLine| (line.version.clone(), line.points.iter().map(|point| point.value).collect());
            series.lines.iter().map(line).collect()
        };
        history.series.iter().filter(|series| series.metric == metric).flat_map(of).collect()
    }

    #[test]
    fn versions_of_two_models_are_two_lines() {
        let other = |hour, value| WindowRow { model: "n".to_owned(), n: 900, ..row(hour, "v2", "error_rate", value) };
        let rows = vec![
            row(0, "v1", "error_rate", 0.01),
            row(0, "v2", "error_rate", 0.02),
            other(0, 0.5),
            row(1, "v2", "error_rate", 0.04),
            row(1, "v1", "error_rate", 0.01),
            other(1, 0.7),
        ];
        let history = of(rows.clone(), &[decision(Signal::Hold)]);
        let lines = values(&history, "error_rate");
        assert_eq!(lines[..2], [("v1".to_owned(), vec![0.01, 0.01]), ("v2".to_owned(), vec![0.02, 0.04])]);
        assert_eq!(lines[2..], [("v2".to_owned(), vec![0.5, 0.7])]);
        assert_eq!(history.series.iter().map(|series| series.model.as_str()).collect::<Vec<_>>(), ["m", "n"]);
        let beside = &history.rollouts[0].compared[0];
        assert!((beside.candidate - 0.03).abs() < 1e-12 && beside.n == 200, "the model's own numbers: {beside:?}");
        let narrow = asked(rows, &[decision(Signal::Hold)], &Log { rollout: Some("r".into()), ..Log::default() });
        assert!(narrow.series.iter().all(|series| series.model == "m"), "who asks for a rollout is told of its model");
    }

    #[test]
    fn a_later_revision_takes_the_place_of_what_it_revises_in_any_order() {
        let first = row(0, "v1", "error_rate", 0.01);
        let second = WindowRow { revision: 2, ..row(0, "v1", "error_rate", 0.02) };
        for rows in [vec![first.clone(), second.clone()], vec![second, first]] {
            assert_eq!(values(&of(rows, &[]), "error_rate"), [("v1".to_owned(), vec![0.02])]);
        }
    }

    #[test]
    fn a_line_keeps_to_one_convention_and_leaves_out_what_has_no_number() {
        let rows = vec![
            WindowRow { convention: "own".to_owned(), ..row(0, "v1", "error_rate", 0.01) },
            row(0, "v1", "error_rate", 9.0),
            row(1, "v1", "error_rate", 9.0),
            WindowRow { value: None, convention: "own".to_owned(), ..row(2, "v1", "error_rate", 0.0) },
            row(3, ALL_VERSIONS, "error_rate", 0.5),
        ];
        let history = of(rows, &[]);
        assert_eq!(values(&history, "error_rate"), [("v1".to_owned(), vec![0.01])]);
        assert_eq!((history.windows, history.first, history.last), (4, Some(0), Some(4 * HOUR)));
        assert_eq!(history.versions, ["v1"]);
    }

    #[test]
    fn what_decisions_rest_on_comes_first_with_its_bound() {
        let rests = Decision { evidence: vec![rests_on("accuracy", 0.8, 0.9)], ..decision(Signal::Hold) };
        let rows = vec![row(0, "v2", "error_rate", 0.01), row(0, "v2", "accuracy", 0.8)];
        let history = of(rows.clone(), &[rests]);
        assert_eq!((history.series[0].metric.as_str(), &history.series[0].bounds), ("accuracy", &vec![0.9]));
        let bounds = |evidence: Evidence| {
            let decision = Decision { evidence: vec![evidence], ..decision(Signal::Hold) };
            let shown = of(rows.clone(), &[decision]).series;
            shown.into_iter().find(|series| series.metric == "error_rate").map(|series| series.bounds)
        };
        let of_errors = || rests_on("error_rate", 0.01, 0.9);
        assert_eq!(bounds(of_errors()), Some(vec![0.9]));
        for (evidence, why) in [
            (Evidence { estimate: 0.5, ..of_errors() }, "a ratio of two is no number of the line"),
            (Evidence { bound: f64::INFINITY, ..of_errors() }, "no bound at all"),
            (Evidence { window: (0, 9), ..of_errors() }, "another window"),
            (Evidence { segment: "country=DE".into(), ..of_errors() }, "a part of the traffic"),
        ] {
            assert_eq!(bounds(evidence), Some(vec![]), "{why}");
        }
    }

    #[test]
    fn the_columns_that_moved_most_are_shown_and_no_more_than_there_is_room_for() {
        let psi = |column: usize, value: f64| WindowRow {
            column: format!("c{column:02}"),
            baseline: "concurrent:v1".to_owned(),
            ..row(0, "v2", "psi", value)
        };
        let rows =
            (0..20).map(|at| psi(at, [0.1, 0.9, 0.5][at % 3] + 0.001 * f64::from(u8::try_from(at).unwrap_or(0))));
        let history = of(rows.collect(), &[]);
        let columns: Vec<&str> = history.series.iter().map(|series| series.column.as_str()).collect();
        assert_eq!(columns, ["c19", "c16", "c13", "c10", "c07", "c04"]);
        let many: Vec<Evidence> =
            (0..30).map(|at| Evidence { column: format!("c{at:02}"), ..rests_on("mean", 1.0, 2.0) }).collect();
        let rows = (0..30).map(|at| WindowRow { column: format!("c{at:02}"), ..row(0, "v2", "mean", 1.0) }).collect();
        let history = of(rows, &[Decision { evidence: many, ..decision(Signal::Warn) }]);
        assert_eq!(history.series.len(), SERIES_MAX);
    }

    #[test]
    fn numbers_of_both_versions_are_pooled_over_the_windows_that_have_both() {
        let n = |n, row| WindowRow { n, ..row };
        let rows = vec![
            n(100, row(0, "v2", "error_rate", 0.1)),
            n(300, row(1, "v2", "error_rate", 0.2)),
            n(900, row(2, "v2", "error_rate", 0.9)),
            n(10, row(0, "v1", "error_rate", 0.4)),
            n(30, row(1, "v1", "error_rate", 0.0)),
        ];
        let history = of(rows, &[decision(Signal::Hold)]);
        let beside = &history.rollouts[0].compared[0];
        assert!((beside.candidate - 0.175).abs() < 1e-12 && (beside.baseline - 0.1).abs() < 1e-12, "{beside:?}");
        assert_eq!(beside.n, 400);
        assert!(of(vec![row(0, "v2", "error_rate", 0.1)], &[decision(Signal::Hold)]).rollouts[0].compared.is_empty());
        assert_eq!(pooled(&[]), None);
    }

    #[test]
    fn a_rollout_stands_where_its_last_decision_beside_warnings_left_it() {
        let later = |hours, decision| Decision { time: hours * HOUR, ..decision };
        let log = [
            decision(Signal::Warn),
            later(2, Decision { cap_pct: Some(5.0), ..decision(Signal::Contain) }),
            later(3, decision(Signal::Warn)),
            Decision { candidate: "v1".to_owned(), ..decision(Signal::Warn) },
        ];
        let history = of(vec![], &log);
        assert_eq!(history.rollouts.len(), 1, "what is about the baseline itself is the world's");
        let rollout = &history.rollouts[0];
        assert_eq!((rollout.last_action.as_str(), rollout.from, rollout.to), ("contain", HOUR, 3 * HOUR));
        assert_eq!(rollout.actions, [("warn".to_owned(), 2), ("contain".to_owned(), 1)]);
        let said = "Decided on 1970-01-01 02:00 UTC: contain v2 to 5 %; the world moved";
        assert!(rollout.summary.starts_with(said) && rollout.summary.ends_with("(3 decisions)"), "{}", rollout.summary);
        assert_eq!(of(vec![], &[decision(Signal::Warn)]).rollouts[0].last_action, "warn");
    }

    #[test]
    fn a_summary_says_what_a_decision_is_worth() {
        let said = |decision: Decision| summary(&decision, 1);
        for (authority, word) in [
            (Authority::Auto, "Decided on"),
            (Authority::Approval, "Asked of people on"),
            (Authority::Advisory, "Advised on"),
            (Authority::Frozen, "Found while frozen on"),
        ] {
            assert!(said(Decision { authority, ..decision(Signal::Hold) }).starts_with(word), "{word}");
        }
        for (action, words) in [
            (Signal::Rollback, "roll v2 back to v1;"),
            (Signal::Hold, "hold v2 where it is;"),
            (Signal::PromoteOk, "let v2 rise;"),
            (Signal::Resume, "let v2 go on;"),
            (Signal::Warn, "warn for v2;"),
        ] {
            assert!(said(decision(action)).contains(words), "{}", said(decision(action)));
        }
        assert!(said(Decision { drill: true, ..decision(Signal::Hold) }).starts_with("Decided as an exercise on"));
    }

    #[test]
    fn who_may_act_is_told_with_who_has_approved() {
        let told = |authority| who(&Decision { authority, ..decision(Signal::Hold) });
        assert_eq!(told(Authority::Approval), "nobody yet: it waits for approval");
        assert_eq!(told(Authority::Auto), "haldane, for machines to carry out");
        let mut manual = decision(Signal::Hold);
        manual.reason.code = ReasonCode::Manual.into();
        assert_eq!(who(&manual), "a person, as the reason says");
    }

    #[test]
    fn windows_that_are_not_trusted_are_counted_once_each() {
        let of = |hour, trust| WindowRow { trust, ..row(hour, "v1", "error_rate", 0.0) };
        let rows =
            vec![of(0, Trust::Untrusted), of(0, Trust::Degraded), of(1, Trust::Degraded), of(2, Trust::default())];
        let history = self::of(rows, &[decision(Signal::Hold)]);
        let summary = &history.rollouts[0].summary;
        assert!(summary.ends_with("; of 3 windows, 1 untrusted and 1 degraded"), "{summary}");
        let trusted = self::of(vec![of(0, Trust::default())], &[decision(Signal::Hold)]);
        assert!(trusted.rollouts[0].summary.ends_with("(1 decision)"));
    }

    #[test]
    fn where_nothing_is_found_it_is_said_what_was_asked_for() {
        let none = nothing(&Log { from: Some(0), ..Log::default() });
        assert_eq!(none.to_string(), "no window was judged and nothing was decided from 1970-01-01 00:00 UTC");
        assert!(none.advice().is_some_and(|hint| hint.starts_with("widen --from")));
        assert!(nothing(&Log::default()).advice().is_some_and(|hint| hint.contains("by then")));
        let log = Log { from: Some(10), until: Some(20), ..Log::default() };
        assert_eq!([9, 10, 19, 20].map(|time| log.holds(time)), [false, true, true, false]);
    }

    #[test]
    fn a_line_that_is_no_decision_is_named_by_its_number() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("d.jsonl");
        let whole = include_str!("../../../tests/data/recorded/flights.decisions.jsonl").lines().next();
        std::fs::write(&path, format!("{}\n\n{{}}\n", whole.expect("a line"))).expect("written");
        let error = history(&Log { decisions: vec![path], ..Log::default() }).expect_err("no decision");
        assert!(error.to_string().contains("d.jsonl: line 3 is not a decision"), "{error}");
        assert!(error.advice().is_some_and(|hint| hint.contains("--decisions")));
    }

    #[test]
    fn who_asks_for_a_candidate_that_nobody_decided_about_is_told() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("d.jsonl");
        std::fs::write(&path, include_str!("../../../tests/data/recorded/flights.decisions.jsonl")).expect("written");
        let log = |candidate: &str| Log {
            decisions: vec![path.clone()],
            candidate: Some(candidate.into()),
            ..Log::default()
        };
        assert!(history(&log("v1")).is_ok());
        let error = history(&log("v9")).expect_err("nothing about it");
        assert_eq!(error.to_string(), "no decision is about v9");
        let both = Log { rollout: Some("x".into()), ..log("v9") };
        assert_eq!(history(&both).expect_err("nothing").to_string(), "no decision is about x and v9");
    }
}
