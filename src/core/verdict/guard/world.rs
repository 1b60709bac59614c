//! The world: whether the version that serves everybody is as it used to be, against its own past.
//!
//! What happens to both versions is no candidate's fault, and somebody must still be told. Failures, refusals, missing
//! values and categories that the reference does not know are shares of requests; latency is held against its own
//! quantiles; volume is the requests of all versions. Each has a level that follows slowly, and a bound some way off
//! it: failures and refusals may be [`FAILED_KEPT`] and other shares [`SHARE_KEPT`] times the level and its
//! uncertainty, quantiles [`SLOWER`] times as slow, [`SLOWER_KNOWN`] once their noise is known, volume [`VOLUME_KEPT`]
//! of the level. The evidence that it is beyond its bound is a binomial (for volume a Poisson) likelihood ratio of
//! alternatives beyond against the bound itself, an e-value for every rate within; a pool of Shiryaev-Roberts detectors
//! gathers it (`infer::pool`), and those are named that the e-d-BH rule lists. So while everything stays within its
//! bounds, something is told once in `A` windows on average, `A` the plan's patience.
//!
//! Seasons: failures, refusals and latency are held against the same hour of the days before, if that is more than the
//! level; volume against the same hour a week ago, else a day ago, and the level, whichever is least. Before a day is
//! known, windows of half an hour and more say nothing of volume.
//!
//! Requests that are alike say less, and so do levels that wander: evidence is divided by the design effect that
//! windows show (`infer::likeness`), and for failures, refusals and latency by how windows vary beyond what counts
//! explain (`infer::overdispersion`), if that is more.
//!
//! A level learns no more from a window than its bound, so that a fault does not become usual while it lasts for hours
//! and does when it lasts for days. What stands is over after [`CALM`] windows within the bound.
//!
//! **Assumes**: shares of which less than one event is expected in a window of requests as much alike as the plan's
//! design effect says, and at most as much as that others. **State**: ten numbers per share or quantile, one per
//! alternative, 168 for volume, some fifty for failures, refusals and each quantile. **Cost**: three logarithms per
//! alternative and window.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::event::{Micros, SECOND};
use crate::infer::likeness::Likeness;
use crate::infer::multiplicity::e_d_bh;
use crate::infer::overdispersion::{Contrast, Overdispersion};
use crate::infer::pool::{Alarm, Pool};
use crate::infer::two_sample::Arm;
use crate::metric::row::ALL_VERSIONS;
use crate::metric::view::{ViewKey, Views};
use crate::plan::{Action, GuardPlan, Plan};
use crate::reason::ReasonCode;
use crate::summary::Traffic;
use crate::verdict::decision::{Evidence, Test};
use crate::verdict::finding::Verdict;
use crate::verdict::guard::Guard;
use crate::verdict::guard::GuardName;
use crate::verdict::guard::account::Account;
use crate::verdict::guard::change::sensor::Place;
use crate::verdict::guard::number::{count, e_value, float};
use crate::verdict::guard::scene::{Scene, reason};

const SOURCE: GuardName = GuardName::World;
/// How many times its level a share may be.
/// Origin: choice; seasons and incidents of an hour move shares by less.
const SHARE_KEPT: f64 = 1.5;
/// The same of failures and refusals, once their noise is known.
/// Origin: choice; a quarter more is seldom worth a call.
const FAILED_KEPT: f64 = 1.25;
/// What is added to that: fewer are not worth telling.
/// Origin: choice; two in a thousand.
const SHARE_MIN: f64 = 0.002;
/// Standard errors by which a level may be wrong.
/// Origin: choice; one level in twenty is further off.
const UNSURE: f64 = 2.0;
/// How many times as slow a quantile may be, and once its noise is known.
/// Origin: choice; a fifth, as people mostly set limits above what is usual.
const SLOWER: f64 = 1.2;
/// Origin: choice; half of that.
const SLOWER_KNOWN: f64 = 1.1;
/// The part of the usual requests that must go on coming.
/// Origin: choice; a weekend keeps more.
const VOLUME_KEPT: f64 = 0.5;
/// Alternatives: odds beyond the bound of a share, and parts of the usual volume.
/// Origin: choice; from just beyond the bound to tenfold odds.
const BEYOND: [f64; 3] = [1.5, 3.0, 10.0];
/// Origin: choice; from a third of what is usual to hardly any.
const LESS: [f64; 3] = [0.05, 0.2, 0.35];
/// Origin: derived; one each.
const PARTS: usize = BEYOND.len();
/// Latency quantiles.
/// Origin: choice; the usual, the slow and the slowest requests.
const QUANTILES: [(f64, &str); 3] = [(0.5, "latency_p50"), (0.9, "latency_p90"), (0.99, "latency_p99")];
/// How quickly levels follow, and after how many windows there is one.
/// Origin: choice; a half-life of 23 windows.
const FOLLOW: f64 = 0.03;
/// Origin: choice; half an hour of windows of five minutes.
const LEARNT: u32 = 6;
/// How quickly an hour of the week follows.
/// Origin: choice; a half-life of two weeks.
const HOUR_FOLLOWS: f64 = 0.3;
/// Windows within the bound after which it is over.
/// Origin: choice; one window within the bound may be chance.
const CALM: u32 = 3;
/// Origin: derived; minutes and seconds.
const HOUR: Micros = 3600 * SECOND;
/// Hours of a week.
/// Origin: derived; 7 days of 24.
const WEEK: usize = 168;
/// Origin: derived; the calendar.
const DAY_HOURS: usize = 24;

const WORLD: Account = Account::against("world", "not as it used to be");

/// What is watched.
#[derive(Debug, Clone)]
pub(crate) struct World {
    looks: Arc<[(Look, String)]>,
    guard: GuardPlan,
    /// Length of a window's newest part.
    every: Micros,
}

/// One thing that is looked at.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Look {
    Failed,
    Rejected,
    Missing(Place),
    Unseen(usize),
    Slow(usize),
    Volume,
}

/// What is known of it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct Usual {
    pool: Pool,
    levels: Vec<Level>,
    /// Requests of all versions by hour of the week, from Thursday 1 January 1970; 0 where it is not known.
    hours: Vec<f64>,
    /// More about the first looks: failures, refusals and latency.
    #[serde(default)]
    rhythms: Vec<Rhythm>,
}

/// How something goes up and down.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
struct Rhythm {
    /// Its level by hour of the day; 0 where it is not known.
    hours: Vec<f64>,
    noise: Overdispersion,
}

/// One level, and the newest window beside it.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
struct Level {
    windows: u32,
    /// A share, milliseconds, or requests per window.
    value: f64,
    /// Events per window.
    n: f64,
    /// What it is held against.
    bound: f64,
    /// The newest number, of so many events.
    now: f64,
    n_now: u64,
    /// Windows in a row within the bound.
    calm: u32,
    #[serde(default)]
    alike: Likeness,
}

/// A window of the version that serves the world.
#[derive(Clone, Copy)]
pub(crate) struct Now<'a> {
    pub(crate) views: &'a Views<Traffic>,
    pub(crate) key: &'a ViewKey,
    pub(crate) traffic: &'a Traffic,
    pub(crate) end: Micros,
}

impl Guard for World {
    type Memory = Usual;
    const ACCOUNTS: &'static [Account] = &[WORLD];

    fn new(plan: &Plan, guard: &GuardPlan) -> Self {
        let mut looks = vec![(Look::Failed, String::new()), (Look::Rejected, String::new())];
        looks.extend((0..QUANTILES.len()).map(|q| (Look::Slow(q), String::new())));
        looks.push((Look::Volume, String::new()));
        let numeric = plan.columns.numeric.iter().enumerate();
        looks.extend(numeric.map(|(index, column)| (Look::Missing(Place::Numeric(index)), column.name.clone())));
        for (index, column) in plan.columns.categorical.iter().enumerate() {
            looks.push((Look::Missing(Place::Categorical(index)), column.name.clone()));
            if !column.known.is_empty() {
                looks.push((Look::Unseen(index), column.name.clone()));
            }
        }
        Self { looks: looks.into(), guard: guard.clone(), every: plan.time.every() }
    }

    fn world(&self, usual: &mut Usual, now: Now<'_>, _: Scene<'_, '_>) {
        self.update(usual, now);
    }

    fn rule_world(&self, usual: &Usual, now: Option<Now<'_>>, scene: Scene<'_, '_>, verdict: &mut Verdict) {
        self.tell(usual, now, scene, verdict);
    }
}

impl World {
    fn alarm(&self) -> Alarm {
        Alarm { patience: self.guard.patience(), windows_min: self.guard.windows_min }
    }

    fn part_weight(&self) -> f64 {
        1.0 / float(self.looks.len() * PARTS)
    }

    /// Takes one window.
    fn update(&self, usual: &mut Usual, now: Now<'_>) {
        usual.levels.resize(self.looks.len(), Level::default());
        usual.rhythms.resize(self.looks.iter().filter(|(look, _)| look.has_rhythm()).count(), Rhythm::default());
        for (place, (look, _)) in self.looks.iter().enumerate() {
            let log_es = match look {
                Look::Volume => self.volume(usual, place, now),
                _ => self.share(usual, place, now),
            };
            let Some(log_es) = log_es else { continue };
            for (part, log_e) in (place * PARTS..).zip(log_es) {
                usual.pool.update(part, log_e, self.part_weight(), self.alarm());
            }
            if usual.levels[place].calm >= CALM {
                (place * PARTS..(place + 1) * PARTS).for_each(|part| usual.pool.forget(part));
            }
        }
    }

    /// What a window says of a share, or of a quantile by the share of slower requests.
    fn share(&self, usual: &mut Usual, place: usize, now: Now<'_>) -> Option<[f64; PARTS]> {
        let (look, hour) = (self.looks[place].0, now.hour() % DAY_HOURS);
        let (level, rhythm) = (&mut usual.levels[place], usual.rhythms.get_mut(place));
        let n = look.events(now.traffic);
        let value = look.number(now.traffic).filter(|_| n >= self.guard.n_min)?;
        let same_hour = rhythm.as_ref().and_then(|rhythm| rhythm.hours.get(hour)).copied().unwrap_or(0.0);
        let expected = if same_hour > 0.0 { same_hour } else { level.value };
        let is_known = rhythm.as_ref().is_some_and(|rhythm| rhythm.noise.is_known());
        let bound = look.bound(level.value.max(same_hour), level.events(), is_known);
        let learnt = level.windows >= LEARNT && bound.is_some();
        let bound = bound.unwrap_or(1.0);
        let (arm, kept) = look.beyond(now.traffic, bound);
        let (usual_arm, usual_share) = look.beyond(now.traffic, expected);
        level.look(value, n, bound, arm.rate() <= kept);
        // On its first day a rhythm is not known, and would pass for noise.
        let known = rhythm.is_none() || same_hour > 0.0;
        let contrast = Contrast::with(usual_arm, usual_share).filter(|_| learnt && known);
        let assumed = self.guard.design_effect.max(1.0);
        let divisor = level.divisor(contrast, rhythm.as_deref(), assumed);
        if contrast.is_none() && learnt && known {
            level.alike.update_count(usual_arm.x, count(usual_arm.n) * usual_share, assumed);
        }
        let learn = if learnt { value.min(bound) } else { value };
        level.follow(learn, count(n));
        if let Some(rhythm) = rhythm {
            contrast.into_iter().for_each(|contrast| rhythm.noise.update(contrast));
            rhythm.hours.resize(DAY_HOURS, 0.0);
            self.remember(&mut rhythm.hours[hour], learn);
        }
        learnt.then(|| BEYOND.map(|odds| arm.log_ratio(beyond(kept, odds), kept) / divisor))
    }

    /// Requests of all versions, against what is usual at this hour.
    fn volume(&self, usual: &mut Usual, place: usize, now: Now<'_>) -> Option<[f64; PARTS]> {
        let all = ViewKey { version: ALL_VERSIONS.to_owned(), ..now.key.clone() };
        let n = now.views.get(&all).unwrap_or(now.traffic).rates.requests;
        let level = &mut usual.levels[place];
        usual.hours.resize(WEEK, 0.0);
        let hour = now.hour();
        let known = [usual.hours[hour], usual.hours[(hour + WEEK - DAY_HOURS) % WEEK]];
        let same_hour = known.into_iter().find(|requests| *requests > 0.0);
        let seasons = same_hour.is_some() || self.every < HOUR / 2;
        let least = level.value.min(same_hour.unwrap_or(f64::INFINITY));
        let bound = VOLUME_KEPT * least;
        let learnt = level.windows >= LEARNT && seasons && bound > 0.0;
        level.look(count(n), n, bound, !learnt || count(n) >= bound);
        let assumed = self.guard.design_effect.max(1.0);
        let divisor = level.alike.design_effect(assumed);
        if learnt {
            level.alike.update_count(count(n), same_hour.unwrap_or(level.value), assumed);
        }
        let learn = if learnt { count(n).max(bound) } else { count(n) };
        level.follow(learn, count(n));
        self.remember(&mut usual.hours[hour], learn);
        let log_e = |part: f64| (count(n) * libm::log(part * least / bound) - (part * least - bound)) / divisor;
        learnt.then(|| LESS.map(log_e))
    }

    /// An hour follows by so much in all of its windows together, so that it does not forget last week within itself.
    fn remember(&self, hour: &mut f64, learn: f64) {
        let by = HOUR_FOLLOWS * count(self.every.min(HOUR).unsigned_abs()) / count(HOUR.unsigned_abs());
        *hour = if *hour > 0.0 { *hour + by * (learn - *hour) } else { learn };
    }

    /// Adds what the world calls for: to be told.
    fn tell(&self, usual: &Usual, now: Option<Now<'_>>, scene: Scene<'_, '_>, verdict: &mut Verdict) {
        if usual.levels.len() != self.looks.len() {
            return;
        }
        let log_r: Vec<f64> = (0..self.looks.len()).map(|place| log_r(usual, place)).collect();
        let strongest = log_r.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let threshold = self.guard.patience() * float(self.looks.len());
        verdict.account(WORLD, self.guard.alpha, e_value(strongest), threshold);
        let mut listed = e_d_bh(&log_r, &vec![1.0; log_r.len()], self.guard.patience());
        listed.sort_by(|&a, &b| log_r[b].total_cmp(&log_r[a]));
        let Some(&first) = listed.first() else { return };
        let other = now.and_then(Now::other);
        let texts: Vec<String> = listed.iter().map(|&place| self.describe(usual, place, other)).collect();
        let evidence = listed.iter().map(|&place| self.evidence(usual, place, (log_r[place], other), scene)).collect();
        let text = format!("not as it used to be, and no candidate's fault: {}", texts.join("; "));
        let reason = reason(self.looks[first].0.code(), text);
        verdict.findings.push(scene.finding(SOURCE, Action::Warn, reason, evidence));
    }

    fn evidence(
        &self,
        usual: &Usual,
        place: usize,
        (log_r, other): (f64, Option<(&str, &Traffic)>),
        scene: Scene<'_, '_>,
    ) -> Evidence {
        let ((look, column), level) = (&self.looks[place], usual.levels[place]);
        let beside = other.and_then(|(version, traffic)| Some((version, look.number(traffic)?)));
        Evidence {
            metric: look.metric().to_owned(),
            column: column.clone(),
            baseline_kind: "usual".to_owned(),
            convention: if *look == Look::Volume { "requests" } else { "value" }.to_owned(),
            estimate: level.now,
            bound: level.bound,
            e_value: Some(e_value(log_r)),
            alpha: Some(1.0 / self.guard.patience()),
            n_candidate: level.n_now,
            flags: beside.map(|(version, number)| format!("{version}_{number:.4}").into()).into_iter().collect(),
            ..scene.evidence(SOURCE, Test::ShiryaevRoberts)
        }
    }

    fn describe(&self, usual: &Usual, place: usize, other: Option<(&str, &Traffic)>) -> String {
        let ((look, column), level) = (&self.looks[place], usual.levels[place]);
        let of = if column.is_empty() { String::new() } else { format!(" of {column}") };
        let beside = other.and_then(|(version, traffic)| Some((version, look.number(traffic)?)));
        let beside = beside.map_or_else(String::new, |(version, number)| format!(", {version}'s is {number:.4}"));
        format!("{}{of} is {:.4}, usually {:.4}{beside}", look.metric(), level.now, level.value)
    }
}

impl<'a> Now<'a> {
    /// The hour of the week.
    fn hour(self) -> usize {
        usize::try_from((self.end - 1).div_euclid(HOUR)).unwrap_or(0) % WEEK
    }

    /// The busiest other version.
    fn other(self) -> Option<(&'a str, &'a Traffic)> {
        let is_other = |key: &ViewKey| {
            key.model == self.key.model
                && key.segment.is_empty()
                && key.version != self.key.version
                && key.version != ALL_VERSIONS
        };
        let others = self.views.iter().filter(|(key, _)| is_other(key));
        others.max_by_key(|(_, traffic)| traffic.rates.requests).map(|(key, traffic)| (key.version.as_str(), traffic))
    }
}

impl Level {
    /// Notes the newest window.
    fn look(&mut self, now: f64, n: u64, bound: f64, within: bool) {
        (self.now, self.n_now, self.bound) = (now, n, bound);
        self.calm = if within { self.calm.saturating_add(1) } else { 0 };
    }

    /// Events that the level is made of.
    fn events(&self) -> f64 {
        self.n / FOLLOW.max(1.0 / f64::from(self.windows.max(1)))
    }

    /// What evidence of a window is divided by; the window teaches after that.
    fn divisor(&mut self, contrast: Option<Contrast>, rhythm: Option<&Rhythm>, assumed: f64) -> f64 {
        let alike = self.alike.design_effect(assumed);
        let Some(contrast) = contrast else { return alike };
        self.alike.update_by(contrast.z, assumed);
        alike.max(rhythm.map_or(1.0, |rhythm| rhythm.noise.factor(contrast.weight, &Overdispersion::default())))
    }

    fn follow(&mut self, value: f64, n: f64) {
        let by = FOLLOW.max(if self.windows < LEARNT { 1.0 / f64::from(self.windows + 1) } else { 0.0 });
        self.value += by * (value - self.value);
        self.n += by * (n - self.n);
        self.windows = self.windows.saturating_add(1);
    }
}

impl Look {
    /// Whether its hours and its noise are learnt.
    fn has_rhythm(self) -> bool {
        matches!(self, Self::Failed | Self::Rejected | Self::Slow(_))
    }

    /// Requests that it is of.
    fn events(self, traffic: &Traffic) -> u64 {
        if matches!(self, Self::Slow(_)) { traffic.latency.n() } else { self.count(traffic).n }
    }

    /// How far a level of so many events may go; nothing where it may go anywhere.
    fn bound(self, level: f64, events: f64, is_known: bool) -> Option<f64> {
        if matches!(self, Self::Slow(_)) {
            return Some(level * if is_known { SLOWER_KNOWN } else { SLOWER });
        }
        let kept = if is_known { FAILED_KEPT } else { SHARE_KEPT };
        let error = (level.max(1.0 / events.max(1.0)) * (1.0 - level) / events.max(1.0)).sqrt();
        Some(kept * (level + UNSURE * error) + SHARE_MIN).filter(|bound| *bound < 1.0)
    }

    /// Requests beyond a value, and their share where the value is as usual.
    fn beyond(self, traffic: &Traffic, value: f64) -> (Arm, f64) {
        let Self::Slow(q) = self else { return (self.count(traffic), value) };
        let (slower, n) = traffic.slower_than(value);
        (Arm { n, x: count(slower) }, 1.0 - QUANTILES[q].0)
    }

    fn count(self, traffic: &Traffic) -> Arm {
        let rates = &traffic.rates;
        let (x, n) = match self {
            Self::Failed => (rates.errors, rates.requests),
            Self::Rejected => (rates.rejected, rates.requests),
            Self::Missing(Place::Numeric(index)) => {
                let histogram = &traffic.numeric[index];
                (histogram.missing + histogram.nan, histogram.rows())
            }
            Self::Missing(Place::Categorical(index)) => {
                (traffic.categorical[index].missing, traffic.categorical[index].rows())
            }
            Self::Unseen(index) => (traffic.categorical[index].n_unseen(), traffic.categorical[index].n()),
            Self::Slow(_) | Self::Volume => (0, 0),
        };
        Arm { n, x: count(x) }
    }

    /// The number that people know.
    fn number(self, traffic: &Traffic) -> Option<f64> {
        match self {
            Self::Slow(q) => traffic.latency.quantile_ms(QUANTILES[q].0),
            Self::Volume => Some(count(traffic.rates.requests)),
            _ => Some(self.count(traffic)).filter(|arm| arm.n > 0).map(Arm::rate),
        }
    }

    fn metric(self) -> &'static str {
        match self {
            Self::Failed => "error_rate",
            Self::Rejected => "rejected_rate",
            Self::Missing(_) => "missing_rate",
            Self::Unseen(_) => "unseen_rate",
            Self::Slow(q) => QUANTILES[q].1,
            Self::Volume => "throughput",
        }
    }

    fn code(self) -> ReasonCode {
        match self {
            Self::Failed | Self::Rejected => ReasonCode::ErrorRate,
            Self::Missing(_) | Self::Unseen(_) => ReasonCode::DataQuality,
            Self::Slow(_) => ReasonCode::LatencyQuantile,
            Self::Volume => ReasonCode::TrafficMismatch,
        }
    }
}

/// A share whose odds are so many times as large.
fn beyond(share: f64, odds: f64) -> f64 {
    odds * share / (1.0 - share + odds * share)
}

/// What the detectors of one look have gathered.
fn log_r(usual: &Usual, place: usize) -> f64 {
    let weight = 1.0 / float(PARTS);
    usual.pool.log_mean((place * PARTS..(place + 1) * PARTS).map(|part| (part, weight)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::{Rng, Tolerated};
    use crate::verdict::guard::tests::{judged, key, traffic};

    #[test]
    fn what_made_up_worlds_call_tolerated_is_tolerated() {
        let kept = Tolerated {
            psi: GuardPlan::default().drift,
            failures: FAILED_KEPT,
            missing: SHARE_KEPT,
            latency: SLOWER_KNOWN,
            volume: VOLUME_KEPT,
        };
        assert_eq!(kept, Tolerated::BY_DEFAULT);
    }

    fn world() -> World {
        let looks = [(Look::Failed, String::new()), (Look::Slow(0), String::new()), (Look::Volume, String::new())];
        World { looks: looks.into(), guard: GuardPlan::default(), every: HOUR }
    }

    /// What is told after each window of so many requests, failures and milliseconds.
    fn told(windows: impl Iterator<Item = (u64, u64, f64)>) -> Vec<Vec<String>> {
        let (world, mut usual, mut rng) = (world(), Usual::default(), Rng::new(7));
        let mut all = Vec::new();
        for ((requests, errors, ms), end) in windows.zip((1..).map(|hour| hour * HOUR)) {
            let mut traffic = traffic(requests, errors);
            (0..requests).for_each(|_| traffic.latency.update(ms * libm::exp(0.3 * rng.normal())));
            let views = Views::from([(key("v1"), traffic.clone())]);
            let now = Now { views: &views, key: &key("v1"), traffic: &traffic, end };
            world.update(&mut usual, now);
            let mut verdict = Verdict::default();
            judged(|judged| {
                let scene = Scene { judged, guard: &world.guard, model: "m", version: "v1", baseline: "v1" };
                world.tell(&usual, Some(now), scene, &mut verdict);
            });
            let evidence = verdict.findings.iter().flat_map(|finding| &finding.evidence);
            all.push(evidence.map(|evidence| evidence.metric.clone()).collect());
        }
        let text = serde_json::to_string(&usual).expect("a finite state");
        assert_eq!(serde_json::from_str::<Usual>(&text).expect("its own text"), usual);
        all
    }

    fn first(told: &[Vec<String>], metric: &str) -> Option<usize> {
        told.iter().position(|told| told.iter().any(|one| one == metric))
    }

    #[test]
    fn what_changes_is_told_soon_and_is_over_soon() {
        let healthy = (1000, 5, 20.0);
        for (changed, metric) in
            [((1000, 50, 20.0), "error_rate"), ((300, 1, 20.0), "throughput"), ((1000, 5, 30.0), "latency_p50")]
        {
            let told = told((0..70).map(|hour| if (40..50).contains(&hour) { changed } else { healthy }));
            let window = first(&told, metric).unwrap_or_else(|| panic!("{metric} is not told"));
            assert!((42..44).contains(&window), "{metric} in window {window}");
            assert!(told.iter().flatten().all(|one| one == metric), "{told:?}");
            assert!(told[54..].iter().all(Vec::is_empty), "{metric}: {told:?}");
        }
    }

    #[test]
    fn what_is_known_of_likeness_tells_of_few_requests_and_of_rare_failures_as_soon() {
        let healthy = (400, 2, 20.0);
        for (changed, metric) in [((400, 16, 20.0), "error_rate"), ((150, 1, 20.0), "throughput")] {
            let told = told((0..50).map(|hour| if hour < 40 { healthy } else { changed }));
            let window = first(&told, metric).unwrap_or_else(|| panic!("{metric} is not told"));
            assert!((42..44).contains(&window), "{metric} in window {window}");
        }
    }

    #[test]
    fn an_hour_is_not_forgotten_within_itself() {
        let mut hour = 1000.0;
        let of = |every: Micros| World { every, ..world() };
        (0..12).for_each(|_| of(HOUR / 12).remember(&mut hour, 500.0));
        let mut at_once = 1000.0;
        of(HOUR).remember(&mut at_once, 500.0);
        assert!((hour - at_once).abs() < 30.0 && (at_once - 850.0).abs() < 1e-9, "{hour} and {at_once}");
    }

    #[test]
    fn what_every_day_brings_is_told_on_the_first_day_at_most() {
        let hour = |hour: u32| {
            let noon = (-libm::cos(std::f64::consts::TAU * f64::from(hour) / 24.0)).max(0.0);
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "some failures")]
            (1000, (5.0 + 15.0 * noon) as u64, 20.0 * libm::exp(0.4 * noon))
        };
        let told = told((0..240).map(hour));
        assert!(told[24..].iter().all(Vec::is_empty), "{:?}", told.iter().rposition(|told| !told.is_empty()));
    }

    #[test]
    fn latency_that_wanders_is_usual() {
        let (mut rng, mut level) = (Rng::new(11), 0.0);
        let mut wandering = || {
            level = 0.8 * level + 0.05 * rng.normal();
            (1000, 5, 20.0 * libm::exp(level))
        };
        let told = told((0..600).map(|_| wandering()));
        assert!(told.iter().all(Vec::is_empty), "{:?}", told.iter().position(|told| !told.is_empty()));
    }

    #[test]
    fn days_and_noise_are_usual() {
        let mut rng = Rng::new(3);
        let windows = (0..600_u32).map(|hour| {
            let sun = -libm::cos(std::f64::consts::TAU * f64::from(hour) / 24.0);
            let requests = (0..1000).map(|_| u64::from(rng.chance(0.5 * (1.0 + 0.7 * sun)))).sum::<u64>();
            let errors = (0..requests).map(|_| u64::from(rng.chance(0.01))).sum();
            (requests, errors, 20.0 * libm::exp(0.12 * sun.max(0.0)))
        });
        let told = told(windows);
        assert!(told.iter().all(Vec::is_empty), "{:?}", told.iter().position(|told| !told.is_empty()));
    }
}
