//! Episodes by hand: what is said while a restriction stands.

use super::*;
use crate::verdict::rollout::episodes::EPISODES_MAX;

/// Windows of a day.
const DAY: u32 = 24 * 60;

/// A window in which these stand, of these sizes.
fn stands(of: &[(&str, f64)]) -> Seen {
    let one = |(metric, estimate): &(&str, f64)| {
        let evidence = vec![Evidence { estimate: *estimate, ..proof(metric) }];
        Finding { evidence, ..finding(metric, Action::Contain, true) }
    };
    let verdict = Verdict { findings: of.iter().map(one).collect(), ..Verdict::default() };
    Seen { share_pct: 5.0, verdict, ..good() }
}

/// A candidate that is contained because of `first`.
fn contained() -> Bench {
    let mut bench = Bench::observing();
    assert_eq!(bench.window(&stands(&[("first", 0.2)])), [Signal::Contain]);
    bench
}

fn text(bench: &Bench) -> &str {
    &bench.last().reason.text
}

#[test]
fn what_is_found_while_a_restriction_stands_is_told_once() {
    let mut bench = contained();
    let both = stands(&[("first", 0.2), ("second", 0.2)]);
    assert_eq!(bench.window(&both), [Signal::Warn]);
    assert_eq!(text(&bench), "second calls for contain");
    assert_eq!((bench.last().evidence.len(), bench.last().supersedes.len()), (1, 0));
    assert_eq!(bench.state.episodes[1].decision, bench.last().id);
    bench.is(State::Contained);
    assert_eq!(bench.windows(3 * DAY, &both), []);
}

#[test]
fn what_opens_in_one_window_goes_into_one_message() {
    let mut bench = contained();
    let more = stands(&[("first", 0.2), ("second", 0.2), ("third", 0.2)]);
    assert_eq!(bench.windows(9, &more), [Signal::Warn]);
    assert_eq!(text(&bench), "second calls for contain; third calls for contain");
}

#[test]
fn what_doubles_or_turns_round_is_told_again_after_a_day() {
    for now in [0.5, -0.3] {
        let mut bench = contained();
        let more = stands(&[("first", now)]);
        assert_eq!(bench.windows(DAY - 1, &more), [], "{now}: within a day");
        assert_eq!(bench.windows(DAY, &more), [Signal::Warn]);
        assert_eq!(bench.last().causation.as_ref(), Some(&bench.decisions[0].id));
    }
    let mut bench = contained();
    assert_eq!(bench.windows(3 * DAY, &stands(&[("first", 0.35)])), [], "less than twice as much");
}

#[test]
fn that_it_is_over_is_told_along_with_other_news_or_after_a_day_of_silence() {
    let mut bench = contained();
    let both = stands(&[("first", 0.2), ("second", 0.2)]);
    bench.windows(5, &both);
    let first = stands(&[("first", 0.2)]);
    assert_eq!(bench.windows(DAY - 5, &first), []);
    assert_eq!(bench.windows(DAY, &first), [Signal::Observe]);
    assert_eq!(text(&bench), "over: second, which stood in 5 windows");
    bench.is(State::Contained);
    bench.windows(2, &both);
    assert_eq!(bench.windows(2, &stands(&[("first", 0.2), ("third", 0.2)])), [Signal::Warn]);
}

#[test]
fn what_comes_and_goes_is_told_once_a_day() {
    let mut bench = contained();
    let (first, both) = (stands(&[("first", 0.2)]), stands(&[("first", 0.2), ("second", 0.2)]));
    let said: usize = (0..DAY / 8).map(|_| bench.windows(4, &both).len() + bench.windows(4, &first).len()).sum();
    assert_eq!(said, 1);
}

#[test]
fn what_is_muted_is_not_told_and_what_a_person_overruled_still_is() {
    let mut bench = contained();
    let until = Micros::MAX;
    bench.command(CommandKind::Mute { metric: "second".into(), column: None, segment: None, until });
    assert_eq!(bench.windows(9, &stands(&[("first", 0.2), ("second", 0.2)])), []);
    let mut bench = contained();
    bench.command(CommandKind::Resume { cap_pct: None });
    assert_eq!(bench.windows(9, &stands(&[("first", 0.2)])), []);
    assert!(!bench.windows(1, &stands(&[("first", 0.2), ("second", 0.2)])).is_empty());
}

#[test]
fn beyond_the_bound_what_one_source_finds_shares_an_episode() {
    let mut bench = contained();
    let names: Vec<String> = (0..3 * EPISODES_MAX).map(|n| format!("metric_{n}")).collect();
    let evidence = names.iter().map(|name| proof(name)).collect();
    let many = Finding { evidence, ..finding("many", Action::Warn, true) };
    let verdict = Verdict { findings: vec![many], ..Verdict::default() };
    let said = bench.windows(9, &Seen { share_pct: 5.0, verdict, ..good() });
    assert_eq!((said, bench.state.episodes.len()), (vec![Signal::Warn], EPISODES_MAX + 1));
}
