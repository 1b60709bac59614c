//! `haldane check`: whether a pipeline file is sound, and what it does, in words.

mod act;
mod guards;
pub mod memory;
mod rollout;
mod serve;

use std::fmt::Write as _;
use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use super::print;
use crate::config::{self, KafkaConfig, Pipeline};
use crate::error::Result;
use crate::event::{Micros, SECOND};
use crate::files::InputFiles;
use crate::name::Name as _;
use crate::plan::{
    Action, Against, Baseline, Bound, Cause, Condition, Corrections, FieldSource, Mapping, Plan, QualityPlan, Rule,
    Selection, SourcePlan, WindowKind,
};
use crate::preview;
use crate::verdict::words::percent;

/// Check a pipeline file and say in words what it does.
#[derive(Debug, Args)]
#[command(
    after_help = "How soon regressions would be seen is rehearsed with drawn counts through the pipeline's guards; see \
`haldane power` for more of it.

Examples:
  haldane check -c pipelines/flights.yaml
  haldane check -c pipelines/flights.yaml --sample pipelines/data/flights.predictions.parquet
  haldane check -c pipelines/fraud.yaml --rate 50000 --share 1%"
)]
pub struct CheckArgs {
    /// Pipeline file.
    #[arg(short, long, value_name = "FILE")]
    pub config: PathBuf,
    /// Files of events, whose first rows are shown as they will be read, with the fields that nothing reads.
    #[arg(long, value_name = "FILES", num_args = 1..)]
    pub sample: Vec<PathBuf>,
    /// Events of all versions per window, for saying how soon regressions would be seen and how much memory is taken.
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    pub rate: u64,
    /// The candidate's share of them.
    #[arg(long, value_name = "SHARE", value_parser = config::share, default_value = "5%")]
    pub share: f64,
    /// Partitions of each topic, for saying how much memory is taken.
    #[arg(long, value_name = "N", default_value_t = 4)]
    pub partitions: u64,
    /// Versions that answer at the same time, for the same.
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub versions: u64,
    /// Segments of each version (combinations of their fields' values), for the same.
    #[arg(long, value_name = "N", default_value_t = 16)]
    pub segments: u64,
}

/// Runs the command.
pub fn run(args: &CheckArgs, out: &mut dyn Write) -> Result<()> {
    let pipeline = config::load(&args.config)?;
    let mut text = describe(&pipeline);
    if !args.sample.is_empty() {
        let schemas = crate::registry::lazily(pipeline.registry.as_ref());
        let preview = preview::of(&pipeline.plan, InputFiles::find(&args.sample)?.paths(), schemas)?;
        section(&mut text, "the first rows, as they are read (--sample)", &preview.rows);
        section(&mut text, "fields of the sample that nothing reads", &preview.unread);
    }
    section(
        &mut text,
        "how soon, at an assumed rate (--rate, --share)",
        &guards::forecasts(&pipeline.plan, args.rate, args.share),
    );
    let CheckArgs { rate, partitions, versions, segments, .. } = *args;
    let assumed = memory::Assumed { rate, partitions, versions, segments };
    section(
        &mut text,
        "memory, at an assumed rate (--rate, --partitions, --versions, --segments)",
        &memory::lines(&pipeline, assumed),
    );
    print(out, &text)?;
    memory::fits(&pipeline, assumed)
}

/// What a pipeline does, in words.
#[must_use]
pub fn describe(pipeline: &Pipeline) -> String {
    let mut text = format!("pipeline {} is sound\ndigest {}\n", pipeline.plan.name, pipeline.plan.digest);
    sections(pipeline).iter().for_each(|(title, lines)| section(&mut text, title, lines));
    text
}

/// The same as lines under titles, always the same ones in the same order.
pub(super) fn sections(pipeline: &Pipeline) -> Vec<(&'static str, Vec<String>)> {
    let plan = &*pipeline.plan;
    vec![
        ("sources", sources(plan)),
        ("columns", columns(plan)),
        ("windows", windows(plan)),
        ("labels", plan.quality.iter().map(labels).collect()),
        ("compared with", baselines(plan)),
        ("metrics", vec![list(plan.metrics.names.iter().copied())]),
        ("guards", guards::guards(plan)),
        ("mistakes they may make", guards::ledger(plan)),
        ("trust of windows", trust(plan)),
        ("rules", plan.policy.rules.iter().map(|rule| self::rule(plan, rule)).collect()),
        ("course", rollout::course(plan)),
        ("who acts", rollout::acts(plan)),
        ("what cannot be tested", guards::blind_spots(plan)),
        ("kafka", pipeline.kafka.as_ref().map(kafka).unwrap_or_default()),
        ("carried out by `haldane act`", act::targets(&pipeline.act)),
        ("who may read and act", serve::entries(&pipeline.serve)),
        ("be careful", serve::cautions(&pipeline.serve)),
    ]
}

/// Adds a section, unless it is empty.
fn section(text: &mut String, title: &str, lines: &[String]) {
    if lines.is_empty() {
        return;
    }
    write!(text, "\n{title}\n").expect("writing to a String cannot fail");
    for line in lines {
        writeln!(text, "  {line}").expect("writing to a String cannot fail");
    }
}

fn sources(plan: &Plan) -> Vec<String> {
    let version = |field: &FieldSource| match field {
        FieldSource::Absent => String::new(),
        FieldSource::Path(path) => format!(", version at {path}"),
        FieldSource::Constant(name) => format!(", always version {name}"),
    };
    let line = |source: &SourcePlan| {
        let Mapping { version: of, selection, rows, side, .. } = &source.mapping;
        let rows = rows.as_ref().map(|rows| format!(", one for each element of {rows}"));
        let side = side.map(|side| format!(", one for each row of the {} of a {}", side.tensors(), side.name()));
        let rows = rows.or(side).unwrap_or_default();
        let looked = source.mapping.looked_every.map_or_else(String::new, |every| {
            let holds = plan.share_holds().unwrap_or_default();
            format!(": what looks at a target every {} have shown, each for {}", span(every), span(holds))
        });
        let (kind, topic) = (source.kind.name(), &source.topic);
        format!("{kind}s from topic {topic}{looked}{rows}{}{}", version(of), taken(selection))
    };
    plan.sources.iter().map(line).collect()
}

/// Which records a source takes, where it does not take all.
fn taken(selection: &Selection) -> String {
    let is = |condition: &Condition| format!("{} is {}", condition.path, condition.allowed.join(" or "));
    let conditions: Vec<String> = selection.conditions.iter().map(is).collect();
    let only = if conditions.is_empty() { String::new() } else { format!(", only where {}", conditions.join(" and ")) };
    format!("{only}{}", if selection.without_tombstones { ", tombstones passed over" } else { "" })
}

fn columns(plan: &Plan) -> Vec<String> {
    let numeric =
        plan.columns.numeric.iter().map(|column| format!("{} ({} bins)", column.name, column.cut.edges.n_bins()));
    let categorical = plan.columns.categorical.iter().map(|column| match (column.known.len(), &column.rare) {
        (0, _) => column.name.clone(),
        (n, None) => format!("{} ({n} known)", column.name),
        (n, Some(rare)) => format!("{} ({n} known, and {} rare ones together)", column.name, rare.n()),
    });
    let lines = [
        ("numeric", list(numeric)),
        ("categorical", list(categorical)),
        ("split by", list(plan.segments.iter().cloned())),
    ];
    lines.into_iter().filter(|(_, names)| !names.is_empty()).map(|(kind, names)| format!("{kind}: {names}")).collect()
}

/// From when on the data of a window is not trusted.
fn trust(plan: &Plan) -> Vec<String> {
    let trust = &plan.policy.trust;
    let line = |&cause: &Cause| {
        let name = format!("{} ({})", cause.name(), cause.meaning());
        match trust.limits(cause) {
            Some(limits) => {
                format!(
                    "{name}: degraded from {}, untrusted from {}",
                    percent(limits.degraded),
                    percent(limits.untrusted)
                )
            }
            None => format!("{name}: not looked at"),
        }
    };
    if Cause::ALL.iter().all(|&cause| trust.limits(cause).is_none()) {
        return vec!["every window is trusted".to_owned()];
    }
    let ahead = format!("an event time may be ahead of its broker time by {}", span(trust.max_ahead));
    let few = format!("fewer than {} records say nothing; on an untrusted window nothing passes", trust.n_min);
    Cause::ALL.iter().map(line).chain([ahead, few]).collect()
}

fn windows(plan: &Plan) -> Vec<String> {
    let time = &plan.time;
    let shape = match time.window {
        WindowKind::Sliding { size, slide } if size == slide => format!("{} long, one after another", span(size)),
        WindowKind::Sliding { size, slide } => format!("{} long, one every {}", span(size), span(slide)),
        WindowKind::AtLeast { n_min, size_max } => {
            format!("until every version has {n_min} predictions, {} at most", span(size_max))
        }
    };
    let waiting = format!(
        "complete {} after their end in event time, revised by silent partitions for {}",
        span(time.lateness),
        span(time.revise_for)
    );
    let beginning = config::beginning(&time.clock, time.every());
    [Some(format!("{shape}, in panes of {}", span(time.pane))), beginning, Some(waiting)]
        .into_iter()
        .flatten()
        .collect()
}

fn labels(quality: &QualityPlan) -> String {
    let share = if quality.sample < 1.0 {
        format!(", {} of predictions followed up", percent(quality.sample))
    } else {
        String::new()
    };
    let corrected = match quality.corrections {
        Corrections::First => "",
        Corrections::Last => ", the last outcome of a prediction counts",
    };
    format!(
        "first result after {}, last revision after {}{share}{corrected}",
        span(quality.wait),
        span(quality.horizon)
    )
}

fn baselines(plan: &Plan) -> Vec<String> {
    let line = |baseline: &Baseline| match baseline {
        Baseline::Concurrent => format!("version {} in the same window", plan.policy.baseline_version),
        Baseline::Reference => match &plan.reference {
            Some(reference) => {
                format!(
                    "the reference {} ({} rows of {})",
                    reference.id, reference.profile.rows, reference.profile.origin
                )
            }
            None => "the reference".to_owned(),
        },
        Baseline::Previous => "the same version in the window before".to_owned(),
        Baseline::DaysAgo(days) => format!("the same version {days} days earlier"),
    };
    plan.baselines.iter().map(line).collect()
}

fn rule(plan: &Plan, rule: &Rule) -> String {
    let version = &plan.policy.baseline_version;
    let on = if rule.columns.is_empty() { String::new() } else { format!(" of {}", rule.columns.join(", ")) };
    let subject = match rule.against {
        Against::Value => format!("{}{on}", rule.metric),
        Against::Difference => format!("{}{on} less that of {version}", rule.metric),
        Against::Ratio => format!("{}{on} divided by that of {version}", rule.metric),
    };
    let to = rule.baseline.as_ref().map_or_else(String::new, |baseline| format!(" against {}", baseline.name()));
    let segments = if rule.segments { ", also per segment" } else { "" };
    let bound = match rule.bound {
        Bound::Above(bound) => format!("above {bound}"),
        Bound::Below(bound) => format!("below {bound}"),
    };
    format!(
        "{}: {} when {subject}{to} is {bound} in {} of {} windows with {} events or more{segments}",
        rule.name,
        action(rule),
        rule.breaches,
        rule.windows,
        rule.n_min
    )
}

fn action(rule: &Rule) -> String {
    match (rule.action, rule.cap_pct) {
        (Action::Contain, Some(cap)) => format!("contain to {cap} %"),
        (action, _) => action.name().to_owned(),
    }
}

fn kafka(kafka: &KafkaConfig) -> Vec<String> {
    let topics = &kafka.topics;
    vec![
        format!("{} over {}, group {}", kafka.brokers, kafka.security.protocol.name(), kafka.group),
        format!(
            "decisions to {}, states to {}, commands from {}, refused events to {}",
            topics.control, topics.state, topics.commands, topics.dead_letter
        ),
    ]
}

fn list(names: impl IntoIterator<Item = impl Into<String>>) -> String {
    names.into_iter().map(Into::into).collect::<Vec<String>>().join(", ")
}

/// A span of time in its largest whole unit.
pub(super) fn span(micros: Micros) -> String {
    let units = [("d", 86_400 * SECOND), ("h", 3_600 * SECOND), ("min", 60 * SECOND), ("s", SECOND), ("ms", 1_000)];
    let unit = units.into_iter().find(|(_, length)| micros > 0 && micros % length == 0);
    let (unit, length) = unit.unwrap_or(if micros == 0 { ("s", SECOND) } else { ("us", 1) });
    format!("{} {unit}", micros / length)
}
