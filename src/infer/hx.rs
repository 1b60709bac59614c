//! HX, the accumulator behind rollbacks and promotions: evidence over a rollout that one guardrail is worse (or is
//! safe).
//!
//! Per window and per rate ratio of a grid it takes [`log_e_margin`]'s bet, the base rate being predicted from earlier
//! windows, and keeps two products: a *fixed* one since the start, and a *moving* one that sums over every window at
//! which the harm may have begun (a mixture over start times), so that late harm is not drowned by what the early
//! windows lost.
//!
//! `E = 1/2 mean_j exp(F_j / deff) + 1/2 (mean_j exp(M_j) + (T - t)) / T`, with `t` of `T` planned windows seen and,
//! per window, `F_j += min(inc_j, ln(2 / alpha) / K)`,
//! `M_j = ln(1 + exp(M_j)) + min(inc_j / deff_before, ln(2 T / alpha) / K)`; whenever `deff` exceeds all that it was by
//! a factor `r`, `M_j /= r`, as entities that come back make earlier events worth less: for every start the exponent is
//! then at most its own evidence over `deff`, since `(sum a)^(1/r) <= sum a^(1/r)`.
//!
//! Evidence of safety (`Direction::Safety`) has no moving half: `E = mean_j exp(F_j / deff)`, capped at
//! `ln(1 / alpha) / K`.
//!
//! The caps bound what one window may say, so that nothing fires before window `K`; they only take evidence away and
//! therefore keep the guarantee: `P(E ever >= 1 / alpha) <= alpha` while no window is outside the null, for any number
//! of looks, any change of traffic, any seasonality shared by both arms. After `T` windows no new start is counted, so
//! a rollout may go on for as long as it likes. `deff`, the inflation of variance by repeated entities
//! ([`design_effect`]), deflates the evidence; with it the guarantee is asymptotic in the number of entities. A
//! window's gain may be divided beforehand, by what [`overdispersion`](super::overdispersion) says of noise that counts
//! do not explain.
//!
//! **Source**: Ville's inequality with the e-values of `two_sample`; mixtures over start times as in Shin, Ramdas and
//! Rinaldo, E-detectors, NEJSDS 2(2), 2023, section 2; tempering by a design effect, cap and default grid are this
//! project's own. **Assumes**: independent entities, windows that do not overlap, a baseline that ran at the same time.
//! **State**: two numbers for each of 13 ratios (harm; 5 of one among many) or one for each of 5 (safety), and six
//! more. **Cost**: about five logarithms and exponentials per grid point and window; nothing per event.
//!
//! How soon it fires and how seldom in vain is measured in `tests/rollout.rs`.
//!
//! [`design_effect`]: super::deff::design_effect

use serde::{Deserialize, Serialize};

use super::log_space::{float, log_add, log_mean};
use super::two_sample::{Arm, log_e_margin};

/// Ratios beyond the margin that harm is looked for at.
/// Origin: choice; the nearest bet to a true ratio has most of the evidence there is, from 2 % to tenfold.
const HARM: [f64; 13] = [1.02, 1.05, 1.1, 1.15, 1.2, 1.3, 1.4, 1.6, 1.8, 2.2, 3.0, 5.0, 10.0];
/// The same where one of many is looked at.
/// Origin: choice; from a tenth to fivefold, farther apart than for one alone, as there are many to be kept.
const ROUGH_HARM: [f64; 5] = [1.1, 1.25, 1.6, 2.5, 5.0];
/// Ratios below the margin that safety is looked for at.
/// Origin: choice; as for harm, on the other side, where large ratios do not occur.
const SAFETY: [f64; 5] = [1.05, 1.1, 1.15, 1.2, 1.3];
/// Rates are predicted as `(0.5 + past x) / (50 + past n)`: one per cent before anything was seen.
/// Origin: literature; half an event, after Jeffreys (1946).
const PRIOR_X: f64 = 0.5;
/// Origin: choice; with half an event, a rate of one per cent until something was seen.
const PRIOR_N: f64 = 50.0;
/// No bet says that every event of an arm fails.
/// Origin: numerics; a bet on certainty would lose everything at once.
const RATE_MAX: f64 = 0.999;

/// What an accumulator gathers evidence for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Direction {
    /// Against "the candidate's rate is at most the margin times the baseline's".
    Harm,
    /// The same by fewer ratios: of one among many, which together are to take little room.
    RoughHarm,
    /// Against "the candidate's rate is at least the margin times the baseline's".
    Safety,
}

/// How evidence is gathered; chosen before a rollout starts, and then fixed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HxPlan {
    /// The level at which the evidence decides: caps are set for it.
    pub alpha: f64,
    /// The ratio of rates on the edge of the null.
    pub margin: f64,
    /// The side of the margin that is looked for.
    pub direction: Direction,
    /// Windows a rollout is planned to take, `T`: starts of harm are spread over them.
    pub planned: u32,
    /// The fewest windows that may decide, `K`.
    pub windows_min: u32,
}

impl HxPlan {
    /// The ratios of rates that are bet on.
    fn ratios(&self) -> impl Iterator<Item = f64> {
        let grid: &[f64] = match self.direction {
            Direction::Harm => &HARM,
            Direction::RoughHarm => &ROUGH_HARM,
            Direction::Safety => &SAFETY,
        };
        let is_worse = self.looks_for_harm();
        grid.iter().map(move |&psi| if is_worse { self.margin * psi } else { self.margin / psi })
    }

    fn looks_for_harm(&self) -> bool {
        self.direction != Direction::Safety
    }

    fn starts(&self) -> f64 {
        f64::from(self.planned.max(1))
    }

    /// The most that one window may add to the products: fixed and moving.
    fn caps(&self) -> (f64, f64) {
        let windows = f64::from(self.windows_min.max(1));
        let halves = if self.looks_for_harm() { 2.0 } else { 1.0 };
        (libm::log(halves / self.alpha) / windows, libm::log(halves * self.starts() / self.alpha) / windows)
    }

    /// Where the evidence decides: `ln(1 / alpha)`.
    #[must_use]
    pub fn threshold(&self) -> f64 {
        -libm::log(self.alpha)
    }
}

/// Log evidence for one ratio of rates.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Products {
    fixed: f64,
    /// `None` stands for minus infinity, which JSON cannot hold: no start is counted.
    moving: Option<f64>,
}

/// The evidence of one guardrail over a rollout. See the head of this module.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hx {
    products: Vec<Products>,
    past: Arm,
    windows: u32,
    /// The latest design effect, and the largest.
    deff: f64,
    deff_max: f64,
}

impl Hx {
    /// No evidence.
    #[must_use]
    pub fn new(plan: &HxPlan) -> Self {
        let products = plan.ratios().map(|_| Products { fixed: 0.0, moving: None }).collect();
        Self { products, past: Arm::default(), windows: 0, deff: 1.0, deff_max: 1.0 }
    }

    /// Windows that counted: those in which both arms had events.
    #[must_use]
    pub fn windows(&self) -> u32 {
        self.windows
    }

    /// Takes one window, in order; a window without events of either arm changes nothing.
    ///
    /// `deff` is the cumulative design effect up to *and including* this window. What the window adds to the moving
    /// products is deflated by the one given with the window before, as a bet must be known beforehand, and their sum
    /// again when `deff` exceeds its largest; the fixed products are deflated by the latest when they are read.
    /// `dispersion`, known before the window and at least 1, divides what the window says.
    pub fn update(&mut self, plan: &HxPlan, candidate: Arm, baseline: Arm, deff: f64, dispersion: f64) {
        if candidate.n == 0 || baseline.n == 0 {
            return;
        }
        let predicted = (PRIOR_X + self.past.x) / (PRIOR_N + float(self.past.n));
        let share = float(candidate.n) / (float(candidate.n) + float(baseline.n));
        let won = |ratio: f64| bet(candidate, baseline, ratio, predicted / (share * ratio + 1.0 - share), plan);
        self.gather(plan, won, deff, dispersion);
        self.past = self.past.plus(candidate).plus(baseline);
    }

    /// Takes what one window won by each bet of the grid, whatever was bet on: `won` is given the ratio, the margin
    /// among it, and returns the log of an e-value. `deff` and `dispersion` as for [`Hx::update`].
    pub fn gather(&mut self, plan: &HxPlan, won: impl Fn(f64) -> f64, deff: f64, dispersion: f64) {
        assert!(dispersion >= 1.0, "evidence is divided by {dispersion}, which makes more of it");
        let (cap_fixed, cap_moving) = plan.caps();
        let counts_starts = self.windows < plan.planned.max(1);
        for (products, ratio) in self.products.iter_mut().zip(plan.ratios()) {
            let gain = won(ratio) / dispersion;
            // The lesser of a number and of what is none is the number: it would count as all the evidence there can
            // be.
            assert!(!gain.is_nan(), "a bet on a ratio of {ratio} wins nothing that is a number");
            products.fixed += gain.min(cap_fixed);
            if plan.looks_for_harm() {
                let before = products.moving.unwrap_or(f64::NEG_INFINITY);
                let open = if counts_starts { log_add(0.0, before) } else { before };
                products.moving = Some(open + (gain / self.deff).min(cap_moving));
            }
        }
        self.windows += 1;
        self.deflate(deff.max(1.0));
    }

    /// What was won before entities came back is worth less once they have.
    fn deflate(&mut self, deff: f64) {
        self.deff = deff;
        if deff > self.deff_max {
            let by = self.deff_max / deff;
            self.products.iter_mut().for_each(|products| products.moving = products.moving.map(|moving| moving * by));
            self.deff_max = deff;
        }
    }

    /// The log of the evidence; it decides at [`HxPlan::threshold`].
    #[must_use]
    pub fn log_e(&self, plan: &HxPlan) -> f64 {
        let fixed = log_mean(self.products.iter().map(|products| products.fixed / self.deff));
        if !plan.looks_for_harm() {
            return fixed;
        }
        let moving = log_mean(self.products.iter().map(|products| products.moving.unwrap_or(f64::NEG_INFINITY)));
        let to_come = f64::from(plan.planned.max(1).saturating_sub(self.windows));
        let moving = log_add(moving, libm::log(to_come)) - libm::log(plan.starts());
        log_add(fixed, moving) - std::f64::consts::LN_2
    }
}

/// What a bet on a ratio wins; a bet that cannot be placed outside of the null is not placed.
fn bet(candidate: Arm, baseline: Arm, ratio: f64, p_baseline: f64, plan: &HxPlan) -> f64 {
    let p_baseline = p_baseline.min(RATE_MAX);
    let p_candidate = (p_baseline * ratio).min(RATE_MAX);
    let edge = plan.margin * p_baseline;
    let outside = if plan.looks_for_harm() { p_candidate > edge } else { p_candidate < edge };
    if outside { log_e_margin(candidate, baseline, p_candidate, p_baseline, plan.margin) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(direction: Direction, margin: f64, windows_min: u32) -> HxPlan {
        HxPlan { alpha: 0.01, margin, direction, planned: 4, windows_min }
    }

    /// The definition, start by start and in plain arithmetic.
    fn by_hand(plan: &HxPlan, windows: &[(Arm, Arm, f64)]) -> f64 {
        let ratios: Vec<f64> = plan.ratios().collect();
        let k = f64::from(plan.windows_min);
        let (t_max, starts) = (plan.planned as usize, f64::from(plan.planned));
        let (mut fixed, mut moving) = (0.0, 0.0);
        for &ratio in &ratios {
            let gains: Vec<f64> = (0..windows.len())
                .map(|t| {
                    let (c, b, _) = windows[t];
                    let past_x: f64 = windows[..t].iter().map(|w| w.0.x + w.1.x).sum();
                    let past_n: f64 = windows[..t].iter().map(|w| float(w.0.n + w.1.n)).sum();
                    let w = float(c.n) / float(c.n + b.n);
                    let p_b = (0.5 + past_x) / (50.0 + past_n) / (w * ratio + 1.0 - w);
                    log_e_margin(c, b, (p_b * ratio).min(0.999), p_b, plan.margin)
                })
                .collect();
            let deff = windows.last().map_or(1.0, |w| w.2);
            let halves: f64 = if plan.looks_for_harm() { 2.0 } else { 1.0 };
            fixed += (gains.iter().map(|gain| gain.min((halves / plan.alpha).ln() / k)).sum::<f64>() / deff).exp();
            // What starts have won; where the design effect exceeds all before, they become one.
            let (mut won, mut largest): (Vec<f64>, f64) = (Vec::new(), 1.0);
            for t in 0..windows.len() {
                let cap = (2.0 * starts / plan.alpha).ln() / k;
                let known = if t == 0 { 1.0 } else { windows[t - 1].2 };
                won.extend((t < t_max).then_some(0.0));
                won.iter_mut().for_each(|won| *won += (gains[t] / known).min(cap));
                if windows[t].2 > largest {
                    won = vec![won.iter().map(|won| won.exp()).sum::<f64>().ln() * largest / windows[t].2];
                    largest = windows[t].2;
                }
            }
            moving += won.iter().map(|won| won.exp()).sum::<f64>() + float(t_max.saturating_sub(windows.len()) as u64);
        }
        let n = float(ratios.len() as u64);
        if !plan.looks_for_harm() {
            return (fixed / n).ln();
        }
        (0.5 * fixed / n + 0.5 * moving / n / starts).ln()
    }

    fn windows() -> Vec<(Arm, Arm, f64)> {
        let arm = |n, x| Arm { n, x };
        vec![
            (arm(100, 3.0), arm(300, 5.0), 1.0),
            (arm(200, 9.0), arm(300, 4.0), 1.4),
            (arm(200, 60.0), arm(10, 0.0), 2.0),
            (arm(150, 2.0), arm(300, 6.0), 1.7),
            (arm(150, 7.5), arm(300, 3.25), 1.5),
            (arm(150, 4.0), arm(300, 1.0), 1.5),
        ]
    }

    #[test]
    fn agrees_with_the_sum_over_starts() {
        for direction in [Direction::Harm, Direction::RoughHarm, Direction::Safety] {
            for (margin, windows_min) in [(1.0, 3), (1.2, 1)] {
                let plan = plan(direction, margin, windows_min);
                let mut hx = Hx::new(&plan);
                for (t, &(c, b, deff)) in windows().iter().enumerate() {
                    hx.update(&plan, c, b, deff, 1.0);
                    let truth = by_hand(&plan, &windows()[..=t]);
                    let found = hx.log_e(&plan);
                    assert!((found - truth).abs() < 1e-11, "{plan:?}, window {t}: {found} instead of {truth}");
                }
            }
        }
    }

    #[test]
    fn nothing_is_known_at_the_start_and_after_empty_windows() {
        let plan = plan(Direction::Harm, 1.2, 3);
        let mut hx = Hx::new(&plan);
        assert!(hx.log_e(&plan).abs() < 1e-15);
        hx.update(&plan, Arm { n: 500, x: 400.0 }, Arm::default(), 1.0, 1.0);
        hx.update(&plan, Arm::default(), Arm { n: 500, x: 400.0 }, 1.0, 1.0);
        assert_eq!(hx, Hx::new(&plan));
    }

    #[test]
    fn nothing_fires_before_the_fewest_windows() {
        for windows_min in 1..6 {
            let plan = plan(Direction::Harm, 1.0, windows_min);
            let mut hx = Hx::new(&plan);
            for window in 1..=windows_min {
                assert!(hx.log_e(&plan) < plan.threshold(), "after {} of {windows_min}", window - 1);
                hx.update(&plan, Arm { n: 100_000, x: 99_000.0 }, Arm { n: 100_000, x: 1000.0 }, 1.0, 1.0);
            }
            assert!(hx.log_e(&plan) > plan.threshold() - 3.0, "{} after {windows_min}", hx.log_e(&plan));
        }
    }

    #[test]
    fn a_candidate_with_nothing_but_failures_is_no_trouble() {
        let plan = plan(Direction::Harm, 1.5, 1);
        let mut hx = Hx::new(&plan);
        for _ in 0..20 {
            hx.update(&plan, Arm { n: 1000, x: 1000.0 }, Arm { n: 1000, x: 1000.0 }, 1.0, 1.0);
        }
        assert!(hx.log_e(&plan).is_finite() && hx.log_e(&plan) < 0.0, "{}", hx.log_e(&plan));
    }

    #[test]
    fn state_survives_json_bit_by_bit() {
        let plan = plan(Direction::Harm, 1.0, 3);
        let mut hx = Hx::new(&plan);
        for (c, b, deff) in windows() {
            let text = serde_json::to_string(&hx).expect("a finite state");
            assert_eq!(serde_json::from_str::<Hx>(&text).expect("its own text"), hx);
            hx.update(&plan, c, b, deff, 1.0);
        }
    }

    #[test]
    fn evidence_is_never_multiplied_and_always_a_number() {
        let plan = plan(Direction::Harm, 1.2, 3);
        let arm = |x: f64| Arm { n: 10, x };
        let update = |x: f64, dispersion: f64| {
            std::panic::catch_unwind(|| Hx::new(&plan).update(&plan, arm(x), arm(1.0), 1.0, dispersion))
        };
        assert!(update(5.0, 1.0).is_ok() && update(5.0, 7.0).is_ok());
        assert!(update(5.0, 0.5).is_err() && update(5.0, f64::NAN).is_err() && update(f64::NAN, 1.0).is_err());
    }
}
