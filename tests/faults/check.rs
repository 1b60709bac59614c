//! Whether what stands on the topics in the end is right: held against a replay of the input topics, and against counts
//! that are made here, straight from the records.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use haldane::config;
use haldane::decode;
use haldane::engine::{Effects, Engine};
use haldane::error::Result;
use haldane::event::Micros;
use haldane::judge::{ALL_VERSIONS, WindowRow};
use haldane::kafka::connection::Connection;
use haldane::kafka::dead_letter::readable_headers;
use haldane::kafka::reader::record;
use haldane::kafka::{cloud_event, whole_topic};
use haldane::plan::Plan;
use haldane::verdict::chain::Chain;
use haldane::verdict::{CommandResult, Decision, RolloutState, Scheduled, with_ended};
use rdkafka::message::Message as _;

use crate::crew::{Crew, SIZE};
use crate::load::{INPUTS, PARTITIONS};

/// What was found: kinds of faults, each with what shows it.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// Something that should be there is not.
    pub(crate) lost: Vec<String>,
    /// Something is there twice, with different contents.
    pub(crate) doubled: Vec<String>,
    /// Something is not what the log says.
    pub(crate) wrong: Vec<String>,
    /// How much was compared: first judgements, decisions, records that cannot be read, commands.
    pub(crate) compared: [usize; 4],
}

/// First judgements by what names them, each with all that was said.
type Firsts = BTreeMap<String, BTreeSet<String>>;

#[derive(Default)]
struct Said {
    firsts: Firsts,
    decisions: BTreeMap<String, Decision>,
}

impl Said {
    fn row(&mut self, row: &WindowRow, upto: Micros) {
        if row.revision == 0 && row.window_end <= upto {
            let text = serde_json::to_string(row).expect("a row");
            self.firsts.entry(name(row)).or_default().insert(text);
        }
    }

    fn take(&mut self, effects: Effects, upto: Micros) {
        effects.windows.iter().for_each(|row| self.row(row, upto));
        for decision in effects.decisions.into_iter().filter(|decision| decision.time <= upto) {
            self.decisions.insert(decision.id.clone(), decision);
        }
    }
}

fn name(row: &WindowRow) -> String {
    let WindowRow { window_end, model, version, segment, baseline, metric, convention, column, .. } = row;
    format!("{window_end}|{model}|{version}|{segment}|{baseline}|{metric}|{convention}|{column}")
}

/// Everything that is not as it should be with a pipeline, in windows that ended by then.
pub(crate) fn check(crew: &Crew, upto: Micros) -> Result<Findings> {
    let connection = Connection::open(&crew.kafka)?;
    let plan = config::load(&crew.path)?.plan;
    let mut findings = Findings::default();
    let (said, results) = published(&connection, upto, &mut findings)?;
    let expected = replayed(&connection, &plan, &results, upto)?;
    compare_windows(&expected.firsts, &said.firsts, &mut findings);
    compare_decisions(&expected.decisions, &said.decisions, &mut findings);
    count(&connection, &said.firsts, &mut findings)?;
    buried(&connection, &mut findings)?;
    answered(&connection, &results, &mut findings)?;
    findings.compared[0] = expected.firsts.len();
    findings.compared[1] = expected.decisions.len();
    if findings.compared[0] == 0 || findings.compared[1] == 0 {
        findings.lost.push("there is nothing to compare".to_owned());
    }
    Ok(findings)
}

/// What stands on the topics.
fn published(connection: &Connection, upto: Micros, findings: &mut Findings) -> Result<(Said, Vec<CommandResult>)> {
    let topics = &connection.settings().topics;
    let (mut said, mut results, mut chain) = (Said::default(), Vec::new(), Chain::default());
    let mut numbered: BTreeMap<(String, u64), Vec<u8>> = BTreeMap::new();
    whole_topic::read(connection, &topics.control, |message| {
        if let Some(Ok(result)) = cloud_event::body_of::<CommandResult>(message, cloud_event::RESULT) {
            results.push(result);
        }
        let Some(Ok(decision)) = cloud_event::body_of::<Decision>(message, cloud_event::DECISION) else { return };
        let body = message.payload().unwrap_or_default();
        chain.add(body);
        let number = (decision.candidate.clone(), decision.sequence);
        if numbered.insert(number.clone(), body.to_vec()).is_some_and(|before| before != body) {
            findings.doubled.push(format!("decision {} of {} has two contents", number.1, number.0));
        }
        if decision.time <= upto {
            said.decisions.insert(decision.id.clone(), decision);
        }
    })?;
    let mut states: BTreeMap<Vec<u8>, RolloutState> = BTreeMap::new();
    whole_topic::read(connection, &topics.state, |message| {
        let key = message.key().unwrap_or_default().to_vec();
        match message.payload() {
            _ if key.starts_with(b"@") => {}
            Some(body) => drop(states.insert(key, serde_json::from_slice(body).expect("a state"))),
            None => drop(states.remove(&key)),
        }
    })?;
    chain.end(&with_ended(states.into_values().collect()));
    findings.wrong.extend(chain.flaws().into_iter().map(|flaw| format!("the chain of decisions: {}", flaw.text)));
    whole_topic::read(connection, topics.windows.as_deref().unwrap_or_default(), |message| {
        said.row(&serde_json::from_slice(message.payload().unwrap_or_default()).expect("a row"), upto);
    })?;
    Ok((said, results))
}

/// What the engine says of the same records and the same commands, undisturbed.
fn replayed(connection: &Connection, plan: &Arc<Plan>, results: &[CommandResult], upto: Micros) -> Result<Said> {
    let mut engine = Engine::new(Arc::clone(plan), PARTITIONS);
    results.iter().cloned().for_each(|result| engine.schedule(Scheduled::from(result)));
    let (mut said, mut ends) = (Said::default(), Vec::new());
    for (source, topic) in (0..).zip(INPUTS) {
        let mut lanes: Vec<_> = (0..PARTITIONS).map(|lane| (decode::decoder(plan, source, lane), 0)).collect();
        whole_topic::read(connection, topic, |message| {
            let lane = &mut lanes[usize::try_from(message.partition()).expect("a partition")];
            lane.0.push(&record(message, &readable_headers(message).unwrap_or_default()));
            lane.1 = message.offset() + 1;
        })?;
        for (lane, (mut decoder, next)) in (0..).zip(lanes) {
            said.take(engine.step(&decoder.finish().batch), upto);
            ends.push((lane, source, next));
        }
    }
    for (lane, source, next) in ends {
        said.take(engine.progress(lane, source, next, true, true), upto);
    }
    Ok(said)
}

fn compare_windows(expected: &Firsts, found: &Firsts, findings: &mut Findings) {
    let lost: Vec<_> = expected.keys().filter(|name| !found.contains_key(*name)).collect();
    if let Some(first) = lost.first() {
        findings.lost.push(format!("{} of {} first judgements, such as {first}", lost.len(), expected.len()));
    }
    for (name, texts) in found {
        if texts.len() > 1 {
            findings.doubled.push(format!("judgement {name} has {} contents: {texts:?}", texts.len()));
        }
        match expected.get(name) {
            None => findings.wrong.push(format!("a judgement of nothing: {name}")),
            Some(other) if texts.len() == 1 && other != texts => {
                findings.wrong.push(format!("judgement {name}: {texts:?} is not {other:?}"));
            }
            Some(_) => {}
        }
    }
}

fn compare_decisions(
    expected: &BTreeMap<String, Decision>,
    found: &BTreeMap<String, Decision>,
    findings: &mut Findings,
) {
    let told = |one: &Decision| {
        format!("decision {} of {}, {:?} at {}: {}", one.sequence, one.candidate, one.action, one.time, one.reason.text)
    };
    let missing = |of: &BTreeMap<String, Decision>, from: &BTreeMap<String, Decision>| -> Vec<String> {
        from.iter().filter(|(id, _)| !of.contains_key(*id)).map(|(_, decision)| told(decision)).collect()
    };
    findings.lost.extend(missing(found, expected));
    findings.wrong.extend(missing(expected, found));
}

/// Requests and failures of each version in each window, counted from the records.
fn count(connection: &Connection, firsts: &Firsts, findings: &mut Findings) -> Result<()> {
    let mut seen = BTreeSet::new();
    let mut counts: BTreeMap<(Micros, String), (u64, u64)> = BTreeMap::new();
    whole_topic::read(connection, INPUTS[0], |message| {
        let body = message.payload().unwrap_or_default();
        let Ok(body) = serde_json::from_slice::<serde_json::Value>(body) else { return };
        let (Some(at), Some(version)) = (body["at"].as_i64(), body["version"].as_str()) else { return };
        if seen.insert(body["id"].to_string()) {
            let end = at - at.rem_euclid(SIZE) + SIZE;
            for version in [version, ALL_VERSIONS] {
                let count = counts.entry((end, version.to_owned())).or_default();
                *count = (count.0 + 1, count.1 + u64::from(body["status"] == 500));
            }
        }
    })?;
    let mut compared = 0;
    for text in firsts.values().flatten() {
        let row: WindowRow = serde_json::from_str(text).expect("a row");
        if row.metric != "error_rate" || !row.segment.is_empty() || !row.baseline.is_empty() {
            continue;
        }
        let (all, failed) = counts.get(&(row.window_end, row.version.clone())).copied().unwrap_or_default();
        #[expect(clippy::cast_precision_loss, reason = "counts of seconds")]
        let rate = failed as f64 / all as f64;
        compared += 1;
        if row.n != all || row.value.is_none_or(|value| (value - rate).abs() > 1e-9) {
            findings.wrong.push(format!(
                "the error rate of {} up to {}: {:?} of {} is not {rate} of {all}",
                row.version, row.window_end, row.value, row.n
            ));
        }
    }
    if compared == 0 {
        findings.lost.push("no error rate at all".to_owned());
    }
    Ok(())
}

/// Every record that cannot be read is among the dead letters.
fn buried(connection: &Connection, findings: &mut Findings) -> Result<()> {
    let mut letters = BTreeSet::new();
    whole_topic::read(connection, &connection.settings().topics.dead_letter, |message| {
        let headers = readable_headers(message).unwrap_or_default();
        let of = |name: &str| {
            let value = headers.iter().find(|(key, _)| *key == name).map(|(_, value)| *value);
            String::from_utf8_lossy(value.unwrap_or_default()).into_owned()
        };
        letters.insert(["topic", "partition", "offset"].map(|part| of(&format!("haldane.source.{part}"))));
    })?;
    whole_topic::read(connection, INPUTS[0], |message| {
        if message.payload().is_some_and(|body| !body.ends_with(b"}")) {
            let place = [INPUTS[0].to_owned(), message.partition().to_string(), message.offset().to_string()];
            findings.compared[2] += 1;
            if !letters.contains(&place) {
                findings.lost.push(format!("record {place:?} was refused, and is not among the dead letters"));
            }
        }
    })
}

/// Whoever asked for something was told what became of it.
fn answered(connection: &Connection, results: &[CommandResult], findings: &mut Findings) -> Result<()> {
    whole_topic::read(connection, &connection.settings().topics.commands, |message| {
        let body: serde_json::Value = serde_json::from_slice(message.payload().unwrap_or_default()).expect("a command");
        findings.compared[3] += 1;
        if !results.iter().any(|result| body["id"] == result.command.id.as_str()) {
            findings.lost.push(format!("nobody was told what became of {}", body["id"]));
        }
    })
}
