//! Are two distribution functions further apart than is tolerated? Kolmogorov and Smirnov's distance from counts per
//! bin.
//!
//! The largest gap at an edge, `low`, is a lower bound of the distance `D`; within bin `j` the gap is at most
//! `max(F_j - G_(j-1), G_j - F_(j-1))`, which gives `high`. By the triangle inequality a distance `D` beyond `tau + x`
//! needs a sampling error beyond `x`, so with `lambda = max(0, low - tau) sqrt(n m / (n + m) / deff)`
//!
//! `p-value = P(max over edges of |B| >= lambda)`, `B` a Brownian bridge.
//!
//! Between edges nothing is seen, so the maximum is taken at the edges only. With at most 64 of them that law is
//! computed, by carrying the mass of the bridge that has stayed within `+-lambda` from edge to edge over a grid of
//! cells; beyond, edges are dense and Kolmogorov's law of the whole bridge is near. (On few atoms that law is very
//! conservative.)
//!
//! **Source**: Smirnov, Ann. Math. Stat. 19, 1948; Doob, Ann. Math. Stat. 20, 1949 (bridge); for a bridge at given
//! points, Wang and Pötzelberger, Boundary crossing probability for Brownian motion, J. Appl. Prob. 34, 1997, in
//! spirit. **Assumes**: independent events, or a design effect; both sides binned on edges chosen before. **Error**:
//! from the width of a cell; at 64 edges the p-value is up to 6 per cent too large, with fewer far less. **State**:
//! none. **Cost**: one pass over the bins; and, where the gap exceeds `tau`, 2,048 error functions an edge up to 64
//! edges: some milliseconds.

use super::kolmogorov_sf;
use super::log_space::float;
use super::normal::normal_sf;

/// Bins with events up to which the law at their edges is computed.
/// Origin: numerics; a bound on time.
const EDGES_MAX: usize = 64;
/// Cells of the grid over the distance from zero.
/// Origin: numerics; as for the edges.
const CELLS: usize = 32;

/// The distance between two binned samples, and what is tolerated.
#[derive(Debug, Clone, PartialEq)]
pub struct KsTest {
    /// The largest gap at an edge.
    pub low: f64,
    /// The largest gap there can be between edges.
    pub high: f64,
    /// The tolerated distance, `tau`.
    pub tau: f64,
    /// `sqrt(n m / (n + m) / deff)`.
    pub root: f64,
    /// The pooled distribution function at the edges where it rises, without its end.
    edges: Vec<f64>,
}

impl KsTest {
    /// Compares counts per bin; nothing if a side is empty. `is_atom` says of a bin that all its values are equal.
    #[must_use]
    pub fn of(reference: &[u64], window: &[u64], tau: f64, deff: f64, is_atom: impl Fn(usize) -> bool) -> Option<Self> {
        assert_eq!(reference.len(), window.len(), "one count per bin and side");
        let (m, n) = (float(reference.iter().sum()), float(window.iter().sum()));
        if m == 0.0 || n == 0.0 {
            return None;
        }
        let mut test = Self { low: 0.0, high: 0.0, tau, root: (n * m / (n + m) / deff.max(1.0)).sqrt(), edges: vec![] };
        let (mut sum_r, mut sum_w) = (0, 0);
        for (bin, (&r, &w)) in reference.iter().zip(window).enumerate().filter(|(_, (r, w))| **r + **w > 0) {
            let before = (float(sum_r) / m, float(sum_w) / n);
            (sum_r, sum_w) = (sum_r + r, sum_w + w);
            let after = (float(sum_r) / m, float(sum_w) / n);
            test.low = test.low.max((after.0 - after.1).abs());
            let inside = if is_atom(bin) { 0.0 } else { (after.0 - before.1).max(after.1 - before.0) };
            test.high = test.high.max(inside).max(test.low);
            test.edges.push(float(sum_r + sum_w) / (m + n));
        }
        test.edges.pop();
        Some(test)
    }

    /// How likely gaps this large are if the true distance is just tolerated.
    #[must_use]
    pub fn p(&self) -> f64 {
        let lambda = (self.low - self.tau).max(0.0) * self.root;
        if self.edges.len() < EDGES_MAX { bridge_sf(lambda, &self.edges) } else { kolmogorov_sf(lambda) }
    }
}

/// `P(max over times of |B| >= x)` for a Brownian bridge from 0 at time 0 to 0 at time 1; times rise within (0, 1).
#[must_use]
pub fn bridge_sf(x: f64, times: &[f64]) -> f64 {
    if x <= 0.0 {
        return 1.0;
    }
    let mut walk = BridgeWalk::new(x);
    times.iter().for_each(|&time| walk.to(time));
    walk.out.min(1.0)
}

/// The mass of a bridge's distance from zero, per cell of `[0, limit]`, and what has left.
struct BridgeWalk {
    limit: f64,
    time: f64,
    cells: Vec<f64>,
    out: f64,
}

impl BridgeWalk {
    fn new(limit: f64) -> Self {
        Self { limit, time: 0.0, cells: vec![], out: 0.0 }
    }

    fn to(&mut self, time: f64) {
        let rest = (1.0 - time) / (1.0 - self.time);
        let deviation = ((time - self.time) * rest).sqrt();
        let width = self.limit / float(CELLS as u64);
        // Before the first step all mass is at zero exactly.
        let start = [1.0];
        let from = if self.cells.is_empty() { &start[..] } else { &self.cells };
        let offset = if self.cells.is_empty() { 0.0 } else { 0.5 * width };
        let mut next = vec![0.0; CELLS];
        for (cell, &mass) in from.iter().enumerate().filter(|(_, mass)| **mass > 0.0) {
            let center = (offset + float(cell as u64) * width) * rest;
            // The chance to end beyond `edge` on either side.
            let beyond = |edge: f64| normal_sf((edge - center) / deviation) + normal_sf((edge + center) / deviation);
            let mut above = 1.0;
            for (index, target) in next.iter_mut().enumerate() {
                let below = above;
                above = beyond(float(index as u64 + 1) * width);
                *target += mass * (below - above);
            }
            self.out += mass * above;
        }
        self.cells = next;
        self.time = time;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::world::Rng;

    #[test]
    fn one_edge_is_a_normal_law() {
        for (x, time) in [(0.3, 0.5), (1.0, 0.2), (2.5, 0.9)] {
            let truth = 2.0 * normal_sf(x / f64::sqrt(time * (1.0 - time)));
            assert!((bridge_sf(x, &[time]) / truth - 1.0).abs() < 1e-10, "{x} {time}");
        }
        assert!((bridge_sf(0.0, &[0.5]) - 1.0).abs() < 1e-15 && bridge_sf(0.5, &[]).abs() < 1e-15);
    }

    #[test]
    fn agrees_with_drawn_bridges() {
        let mut rng = Rng::new(71);
        let times = [0.05, 0.2, 0.201, 0.5, 0.55, 0.8, 0.97];
        let bridges = 200_000_u32;
        let bounds = [0.4, 0.8, 1.2, 1.6];
        let mut beyond = [0_u32; 4];
        for _ in 0..bridges {
            let (mut at, mut value, mut most) = (0.0_f64, 0.0_f64, 0.0_f64);
            for time in times {
                let rest = (1.0 - time) / (1.0 - at);
                value = value * rest + ((time - at) * rest).sqrt() * rng.normal();
                at = time;
                most = most.max(value.abs());
            }
            beyond.iter_mut().zip(bounds).for_each(|(count, bound)| *count += u32::from(most >= bound));
        }
        for (times_out, bound) in beyond.into_iter().zip(bounds) {
            let (p, drawn) = (bridge_sf(bound, &times), f64::from(times_out) / f64::from(bridges));
            let error = 4.0 * (drawn * (1.0 - drawn) / f64::from(bridges)).sqrt();
            assert!((p - drawn).abs() < error + 5e-4, "seed 71, {bound}: {p} instead of {drawn}");
        }
    }

    /// Looking at `k` edges only is like moving the bound out by `0.5826 sqrt(1 / k)` (Siegmund, Adv. Appl. Prob. 11,
    /// 1979).
    #[test]
    fn many_edges_tend_to_kolmogorov_from_below() {
        for x in [0.8, 1.2, 1.6] {
            let found = bridge_sf(x, &(1..64).map(|i| f64::from(i) / 64.0).collect::<Vec<_>>());
            let corrected = kolmogorov_sf(x + 0.5826 / 8.0);
            assert!((0.99..1.08).contains(&(found / corrected)), "{x}: {found} instead of {corrected}");
        }
    }

    #[test]
    fn distances_by_hand() {
        let test = KsTest::of(&[2, 0, 5, 3], &[1, 0, 0, 4], 0.1, 4.0, |_| false).expect("two sides");
        assert!((test.low - 0.5).abs() < 1e-15 && (test.high - 0.8).abs() < 1e-15, "{test:?}");
        assert!((test.root - (50.0_f64 / 15.0 / 4.0).sqrt()).abs() < 1e-15);
        assert_eq!(test.edges, [3.0 / 15.0, 8.0 / 15.0]);
        let atoms = KsTest::of(&[2, 0, 5, 3], &[1, 0, 0, 4], 0.1, 4.0, |_| true).expect("two sides");
        assert!((atoms.high - atoms.low).abs() < 1e-15);
        assert_eq!(KsTest::of(&[0, 0], &[1, 2], 0.1, 1.0, |_| false), None);
    }

    #[test]
    fn what_is_tolerated_is_no_evidence() {
        let test = KsTest::of(&[500, 500], &[590, 410], 0.1, 1.0, |_| false).expect("two sides");
        assert!((test.p() - 1.0).abs() < 1e-15, "{}", test.p());
    }
}
