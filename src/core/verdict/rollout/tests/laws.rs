//! What holds after any windows in any order.

use proptest::prelude::*;

use super::*;
use crate::verdict::chain::Chain;

fn any_window() -> impl Strategy<Value = Seen> {
    let action = prop::sample::select(vec![Action::Warn, Action::Hold, Action::Contain, Action::Rollback]);
    let share = prop::sample::select(vec![0.0, 1.0, 5.0, 25.0, 50.0, 100.0]);
    let found = prop::option::weighted(0.2, (action, any::<bool>(), prop::sample::select(vec!["errors", "latency"])));
    let untrusted = prop::bool::weighted(0.1);
    let whole = (share, prop::bool::weighted(0.9), untrusted);
    (whole, found, prop::bool::weighted(0.1), any::<bool>(), prop::bool::weighted(0.8)).prop_map(
        |((share_pct, data, untrusted), found, suspicious, safe, cleared)| {
            let findings = found.map(|(action, hard, source)| finding(source, action, hard)).into_iter().collect();
            let trust = if untrusted { crate::trust::tests::untrusted() } else { WindowTrust::default() };
            let verdict = Verdict { findings, suspicious, cleared, safe, ..Verdict::default() };
            Seen { share_pct, data, verdict, trust }
        },
    )
}

fn runs() -> impl Strategy<Value = Vec<(Seen, usize)>> {
    prop::collection::vec((any_window(), 1_usize..8), 1..40)
}

fn each(runs: &[(Seen, usize)]) -> impl Iterator<Item = &Seen> {
    runs.iter().flat_map(|(seen, n)| std::iter::repeat_n(seen, *n))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    /// Severity falls only by `observe` (from a warning) and `resume`, after clear windows in a row and a stay.
    #[test]
    fn nothing_is_lifted_without_clear_windows_and_a_stay(runs in runs()) {
        let mut bench = Bench::new("AUTO", stages());
        for seen in each(&runs) {
            let before = bench.state.clone();
            let signals = bench.window(seen);
            if bench.state.state.severity() >= before.state.severity() {
                continue;
            }
            prop_assert!(before.counts.clear + 1 >= stages().clear_windows, "{:?}", before.counts);
            prop_assert!(seen.verdict.findings.is_empty() && !seen.verdict.suspicious && seen.data);
            if before.state.severity() > Action::Warn {
                prop_assert_eq!(signals.last(), Some(&Signal::Resume));
                prop_assert!(before.counts.in_state + 1 >= stages().dwell_windows);
                // A hold for want of data is over when data is back: no evidence flaps.
                prop_assert!(before.counts.relaxations < stages().flap_budget || before.cause == crate::reason::ReasonCode::NoData);
            } else {
                prop_assert_eq!(&signals, &[Signal::Observe]);
            }
        }
    }

    /// Nothing passes, is lifted or becomes stable on a window that is not trusted.
    #[test]
    fn an_untrusted_window_permits_nothing(runs in runs()) {
        let mut bench = Bench::new("AUTO", stages());
        for seen in each(&runs) {
            let (before, good) = (bench.state.state, bench.state.counts.good_at_step());
            let signals = bench.window(seen);
            if seen.trust.is_untrusted() {
                prop_assert!(!signals.iter().any(|signal| signal.permits()), "{signals:?}");
                prop_assert!(bench.state.state != State::Stable || before == State::Stable);
                prop_assert!(bench.state.counts.good_at_step() <= good);
            }
        }
    }

    /// The cap in force rises only when somebody says so.
    #[test]
    fn the_cap_rises_only_by_a_permission(runs in runs()) {
        let mut bench = Bench::new("AUTO", stages());
        for seen in each(&runs) {
            let before = bench.state.cap_pct.unwrap_or(100.0);
            let signals = bench.window(seen);
            let rose = bench.state.cap_pct.unwrap_or(100.0) > before;
            prop_assert!(!rose || signals.iter().any(|signal| signal.permits()), "{signals:?}");
        }
    }

    /// No number is left out or given twice, and no id is.
    #[test]
    fn decisions_are_numbered_without_gaps(runs in runs(), authority in prop::sample::select(vec!["AUTO", "APPROVAL", "ADVISORY"])) {
        let mut bench = Bench::new(authority, stages());
        each(&runs).for_each(|seen| drop(bench.window(seen)));
        let sequence: Vec<u64> = bench.decisions.iter().map(|decision| decision.sequence).collect();
        prop_assert_eq!(sequence, (1..=bench.decisions.len() as u64).collect::<Vec<_>>());
        let ids: std::collections::BTreeSet<_> = bench.decisions.iter().map(|decision| &decision.id).collect();
        prop_assert_eq!(ids.len(), bench.decisions.len());
    }

    /// A log is found whole as it is, and not once any of its decisions is changed, left out, or not the last one said.
    #[test]
    fn decisions_are_chained(runs in runs(), at in any::<prop::sample::Index>(), byte in any::<prop::sample::Index>()) {
        let mut bench = Bench::new("AUTO", stages());
        each(&runs).for_each(|seen| drop(bench.window(seen)));
        prop_assume!(!bench.decisions.is_empty());
        let flaws = |bodies: &[Vec<u8>]| {
            let mut chain = Chain::default();
            bodies.iter().for_each(|body| chain.add(body));
            chain.end(std::slice::from_ref(&bench.state));
            chain.flaws()
        };
        let whole: Vec<Vec<u8>> = bench.decisions.iter().map(Decision::body).collect();
        prop_assert_eq!(flaws(&whole), vec![]);
        let at = at.index(whole.len());
        let mut shorter = whole.clone();
        shorter.remove(at);
        // What is gone from the front may have been cut by retention.
        prop_assert_eq!(flaws(&shorter).is_empty(), at == 0 && whole.len() > 1);
        let mut changed = whole;
        let byte = byte.index(changed[at].len());
        changed[at][byte] ^= 1;
        prop_assert!(!flaws(&changed).is_empty(), "decision {at}, byte {byte}");
    }

    /// Windows without data restrict nothing before their time, permit nothing, and lift nothing.
    #[test]
    fn blindness_only_holds_and_only_after_a_while(runs in runs(), n in 1_u32..6) {
        let mut bench = Bench::new("AUTO", stages());
        each(&runs).for_each(|seen| drop(bench.window(seen)));
        if bench.state.counts.blind > 0 {
            return Ok(());
        }
        let before = bench.state.state;
        let signals = bench.windows(n, &blind());
        prop_assert!(!signals.iter().any(|signal| signal.permits()), "{signals:?}");
        if n < stages().blind_windows && before.severity() < Action::Rollback {
            prop_assert_eq!(bench.state.state.severity(), before.severity());
            prop_assert!(!signals.iter().any(|signal| signal.is_adverse()), "{signals:?}");
        }
        prop_assert!(bench.state.state.severity() <= before.severity().max(Action::Hold));
    }

    /// A state that went through JSON goes on as if nothing had happened.
    #[test]
    fn a_restart_changes_nothing(runs in runs(), at in 0_usize..60) {
        let (mut straight, mut restarted) = (Bench::new("AUTO", stages()), Bench::new("AUTO", stages()));
        for (index, seen) in each(&runs).enumerate() {
            straight.window(seen);
            restarted.window(seen);
            if index == at {
                let text = serde_json::to_string(&restarted.state).expect("a state is JSON");
                restarted.state = serde_json::from_str(&text).expect("and comes back");
            }
        }
        prop_assert_eq!(&straight.state, &restarted.state);
        prop_assert_eq!(straight.decisions, restarted.decisions);
    }

    /// Whatever automation finds after a person has lifted a restriction, it holds at most.
    #[test]
    fn nothing_goes_beyond_a_hold_against_a_person(runs in runs()) {
        let mut bench = Bench::observing();
        bench.window(&bad(Action::Contain, true));
        bench.command(CommandKind::Resume { cap_pct: Some(100.0) });
        for seen in each(&runs) {
            if !bench.state.people.forced {
                break;
            }
            let signals = bench.window(seen);
            prop_assert!(!signals.contains(&Signal::Rollback) && !signals.contains(&Signal::Contain), "{signals:?}");
        }
    }
}
