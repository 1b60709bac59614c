//! Panes and windows as arithmetic. Panes and windows are half-open, `[start, end)`, and aligned to the epoch, also
//! before 1970.

use crate::event::Micros;

/// Start of the pane that `time` falls into. The ends of time, `Micros::MIN` and `Micros::MAX`, stand for never and for
/// ever and stay what they are.
#[must_use]
pub fn start_of(time: Micros, pane: Micros) -> Micros {
    debug_assert!(pane > 0, "a pane has a length");
    if matches!(time, Micros::MIN | Micros::MAX) { time } else { time - time.rem_euclid(pane) }
}

/// Starts of all windows `[k * slide, k * slide + size)` that hold the pane starting at `pane`, ascending.
pub fn windows_of(pane: Micros, size: Micros, slide: Micros) -> impl Iterator<Item = Micros> {
    let last = start_of(pane, slide);
    let n = (size - (pane - last) + slide - 1).div_euclid(slide).max(0);
    (0..n).rev().map(move |back| last - back * slide)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn panes_are_aligned_before_the_epoch_too() {
        assert_eq!(start_of(25, 10), 20);
        assert_eq!(start_of(20, 10), 20);
        assert_eq!(start_of(-1, 10), -10);
    }

    #[test]
    fn tumbling_windows_are_single() {
        assert_eq!(windows_of(20, 10, 10).collect::<Vec<_>>(), [20]);
        assert_eq!(windows_of(20, 30, 10).collect::<Vec<_>>(), [0, 10, 20]);
        assert_eq!(windows_of(25, 20, 15).collect::<Vec<_>>(), [15]);
    }

    proptest! {
        #[test]
        fn windows_hold_the_pane_and_none_is_missed(pane in -500_i64..500, slide in 1_i64..40, factor in 1_i64..6) {
            let size = slide * factor;
            let found: Vec<_> = windows_of(pane, size, slide).collect();
            let all: Vec<_> = (-1_000..600).filter(|s| s % slide == 0 && *s <= pane && pane < s + size).collect();
            prop_assert_eq!(found, all);
        }
    }
}
