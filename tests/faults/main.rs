//! `cargo faults`: the service as processes over a real cluster of three brokers, with faults out of a seed in both.
//!
//! Two pipelines read the same topics: one whose instances do everything, one with scans and judges apart. In the end
//! what they have said is held against a replay of the topics.

#![expect(clippy::cast_precision_loss, reason = "times and counts of minutes")]

#[expect(dead_code, reason = "one node is started there, for tests that need no more")]
#[path = "../it/broker.rs"]
mod broker;
mod campaign;
mod check;
mod crew;
mod gap;
#[expect(dead_code, reason = "answers are checked in more ways there")]
#[path = "../it/http.rs"]
mod http;
mod load;
mod nodes;
mod proxy;
#[expect(dead_code, reason = "tests of one fault wait for lines of the log")]
#[path = "../it/service.rs"]
mod service;
mod soak;
mod view;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use haldane::error::{Error, Result};
use haldane::event::SECOND;
use haldane::kafka::clock::{now, wall_clock};
use haldane::kafka::connection::Connection;

use crate::campaign::{Campaign, PATIENCE, SCANS_MAX};
use crate::check::Findings;
use crate::crew::{Crew, WAIT};
use crate::load::{INPUTS, Load, PARTITIONS};
use crate::nodes::Nodes;
use crate::view::View;

const USAGE: &str = "cargo faults [OPTION]

  --faults N    inject so many faults (8)
  --seed N      where they come from (1)
  --gap S       then all instances are gone for so many seconds, of 13 or more (16)
  --soak MIN    in place of faults and gap: nothing goes wrong for so many minutes, and memory is looked at
  --rate N      predictions a second (150)
  --logs DIR    keep the logs of instances that have ended there
without any: what CI runs";

/// What was asked for.
struct Asked {
    faults: usize,
    seed: u64,
    gap: Duration,
    soak: Option<Duration>,
    rate: u64,
    logs: Option<PathBuf>,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |name: &str| arguments.iter().any(|one| one == name);
    let value = |name: &str| Some(arguments[arguments.iter().position(|one| one == name)? + 1..].first()?.as_str());
    if has("--help") {
        println!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    let is_filtered =
        arguments.first().is_some_and(|first| !first.starts_with("--") && !"faults of a cluster".contains(first));
    if has("--list") || is_filtered {
        // A filter of other tests.
        return ExitCode::SUCCESS;
    }
    let number_of = |name: &str, default| value(name).map_or(default, number);
    let asked = Asked {
        faults: usize::try_from(number_of("--faults", 8)).expect("a count"),
        seed: number_of("--seed", 1),
        gap: Duration::from_secs(number_of("--gap", 16)),
        soak: value("--soak").map(|minutes| Duration::from_mins(number(minutes))),
        rate: number_of("--rate", 150),
        logs: value("--logs").map(PathBuf::from),
    };
    match run(&asked) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            println!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn number(text: &str) -> u64 {
    text.parse().unwrap_or_else(|_| panic!("`{text}` is no number\n{USAGE}"))
}

/// A failure of what surrounds the service.
fn outside(reason: String) -> Error {
    Error::external(reason)
}

/// Ends threads, however whoever waits for them ends.
struct Stops<'a>([&'a AtomicBool; 2]);

impl Drop for Stops<'_> {
    fn drop(&mut self) {
        self.0.iter().for_each(|stop| stop.store(true, Ordering::Relaxed));
    }
}

/// Starts everything, lets it go wrong, and looks at what is left. Whether all is fine.
fn run(asked: &Asked) -> Result<bool> {
    let begun = now();
    let nodes = Nodes::start().map_err(outside)?;
    let folder = tempfile::tempdir().map_err(|error| outside(error.to_string()))?;
    for topic in INPUTS {
        nodes.topic(topic, PARTITIONS.cast_signed()).map_err(outside)?;
    }
    let crew = |name: &str, roles: &[&'static str]| -> Result<Crew> {
        let crew = Crew::of(name, roles, &nodes.bootstrap, folder.path(), asked.logs.clone()).map_err(outside)?;
        for topic in [Some(&crew.kafka.topics.commands), crew.kafka.topics.windows.as_ref()].into_iter().flatten() {
            nodes.topic(topic, 1).map_err(outside)?;
        }
        Ok(crew)
    };
    let mut crews = [crew("whole", &["all", "all"])?, crew("apart", &["scan", "scan", "scan", "judge", "judge"])?];
    (0..2).for_each(|slot| crews[0].start(slot));
    (0..5).filter(|&slot| slot + 1 != SCANS_MAX).for_each(|slot| crews[1].start(slot));
    println!("seed {}: a cluster of three brokers after {:.1} s", asked.seed, begun.elapsed().as_secs_f64());
    let (load, stop) = (Arc::new(Load::at(asked.rate)), AtomicBool::new(false));
    let views = [Arc::new(View::default()), Arc::new(View::default())];
    let bootstrap = nodes.bootstrap.clone();
    std::thread::scope(|scope| {
        let producing = scope.spawn(|| load.run(&bootstrap, asked.seed));
        for (view, crew) in views.iter().zip(&crews) {
            let (kafka, stop) = (crew.kafka.clone(), &stop);
            let topic = kafka.topics.windows.clone().unwrap_or_default();
            scope.spawn(move || view.follow(&Connection::open(&kafka)?, &topic, stop));
        }
        let stops = Stops([&load.stop, &stop]);
        let mut campaign = Campaign::of(nodes, crews, views.clone(), Arc::clone(&load), asked.seed)?;
        let (upto, fine) = try_out(&mut campaign, asked)?;
        drop(stops);
        let made = producing.join().expect("the load does not panic")?;
        println!("{made} predictions in {:.0} s", begun.elapsed().as_secs_f64());
        Ok(report(&campaign, upto)? && fine)
    })
}

/// The faults, the gap, and the end. Up to when windows are to be compared, and whether all is fine so far.
fn try_out(campaign: &mut Campaign, asked: &Asked) -> Result<(i64, bool)> {
    campaign.heal()?;
    let fine = match asked.soak {
        Some(span) => soak::soak(campaign, span)?,
        None => go_wrong(campaign, asked)?,
    };
    campaign.heal()?;
    campaign.asks = false;
    let upto = wall_clock();
    let deadline = now() + PATIENCE;
    // Then the judgement of their labels has come, too.
    while campaign.views.iter().any(|view| view.newest() < upto + 2 * WAIT) && now() < deadline {
        campaign.step()?;
    }
    for crew in &mut campaign.crews {
        crew.working().into_iter().for_each(|slot| crew.end(slot, None));
    }
    while !campaign.crews.iter().all(Crew::is_settled) {
        campaign.step()?;
    }
    Ok((upto, fine))
}

fn go_wrong(campaign: &mut Campaign, asked: &Asked) -> Result<bool> {
    campaign.inject(asked.faults)?;
    campaign.heal()?;
    println!("{}", campaign.table());
    let heard = gap::gap(campaign, asked.gap)?;
    println!("{}", heard.tell(asked.gap));
    heard.flaws.iter().for_each(|flaw| println!("flaw: {flaw}"));
    Ok(heard.flaws.is_empty())
}

/// Says what is on the topics, and what is wrong. Whether all is fine.
fn report(campaign: &Campaign, upto: i64) -> Result<bool> {
    let mut fine = true;
    for crew in &campaign.crews {
        let Findings { lost, doubled, wrong, compared } = check::check(crew, upto)?;
        let [firsts, decisions, poison, commands] = compared;
        println!(
            "{}: {firsts} first judgements, {decisions} decisions, {poison} records that cannot be read and {commands} \
             commands compared: {} lost, {} doubled, {} wrong; {} instances ended without being told",
            crew.kafka.group,
            lost.len(),
            doubled.len(),
            wrong.len(),
            crew.ended.len()
        );
        crew.ended.iter().for_each(|last| println!("  ended: {last}"));
        let kinds = [("lost", &lost), ("doubled", &doubled), ("wrong", &wrong), ("flaw", &crew.flaws)];
        for (kind, found) in kinds {
            fine &= found.is_empty();
            for text in found.iter().take(5) {
                println!("  {kind}: {}", text.chars().take(2_000).collect::<String>());
            }
        }
    }
    println!("up to {} s", upto / SECOND);
    Ok(fine)
}
