//! The world: whether the version that serves everybody is as it used to be, against its own past.
//!
//! What happens to both versions is no candidate's fault, and somebody must still be told. Failures, refusals, missing
//! values and categories that the reference does not know are shares of requests; latency is held against its own
//! quantiles; volume is the requests of all versions; where numbers and scores lie, and how wide, is by normal scores,
//! against the reference (`located`). Each has a level that follows slowly (`level`), and a bound some way off it
//! (`look`): failures and refusals may be [`look::FAILED_KEPT`] and other shares [`look::SHARE_KEPT`] times the level
//! and its uncertainty, quantiles 1.2 times as slow, [`look::SLOWER_KNOWN`] once their noise is known, volume
//! [`VOLUME_KEPT`] of the level, and columns as far off, or as much wider or narrower, as drift tolerates. The evidence
//! that it is beyond its bound is a binomial (for volume a Poisson) likelihood ratio of alternatives beyond against the
//! bound itself, an e-value for every rate within; a pool of Shiryaev-Roberts detectors gathers it (`infer::pool`), and
//! those are named that the e-d-BH rule lists. Means of columns are a family of their own, and spreads another. So
//! while everything stays within its bounds, each of the three tells something once in `A` windows on average, `A` a
//! fifth of the plan's patience ([`SOONER`]).
//!
//! Seasons: failures, refusals and latency are held against the same hour of the days before, or the level, if that is
//! more and noise is not known yet; once it is, against the one of them that has told windows better. Columns are held
//! against this hour and its neighbours, after the first day.
//! Volume is held against the same hour a week ago, or the busiest of the days since, if that is less; before a week
//! is known against the least of the days; after one day against it or the level, whichever is less. Before a day is
//! known, windows of half an hour and more say nothing of volume.
//!
//! Requests that are alike say less, and so do levels that wander: evidence is divided by the design effect that
//! windows show (`infer::likeness`; volume shows it from window to window, so that a new level is none), and for
//! failures, refusals and latency by how windows vary beyond what counts explain (`infer::overdispersion`), if that is
//! more. Where a column wanders (`infer::wander`), more is as usual. While a shift is suspected nothing is learnt of
//! that, or it would pass for one; nor of the noise of failures and refusals, or, until they are told, of their level.
//!
//! A level learns no more from a window than its bound, so that a fault does not become usual while it lasts for hours
//! and does when it lasts for days. What stands is over after [`CALM`] windows within the bound.
//!
//! **Assumes**: shares of which less than one event is expected in a window of requests as much alike as the plan's
//! design effect says, and at most as much as that others. **State**: ten numbers per share or quantile, one per
//! alternative, 168 for volume, some fifty for failures, refusals and each quantile, sixty for a column. **Cost**:
//! three logarithms per alternative and window.

mod level;
mod located;
mod look;

use std::ops::Range;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use self::level::{
    DAY_HOURS, HOUR, LEARNT, Level, Rhythm, WEEK, Wandering, count, follow_hour, least_usual, windows_of_an_hour,
};
use self::located::{Located, MOMENTS, SIDES};
use self::look::{Look, QUANTILES};
use crate::event::Micros;
use crate::infer::multiplicity::e_d_bh;
use crate::infer::overdispersion::Contrast;
use crate::infer::pool::{AlarmRule, Pool};
use crate::metric::Moment;
use crate::metric::row::ALL_VERSIONS;
use crate::metric::view::{ViewKey, Views};
use crate::plan::{Action, Baseline, GuardPlan, Plan};
use crate::reason::ReasonCode;
use crate::summary::Traffic;
use crate::verdict::decision::{Evidence, Test};
use crate::verdict::finding::Verdict;
use crate::verdict::guard::Guard;
use crate::verdict::guard::GuardName;
use crate::verdict::guard::account::Account;
use crate::verdict::guard::change::sensor::Place;
use crate::verdict::guard::column::{Column, columns};
use crate::verdict::guard::drift::find;
use crate::verdict::guard::number::{e_value, float};
use crate::verdict::guard::scene::{Scene, reason};

const SOURCE: GuardName = GuardName::World;
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
/// Windows within the bound after which it is over.
/// Origin: choice; one window within the bound may be chance.
pub(super) const CALM: u32 = 3;
/// So many times as often as a candidate is restricted for nothing a word about the world may be too many.
/// Origin: choice; what is told restricts nothing. Once in 5,760 windows as planned by default, for each family.
const SOONER: f64 = 5.0;
/// Evidence of a shift from which on windows no longer say how its level wanders, in nats.
/// Origin: simulation; of shifts that are half as large again as is tolerated 1 in 7 passed for a level that wanders,
/// and 1 in 20 with it (`located`, tests); `cargo bench --bench detection -- --kinds 'aa*'` has no word more.
const SUSPECTED: f64 = -1.0;
const WORLD: Account = Account::against("world", "not as it used to be");

/// What is watched.
#[derive(Debug, Clone)]
pub(crate) struct World {
    looks: Arc<[(Look, String)]>,
    /// Columns whose location is looked at.
    located: Arc<[Column]>,
    guard: GuardPlan,
    /// Length of a window's newest part.
    every: Micros,
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
    /// More about the last ones: locations.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    located: Vec<Wandering>,
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
        let has_reference = plan.reference.is_some();
        let is_located = |column: &Column| {
            has_reference && column.is_numeric() && !column.calendar && !guard.drift_except.contains(&column.name)
        };
        let located: Arc<[Column]> = columns(plan).filter(is_located).collect();
        for moment in MOMENTS {
            let name = |(place, column): (usize, &Column)| (Look::Located(place, moment), column.name.clone());
            looks.extend(located.iter().enumerate().map(name));
        }
        Self { looks: looks.into(), located, guard: guard.clone(), every: plan.time.every() }
    }

    fn world(&self, usual: &mut Usual, now: Now<'_>, scene: Scene<'_, '_>) {
        self.update(usual, now, find(&Baseline::Reference, now.key, scene.judged));
    }

    fn rule_world(&self, usual: &Usual, now: Option<Now<'_>>, scene: Scene<'_, '_>, verdict: &mut Verdict) {
        self.tell(usual, now, scene, verdict);
    }
}

impl World {
    fn alarm(&self) -> AlarmRule {
        AlarmRule { patience: self.patience(), windows_min: self.guard.windows_min }
    }

    /// Mean windows between words too many, of each family.
    fn patience(&self) -> f64 {
        self.guard.patience() / SOONER
    }

    /// Evidence that tells the strongest of a family, be it alone.
    fn threshold(&self, family: &Range<usize>) -> f64 {
        self.patience() * float(family.len().max(1))
    }

    fn part_weight(&self, place: usize) -> f64 {
        let family =
            self.families().into_iter().find(|family| family.contains(&place)).map_or(1, |family| family.len());
        1.0 / float(family * self.parts(place).len())
    }

    /// What is looked at by budget: shares, latency and volume have one, and each moment of columns another.
    fn families(&self) -> [Range<usize>; 3] {
        let others = self.looks.partition_point(|(look, _)| look.moment().is_none());
        let means = self.looks.partition_point(|(look, _)| look.moment() != Some(Moment::Spread));
        [0..others, others..means, means..self.looks.len()]
    }

    /// Positions in the pool of what is looked at there. Columns come last.
    fn parts(&self, place: usize) -> Range<usize> {
        let others = self.families()[0].end;
        let first = place.min(others) * PARTS + place.saturating_sub(others) * SIDES;
        first..first + if place < others { PARTS } else { SIDES }
    }

    /// Takes one window.
    fn update(&self, usual: &mut Usual, now: Now<'_>, reference: Option<&Traffic>) {
        usual.levels.resize(self.looks.len(), Level::default());
        usual.rhythms.resize(self.looks.iter().filter(|(look, _)| look.has_rhythm()).count(), Rhythm::default());
        usual.located.resize(MOMENTS.len() * self.located.len(), Wandering::default());
        let location = |column: &Column| column.location(now.traffic, reference?);
        let locations: Vec<_> = self.located.iter().map(location).collect();
        for (place, (look, _)) in self.looks.iter().enumerate() {
            let log_es: Option<Vec<f64>> = match *look {
                Look::Volume => self.volume(usual, place, now).map(Into::into),
                Look::Located(index, moment) => locations[index].and_then(|location| {
                    let (guard, every) = (&self.guard, self.every);
                    let is_suspected = self.log_r(usual, place) >= SUSPECTED;
                    let located = Located { location, moment, guard, every, now, is_suspected };
                    let wandering = &mut usual.located[index + moment as usize * self.located.len()];
                    located.log_es(&mut usual.levels[place], wandering).map(Into::into)
                }),
                _ => self.share(usual, place, now).map(Into::into),
            };
            let (parts, weight) = (self.parts(place), self.part_weight(place));
            for (part, log_e) in parts.clone().zip(log_es.into_iter().flatten()) {
                usual.pool.update(part, log_e, weight, self.alarm());
            }
            if usual.levels[place].calm >= CALM {
                parts.for_each(|part| usual.pool.forget(part));
            }
        }
    }

    /// What a window says of a share, or of a quantile by the share of slower requests.
    fn share(&self, usual: &mut Usual, place: usize, now: Now<'_>) -> Option<[f64; PARTS]> {
        let (look, hour) = (self.looks[place].0, now.hour());
        let log_r = self.log_r(usual, place);
        let is_suspected = look.is_answer() && log_r >= SUSPECTED;
        let is_told = log_r >= libm::log(self.threshold(&self.families()[0]));
        let (level, rhythm) = (&mut usual.levels[place], usual.rhythms.get_mut(place));
        let n = look.events(now.traffic);
        let value = look.number(now.traffic).filter(|_| n >= self.guard.n_min)?;
        let same_hour = rhythm.as_ref().and_then(|rhythm| rhythm.hourly.at(hour));
        let is_known = rhythm.as_ref().is_some_and(|rhythm| rhythm.noise.is_known());
        let of_level = (level.value, level.worth());
        let of_hour = same_hour.map(|value| (value, windows_of_an_hour(level.windows, self.every)));
        // How well hours tell is known once noise is.
        let hours_tell = !is_known || rhythm.as_ref().is_some_and(|rhythm| rhythm.hours_tell());
        let (expected, worth) = of_hour.filter(|_| hours_tell).unwrap_or(of_level);
        let (usually, events) =
            if is_known { (expected, worth * count(n)) } else { (level.value.max(expected), level.events()) };
        let bound = look.bound(usually, events, is_known);
        let learnt = level.windows >= LEARNT && bound.is_some();
        let bound = bound.unwrap_or(1.0);
        let (arm, kept) = look.beyond(now.traffic, bound);
        level.look(value, n, bound, arm.rate() <= kept);
        let (usual_arm, usual_share) = look.beyond(now.traffic, expected);
        // On its first day a rhythm is not known, and would pass for noise.
        let known = rhythm.is_none() || same_hour.is_some();
        let contrast = Contrast::with(usual_arm, usual_share, worth).filter(|_| learnt && known);
        let assumed = self.guard.design_effect.max(1.0);
        let divisor = level.divisor(contrast, rhythm.as_deref(), assumed);
        if contrast.is_none() && learnt && known {
            level.alike.update_count(usual_arm.x, count(usual_arm.n) * usual_share, assumed);
        }
        let learn = if learnt { value.min(bound) } else { value };
        level.follow(if is_suspected && !is_told { level.value } else { learn }, count(n));
        if let Some(rhythm) = rhythm {
            if !is_suspected {
                contrast.into_iter().for_each(|contrast| rhythm.noise.update(contrast));
                let off = |(expected, _)| {
                    let (arm, share) = look.beyond(now.traffic, expected);
                    Contrast::with(arm, share, f64::INFINITY).map(|contrast| contrast.z)
                };
                of_hour.into_iter().for_each(|of_hour| rhythm.compare([of_level, of_hour].map(off)));
            }
            rhythm.hourly.learn(hour, learn, self.every);
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
        let least = least_usual(&usual.hours, hour, level.value);
        let bound = VOLUME_KEPT * least;
        let learnt = level.windows >= LEARNT && seasons && bound > 0.0;
        let assumed = self.guard.design_effect.max(1.0);
        let divisor = level.alike.design_effect(assumed);
        if learnt && let Some(z) = level.step(count(n), bound) {
            level.alike.update_by(z, assumed);
        }
        level.look(count(n), n, bound, !learnt || count(n) >= bound);
        let learn = if learnt { count(n).max(bound) } else { count(n) };
        level.follow(learn, count(n));
        follow_hour(&mut usual.hours[hour], learn, self.every);
        let log_e = |part: f64| (count(n) * libm::log(part * least / bound) - (part * least - bound)) / divisor;
        learnt.then(|| LESS.map(log_e))
    }

    /// What the detectors of one look have gathered.
    fn log_r(&self, usual: &Usual, place: usize) -> f64 {
        let parts = self.parts(place);
        let weight = 1.0 / float(parts.len());
        usual.pool.log_mean(parts.map(|part| (part, weight)))
    }

    /// Adds what the world calls for: to be told.
    fn tell(&self, usual: &Usual, now: Option<Now<'_>>, scene: Scene<'_, '_>, verdict: &mut Verdict) {
        if usual.levels.len() != self.looks.len() {
            return;
        }
        let log_r: Vec<f64> = (0..self.looks.len()).map(|place| self.log_r(usual, place)).collect();
        // The family that is nearer to its threshold.
        let accounts = self.families().map(|family| {
            let strongest = log_r[family.clone()].iter().copied().fold(f64::NEG_INFINITY, f64::max);
            (strongest, self.threshold(&family))
        });
        let to_threshold = |(strongest, threshold): &(f64, f64)| strongest - libm::log(*threshold);
        let nearest = accounts.into_iter().max_by(|a, b| to_threshold(a).total_cmp(&to_threshold(b)));
        let (strongest, threshold) = nearest.expect("three families");
        verdict.account(WORLD, SOONER * self.guard.alpha, e_value(strongest), threshold);
        let list = |family: Range<usize>| {
            let first = family.start;
            let log_r = &log_r[family];
            e_d_bh(log_r, &vec![1.0; log_r.len()], self.patience()).into_iter().map(move |place| first + place)
        };
        let mut listed: Vec<usize> = self.families().into_iter().flat_map(list).collect();
        listed.sort_by(|&a, &b| log_r[b].total_cmp(&log_r[a]));
        let Some(&first) = listed.first() else { return };
        let other = now.and_then(Now::other);
        let texts: Vec<String> = listed.iter().map(|&place| self.describe(usual, place, other, scene)).collect();
        let evidence = listed.iter().map(|&place| self.evidence(usual, place, (log_r[place], other), scene)).collect();
        let text = format!("not as it used to be, and no candidate's fault: {}", texts.join("; "));
        let reason = reason(self.code(self.looks[first].0), text);
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
        let beside = other.and_then(|(version, traffic)| Some((version, self.number(*look, traffic, scene)?)));
        Evidence {
            metric: look.metric().to_owned(),
            column: column.clone(),
            baseline_kind: "usual".to_owned(),
            convention: look.convention().to_owned(),
            estimate: level.now,
            bound: level.bound,
            e_value: Some(e_value(log_r)),
            alpha: Some(1.0 / self.patience()),
            n_candidate: level.n_now,
            flags: beside.map(|(version, number)| format!("{version}_{number:.4}").into()).into_iter().collect(),
            ..scene.evidence(SOURCE, Test::ShiryaevRoberts)
        }
    }

    /// The number of a version's window.
    fn number(&self, look: Look, traffic: &Traffic, scene: Scene<'_, '_>) -> Option<f64> {
        let Look::Located(column, moment) = look else { return look.number(traffic) };
        let reference = scene.judged.baselines.reference?.get("")?;
        self.located[column].location(traffic, reference).map(|location| moment.of(location))
    }

    fn describe(&self, usual: &Usual, place: usize, other: Option<(&str, &Traffic)>, scene: Scene<'_, '_>) -> String {
        let ((look, column), level) = (&self.looks[place], usual.levels[place]);
        let of = if column.is_empty() { String::new() } else { format!(" of {column}") };
        let beside = other.and_then(|(version, traffic)| Some((version, self.number(*look, traffic, scene)?)));
        let beside = beside.map_or_else(String::new, |(version, number)| format!(", {version}'s is {number:.4}"));
        if let Look::Located(_, moment) = look {
            let most = if level.now > level.bound { "most" } else { "least" };
            let (words, now, bound) = (moment.words(), level.now, level.bound);
            return format!("{words}{of} is {now:.4}, at {most} {bound:.4} at this hour{beside}");
        }
        format!("{}{of} is {:.4}, usually {:.4}{beside}", look.metric(), level.now, level.value)
    }

    fn code(&self, look: Look) -> ReasonCode {
        match look {
            Look::Failed | Look::Rejected => ReasonCode::ErrorRate,
            Look::Missing(_) | Look::Unseen(_) => ReasonCode::DataQuality,
            Look::Slow(_) => ReasonCode::LatencyQuantile,
            Look::Volume => ReasonCode::TrafficMismatch,
            Look::Located(column, _) => self.located[column].code,
        }
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

/// A share whose odds are so many times as large.
fn beyond(share: f64, odds: f64) -> f64 {
    odds * share / (1.0 - share + odds * share)
}

#[cfg(test)]
mod tests {
    use super::look::{FAILED_KEPT, SHARE_KEPT, SLOWER_KNOWN};
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
        World { looks: looks.into(), located: [].into(), guard: GuardPlan::default(), every: HOUR }
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
            world.update(&mut usual, now, None);
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

    /// Requests of an hour in a daily cycle, and a part of them on the days named.
    fn day(hour: u32, fewer: &[u32], part: f64) -> (u64, u64, f64) {
        let sun = sun(hour);
        let part = if fewer.contains(&(hour / 24)) { part } else { 1.0 };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "some requests")]
        ((1000.0 * part * (1.0 + 0.7 * sun)) as u64, 0, 20.0)
    }

    #[test]
    fn a_third_of_what_its_hour_brings_is_told_at_once_at_any_time_of_the_day() {
        for hours in (72..96).chain(240..264).step_by(5) {
            let told = told(
                (0..hours)
                    .map(|hour| day(hour, &[], 1.0))
                    .chain((hours..hours + 6).map(|hour| day(hour, &[hour / 24], 0.3))),
            );
            let window = first(&told, "throughput").unwrap_or_else(|| panic!("from hour {hours} on: not told"));
            assert!((hours as usize + 1..hours as usize + 4).contains(&window), "{hours}: in window {window}");
        }
    }

    #[test]
    fn weekends_and_what_came_once_are_usual() {
        let weekends = told((0..504).map(|hour| day(hour, &[5, 6, 12, 13, 19, 20], 0.6)));
        assert!(weekends.iter().all(Vec::is_empty), "{:?}", weekends.iter().position(|told| !told.is_empty()));
        for busy in [1, 3, 7] {
            let busy = told((0..360).map(|hour| day(hour, &[busy], 3.0)));
            assert!(busy.iter().all(Vec::is_empty), "{:?}", busy.iter().position(|told| !told.is_empty()));
        }
    }

    fn sun(hour: u32) -> f64 {
        -libm::cos(std::f64::consts::TAU * f64::from(hour) / 24.0)
    }

    #[test]
    fn an_hour_is_not_forgotten_within_itself() {
        let mut hour = 1000.0;
        (0..12).for_each(|_| follow_hour(&mut hour, 500.0, HOUR / 12));
        let mut at_once = 1000.0;
        follow_hour(&mut at_once, 500.0, HOUR);
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
    fn twice_the_failures_of_many_requests_are_told_within_hours() {
        let windows_until_told = |seed| {
            let mut rng = Rng::new(seed);
            let told = told((0..96_u32).map(|hour| {
                let failed = if hour < 80 { 0.005 } else { 0.010 };
                (4000, (0..4000).map(|_| u64::from(rng.chance(failed))).sum(), 20.0)
            }));
            assert!(told[..80].iter().all(Vec::is_empty), "seed {seed}: told in healthy windows");
            first(&told, "error_rate").map(|window| window + 1 - 80)
        };
        let late: Vec<_> = (1..=10).map(windows_until_told).filter(|windows| windows.is_none_or(|n| n > 6)).collect();
        assert!(late.len() <= 1, "of ten streams: {late:?}");
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
