//! `haldane power`: how soon, and with which share of traffic, the guards of a pipeline see a regression.

pub(crate) mod forecast;

use std::fmt::Write as _;
use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use self::forecast::{Forecast, Odds, RUNS, forecast};
use super::print;
use crate::config;
use crate::error::{Error, Result};
use crate::output::{aligned, count};
use crate::plan::{ColumnRole, GuardPlan, Plan};
use crate::verdict::power::{Load, Regression, Rehearsal};
use crate::verdict::words::percent;

/// Shares of traffic that are looked at unless others are named.
const SHARES: [f64; 3] = [0.01, 0.05, 0.25];
/// Effects that are looked at unless others are named.
const ERRORS: [f64; 3] = [1.5, 2.0, 3.0];
const LATENCIES: [f64; 2] = [1.2, 1.5];
const SHIFTS: [f64; 2] = [0.1, 0.25];
/// A share sees what it rolls back (or, for a shift, contains) with this chance.
const SEEN: f64 = 0.8;
/// Rollouts and halvings behind the smallest effect that a share sees.
const SEARCH_RUNS: u32 = 10;
const HALVINGS: u32 = 5;

/// Show how many windows and events the guards need to see a regression, and what a share of traffic can show at all.
#[derive(Debug, Args)]
#[command(
    after_help = "Rollouts are rehearsed with drawn counts through the guards of the pipeline. `contain` and `rollback` \
are the windows after which half of them have acted, `events` the candidate's answers up to then, `chance` the share that \
acts within the planned windows, known to a tenth or so.

Examples:
  haldane power -c pipelines/fraud.yaml --rate 10000
  haldane power -c pipelines/fraud.yaml --rate 10000 --share 5% --error-rate 0.5% --effect 2x --effect +50%
  haldane power -c pipelines/fraud.yaml --candidate 500 --baseline 9500 --latency +20% --shift 0.25sd"
)]
pub struct PowerArgs {
    /// Pipeline file.
    #[arg(short, long, value_name = "FILE")]
    pub config: PathBuf,
    /// Events of all versions per window.
    #[arg(long, value_name = "N", required_unless_present_all = ["candidate", "baseline"])]
    pub rate: Option<u64>,
    /// The candidate's share of them; may be repeated. Default: 1%, 5% and 25%.
    #[arg(long, value_name = "SHARE", value_parser = config::share, requires = "rate")]
    pub share: Vec<f64>,
    /// Instead of --rate: the candidate's events per window.
    #[arg(long, value_name = "N", conflicts_with = "rate", requires = "baseline")]
    pub candidate: Option<u64>,
    /// Instead of --rate: the baseline version's events per window.
    #[arg(long, value_name = "N", conflicts_with = "rate", requires = "candidate")]
    pub baseline: Option<u64>,
    /// How many answers of the baseline version fail.
    #[arg(long, value_name = "SHARE", value_parser = config::share, default_value = "1%")]
    pub error_rate: f64,
    /// Look at errors: how many times as many fail, such as 2x or +20%; may be repeated.
    #[arg(long, value_name = "TIMES", value_parser = config::times)]
    pub effect: Vec<f64>,
    /// Look at latency: how much slower answers are, such as +20%; may be repeated.
    #[arg(long, value_name = "TIMES", value_parser = config::times)]
    pub latency: Vec<f64>,
    /// Standard deviation of the logarithm of latencies: 0.5 means that one in six is slower than 1.65 times the
    /// median.
    #[arg(long, value_name = "SD", value_parser = spread, default_value = "0.5")]
    pub latency_spread: f64,
    /// Look at a feature: how far its mean is off in standard deviations, such as 0.25sd; may be repeated.
    #[arg(long, value_name = "SD", value_parser = deviations)]
    pub shift: Vec<f64>,
    /// Windows of the rollout. Default: what the pipeline plans.
    #[arg(long, value_name = "N")]
    pub windows: Option<u32>,
    /// Variance of the counts, in terms of that of independent events. Default: 1 where events name their entity, since
    /// it is measured then, else what the pipeline assumes.
    #[arg(long, value_name = "TIMES", value_parser = design_effect)]
    pub design_effect: Option<f64>,
}

/// Runs the command.
pub fn run(args: &PowerArgs, out: &mut dyn Write) -> Result<()> {
    let plan = config::load(&args.config)?.plan;
    let guard = plan.policy.guards.as_ref().ok_or_else(|| {
        Error::user("nothing guards a rollout in this pipeline")
            .hint("add `rollout: { baseline: VERSION }`, and no `guards: off`")
    })?;
    print(out, &PowerContext::new(&plan, guard, args)?.text())
}

/// What is asked, of which pipeline.
struct PowerContext<'a> {
    args: &'a PowerArgs,
    plan: &'a Plan,
    guard: &'a GuardPlan,
    rehearsal: Rehearsal,
    design_effect: f64,
    windows: u32,
    loads: Vec<Load>,
}

/// One thing that may go wrong, to several degrees.
struct Topic<'a> {
    title: String,
    effects: Vec<f64>,
    /// An effect in words.
    words: fn(f64) -> String,
    wrong: Box<dyn Fn(f64) -> Regression + 'a>,
    /// Effects between which the smallest visible one is looked for.
    range: (f64, f64),
    /// Whether it can be rolled back, or contained only.
    rolls_back: bool,
}

impl<'a> PowerContext<'a> {
    fn new(plan: &'a Plan, guard: &'a GuardPlan, args: &'a PowerArgs) -> Result<Self> {
        let design_effect = args.design_effect.unwrap_or_else(|| assumed_design_effect(plan, guard));
        let rehearsal = Rehearsal::new(plan, design_effect).expect("the plan has guards");
        let windows = args.windows.unwrap_or(guard.planned);
        let loads = loads(args);
        if loads.iter().any(|load| load.candidate == 0 || load.baseline == 0) {
            return Err(Error::user("a version without events cannot be compared")
                .hint("give both versions traffic: raise --rate, or choose a --share between 0 and 1"));
        }
        Ok(Self { args, plan, guard, rehearsal, design_effect, windows, loads })
    }

    fn topics(&self) -> Vec<std::result::Result<Topic<'_>, String>> {
        let Self { args, .. } = self;
        let all = args.effect.is_empty() && args.latency.is_empty() && args.shift.is_empty();
        let chosen = |given: &[f64], default: &[f64]| match given {
            [] if all => default.to_vec(),
            given => given.to_vec(),
        };
        let errors = chosen(&args.effect, &ERRORS);
        let latencies = chosen(&args.latency, &LATENCIES);
        let shifts = chosen(&args.shift, &SHIFTS);
        let topics = [
            (!errors.is_empty()).then(|| self.errors(errors)),
            (!latencies.is_empty()).then(|| self.latency(latencies)),
        ];
        topics.into_iter().flatten().chain((!shifts.is_empty()).then(|| self.shift(shifts))).collect()
    }

    fn errors(&self, effects: Vec<f64>) -> std::result::Result<Topic<'_>, String> {
        let told =
            |source: &crate::plan::SourcePlan| source.mapping.status.is_some() || source.mapping.failed.is_some();
        if !self.plan.sources.iter().any(told) {
            return Err("errors: no source tells whether an answer failed (`status` or `error`)".to_owned());
        }
        let rate = self.args.error_rate;
        let title = format!(
            "errors: {} of the baseline version's answers fail; the candidate may fail {} times as often",
            percent(rate),
            self.guard.errors
        );
        let wrong = Box::new(move |ratio| Regression::Errors { rate, ratio });
        Ok(Topic { title, effects, words: in_times, wrong, range: (self.guard.errors, 20.0), rolls_back: true })
    }

    fn latency(&self, effects: Vec<f64>) -> std::result::Result<Topic<'_>, String> {
        if self.plan.columns.index_of(ColumnRole::Latency).is_none() {
            return Err("latency: no source carries it (`latency`)".to_owned());
        }
        let spread = self.args.latency_spread;
        let title = format!(
            "latency: log-normal with a spread of {spread}; the candidate may be slower by {}",
            percent(self.guard.latency)
        );
        let wrong = Box::new(move |ratio| Regression::Latency { spread, ratio });
        let range = (1.0 + self.guard.latency, 4.0);
        Ok(Topic { title, effects, words: on_top, wrong, range, rolls_back: true })
    }

    fn shift(&self, effects: Vec<f64>) -> std::result::Result<Topic<'_>, String> {
        let Some((column, name)) = self.rehearsal.feature() else {
            return Err("features: no source carries a numeric one".to_owned());
        };
        let title = format!("features: the mean of one, such as {name}, is off; contained at most");
        let wrong = Box::new(move |deviations| Regression::Shift { column, deviations });
        Ok(Topic { title, effects, words: in_deviations, wrong, range: (0.01, 2.0), rolls_back: false })
    }

    fn text(&self) -> String {
        let Self { guard, windows, .. } = self;
        let mut text = format!(
            "chance of a false rollback {} over the rollout, design effect {}, {windows} windows planned, {} at least\n",
            percent(guard.alpha),
            self.design_effect,
            guard.windows_min
        );
        for topic in self.topics() {
            match topic {
                Ok(topic) => text += &self.table(&topic),
                Err(why) => {
                    let _ = write!(text, "\n{why}\n");
                }
            }
        }
        text
    }

    fn table(&self, topic: &Topic<'_>) -> String {
        let head = ["share", "events", "effect", "contain", "events", "chance", "rollback", "events", "chance", "sees"];
        let mut rows = vec![head.map(str::to_owned)];
        for &load in &self.loads {
            let smallest = self.smallest(topic, load);
            for (nth, &effect) in topic.effects.iter().enumerate() {
                let Forecast { contain, rollback } =
                    forecast(&self.rehearsal, load, (topic.wrong)(effect), self.windows, RUNS);
                let contained = cells(&contain, load);
                let rolled_back = if topic.rolls_back { cells(&rollback, load) } else { ["-"; 3].map(str::to_owned) };
                let sees = if nth == 0 { smallest.clone() } else { String::new() };
                let traffic = format!("{} + {}", count(load.candidate), count(load.baseline));
                let row = [share_of(load), traffic, (topic.words)(effect)].into_iter();
                let row: Vec<String> = row.chain(contained).chain(rolled_back).chain([sees]).collect();
                rows.push(row.try_into().expect("as many cells as the head has"));
            }
        }
        format!("\n{}\n{}", topic.title, aligned(&rows, 2))
    }

    /// The smallest effect that is seen within the planned windows, by halving on a logarithmic scale.
    fn smallest(&self, topic: &Topic<'_>, load: Load) -> String {
        let seen = |effect: f64| {
            let Forecast { contain, rollback } =
                forecast(&self.rehearsal, load, (topic.wrong)(effect), self.windows, SEARCH_RUNS);
            if topic.rolls_back { rollback.chance() >= SEEN } else { contain.chance() >= SEEN }
        };
        let (mut low, mut high) = topic.range;
        if !seen(high) {
            return format!("nothing below {}", (topic.words)(high));
        }
        for _ in 0..HALVINGS {
            let middle = (low * high).sqrt();
            if seen(middle) { high = middle } else { low = middle }
        }
        format!("{} or more", (topic.words)(high))
    }
}

/// What a pipeline makes of repeated requests: measured where events name their entity.
pub(crate) fn assumed_design_effect(plan: &Plan, guard: &GuardPlan) -> f64 {
    let known = plan.sources.iter().any(|source| source.mapping.entity.is_some());
    if known { 1.0 } else { guard.design_effect }
}

fn loads(args: &PowerArgs) -> Vec<Load> {
    match (args.rate, args.candidate.zip(args.baseline)) {
        (Some(rate), _) => {
            let shares = if args.share.is_empty() { &SHARES[..] } else { &args.share };
            shares.iter().map(|&share| load(rate, share)).collect()
        }
        (None, Some((candidate, baseline))) => vec![Load { candidate, baseline }],
        (None, None) => Vec::new(),
    }
}

/// A window's events parted by the candidate's share.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a part of a count"
)]
pub(crate) fn load(rate: u64, share: f64) -> Load {
    let candidate = ((rate as f64 * share).round() as u64).min(rate);
    Load { candidate, baseline: rate - candidate }
}

fn cells(odds: &Odds, load: Load) -> [String; 3] {
    let chance = format!("{:.0} %", 100.0 * odds.chance());
    match odds.median() {
        Some(windows) => [count(windows.into()), count(u64::from(windows) * load.candidate), chance],
        None => ["-".to_owned(), "-".to_owned(), chance],
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
fn share_of(load: Load) -> String {
    percent(load.candidate as f64 / (load.candidate + load.baseline) as f64)
}

/// `2x`, or `+20 %` below that.
fn in_times(ratio: f64) -> String {
    if ratio < 2.0 { on_top(ratio) } else { format!("{}x", (ratio * 100.0).round() / 100.0) }
}

fn on_top(ratio: f64) -> String {
    format!("+{:.0} %", 100.0 * (ratio - 1.0))
}

fn in_deviations(deviations: f64) -> String {
    format!("{} sd", (deviations * 1000.0).round() / 1000.0)
}

fn deviations(text: &str) -> std::result::Result<f64, String> {
    let number = text.strip_suffix("sd").unwrap_or(text).trim_end().parse::<f64>().ok();
    number
        .filter(|number| *number > 0.0 && number.is_finite())
        .ok_or_else(|| format!("`{text}` is not a shift; write standard deviations, such as 0.25sd"))
}

fn spread(text: &str) -> std::result::Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|number| *number > 0.0 && number.is_finite());
    number.ok_or_else(|| format!("`{text}` is no spread; write the deviation of the logarithm, such as 0.5"))
}

fn design_effect(text: &str) -> std::result::Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|number| (1.0..=1e6).contains(number));
    number.ok_or_else(|| {
        format!(
            "`{text}` is no design effect; write 1 when every request is independent, more when one entity asks often"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_stream_can_have_is_refused() {
        for text in ["nan", "0", "-1", "inf", "wide"] {
            assert!(spread(text).is_err_and(|why| why.starts_with(&format!("`{text}` is no spread"))), "{text}");
        }
        for text in ["nan", "0.5", "inf", "1e9", "much"] {
            assert!(design_effect(text).is_err_and(|why| why.contains("write 1 when")), "{text}");
        }
        assert_eq!((spread("0.25"), design_effect("1"), design_effect("3.5")), (Ok(0.25), Ok(1.0), Ok(3.5)));
    }

    #[test]
    fn effects_are_told_as_people_write_them() {
        assert_eq!(
            [in_times(1.2), in_times(1.995), in_times(2.0), in_times(2.345)],
            ["+20 %", "+100 %", "2x", "2.35x"]
        );
        assert_eq!(
            [on_top(1.0), on_top(1.5), in_deviations(0.25), in_deviations(0.100_04)],
            ["+0 %", "+50 %", "0.25 sd", "0.1 sd"]
        );
    }

    #[test]
    fn shifts_are_standard_deviations_above_zero() {
        for (text, shift) in [("0.25sd", 0.25), ("1 sd", 1.0), ("2", 2.0)] {
            assert_eq!(deviations(text), Ok(shift), "{text}");
        }
        for text in ["0", "-1sd", "nan", "inf", "sd", "1s", ""] {
            let error = deviations(text).expect_err(text);
            assert_eq!(error, format!("`{text}` is not a shift; write standard deviations, such as 0.25sd"));
        }
    }

    #[test]
    fn traffic_is_parted_without_losing_an_event() {
        for (rate, share, candidate) in
            [(1000, 0.05, 50), (1000, 0.0, 0), (1000, 1.0, 1000), (3, 0.5, 2), (1, 0.4, 0), (0, 0.5, 0)]
        {
            let load = load(rate, share);
            assert_eq!((load.candidate, load.candidate + load.baseline), (candidate, rate), "{share} of {rate}");
        }
        assert_eq!(share_of(load(2000, 0.005)), percent(0.005));
    }

    fn asked(words: &[&str]) -> PowerArgs {
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            power: PowerArgs,
        }
        let words = ["power", "-c", "p.yaml"].iter().chain(words);
        clap::Parser::try_parse_from(words).map(|Line { power }| power).expect("arguments")
    }

    #[test]
    fn shares_are_the_usual_ones_those_that_are_named_or_what_is_counted() {
        let of = |words: &[&str]| {
            loads(&asked(words)).iter().map(|load| (load.candidate, load.baseline)).collect::<Vec<_>>()
        };
        assert_eq!(of(&["--rate", "10000"]), [(100, 9_900), (500, 9_500), (2_500, 7_500)]);
        assert_eq!(of(&["--rate", "100", "--share", "10%", "--share", "0.5"]), [(10, 90), (50, 50)]);
        assert_eq!(of(&["--candidate", "7", "--baseline", "9"]), [(7, 9)]);
    }

    #[test]
    fn a_version_without_events_cannot_be_compared() {
        let text = "sources: { predictions: { topic: p, id: id, version: v, event_time: t, score: s } }\n\
                    rollout: { baseline: v1 }\n";
        let plan = config::parse(text, "p.yaml", std::path::Path::new("")).expect("a pipeline").plan;
        let guard = plan.policy.guards.clone().expect("guards");
        for words in [
            &["--rate", "10", "--share", "1%"][..],
            &["--rate", "10", "--share", "100%"],
            &["--candidate", "0", "--baseline", "9"],
        ] {
            let args = asked(words);
            let Err(error) = PowerContext::new(&plan, &guard, &args) else { panic!("{words:?} can be compared") };
            assert!(error.to_string().contains("a version without events cannot be compared"), "{error}");
        }
        let args = asked(&["--rate", "1000"]);
        let context = PowerContext::new(&plan, &guard, &args).expect("a question");
        let why: Vec<String> = context.topics().into_iter().filter_map(std::result::Result::err).collect();
        assert_eq!(why[0], "errors: no source tells whether an answer failed (`status` or `error`)");
        assert_eq!(why[1], "latency: no source carries it (`latency`)");
    }

    #[test]
    fn cells_of_what_half_of_the_rollouts_did_not_do_are_empty() {
        use crate::verdict::power::Acted;
        let odds = |windows: &[Option<u32>]| {
            let runs: Vec<Acted> = windows.iter().map(|&contain| Acted { contain, rollback: None }).collect();
            Odds::of(&runs, |acted| acted.contain)
        };
        let load = Load { candidate: 600, baseline: 400 };
        assert_eq!(cells(&odds(&[Some(2), Some(2), Some(3)]), load), ["2", "1,200", "100 %"]);
        assert_eq!(cells(&odds(&[Some(2), None, None, None]), load), ["-", "-", "25 %"]);
        assert_eq!(cells(&odds(&[]), load), ["-", "-", "0 %"]);
    }
}
