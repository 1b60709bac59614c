//! A window whose data is not trusted lets nothing pass, and may restrict.

use super::*;
use crate::trust::Trust;

/// The same window, of which a tenth was refused.
fn untrusted(seen: Seen) -> Seen {
    Seen { trust: crate::trust::tests::untrusted(), ..seen }
}

fn degraded(seen: Seen) -> Seen {
    let mut trust = crate::trust::tests::untrusted();
    trust.level = Trust::Degraded;
    Seen { trust, ..seen }
}

#[test]
fn a_candidate_that_would_have_passed_does_not_pass_on_an_untrusted_window() {
    for (seen, passes) in [(good(), true), (degraded(good()), true), (untrusted(good()), false)] {
        let mut bench = Bench::observing();
        let signals = bench.windows(20, &seen);
        assert_eq!(signals.contains(&Signal::PromoteOk), passes, "{:?}: {signals:?}", seen.trust.level);
        assert_eq!(bench.state.waits_for.iter().any(|text| text.contains("poison (10.0 %, 100)")), !passes);
    }
}

#[test]
fn an_untrusted_window_does_not_count_towards_those_at_a_step() {
    let windows = |between: &Seen| {
        let mut bench = Bench::observing();
        let mut n = 0;
        while bench.state.state != State::Passed {
            let good = good();
            bench.window(if n % 2 == 0 { &good } else { between });
            n += 1;
            assert!(n < 100);
        }
        n
    };
    let (all_good, half) = (windows(&good()), windows(&untrusted(good())));
    assert!(half + 2 >= 2 * all_good, "{half} windows, of which half count, against {all_good}");
}

#[test]
fn an_untrusted_window_lifts_nothing_and_does_not_warm_up() {
    let mut bench = Bench::observing();
    bench.window(&bad(Action::Hold, true));
    assert_eq!(bench.state.state, State::Held);
    assert_eq!(bench.windows(20, &untrusted(good())), []);
    assert_eq!((bench.state.state, bench.state.counts.clear), (State::Held, 0));
    assert!(bench.windows(20, &good()).contains(&Signal::Resume));
    let mut new = Bench::new("AUTO", stages());
    new.windows(20, &untrusted(good()));
    assert_eq!((new.state.state, new.state.counts.warm), (State::Registered, 0));
}

#[test]
fn an_untrusted_window_restricts_as_any_other() {
    for (action, signal) in
        [(Action::Hold, Signal::Hold), (Action::Contain, Signal::Contain), (Action::Rollback, Signal::Rollback)]
    {
        let mut bench = Bench::observing();
        assert_eq!(bench.window(&untrusted(bad(action, true))), [signal]);
    }
}

#[test]
fn one_that_serves_everybody_is_not_stable_on_untrusted_windows() {
    let mut bench = Bench::observing();
    bench.windows(20, &good().at(100.0));
    assert_eq!(bench.state.state, State::Stable);
    let mut bench = Bench::observing();
    bench.window(&good().at(100.0));
    bench.windows(60, &untrusted(good().at(100.0)));
    assert_eq!(bench.state.state, State::Baking);
}

#[test]
fn a_state_says_that_its_window_is_not_trusted_until_one_is() {
    let mut bench = Bench::observing();
    bench.window(&untrusted(good()));
    let text = serde_json::to_string(&bench.state).expect("encodes");
    assert!(text.contains("\"trust\":{\"level\":\"untrusted\",\"doubts\":[{\"cause\":\"poison\""), "{text}");
    assert!(serde_json::from_str::<RolloutState>(&text).expect("decodes") == bench.state);
    bench.window(&good());
    assert!(bench.state.trust.is_ok() && !serde_json::to_string(&bench.state).expect("encodes").contains("\"trust\""));
}
