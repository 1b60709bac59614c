//! The shipped alerts about those who carry decisions out: a process that is scraped, minute by minute.

use std::collections::BTreeMap;
use std::sync::Arc;

use haldane::act::{Acknowledgement, ObservedShare, Trouble};
use haldane::event::{Micros, SECOND};
use haldane::plan::{Plan, WindowKind};
use haldane::serve::{Board, Phase, Shared};
use haldane::targets::watch::{AdapterObserver as _, DeliveryCounts, Event};
use haldane::targets::{Subject, Tried};
use haldane::telemetry::Acting;
use haldane::verdict::AckStatus;

use crate::alerts::{Film, MINUTE, Process, Scenario, scenario};
use crate::world;

/// A process of `haldane act` with a target and somebody who is told.
fn actor() -> Arc<Shared> {
    let plan = world::plan(WindowKind::Sliding { size: MINUTE, slide: MINUTE });
    let shared = Arc::new(Shared::new());
    let adapters = [("route", false), ("chat", true)].into_iter();
    shared.follow(&Plan { name: "fraud".to_owned(), ..plan });
    shared.telemetry().runs_as("act");
    drop(Board::new(Arc::clone(&shared), adapters));
    shared
}

fn page(shared: &Shared) -> String {
    shared.telemetry().render().unwrap()
}

fn film(play: impl Fn(&Acting, i64)) -> Film {
    let shared = actor();
    Film::of(60, |minute| {
        play(shared.telemetry().acting(), minute);
        vec![page(&shared)]
    })
}

fn away() -> Tried<()> {
    Err(Trouble::Away("no answer".to_owned()))
}

fn said(status: AckStatus) -> Acknowledgement {
    Acknowledgement { decision: "b3:1".to_owned(), status, observed_pct: None, detail: String::new() }
}

fn subject() -> Subject {
    let [rollout, model, candidate, baseline, decision] = ["r", "m", "v2", "v1", "b3:1"].map(str::to_owned);
    Subject { rollout, model, candidate, baseline, decision }
}

pub(crate) fn scenarios() -> Vec<Scenario> {
    let unreachable = film(|acting, minute| {
        let is_open = (10..40).contains(&minute);
        if is_open {
            acting.saw("route", Event::Set { done: &away(), again: false }, minute * MINUTE);
        }
        // It is not asked any more where nothing is to be done.
        acting.saw("route", Event::Open(is_open.into()), minute * MINUTE);
    });
    let refuses = film(|acting, minute| {
        let status = if minute == 10 { AckStatus::Failed } else { AckStatus::Applied };
        acting.saw("route", Event::Said { ack: &said(status), contained: None }, minute * MINUTE);
    });
    let put_back = |every: i64| {
        film(move |acting, minute| {
            if (10..30).contains(&minute) && minute % every == 0 {
                acting.saw("route", Event::Set { done: &Ok(()), again: true }, minute * MINUTE);
            }
        })
    };
    let untold = film(|acting, minute| {
        let waiting = usize::from((10..40).contains(&minute));
        let tally = DeliveryCounts { failed: waiting as u64, waiting, ..DeliveryCounts::default() };
        acting.saw("chat", Event::Told(tally), minute * MINUTE);
    });
    let out_of_hours = film(|acting, minute| {
        acting.saw(
            "chat",
            Event::Told(DeliveryCounts { merged: 1, waiting: 1, ..DeliveryCounts::default() }),
            minute * MINUTE,
        );
    });
    vec![
        scenario("target is away", unreachable, &[(10, &[]), (20, &["HaldaneTargetAway"]), (45, &[])]),
        scenario("target says no", refuses, &[(9, &[]), (15, &["HaldaneTargetRefuses"]), (30, &[])]),
        scenario("a robot puts the share back", put_back(5), &[(11, &[]), (30, &["HaldaneTargetPutBack"])]),
        scenario("a person puts the share back once", put_back(20), &[(25, &[]), (40, &[])]),
        scenario("people cannot be told", untold, &[(15, &[]), (30, &["HaldaneCannotTell"]), (58, &[])]),
        scenario("people are not told at night", out_of_hours, &[(30, &[]), (59, &[])]),
        scenario("the judge is there and act is gone", gone(), &[(20, &[]), (40, &["HaldaneDown"])]),
    ]
}

/// Two processes of one pipeline; what both tell is shown of the first alone.
fn gone() -> Film {
    let (actor, mut judge) = (actor(), Process::healthy());
    Film::of(60, |minute| {
        judge.lives(minute);
        let page = page(&actor);
        let build: Vec<&str> = page.lines().filter(|line| line.starts_with("haldane_build")).collect();
        let pages = [Some(judge.shared.telemetry().render().unwrap()), Some(build.join("\n")).filter(|_| minute < 20)];
        pages.into_iter().flatten().collect()
    })
}

#[test]
fn what_adapters_do_is_on_the_page() {
    let shared = actor();
    let acting = shared.telemetry().acting();
    let seen = ObservedShare { version: None, share_pct: Some(25.0), grain_pct: 1.0, mark: String::new() };
    let at = |s: Micros| s * SECOND;
    acting.saw("route", Event::Open(1), at(100));
    acting.saw("route", Event::Looked(&subject(), &Err(Trouble::Away(String::new()))), at(100));
    acting.saw("route", Event::Open(1), at(107));
    assert!(page(&shared).contains("haldane_act_unreachable_seconds{pipeline=\"fraud\",target=\"route\"} 7\n"));
    acting.saw("route", Event::Looked(&subject(), &Ok(seen)), at(108));
    acting.saw("route", Event::Set { done: &Ok(()), again: false }, at(109));
    acting.saw("route", Event::Set { done: &Err(Trouble::Conflict), again: true }, at(110));
    let contained = Some(1_500_000);
    acting.saw("route", Event::Said { ack: &said(AckStatus::Applied), contained }, at(111));
    acting.saw("route", Event::Open(0), at(112));
    acting.saw("chat", Event::Told(DeliveryCounts { delivered: 3, failed: 2, merged: 1, waiting: 4 }), at(112));
    let page = page(&shared);
    let value = |name: &str, labels: &[(&str, &str)]| {
        let line = page.lines().find(|line| {
            line.split('{').next() == Some(name) && labels.iter().all(|(k, v)| line.contains(&format!("{k}=\"{v}\"")))
        });
        line.and_then(|line| line.rsplit(' ').next()).unwrap_or_else(|| panic!("no {name} in\n{page}")).to_owned()
    };
    let route = ("target", "route");
    for (name, wanted) in [
        ("haldane_act_look_timestamp_seconds", "108"),
        ("haldane_act_set_timestamp_seconds", "109"),
        ("haldane_act_unreachable_seconds", "0"),
        ("haldane_act_pending", "0"),
        ("haldane_act_share_ratio", "0.25"),
        ("haldane_act_time_to_contained_seconds_sum", "1.5"),
        ("haldane_act_time_to_contained_seconds_count", "1"),
    ] {
        assert_eq!(value(name, &[route]), wanted, "{name}");
    }
    let outcomes: BTreeMap<&str, &str> =
        [("applied", "1"), ("failed", "0"), ("unreachable", "1"), ("conflict", "1"), ("put_back", "1")].into();
    for (outcome, wanted) in outcomes {
        assert_eq!(value("haldane_act_outcomes_total", &[route, ("outcome", outcome)]), wanted, "{outcome}");
    }
    for (outcome, wanted) in [("delivered", "3"), ("failed", "2"), ("merged", "1")] {
        assert_eq!(value("haldane_notifications_total", &[("target", "chat"), ("outcome", outcome)]), wanted);
    }
    assert_eq!(value("haldane_notifications_pending", &[("target", "chat")]), "4");
    assert_eq!(value("haldane_build_info", &[("role", "act")]), "1");
}

#[test]
fn a_process_is_ready_once_every_adapter_has_read_what_was_there_and_alive_while_a_target_takes_its_time() {
    let shared = Arc::new(Shared::new());
    let board = Board::new(Arc::clone(&shared), [("route", false), ("chat", true)].into_iter());
    board.saw("route", Event::CaughtUp);
    assert_eq!(shared.health().phase(), Phase::Starting);
    board.saw("chat", Event::CaughtUp);
    assert_eq!(shared.health().phase(), Phase::Ready);
    board.saw("route", Event::Alive);
    assert_eq!(shared.health().pulses().len(), 1);
    board.saw("route", Event::Waits);
    assert!(shared.health().pulses().is_empty(), "its time-out bounds that");
}
