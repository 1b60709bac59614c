//! Many questions at once: which of them are answered.
//!
//! One alarm for all is a mean of e-values under weights fixed beforehand, an e-value whatever their dependence
//! ([`pool`](super::pool) and the guardrails take it). Lists are for naming what raised it:
//!
//! * [`bh`]: of one window's p-values the `k` smallest, for the largest `k` with `p_(k) <= k q / K`: of those named a
//!   share of at most `q` is wrong on average if the p-values are independent or positively dependent.
//! * [`e_bh`]: which hypotheses to name. The `k` largest of `K` e-values with `e_(k) >= K / (k q)`, for the largest
//!   such `k`; of those named a share of at most `q` is wrong on average, whatever their dependence.
//! * [`closed_e_bh`]: never fewer names. The `r` largest, for the largest `r` such that every set of hypotheses of
//!   which `i` are among them has a mean e-value of at least `i / (q r)`.
//! * [`e_d_bh`]: the same over detectors that run for ever: stream `i` is named if it is among the `k` largest of
//!   `w_i K R_i`, and these are at least `A K / k`. No more than one name in `A` windows is wrong on average.
//!
//! **Source**: Benjamini and Hochberg, JRSS B 57(1), 1995, section 3.1; Vovk and Wang, Ann. Stat. 49(3), 2021, section
//! 4 (means); Wang and Ramdas, False discovery rate control with e-values, JRSS B 84(3), 2022, section 3; Xu, Fischer
//! and Ramdas, Bringing closure to false discovery rate control, 2025, section 3 (closed e-BH); Dandapanthula and
//! Ramdas, Multiple testing in multi-stream sequential change detection, 2025, section 4 (e-d-BH). **Assumes**: weights
//! that do not depend on the data, with mean 1. **State**: none. **Cost**: a sort; `K^3 / 6` additions for the closed
//! form, meant for some dozens of hypotheses.

use super::log_space::float;

/// Indices of the hypotheses to reject by their p-values at false discovery rate `q`, ascending.
#[must_use]
pub fn bh(p: &[f64], q: f64) -> Vec<usize> {
    let negated: Vec<f64> = p.iter().map(|p| -p).collect();
    let order = descending(&negated);
    let k = float(p.len() as u64);
    let enough = |rank: usize| p[order[rank - 1]] <= float(rank as u64) * q / k;
    let named = (1..=order.len()).rev().find(|&rank| enough(rank)).unwrap_or(0);
    first(order, named)
}

/// Indices of the hypotheses to reject at false discovery rate `q`, ascending.
#[must_use]
pub fn e_bh(log_e: &[f64], q: f64) -> Vec<usize> {
    let order = descending(log_e);
    let k = float(log_e.len() as u64);
    let enough = |rank: usize| log_e[order[rank - 1]] >= libm::log(k / (float(rank as u64) * q));
    let named = (1..=order.len()).rev().find(|&rank| enough(rank)).unwrap_or(0);
    first(order, named)
}

/// As [`e_bh`], through the closure of the test of a mean: rejects at least as many.
#[must_use]
pub fn closed_e_bh(log_e: &[f64], q: f64) -> Vec<usize> {
    let order = descending(log_e);
    // Beyond K / q more evidence changes nothing, and cutting there keeps sums finite.
    let most = float(log_e.len() as u64) / q;
    let sorted: Vec<f64> = order.iter().map(|&index| libm::exp(log_e[index]).min(most)).collect();
    let named = (1..=sorted.len()).rev().find(|&r| every_set_agrees(&sorted, r, q)).unwrap_or(0);
    first(order, named)
}

/// Whether every set with `i` of the `r` largest has a mean of at least `i / (q r)`; the hardest sets hold the
/// smallest.
fn every_set_agrees(sorted: &[f64], r: usize, q: f64) -> bool {
    let (inside, outside) = sorted.split_at(r);
    let mut of_inside = 0.0;
    (1..=r).all(|i| {
        of_inside += inside[r - i];
        let needed = float(i as u64) / (q * float(r as u64));
        let mut surplus = of_inside - float(i as u64) * needed;
        surplus >= 0.0
            && outside.iter().rev().all(|e| {
                surplus += e - needed;
                surplus >= 0.0
            })
    })
}

/// Indices of the detectors to name, ascending: `log_r` their `ln R`, `weights` with mean 1, `patience` the `A` of the
/// head.
#[must_use]
pub fn e_d_bh(log_r: &[f64], weights: &[f64], patience: f64) -> Vec<usize> {
    assert_eq!(log_r.len(), weights.len(), "one weight per detector");
    let weighted: Vec<f64> = log_r.iter().zip(weights).map(|(log_r, &weight)| log_r + libm::log(weight)).collect();
    e_bh(&weighted, 1.0 / patience)
}

/// Indices by falling value, earlier ones first among equals.
fn descending(values: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[b].total_cmp(&values[a]));
    order
}

fn first(mut order: Vec<usize>, named: usize) -> Vec<usize> {
    order.truncate(named);
    order.sort_unstable();
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::world::Rng;

    fn logs(values: &[f64]) -> Vec<f64> {
        values.iter().map(|value| value.ln()).collect()
    }

    #[test]
    fn bh_by_hand() {
        // k q / K at q = 0.1 and K = 4: 0.025, 0.05, 0.075, 0.1.
        assert_eq!(
            bh(&[0.06, 0.9, 0.001, 0.074], 0.1),
            [0, 2, 3],
            "0.06 is above its own bound, but not above the third"
        );
        assert_eq!(bh(&[0.03, 0.06, 0.08, 0.2], 0.1), [0; 0]);
        assert_eq!(bh(&[], 0.1), [0; 0]);
    }

    #[test]
    fn e_bh_by_hand() {
        // K / (k q) at q = 0.1 and K = 4: 40, 20, 13.3, 10.
        assert_eq!(e_bh(&logs(&[1.0, 25.0, 12.0, 21.0]), 0.1), [1, 3]);
        assert_eq!(e_bh(&logs(&[11.0, 25.0, 12.0, 21.0]), 0.1), [0, 1, 2, 3]);
        assert_eq!(e_bh(&logs(&[1.0, 39.0, 1.0, 1.0]), 0.1), [0; 0]);
        assert_eq!(e_bh(&[], 0.1), [0; 0]);
    }

    /// The definition, over all sets.
    fn closed_by_sets(e: &[f64], q: f64) -> usize {
        let mut sorted = e.to_vec();
        sorted.sort_by(|a, b| b.total_cmp(a));
        let agrees = |r: usize| {
            (1_u32..1 << sorted.len()).all(|set| {
                let members = (0..sorted.len()).filter(|&i| set >> i & 1 == 1);
                let (sum, size) = members.clone().fold((0.0, 0.0), |(sum, size), i| (sum + sorted[i], size + 1.0));
                let inside = float(members.filter(|&i| i < r).count() as u64);
                sum / size >= inside / (q * float(r as u64)) - 1e-12
            })
        };
        (1..=sorted.len()).rev().find(|&r| agrees(r)).unwrap_or(0)
    }

    #[test]
    fn the_closed_form_agrees_with_all_sets_and_rejects_no_less() {
        let mut rng = Rng::new(61);
        let mut more = 0;
        for case in 0..400 {
            let e: Vec<f64> = (0..6).map(|_| libm::exp(3.0 + 2.0 * rng.normal())).collect();
            let (open, closed) = (e_bh(&logs(&e), 0.1), closed_e_bh(&logs(&e), 0.1));
            assert_eq!(closed.len(), closed_by_sets(&e, 0.1), "seed 61, case {case}: {e:?}");
            assert!(open.iter().all(|index| closed.contains(index)), "seed 61, case {case}: {e:?}");
            more += usize::from(closed.len() > open.len());
        }
        assert!(more > 20, "seed 61: {more} of 400");
        assert_eq!(closed_e_bh(&[5000.0, 1.0, 4000.0], 0.1), [0, 2]);
    }

    #[test]
    fn detectors_that_run_for_ever() {
        // A K / k at A = 100 and K = 4: 400, 200, 133, 100.
        assert_eq!(e_d_bh(&logs(&[210.0, 3.0, 250.0, 2.0]), &[1.0; 4], 100.0), [0, 2]);
        assert_eq!(e_d_bh(&logs(&[210.0, 3.0, 250.0, 2.0]), &[0.5, 0.5, 2.0, 1.0], 100.0), [2]);
        assert_eq!(e_d_bh(&[f64::NEG_INFINITY; 3], &[1.0; 3], 100.0), [0; 0]);
    }
}
