//! Two files, compared: read, count, test, and put into words.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::answers::{self, Answers, Labels, Outcomes, Pass};
use super::column::{ALPHA, BINS, CountedColumn, FALSE_DISCOVERIES, Subset};
use super::count::{ColumnCounts, CountTask, FINE_BINS};
use super::events;
use super::figures::{latencies, quality, rates, timeline};
use super::layout::{self, ColumnPosition, Layout};
use super::model::{ColumnReport, Comparison, Method, Problem, QualityReport, RoleNote, Source, Stand, Untested};
use super::moved::{KS_TOLERATED, Moved, PSI_TOLERATED};
use super::problems::{self, RATE_PSI_TOLERATED};
use super::rows::{Filter, RowReader, Rows, SegmentNames};
use super::segments;
use crate::baseline::builder::FORMAT;
use crate::baseline::cut;
use crate::config::reference;
use crate::error::{Error, Result};
use crate::event::{EventKind, Micros, SECOND};
use crate::infer::calibrator::log_e_of_p;
use crate::infer::multiplicity::{bh, e_bh};
use crate::kafka::ports::Schemas;
use crate::metric::Side;
use crate::output::text::{count, instant, plural};
use crate::plan::{CategoricalColumn, ColumnRole, Compat, Plan, QualityPlan};
use crate::replay::is_archive;
use crate::summary::profile::{CategoricalProfile, NumericProfile};
use crate::summary::{Profile, Rates, Traffic};
use crate::table::Table;

/// Periods that the current file is cut into at most.
const PERIODS_MAX: i64 = 48;
/// Lengths of periods.
const LENGTHS: [Micros; 10] = [60, 300, 900, 3_600, 10_800, 21_600, 86_400, 604_800, 2_592_000, 31_536_000];

/// What to compare.
#[derive(Debug, Clone, Default)]
pub struct CompareRequest {
    /// What things should be like: files that belong together.
    pub reference: Vec<PathBuf>,
    /// What is judged: files that belong together.
    pub current: Vec<PathBuf>,
    /// Files of labels, for either.
    pub outcomes: Vec<PathBuf>,
    /// Which topic of archives is compared; default: the one that comes first.
    pub topic: Option<String>,
    /// Rows of the current file that are judged.
    pub filter: Filter,
    /// The classes that are positive; default: as the pipeline says, else it is guessed.
    pub positive: Vec<String>,
    /// Where the schemas are known that records in archives name.
    pub schemas: Option<Arc<dyn Schemas>>,
    /// Conventions of other tools whose numbers stand beside ours.
    pub compat: Vec<Compat>,
}

/// Compares two files; a pipeline says what columns are for, else it is guessed.
pub fn compare(request: &CompareRequest, plan: Option<&Plan>) -> Result<Comparison> {
    let (topic, positive) = (request.topic.as_deref(), request.positive.as_slice());
    let traffic = plan.map(layout::traffic).transpose()?;
    let files = || request.reference.iter().chain(&request.current);
    let of_archives =
        traffic.is_some() && files().map(|file| is_archive(file)).collect::<Result<Vec<_>>>()?.contains(&true);
    let decoded = plan.zip(traffic.filter(|source| of_archives || events::are_decoded(source)));
    let side = |paths: &[PathBuf]| match decoded {
        Some((plan, source)) => Ok((events::table(plan, source, paths, request)?, Vec::new())),
        None => open(paths, topic).map(|(table, left_out)| (looking_into(table, plan), left_out)),
    };
    let (sides, left_out): (Vec<Table>, Vec<Vec<String>>) =
        [side(&request.reference)?, side(&request.current)?].into_iter().unzip();
    let tables = [&sides[0], &sides[1]];
    let layout = if let Some((plan, source)) = decoded {
        events::layout(plan, source, tables)
    } else {
        let mut layout = plan.map_or_else(|| layout::guessed(tables), |plan| layout::of_plan(plan, tables))?;
        layout.name_positive(positive);
        layout
    };
    let outcomes = request.outcomes.iter().map(|path| outcome_table(path, plan, request));
    let outcomes = Outcomes::read(&outcomes.collect::<Result<Vec<_>>>()?, plan)?;
    let mut comparison = Job { tables, layout: &layout, request }.run(&outcomes.labels)?;
    let topics = (0..).zip(&left_out).filter_map(|(side, topics)| problems::left_out(side, topics));
    comparison.problems.splice(0..0, topics.chain(problems::of_outcomes(&outcomes)));
    if outcomes.corrected > 0 {
        let (corrected, files) = (plural(outcomes.corrected, "outcome"), plural(outcomes.undated, "file"));
        let further_down = format!(", which in {files} without times is the one further down");
        let order = Some(further_down).filter(|_| outcomes.undated > 0).unwrap_or_default();
        comparison.trust.push(format!("{corrected} correct older ones of the same prediction; the last counts{order}"));
    }
    let warnings = ["reference", "current file"].into_iter().zip(tables);
    let warnings = warnings.flat_map(|(side, table)| table.warnings().map(move |text| format!("the {side} {text}")));
    comparison.trust.extend(warnings);
    Ok(comparison)
}

/// The table with the columns inside of others that a pipeline names.
fn looking_into(table: Table, plan: Option<&Plan>) -> Table {
    table.looking_into(plan.iter().flat_map(|plan| &plan.sources).flat_map(|source| source.mapping.paths()))
}

/// A file of outcomes.
fn outcome_table(path: &PathBuf, plan: Option<&Plan>, request: &CompareRequest) -> Result<Table> {
    let source = plan.and_then(|plan| plan.sources.iter().find(|source| source.kind == EventKind::Outcome));
    let of_archive = source.is_some() && is_archive(path)?;
    match plan.zip(source.filter(|source| of_archive || events::are_decoded(source))) {
        // The topic that is asked for is that of both sides.
        Some((plan, source)) => {
            events::table(plan, source, std::slice::from_ref(path), &CompareRequest { topic: None, ..request.clone() })
        }
        None => Table::open(path).map(|table| looking_into(table, plan)),
    }
}

/// The table of files, of several topics the one asked for or the first, and the names of the others.
fn open(paths: &[PathBuf], topic: Option<&str>) -> Result<(Table, Vec<String>)> {
    let mut tables = Table::open_together(paths)?;
    let Some(topic) = topic else {
        let others = tables.split_off(1).into_iter().filter_map(|table| table.topic);
        return Ok((tables.swap_remove(0), others.collect()));
    };
    let known: Vec<String> = tables.iter().filter_map(|table| table.topic.clone()).collect();
    let chosen = tables.into_iter().find(|table| table.topic.as_deref() == Some(topic));
    let chosen = chosen.ok_or_else(|| {
        let hint = if known.is_empty() { "its records name no topic".to_owned() } else { known.join(", ") };
        Error::user(format!("{} holds no topic `{topic}`", paths[0].display())).hint(format!("there are: {hint}"))
    })?;
    Ok((chosen, Vec::new()))
}

struct Job<'a> {
    tables: [&'a Table; 2],
    layout: &'a Layout,
    request: &'a CompareRequest,
}

/// Rows of both files, and how they are split.
struct Split {
    rows: [Rows; 2],
    fields: Vec<ColumnPosition>,
    names: SegmentNames,
    /// Start and length of periods, and how many there are.
    periods: Option<(Micros, Micros, usize)>,
}

impl Job<'_> {
    fn run(&self, labels: &Labels) -> Result<Comparison> {
        let all = [0, 1].map(|side| self.every_column(side));
        let split = self.split(&all)?;
        let counted = self.count(&all, &split)?;
        let pairs: Vec<CountedColumn<'_>> = self
            .layout
            .columns
            .iter()
            .zip(&counted)
            .map(|(watched, counted)| CountedColumn { watched, counted })
            .collect();
        let (tested, untested): (Vec<&CountedColumn<'_>>, Vec<&CountedColumn<'_>>) =
            pairs.iter().partition(|pair| pair.untested().is_none());
        let (columns, named) = columns(&tested, &self.request.compat);
        let quality_plan = self.quality_plan(&counted, !labels.is_empty());
        let answers = self.answers(&all, &split, labels, quality_plan.as_ref())?;
        let features: Vec<&CountedColumn<'_>> =
            tested.iter().copied().filter(|pair| pair.watched.numeric != Some(ColumnRole::Latency)).collect();
        let in_part = |field: usize, value: usize| part_rows(&pairs, field, value);
        let quality = quality_plan.as_ref().and_then(|plan| quality(plan, &answers));
        Ok(Comparison {
            reference: self.source(0, &split.rows[0]),
            current: self.source(1, &split.rows[1]),
            reference_id: profile_id(&self.source(0, &split.rows[0]).name, split.rows[0].n(), &counted, &answers),
            method: method(&counted, tested.len(), named),
            columns,
            problems: self.problems(&pairs, &split, labels, &answers),
            untested: self.untested(&untested),
            answers: rates(&answers),
            latency: latencies(&counted),
            segments: segments::of(&features, &split.fields, &split.names, in_part),
            timeline: split.periods.map(|periods| timeline(periods, &split.rows[1], answers[1].as_ref())),
            trust: trust(&split).into_iter().chain(quality.as_ref().and_then(without_all_classes)).collect(),
            quality,
            roles: self.layout.roles.iter().map(|(column, role, why)| note(column, role, why)).collect(),
        })
    }

    /// What is wrong: rows and labels that are lost first, then what changed in columns.
    fn problems(
        &self,
        pairs: &[CountedColumn<'_>],
        split: &Split,
        labels: &Labels,
        answers: &[Option<Answers>; 2],
    ) -> Vec<Problem> {
        let rows = (0..).zip(&split.rows).filter_map(|(side, rows)| problems::losses(side, rows));
        let unfit = (0..).zip(answers).filter_map(|(side, answers)| problems::unfit(side, answers.as_ref()?));
        let joined: u64 = answers.iter().flatten().map(|answers| answers.joined).sum();
        let unjoined = problems::unjoined(labels.len() as u64, joined)
            .filter(|_| self.layout.id.is_some() && self.request.filter.is_empty());
        rows.chain(unfit).chain(unjoined).chain(problems::of(pairs)).collect()
    }

    /// The columns that are read of a file that gives all or nothing.
    fn every_column(&self, side: usize) -> Vec<usize> {
        let layout = self.layout;
        let named = [&layout.id, &layout.version, &layout.predicted, &layout.label, &layout.status, &layout.failed];
        let places = named.into_iter().flatten().chain(layout.time.iter().map(|(place, _)| place));
        let of_classes = layout.class_scores.iter().filter_map(|scores| scores.columns(side)).flatten();
        let places = places.chain(layout.columns.iter().map(|column| &column.place)).chain(&layout.segments);
        let mut all: Vec<usize> = places.filter_map(|place| place.at[side]).chain(of_classes).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    fn reader<'b>(&'b self, all: &'b [Vec<usize>; 2], side: usize, segments: &'b [ColumnPosition]) -> RowReader<'b> {
        RowReader { table: self.tables[side], layout: self.layout, side, all: &all[side], segments }
    }

    /// Finds out which rows count, and splits them.
    fn split(&self, all: &[Vec<usize>; 2]) -> Result<Split> {
        let fields = segments::fields(self.layout, self.tables[0])?;
        let mut names = SegmentNames::new();
        let reference = self.reader(all, 0, &fields).rows(&Filter::default(), &mut names)?;
        let mut current = self.reader(all, 1, &fields).rows(&self.request.filter, &mut names)?;
        for (side, rows) in [&reference, &current].into_iter().enumerate() {
            if rows.n() == 0 {
                return Err(self.nothing(side, rows));
            }
        }
        let periods = current.range.and_then(|(first, last)| periods(first, last));
        if let Some((start, length, n)) = periods {
            current.lay_periods(start, length, n);
        }
        Ok(Split { rows: [reference, current], fields, names, periods })
    }

    /// The error of a side without rows.
    fn nothing(&self, side: usize, rows: &Rows) -> Error {
        let path = self.tables[side].path.display();
        if let (0, Some(example)) = (rows.read, &rows.example) {
            return Error::user(format!("none of the {} rows of {path} can be read; {example}", rows.refused))
                .hint("the first line must name the columns, and each row must have a cell for each of them");
        }
        if rows.outside == 0 {
            return Error::user(format!("{path} has no rows to compare"))
                .hint("a report needs rows on both sides; write or copy the file again");
        }
        let hint = match rows.seen {
            Some((first, last)) => format!("its rows are from {} to {}", instant(first), instant(last)),
            None => "check --version, --from and --until".to_owned(),
        };
        Error::user(format!("none of the {} rows of {path} is of the version and time asked for", rows.read)).hint(hint)
    }

    fn count(&self, all: &[Vec<usize>; 2], split: &Split) -> Result<Vec<ColumnCounts>> {
        let task = CountTask {
            readers: [0, 1].map(|side| self.reader(all, side, &split.fields)),
            rows: [&split.rows[0], &split.rows[1]],
            n_periods: split.periods.map_or(0, |(.., n)| n),
            n_values: split.names.iter().map(Vec::len).collect(),
            n_columns: self.layout.columns.len(),
        };
        task.run(&self.layout.columns)
    }

    /// How answers are judged, when there are labels, and scores or classes.
    fn quality_plan(&self, counted: &[ColumnCounts], has_labels: bool) -> Option<QualityPlan> {
        let has_label = self.layout.label.is_some() || has_labels && self.layout.id.is_some();
        let edges = self.layout.columns.iter().zip(counted).find_map(|(watched, counted)| match counted {
            ColumnCounts::Numeric { column, .. } if watched.numeric == Some(ColumnRole::Score) => {
                Some(column.cut.edges.clone())
            }
            _ => None,
        });
        let probabilities = self.layout.class_scores.as_ref();
        let edges = edges.or_else(|| probabilities.map(|_| cut::equal_width(0.0, 1.0, FINE_BINS).edges));
        let has_classes = self.layout.predicted.is_some() && self.layout.task != crate::plan::Task::Regression;
        (has_label && (edges.is_some() || has_classes)).then(|| answers::plan(self.layout, edges))
    }

    fn answers(
        &self,
        all: &[Vec<usize>; 2],
        split: &Split,
        labels: &Labels,
        quality: Option<&QualityPlan>,
    ) -> Result<[Option<Answers>; 2]> {
        let run = |side: usize| {
            let n_periods = if side == 1 { split.periods.map_or(0, |(.., n)| n) } else { 0 };
            let reader = self.reader(all, side, &split.fields);
            Pass { reader, rows: &split.rows[side], n_periods, labels, quality }.run()
        };
        Ok([run(0)?, run(1)?])
    }

    fn source(&self, side: usize, rows: &Rows) -> Source {
        Source {
            name: file_name(&self.tables[side].path),
            rows: rows.read,
            compared: rows.n(),
            duplicates: rows.duplicates,
            outside: rows.outside,
            refused: rows.refused,
            passed_over: rows.passed_over,
            first: rows.range.map(|range| range.0),
            last: rows.range.map(|range| range.1),
            versions: rows.versions.clone(),
        }
    }

    fn untested(&self, pairs: &[&CountedColumn<'_>]) -> Vec<Untested> {
        let of_pairs = pairs.iter().filter_map(|pair| Some((pair.name().to_owned(), pair.untested()?)));
        let others = self.layout.untested.iter().cloned();
        of_pairs.chain(others).map(|(column, why)| Untested { column, why }).collect()
    }
}

/// How it was tested.
fn method(counted: &[ColumnCounts], tested: usize, (named_bh, named_e_bh): (usize, usize)) -> Method {
    let stride =
        counted.iter().map(|counted| if let ColumnCounts::Numeric { stride, .. } = counted { *stride } else { 1 });
    let mut notes = vec![
        format!(
            "A column drifted when its PSI over {BINS} bins at quantiles of the reference (or over its categories) is \
             beyond {PSI_TOLERATED}, or its KS beyond {KS_TOLERATED}, and not by chance: the non-central chi-square law \
             and that of a Brownian bridge at those tolerances, the smaller p-value doubled, Benjamini and Hochberg's \
             rule over all columns at a false discovery rate of {} %.",
            FALSE_DISCOVERIES * 100.0
        ),
        "Within means that PSI (less what chance adds) and KS are not beyond the tolerance as they were seen. Unclear \
         means that one of them is, but that so few rows may show it by chance."
            .to_owned(),
        "e-BH is the same list by e-values, which holds however columns depend on each other; it names fewer.".to_owned(),
        format!(
            "Intervals of PSI are those of the true index at {} %, drawn out to the index as seen; KS is given by the two numbers between which the exact \
             distance certainly lies.",
            (1.0 - ALPHA) * 100.0
        ),
        "Shares have half a count added to each cell (Jeffreys); for the test, cells with fewer than five expected values \
         are put together. Missing values and NaN are left out of distances and reported as problems of their own."
            .to_owned(),
        "Beside the verdict stand the tests of no difference at all that people know, which find any difference once there are \
         rows enough: Kolmogorov-Smirnov (exact where rows are few, else the limit law), Mann-Whitney, Welch and, of \
         categories, chi-square; of rates Fisher's exact test and the pooled z, with Newcombe's interval of the difference."
            .to_owned(),
        "Rows are taken to be independent; rows of one user or device are not, and then p-values are too small.".to_owned(),
        format!("Numeric columns are counted in up to {FINE_BINS} fine bins of the reference, and more beyond its range."),
    ];
    if let Some(stride) = stride.max().filter(|&stride| stride > 1) {
        notes
            .push(format!("The reference is large: every row number divisible by {stride} taught where bins are cut."));
    }
    Method {
        psi_tolerated: PSI_TOLERATED,
        ks_tolerated: KS_TOLERATED,
        rate_psi_tolerated: RATE_PSI_TOLERATED,
        false_discovery_rate: FALSE_DISCOVERIES,
        confidence: 1.0 - ALPHA,
        tested,
        named_bh,
        named_e_bh,
        bins: BINS,
        notes,
    }
}

/// Why predictions of several classes have no log loss, where they have none.
fn without_all_classes(quality: &QualityReport) -> Option<String> {
    let log_loss = quality.figures.iter().find(|figure| figure.metric == "log_loss")?;
    let is_lost = quality.task == "multiclass" && log_loss.n > 0 && log_loss.value.is_none();
    let why = "log loss is left out: it is that of the true class, and the files do not hold the probabilities of all";
    is_lost.then(|| why.to_owned())
}

/// What limits how far the numbers can be trusted.
fn trust(split: &Split) -> Vec<String> {
    let mut notes = Vec::new();
    for (side, rows) in ["reference", "current file"].into_iter().zip(&split.rows) {
        let mut note = |n: u64, what: &str| {
            if n > 0 {
                notes.push(format!("{} of the {side} {what}", plural(n, "row")));
            }
        };
        note(rows.refused, "could not be read, and were left out");
        note(rows.passed_over, "are none that the pipeline takes, and were passed over");
        note(rows.undated, "has no time, or one before 1990 or after 2100, and stands in no period");
        note(rows.duplicates, "carried an id that was there before, and were left out");
        if rows.versions.len() > 1 {
            let shares = rows.versions.iter().map(|(name, n)| format!("{name} ({})", count(*n)));
            notes.push(format!(
                "the {side} holds several versions together: {}; --version takes one of the current file",
                shares.collect::<Vec<_>>().join(", ")
            ));
        }
    }
    if let [Some((_, before)), Some((after, _))] = [split.rows[0].range, split.rows[1].range]
        && after <= before
    {
        notes.push("the current file begins before the reference ends: they may share rows".to_owned());
    }
    notes
}

fn note(column: &str, role: &str, why: &str) -> RoleNote {
    RoleNote { column: column.to_owned(), role: role.to_owned(), why: why.to_owned() }
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// Periods over a range of times: start, length and number; none for a range that is a single moment.
fn periods(first: Micros, last: Micros) -> Option<(Micros, Micros, usize)> {
    let length = LENGTHS.iter().map(|seconds| seconds * SECOND).find(|length| (last - first) / length < PERIODS_MAX)?;
    let start = first.div_euclid(length) * length;
    let n = usize::try_from((last - start) / length + 1).ok()?;
    (n > 2).then_some((start, length, n))
}

/// Rows of each side in a part of traffic: of the column that has most of them, since all columns have the same rows.
fn part_rows(pairs: &[CountedColumn<'_>], field: usize, value: usize) -> [u64; 2] {
    let rows = |side: Side<'_>| match side {
        Side::Numeric(side) => side.rows(),
        Side::Categorical(side) => side.rows(),
        _ => 0,
    };
    let of = |pair: &CountedColumn<'_>| pair.sides(Subset::Segment(field, value)).map(rows);
    pairs.iter().map(of).fold([0, 0], |most, rows| [most[0].max(rows[0]), most[1].max(rows[1])])
}

/// The reports of all tested columns, those that moved most first, and how many each rule names.
fn columns(tested: &[&CountedColumn<'_>], compat: &[Compat]) -> (Vec<ColumnReport>, (usize, usize)) {
    let moved: Vec<(&CountedColumn<'_>, Moved)> =
        tested.iter().filter_map(|pair| Some((*pair, pair.moved()?))).collect();
    let mut reports: Vec<ColumnReport> = moved.iter().map(|(pair, moved)| pair.report(moved, compat)).collect();
    let p: Vec<f64> = reports.iter().map(|report| report.p_value).collect();
    let log_e: Vec<f64> = p.iter().map(|&p| log_e_of_p(p)).collect();
    let (named, named_e) = (bh(&p, FALSE_DISCOVERIES), e_bh(&log_e, FALSE_DISCOVERIES));
    named.iter().for_each(|&at| (reports[at].drifted, reports[at].verdict) = (true, Stand::Drifted));
    named_e.iter().for_each(|&at| reports[at].drifted_e = true);
    reports.sort_by(|a, b| b.drifted.cmp(&a.drifted).then(b.psi.debiased.total_cmp(&a.psi.debiased)));
    (reports, (named.len(), named_e.len()))
}

/// The content address of what the reference came to.
fn profile_id(origin: &str, rows: u64, counted: &[ColumnCounts], answers: &[Option<Answers>; 2]) -> String {
    let mut profile = Profile {
        format: FORMAT,
        origin: origin.to_owned(),
        rows,
        numeric: Vec::new(),
        categorical: Vec::new(),
        all: Traffic::new(&crate::plan::Columns::default()),
        segments: Vec::new(),
        measures: Vec::new(),
    };
    profile.all.rates = answers[0].as_ref().map_or_else(Rates::default, |answers| answers.rates);
    for counted in counted {
        match counted {
            ColumnCounts::Numeric { column, sides, latency, .. } => {
                let (name, cut) = (column.name.clone(), &column.cut);
                let (edges, recuts, grid) = (cut.edges.as_slice().to_vec(), cut.recuts.clone(), cut.grid);
                profile.numeric.push(NumericProfile { name, edges, recuts, grid });
                profile.all.numeric.push(sides[0].all.clone());
                if let Some(latency) = latency {
                    profile.all.latency = latency[0].clone();
                }
            }
            ColumnCounts::Categorical { column, sides, .. } => {
                let CategoricalColumn { name, known, rare } = column.clone();
                profile.categorical.push(CategoricalProfile { name, known, rare: rare.as_deref().cloned() });
                profile.all.categorical.push(sides[0].all.clone());
            }
        }
    }
    reference::named(profile).id
}
