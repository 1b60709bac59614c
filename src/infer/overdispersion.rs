//! By how much windows of two versions differ more than their counts explain: what evidence of a difference is divided
//! by.
//!
//! A version has noise of its own: a busy host, a cold cache, a collector that runs now and then. Its windows then
//! wander around the other version's, and counts alone call every excursion a difference. With `z` a window's
//! standardised contrast and `w = n_c n_b / (n_c + n_b)` its weight, this is a model of random effects:
//!
//! `Var(z) = 1 + tau^2 w`, `tau^2 = (s^2 - 1) / mean w`, and evidence of a window counts with the power `1 / D`,
//! `D = 1 + tau^2 w T`, `T = (1 + rho) / (1 - rho)` for noise that lasts from window to window.
//!
//! If `z` is normal with mean 0 and a variance of at most `D` given the past, then `E[exp((l z - l^2 / 2) / D)] <= 1`
//! for every bet `l`; for an autoregression the long-run variance bounds the variance of every sum of `z`, so the same
//! holds of products over windows as long as `D` stays. `D` is at least 1, so an e-value stays one whatever it is
//! (Jensen).
//!
//! `D` is known before the window: it rests on windows at least `LAG` earlier, so that a regression, which comes with
//! large `z` too, has acted before it can excuse itself. `s^2` and `rho` are taken around the means of blocks of 24
//! windows, so a change of level is no noise, and of four blocks or more the one that varies most does not count. They
//! count only once they stand out by two standard errors (and, before a block can be left out, from neighbour to
//! neighbour too, the largest step apart) unless the history below has them, with one standard error added to `rho`;
//! and a `z` beyond three deviations counts as three, so that one blip teaches nothing.
//!
//! How two versions differ by noise cannot be known from a candidate's first windows: three large `z` of one sign are a
//! regression or an excursion. There the *history* of the baseline version stands in: its own windows around its own
//! level, doubled for a second version as noisy. It holds for 48 windows, and beyond for as long as the contrast shows
//! a quarter of it; what moved both versions alike (a season) shows in the history and not in the contrast, and is
//! forgotten then. What is left of it counts as lasting as long as the history does, up to a correlation of 0.8. A
//! history counts only if it stands out by three standard errors.
//!
//! **Source**: `DerSimonian` and Laird, Meta-analysis in clinical trials, Controlled Clin. Trials 7, 1986 (random
//! effects); Sokal, Monte Carlo Methods in Statistical Mechanics, 1989, section 3 (`T`); the gates, the lag and the use
//! of history are this project's own, measured below. **Assumes**: noise that is about an autoregression of order one,
//! with a correlation up to about 0.8, and no longer memory. A level that drifts more slowly than a block is a
//! difference. **State**: 22 numbers, and the last three windows. **Cost**: some twenty operations per window.

use serde::{Deserialize, Serialize};

use super::block::Block;
use super::log_space::float;
use super::two_sample::{Arm, standardised};

/// Windows that a bet does not know yet.
/// Origin: choice; as many windows as a regression needs at least before it may act (`windows_min`).
const LAG: usize = 3;
/// Windows of a block.
/// Origin: choice; as in `autocorrelation`.
const BLOCK: u32 = 24;
/// Blocks from which on the one that varies most, in which the level may have changed, does not count.
/// Origin: choice; three blocks are left then.
const BLOCKS_MIN: u32 = 4;
/// Fewer windows tell nothing.
/// Origin: choice; a variance of 8 numbers is known to a half.
const WINDOWS_MIN: u32 = 8;
/// Windows after which history has to agree with what was seen.
/// Origin: derived; two blocks.
const LEARNT: u32 = 48;
/// The part of its history's noise that a contrast must show for the history to hold on.
/// Origin: simulation; `cargo bench --bench guarantees`.
const HOLDS: f64 = 0.25;
/// Standard errors by which variance must stand out: of a contrast, and from neighbour to neighbour.
/// Origin: simulation; `cargo bench --bench guarantees`: streams without noise are tempered in 3 % of cases.
const STANDS_OUT: f64 = 2.0;
/// The same of a history, which then need not stand out again.
/// Origin: simulation; `cargo bench --bench guarantees`; stricter, since it counts at once.
const HISTORY_STANDS_OUT: f64 = 3.0;
/// Standard errors by which steps from neighbour to neighbour must stand out while blocks are few.
/// Origin: simulation; `cargo bench --bench guarantees`.
const STEPS_STAND_OUT: f64 = 1.0;
/// Deviations that a window counts with at most.
/// Origin: choice; of normal windows one in 370 is beyond it.
const DEVIATIONS_MAX: f64 = 3.0;
/// Events of the rarer kind, of both versions, below which a window tells nothing.
/// Origin: choice; below it the contrast of a window is far from normal.
const RARE_MIN: f64 = 10.0;
/// Beyond this the stream has no independent windows to speak of.
/// Origin: choice; as in `autocorrelation`.
const RHO_MAX: f64 = 0.95;

/// `T` that a history may lend: that of a correlation of 0.8.
/// Origin: derived; (1 + 0.8) / (1 - 0.8).
const LASTS: f64 = 9.0;

/// One window's contrast.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Contrast {
    /// In standard errors, if counts explained it all.
    pub z: f64,
    /// Events that it is worth: `n_c n_b / (n_c + n_b)`, of one version and another, or of a window and those before.
    pub weight: f64,
}

impl Contrast {
    /// Of two versions; nothing where events are so rare that a contrast is far from normal: by the rate that they
    /// should have, if one is known beforehand, so that no window is left out for what it shows.
    #[must_use]
    pub fn of(candidate: Arm, baseline: Arm, rate: Option<f64>) -> Option<Self> {
        let pooled = candidate.plus(baseline);
        let (n_c, n_b, n) = (float(candidate.n), float(baseline.n), float(pooled.n));
        let events = rate.map_or(pooled.x, |rate| n * rate);
        let z = standardised(candidate, baseline, 1.0).filter(|_| events.min(n - events) >= RARE_MIN)?;
        Some(Self { z, weight: n_c * n_b / n })
    }

    /// Of one version against the rate that was expected of it, as so many windows like this one showed it.
    #[must_use]
    pub fn with(arm: Arm, rate: f64, windows: f64) -> Option<Self> {
        let n = float(arm.n);
        let usable = n * rate.min(1.0 - rate) >= RARE_MIN / 2.0;
        let weight = n / (1.0 + windows.recip());
        usable.then(|| Self { z: (arm.x / n - rate) / (rate * (1.0 - rate) / weight).sqrt(), weight })
    }
}

/// How contrasts vary. See the head of this module.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Overdispersion {
    waiting: Vec<Contrast>,
    block: Block,
    weight: f64,
    /// The block that varies most, and all others.
    largest: BlockSums,
    before: BlockSums,
}

/// Sums over blocks.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
struct BlockSums {
    windows: u32,
    blocks: u32,
    variation: f64,
    covariation: f64,
    steps: f64,
    largest_step: f64,
    weight: f64,
}

/// Noise beyond what counts explain.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Noise {
    /// `tau^2`.
    per_event: f64,
    /// `T`.
    time: f64,
}

impl Overdispersion {
    /// Takes the next window, in order.
    pub fn update(&mut self, contrast: Contrast) {
        self.waiting.push(contrast);
        if self.waiting.len() <= LAG {
            return;
        }
        let Contrast { z, weight } = self.waiting.remove(0);
        let limit = DEVIATIONS_MAX * self.sums().variance().max(1.0).sqrt();
        self.block.update(z.clamp(-limit, limit));
        self.weight += weight;
        if self.block.n == BLOCK {
            self.close();
        }
    }

    /// `D` of the next window, if it has this weight; `history` is the baseline version's own.
    #[must_use]
    pub fn factor(&self, weight: f64, history: &Self) -> f64 {
        let (sums, before) = (self.sums(), history.everything());
        let past = if before.stands_out_by(HISTORY_STANDS_OUT) { before.noise().doubled() } else { Noise::default() };
        // Noise that history knows of is expected, and need not stand out again.
        let settled = sums.blocks + 1 >= BLOCKS_MIN || sums.steps_stand_out();
        let counts = past.per_event > 0.0 || (sums.stands_out_by(STANDS_OUT) && settled);
        let seen = if counts { sums.noise() } else { Noise::default() };
        let holds = sums.windows < LEARNT || sums.excess() >= HOLDS * past.per_event;
        let of_past = if holds { past.factor(weight) } else { 1.0 };
        // A few blocks tell how much it is sooner than how long it lasts.
        let seen = Noise { time: seen.time.max(past.time.min(LASTS)), ..seen };
        let factor = seen.factor(weight).max(of_past);
        assert!(factor >= 1.0 && factor.is_finite(), "a factor of {factor} makes evidence out of noise");
        factor
    }

    /// Whether enough was seen to say how large the noise is.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.everything().windows >= BLOCK
    }

    /// Everything so far.
    fn everything(&self) -> BlockSums {
        self.before.plus(self.largest).plus(self.open())
    }

    /// Everything so far but the block that varies most, once there are enough.
    fn sums(&self) -> BlockSums {
        let open = self.open();
        let (large, small) =
            if open.variance() > self.largest.variance() { (open, self.largest) } else { (self.largest, open) };
        let rest = self.before.plus(small);
        if rest.blocks + 1 >= BLOCKS_MIN { rest } else { rest.plus(large) }
    }

    /// The block at hand, once it tells something.
    fn open(&self) -> BlockSums {
        let block = &self.block;
        if block.n < WINDOWS_MIN {
            return BlockSums::default();
        }
        BlockSums {
            windows: block.n,
            blocks: 1,
            variation: block.variation(),
            covariation: block.covariation(),
            steps: block.steps(),
            largest_step: block.largest_step,
            weight: self.weight,
        }
    }

    /// Ends the block at hand.
    fn close(&mut self) {
        let mut closed = self.open();
        if closed.variance() > self.largest.variance() || self.largest.blocks == 0 {
            std::mem::swap(&mut closed, &mut self.largest);
        }
        self.before = self.before.plus(closed);
        (self.block, self.weight) = (Block::default(), 0.0);
    }
}

impl BlockSums {
    fn plus(self, other: Self) -> Self {
        Self {
            windows: self.windows + other.windows,
            blocks: self.blocks + other.blocks,
            variation: self.variation + other.variation,
            covariation: self.covariation + other.covariation,
            steps: self.steps + other.steps,
            largest_step: self.largest_step.max(other.largest_step),
            weight: self.weight + other.weight,
        }
    }

    fn freedom(&self) -> f64 {
        f64::from((self.windows - self.blocks).max(1))
    }

    /// `s^2`; 1 of nothing.
    fn variance(&self) -> f64 {
        if self.windows == 0 { 1.0 } else { self.variation / self.freedom() }
    }

    /// `tau^2`, whether it stands out or not.
    fn excess(&self) -> f64 {
        if self.weight > 0.0 { (self.variance() - 1.0).max(0.0) * f64::from(self.windows) / self.weight } else { 0.0 }
    }

    /// Whether variance is more than counts explain.
    fn stands_out_by(&self, errors: f64) -> bool {
        self.windows > 0 && self.variance() > 1.0 + errors * (2.0 / self.freedom()).sqrt()
    }

    /// Whether it is from neighbour to neighbour, too, be it without the largest step, which a change of level makes.
    fn steps_stand_out(&self) -> bool {
        (self.steps - self.largest_step) / self.freedom() > 1.0 + STEPS_STAND_OUT * (3.0 / self.freedom()).sqrt()
    }

    /// What counts do not explain, be it much or little.
    fn noise(&self) -> Noise {
        let variance = self.variance();
        if variance <= 1.0 {
            return Noise::default();
        }
        // Counts' own variance does not last: what lasts is a part of the excess.
        let rho = (self.rho() * variance / (variance - 1.0)).min(RHO_MAX);
        let time = (1.0 + rho) / (1.0 - rho);
        // Around the mean of a block that is short against `T`, variance is too small.
        let seen = (1.0 - time / f64::from(self.windows.min(BLOCK))).max(0.5);
        Noise { per_event: self.excess(), time: time / seen }
    }

    /// The correlation of neighbours with one standard error, if it stands out.
    fn rho(&self) -> f64 {
        let (rho, error) = (self.covariation / self.variation, f64::from(self.windows).sqrt().recip());
        if rho <= error {
            return 0.0;
        }
        (rho + error * (1.0 - rho.min(1.0) * rho.min(1.0)).sqrt()).min(RHO_MAX)
    }
}

impl Noise {
    fn doubled(self) -> Self {
        Self { per_event: 2.0 * self.per_event, ..self }
    }

    fn factor(self, weight: f64) -> f64 {
        1.0 + self.per_event * weight * self.time
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pool::{AlarmRule, Pool};
    use crate::tests::world::Rng;

    const WEIGHT: f64 = 30.0;
    /// Bets on the contrast, in standard errors.
    const BETS: [f64; 8] = [-3.0, -1.5, -0.75, -0.4, 0.4, 0.75, 1.5, 3.0];
    const ALARM: AlarmRule = AlarmRule { patience: 28_800.0, windows_min: 3 };

    /// Contrasts with noise of so much of the counts' variance, that keeps this part of itself from window to window.
    struct Stream {
        rng: Rng,
        level: f64,
        excess: f64,
        kept: f64,
    }

    impl Stream {
        fn new(seed: u64, excess: f64, kept: f64) -> Self {
            let mut rng = Rng::new(seed);
            let level = rng.normal();
            Self { rng, level, excess, kept }
        }

        fn next(&mut self, shift: f64) -> Contrast {
            self.level = self.kept * self.level + (1.0 - self.kept * self.kept).sqrt() * self.rng.normal();
            Contrast { z: shift + self.excess.sqrt() * self.level + self.rng.normal(), weight: WEIGHT }
        }
    }

    fn learnt(mut stream: Stream, windows: u32) -> Overdispersion {
        let mut state = Overdispersion::default();
        (0..windows).for_each(|_| state.update(stream.next(0.0)));
        state
    }

    /// The window in which a detector with an eighth of a family raises its alarm.
    fn alarm(mut stream: Stream, history: &Overdispersion, windows: u32, shift: impl Fn(u32) -> f64) -> Option<u32> {
        let (mut pool, mut state) = (Pool::default(), Overdispersion::default());
        let weight = 0.125 / 8.0;
        (0..windows).find(|&window| {
            let contrast = stream.next(shift(window));
            let factor = state.factor(WEIGHT, history);
            for (part, bet) in BETS.iter().enumerate() {
                pool.update(part, (bet * contrast.z - bet * bet / 2.0) / factor, weight, ALARM);
            }
            state.update(contrast);
            pool.log_mean((0..BETS.len()).map(|part| (part, weight))) >= ALARM.threshold()
        })
    }

    /// Chi-square with the 54 degrees of freedom of three blocks is beyond two standard errors in 3.2 % of streams, so
    /// that 6 of 200 are tempered for nothing, and 17 or more in fewer than one suite of a thousand. The others keep
    /// all of their evidence.
    #[test]
    fn counts_that_explain_everything_are_left_alone() {
        let tempered =
            |seed: &u64| learnt(Stream::new(*seed, 0.0, 0.0), 60).factor(WEIGHT, &Overdispersion::default()) > 1.0;
        let tempered = (0..200).filter(tempered).count();
        assert!(tempered < 17, "seeds 0..200: {tempered}");
    }

    #[test]
    fn a_factor_that_is_no_number_to_divide_by_is_noticed() {
        let noisy = learnt(Stream::new(7, 6.5, 0.6), 60);
        let factor = |weight: f64| std::panic::catch_unwind(|| noisy.factor(weight, &Overdispersion::default()));
        assert!(factor(WEIGHT).is_ok_and(|factor| factor > 1.0));
        assert!(factor(f64::INFINITY).is_err());
    }

    #[test]
    fn noise_that_lasts_is_recognised() {
        for (excess, kept) in [(6.5, 0.0), (6.5, 0.6), (25.0, 0.8)] {
            let truth: f64 = 1.0 + excess * (1.0 + kept) / (1.0 - kept);
            let none = Overdispersion::default();
            let mut found: Vec<f64> =
                (0..101).map(|seed| learnt(Stream::new(seed, excess, kept), 300).factor(WEIGHT, &none)).collect();
            found.sort_by(f64::total_cmp);
            assert!((0.6..4.0).contains(&(found[50] / truth)), "seeds 0..101: {} for {truth}", found[50]);
        }
    }

    #[test]
    fn noise_of_its_own_is_no_difference_where_history_knows_it() {
        for kept in [0.0, 0.3, 0.6, 0.8] {
            let alarms = (0..400_u64).filter(|&seed| {
                let history = learnt(Stream::new(1000 + seed, 3.25, kept), 72);
                alarm(Stream::new(seed, 6.5, kept), &history, 180, |_| 0.0).is_some()
            });
            let alarms = alarms.count();
            assert!(alarms <= 8, "seeds 0..400, correlation {kept}: {alarms} alarms in 180 windows");
        }
    }

    #[test]
    fn a_regression_does_not_excuse_itself() {
        for (start, shift, most) in [(0, 4.0, 5), (0, 2.0, 12), (20, 4.0, 5), (20, 2.0, 13), (50, 1.3, 28)] {
            let delay = |seed| {
                let stream = Stream::new(seed, 0.0, 0.0);
                let at = alarm(stream, &Overdispersion::default(), 200, |t| if t >= start { shift } else { 0.0 });
                at.map_or(u32::MAX, |at| at + 1 - start)
            };
            let mut delays: Vec<u32> = (0..101).map(delay).collect();
            delays.sort_unstable();
            assert!(delays[50] <= most, "seeds 0..101, {shift} from {start}: {} windows", delays[50]);
        }
    }

    /// What chance makes of a history excuses nobody: by two standard errors, five of these would stand out.
    #[test]
    fn a_history_without_noise_is_none() {
        let excuses = |seed: &u64| {
            let history = learnt(Stream::new(*seed, 0.0, 0.0), 75);
            Overdispersion::default().factor(WEIGHT, &history) > 1.0
        };
        let excuses = (0..200).filter(excuses).count();
        assert_eq!(excuses, 0, "seeds 0..200");
    }

    /// Most of it was common to both versions: what is left is faint beside the counts' own noise, and lasts all the
    /// same.
    #[test]
    fn faint_noise_lasts_as_long_as_history_does() {
        let underrated = |seed: &u64| {
            let history = learnt(Stream::new(1000 + seed, 13.0, 0.8), 120);
            learnt(Stream::new(*seed, 1.3, 0.8), 100).factor(WEIGHT, &history) < 3.0
        };
        let underrated = (0..200).filter(underrated).count();
        assert!(underrated <= 15, "seeds 0..200: {underrated}");
    }

    /// Without its largest step, a stream of independent windows seldom varies from neighbour to neighbour.
    #[test]
    fn a_jump_in_the_first_block_is_no_noise() {
        let tempered = |seed: &u64| {
            let (mut stream, mut state) = (Stream::new(*seed, 0.0, 0.0), Overdispersion::default());
            (0..20).for_each(|window| state.update(stream.next(if window < 10 { 0.0 } else { 5.0 })));
            state.factor(WEIGHT, &Overdispersion::default()) > 1.0
        };
        let tempered = (0..200).filter(tempered).count();
        assert!(tempered <= 20, "seeds 0..200: {tempered}");
    }

    #[test]
    fn a_season_in_history_is_forgotten() {
        let [calm, wild] = [20.0, 80.0].map(|excess| learnt(Stream::new(3, excess, 0.9), 100));
        let factor = |windows, history| learnt(Stream::new(4, 0.0, 0.0), windows).factor(WEIGHT, history);
        // At first it counts by what it varied; once contrasts have shown nothing of it, it does not matter how much
        // that was.
        assert!(factor(10, &calm) > 10.0 && factor(10, &wild) > 2.0 * factor(10, &calm));
        assert!((factor(80, &calm) - factor(80, &wild)).abs() < 1e-12, "{}", factor(80, &calm));
    }

    #[test]
    fn the_newest_windows_say_nothing_yet_and_a_blip_little() {
        let mut state = learnt(Stream::new(5, 0.0, 0.0), 100);
        let factor = |state: &Overdispersion| state.factor(WEIGHT, &Overdispersion::default());
        let before = factor(&state);
        (0..3).for_each(|_| state.update(Contrast { z: 50.0, weight: WEIGHT }));
        assert!((factor(&state) - before).abs() < 0.2, "{}", factor(&state));
        let mut blip = learnt(Stream::new(6, 0.0, 0.0), 30);
        blip.update(Contrast { z: 50.0, weight: WEIGHT });
        let mut calm = Stream::new(7, 0.0, 0.0);
        (0..10).for_each(|_| blip.update(calm.next(0.0)));
        assert!(factor(&blip) < 1.5, "{}", factor(&blip));
    }

    #[test]
    fn more_traffic_shows_more_noise() {
        let state = learnt(Stream::new(8, 6.5, 0.3), 200);
        let factor = |weight| state.factor(weight, &Overdispersion::default());
        assert!((factor(2.0 * WEIGHT) - 1.0 - 2.0 * (factor(WEIGHT) - 1.0)).abs() < 1e-9);
    }

    #[test]
    fn state_survives_json_bit_by_bit() {
        let state = learnt(Stream::new(9, 6.5, 0.3), 77);
        let text = serde_json::to_string(&state).expect("a finite state");
        assert_eq!(serde_json::from_str::<Overdispersion>(&text).expect("its own text"), state);
    }
}
