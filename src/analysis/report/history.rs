//! What a replay or a service saw and decided: the windows and decisions that it wrote, as series, a log and summaries.

#[cfg(test)]
mod tests;

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
