//! Whether what a simulation left behind is right: held against the log alone.
//!
//! Two judges that know nothing of the run: the engine over the same log without brokers, and counts made here,
//! straight from the events.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use haldane::decode;
use haldane::engine::{Effects, Engine};
use haldane::event::{Micros, SECOND};
use haldane::judge::{ALL_VERSIONS, WindowRow};
use haldane::kafka::cloud_event;
use haldane::kafka::ports::Incoming;
use haldane::kafka::reader::record;
use haldane::store::{RowFilter, Store};
use haldane::verdict::chain::Chain;
use haldane::verdict::{CommandResult, Decision, RolloutState, Scheduled, with_ended};
use object_store::ObjectStore;

use crate::broker::World;
use crate::ports::{Record, SETTINGS};
use crate::run::Left;
use crate::scenario::{COMMANDS, COMPARED, EPOCH, Prediction};

/// A window's length, as the pipeline says.
pub(crate) const WINDOW: Micros = 10 * SECOND;

/// How long labels are waited for before a first judgement.
const WAIT: Micros = 10 * SECOND;

/// What was found: kinds of faults, each with what shows it.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// Something that should be there is not.
    pub(crate) lost: Vec<String>,
    /// Something is there twice, with different contents.
    pub(crate) doubled: Vec<String>,
    /// Something is not what the log says.
    pub(crate) wrong: Vec<String>,
}

impl Findings {
    pub(crate) fn is_empty(&self) -> bool {
        self.lost.is_empty() && self.doubled.is_empty() && self.wrong.is_empty()
    }

    pub(crate) fn lines(&self) -> impl Iterator<Item = String> {
        let kinds = [("lost", &self.lost), ("doubled", &self.doubled), ("wrong", &self.wrong)];
        kinds.into_iter().flat_map(|(kind, found)| found.iter().map(move |text| format!("{kind}: {text}")))
    }
}

/// Results by what names them: which revision, and what it says.
pub(crate) type Windows = BTreeMap<String, (u32, String)>;

/// What was said, wherever it was said.
#[derive(Debug, Default)]
pub(crate) struct Said {
    /// The highest revision of each result, by what names it.
    windows: Windows,
    /// Windows that ended then are not compared.
    unrevised: Option<Range<Micros>>,
    decisions: BTreeMap<String, Decision>,
    /// Those that brokers have lost: nobody has them where a process ended before the store took them.
    torn: BTreeSet<String>,
    states: Vec<RolloutState>,
}

/// What names a result.
fn name(row: &WindowRow) -> String {
    let at = (row.window_end - EPOCH) / 1_000;
    [
        &format!("{at:09}"),
        &row.model,
        &row.version,
        &row.segment,
        &row.baseline,
        &row.metric,
        &row.convention,
        &row.column,
    ]
    .map(ToString::to_string)
    .join("|")
}

/// What a result says, whichever revision it is.
fn text(row: &WindowRow) -> String {
    serde_json::to_string(&WindowRow { revision: 0, ..row.clone() }).expect("a row")
}

fn is_compared(row: &WindowRow) -> bool {
    row.window_end <= EPOCH + COMPARED
}

impl Said {
    /// A later revision replaces an earlier one, whichever came first over the network.
    fn row(&mut self, row: &WindowRow) {
        if !is_compared(row) || self.unrevised.as_ref().is_some_and(|ends| ends.contains(&row.window_end)) {
            return;
        }
        let slot = self.windows.entry(name(row)).or_default();
        if row.revision >= slot.0 {
            *slot = (row.revision, text(row));
        }
    }

    fn take(&mut self, effects: Effects) {
        effects.windows.iter().for_each(|row| self.row(row));
        for decision in effects.decisions {
            self.decisions.insert(decision.id.clone(), decision);
        }
        for state in effects.states {
            self.states.retain(|one| (&one.model, &one.candidate) != (&state.model, &state.candidate));
            self.states.push(state);
        }
    }
}

fn records<'w>(world: &'w World, topic: &'w str) -> impl Iterator<Item = Record> + 'w {
    let logs = world.topics.get(topic).map(Vec::as_slice).unwrap_or_default();
    (0..).zip(logs).flat_map(move |(lane, log)| log.all().map(move |kept| Record::of(topic, lane, kept)))
}

/// What brokers have lost of a topic.
fn torn<'w>(world: &'w World, topic: &'w str) -> impl Iterator<Item = Record> + 'w {
    let logs = world.topics.get(topic).map(Vec::as_slice).unwrap_or_default();
    (0..).zip(logs).flat_map(move |(lane, log)| log.torn.iter().map(move |kept| Record::of(topic, lane, kept)))
}

/// What the engine says of the same log and the same commands, undisturbed.
fn replay(world: &World, results: &[CommandResult]) -> Said {
    let plan = world.scenario.plan();
    let lanes = u32::try_from(world.topics[world.scenario.inputs()[0]].len()).expect("few");
    let mut engine = Engine::new(Arc::clone(plan), lanes);
    results.iter().cloned().for_each(|result| engine.schedule(Scheduled::from(result)));
    let mut said = Said { unrevised: world.unrevised(), ..Said::default() };
    let mut batches = Vec::new();
    for (source, spec) in (0..).zip(&plan.sources) {
        for lane in 0..lanes {
            let mut decoder = decode::decoder(plan, source, lane);
            let log = &world.topics[&spec.topic][lane as usize];
            for kept in log.all() {
                let came = Record::of(&spec.topic, lane, kept);
                decoder.push(&record(&came, &came.headers().unwrap_or_default()));
            }
            batches.push((lane, source, decoder.finish().batch, log.next));
        }
    }
    for (.., batch, _) in &batches {
        said.take(engine.step(batch));
    }
    for (lane, source, _, next) in batches {
        said.take(engine.progress(lane, source, next, true, true));
    }
    said
}

/// What stands on the topics.
fn published(world: &World, findings: &mut Findings) -> (Said, Vec<CommandResult>) {
    let (mut said, mut results) = (Said { unrevised: world.unrevised(), ..Said::default() }, Vec::new());
    let mut bodies: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let mut chain = Chain::default();
    let mut newest: BTreeMap<(String, String), Micros> = BTreeMap::new();
    let mut numbered: BTreeMap<(String, u64), serde_json::Value> = BTreeMap::new();
    let control = &SETTINGS.topics.control;
    let mut missing: BTreeMap<String, (String, u64)> = BTreeMap::new();
    let mut first: BTreeMap<String, u64> = BTreeMap::new();
    let torn_first = torn(world, control).map(|came| (came, true));
    for (came, is_torn) in torn_first.chain(records(world, control).map(|came| (came, false))) {
        if let Some(Ok(result)) = cloud_event::body_of::<CommandResult>(&came, cloud_event::RESULT) {
            results.push(result);
            continue;
        }
        let body = came.payload().unwrap_or_default();
        let decision: Decision = serde_json::from_slice(body).expect("a decision");
        if is_torn {
            missing.insert(decision.id.clone(), (decision.candidate.clone(), decision.sequence));
        } else {
            missing.remove(&decision.id);
            chain.add(body);
            let first = first.entry(decision.candidate.clone()).or_insert(decision.sequence);
            *first = decision.sequence.min(*first);
        }
        let before = bodies.insert(decision.id.clone(), body.to_vec());
        if before.is_some_and(|before| before != body) {
            findings.doubled.push(format!("decision {} was published with two contents", decision.id));
        }
        let value: serde_json::Value = serde_json::from_slice(body).expect("JSON");
        let other = numbered.entry((decision.candidate.clone(), decision.sequence)).or_insert_with(|| value.clone());
        if let Some(text) = difference(other, &value) {
            findings.doubled.push(format!("decision {} of {}: {text}", decision.sequence, decision.candidate));
        }
        said.decisions.insert(decision.id.clone(), decision);
    }
    let mut states: BTreeMap<Vec<u8>, RolloutState> = BTreeMap::new();
    for came in records(world, &SETTINGS.topics.state) {
        let key = came.key().unwrap_or_default().to_vec();
        if key.starts_with(b"@") {
            continue;
        }
        match came.payload() {
            Some(body) => drop(states.insert(key, serde_json::from_slice(body).expect("a state"))),
            None => drop(states.remove(&key)),
        }
    }
    said.states = states.into_values().collect();
    said.torn = missing.keys().cloned().collect();
    chain.end(&with_ended(said.states.clone()));
    let flaws = chain.flaws();
    if missing.is_empty() {
        findings.wrong.extend(flaws.into_iter().map(|flaw| format!("the chain of decisions: {}", flaw.text)));
    } else if flaws.is_empty()
        && missing.values().any(|(who, number)| first.get(who).is_none_or(|first| first < number))
    {
        // Where the first ones are missing, a chain cannot tell that from retention.
        findings.wrong.push(format!("the chain does not show that the brokers have lost {missing:?}"));
    }
    let windows = || SETTINGS.topics.windows.iter();
    let rows = windows().flat_map(|topic| torn(world, topic)).chain(windows().flat_map(|topic| records(world, topic)));
    for came in rows {
        let row: WindowRow = serde_json::from_slice(came.payload().unwrap_or_default()).expect("a row");
        said.row(&row);
        if row.revision == 0 {
            let judged_at = row.window_end + if row.coverage.is_some() { WAIT } else { 0 };
            let newest = newest.entry((row.model, row.version)).or_insert(judged_at);
            *newest = judged_at.max(*newest);
        }
    }
    findings.lost.extend(behind(&said.states, &newest));
    (said, results)
}

/// States that do not know of windows which were judged.
fn behind(states: &[RolloutState], newest: &BTreeMap<(String, String), Micros>) -> Vec<String> {
    let is_behind = |state: &&RolloutState| {
        let windows = newest.get(&(state.model.clone(), state.candidate.clone()));
        windows.is_some_and(|&end| state.judged_upto.0 < end)
    };
    let told =
        |state: &RolloutState| format!("the state of {} knows of no window that was judged last", state.candidate);
    states.iter().filter(is_behind).map(told).collect()
}

/// Decisions, results and states as they stand on their topics.
pub(crate) fn listed(world: &World) -> Vec<String> {
    let control = records(world, &SETTINGS.topics.control).map(|came| {
        let body: serde_json::Value = serde_json::from_slice(came.payload().unwrap_or_default()).unwrap_or_default();
        let of = |name: &str| body[name].to_string();
        if body["command"].is_object() {
            let id = &body["command"]["id"];
            return format!("control {}: {id} {} after {}", came.offset(), of("outcome"), of("applied_after"));
        }
        let (at, who) = (of("time"), of("candidate"));
        format!(
            "control {}: decision {} {} of {who} at {at}, {}",
            came.offset(),
            of("sequence"),
            of("action"),
            body["reason"]["text"]
        )
    });
    let states = records(world, &SETTINGS.topics.state).filter(|came| came.payload().is_some()).map(|came| {
        let body: serde_json::Value = serde_json::from_slice(came.payload().unwrap_or_default()).unwrap_or_default();
        let of = |name: &str| body[name].to_string();
        format!(
            "state {}: {} judged up to {}, decision {}",
            came.offset(),
            of("candidate"),
            of("judged_upto"),
            of("sequence")
        )
    });
    control.chain(states).collect()
}

/// The first field in which two decisions of one number differ.
fn difference(one: &serde_json::Value, other: &serde_json::Value) -> Option<String> {
    let fields = one.as_object()?.iter();
    let mut differing = fields.filter(|(name, value)| *name != "id" && other.get(name) != Some(value));
    differing.next().map(|(name, value)| format!("`{name}` is {value}, and {}", other[name]))
}

/// Holds what is there against what should be.
fn compare(what: &str, expected: &Windows, found: &Windows, findings: &mut Findings) {
    let missing: Vec<&String> = expected.keys().filter(|name| !found.contains_key(*name)).collect();
    if let Some(first) = missing.first() {
        findings.lost.push(format!(
            "{what}: {} of {} results are missing, the first {first}",
            missing.len(),
            expected.len()
        ));
    }
    let differing = expected.iter().filter_map(|(name, text)| Some((name, text, found.get(name)?)));
    let differing: Vec<_> = differing.filter(|(_, (_, text), (_, other))| text != other).collect();
    if let Some((name, (_, text), (revision, other))) = differing.first() {
        findings.wrong.push(format!(
            "{what}: {} results differ, the first {name}, revision {revision}: {other} is not {text}",
            differing.len()
        ));
    }
    let invented: Vec<&String> = found.keys().filter(|name| !expected.contains_key(*name)).collect();
    if let Some(first) = invented.first() {
        findings.wrong.push(format!("{what}: {} results of nothing, the first {first}", invented.len()));
    }
}

/// Error rates, counted here; how many were compared.
fn count(predictions: &[Prediction], windows: &Windows, findings: &mut Findings) -> usize {
    let mut counts: BTreeMap<(Micros, &str), (u64, u64)> = BTreeMap::new();
    for prediction in predictions {
        let end = prediction.at - prediction.at.rem_euclid(WINDOW) + WINDOW;
        for version in [prediction.version, ALL_VERSIONS] {
            let count = counts.entry((end, version)).or_default();
            count.0 += 1;
            count.1 += u64::from(prediction.failed);
        }
    }
    let mut n = 0;
    for (_, text) in windows.values() {
        let row: serde_json::Value = serde_json::from_str(text).expect("a row");
        let is_it = row["metric"] == "error_rate" && row["segment"] == "" && row["baseline"] == "";
        let (Some(end), Some(version), Some(value)) =
            (row["window_end"].as_i64(), row["version"].as_str(), row["value"].as_f64())
        else {
            continue;
        };
        let Some((all, failed)) = counts.get(&(end, version)).filter(|_| is_it) else { continue };
        n += 1;
        let rate = *failed as f64 / *all as f64;
        if row["n"].as_u64() != Some(*all) || (value - rate).abs() > 1e-9 {
            findings.wrong.push(format!(
                "the error rate of {version} in the window to {}: {value} of {} is not {rate} of {all}",
                (end - EPOCH) / SECOND,
                row["n"]
            ));
        }
    }
    n
}

/// Everything that is not as it should be.
pub(crate) fn check(left: &Left, predictions: &[Prediction]) -> Findings {
    let (world, mut findings) = (&left.world, Findings::default());
    findings.wrong.extend(world.flaws.iter().cloned());
    findings.lost.extend(left.stuck.clone());
    let (said, results) = published(world, &mut findings);
    if world.loses_track() {
        findings = Findings { wrong: world.flaws.clone(), ..Findings::default() };
    }
    let expected = replay(world, &results);
    let (wanted, there) = world.excused(expected.windows.clone(), said.windows.clone());
    compare("windows on their topic", &wanted, &there, &mut findings);
    let counted = count(predictions, &there, &mut findings);
    if world.lacks_records() {
        return findings;
    }
    if counted == 0 && findings.is_empty() && world.unrevised().is_none() {
        findings.lost.push("no error rate at all".to_owned());
    }
    buried(world, &mut findings);
    answered(world, &results, &mut findings);
    if is_steady(world) && world.scenario.once.is_steady() {
        compare_decisions(&expected.decisions, &said.decisions, &mut findings);
    }
    if world.scenario.store {
        stored(left, &expected, &said, &mut findings);
    }
    findings
}

/// Every record that cannot be read is among the dead letters.
fn buried(world: &World, findings: &mut Findings) {
    let place = |came: &Record| {
        let headers = came.headers().unwrap_or_default();
        let of = |name: &str| {
            let value = headers.iter().find(|(key, _)| *key == name).map(|(_, value)| *value);
            String::from_utf8_lossy(value.unwrap_or_default()).into_owned()
        };
        (of("haldane.source.topic"), of("haldane.source.partition"), of("haldane.source.offset"))
    };
    let letters: BTreeSet<_> = records(world, &SETTINGS.topics.dead_letter).map(|came| place(&came)).collect();
    for &topic in world.scenario.inputs() {
        let poison = records(world, topic).filter(|came| came.payload().is_some_and(|body| !body.ends_with(b"}")));
        for came in poison {
            let place = (topic.to_owned(), came.partition().to_string(), came.offset().to_string());
            if !letters.contains(&place) {
                findings.lost.push(format!("record {place:?} was refused, and is not among the dead letters"));
            }
        }
    }
}

/// Whoever asked for something was told what became of it.
fn answered(world: &World, results: &[CommandResult], findings: &mut Findings) {
    for came in records(world, COMMANDS) {
        let body: serde_json::Value = serde_json::from_slice(came.payload().unwrap_or_default()).expect("JSON");
        let is_one = body["kind"] != "dance";
        let told = results.iter().any(|result| body["id"] == result.command.id.as_str());
        if is_one && !told {
            findings.lost.push(format!("nobody was told what became of {}", body["id"]));
        }
    }
}

/// Whether no lane was ever silent for so long that windows were judged without it: then decisions are those of the
/// log alone.
fn is_steady(world: &World) -> bool {
    let logs = world.scenario.inputs().iter().flat_map(|&topic| &world.topics[topic]);
    let longest = |log: &crate::broker::Log| {
        let times: Vec<i64> = log.all().map(|kept| kept.millis).collect();
        times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(i64::MAX)
    };
    logs.map(longest).max().is_some_and(|gap| gap < 12_000)
}

fn compare_decisions(
    expected: &BTreeMap<String, Decision>,
    found: &BTreeMap<String, Decision>,
    findings: &mut Findings,
) {
    let told = |decision: &Decision| {
        let at = (decision.time - EPOCH) as f64 / 1e6;
        format!(
            "{:?} {} of {} at {at}: {}",
            decision.action, decision.sequence, decision.candidate, decision.reason.text
        )
    };
    let until = EPOCH + COMPARED;
    let ids = |of: &BTreeMap<String, Decision>| -> BTreeSet<String> {
        of.values().filter(|one| one.time <= until).map(|one| one.id.clone()).collect()
    };
    let (wanted, there) = (ids(expected), ids(found));
    findings.lost.extend(wanted.difference(&there).map(|id| format!("decision {}", told(&expected[id]))));
    findings.wrong.extend(there.difference(&wanted).map(|id| format!("decision {}", told(&found[id]))));
}

/// What is in the store is what was said.
fn stored(left: &Left, expected: &Said, said: &Said, findings: &mut Findings) {
    let objects = Arc::clone(&left.objects) as Arc<dyn ObjectStore>;
    let all = RowFilter::default();
    let read = Store::over(objects).and_then(|store| {
        store.verify()?;
        Ok((store.final_windows(&all)?, store.decisions(&all)?, store.windows(&all)?))
    });
    let (windows, decisions, every) = match read {
        Ok(read) => read,
        Err(error) => return findings.wrong.push(format!("the store: {error}")),
    };
    let mut kept = Said { unrevised: left.world.unrevised(), ..Said::default() };
    windows.iter().for_each(|row| kept.row(row));
    compare("windows in the store", &expected.windows, &kept.windows, findings);
    let mut seen = BTreeSet::new();
    if let Some(row) = every.iter().find(|row| !seen.insert((name(row), row.revision))) {
        findings.doubled.push(format!("the store holds {} twice", name(row)));
    }
    let ids: BTreeSet<&String> = decisions.iter().map(|decision| &decision.id).collect();
    if ids.len() < decisions.len() {
        findings.doubled.push("the store holds a decision twice".to_owned());
    }
    let missing = said.decisions.keys().filter(|id| !ids.contains(id) && !said.torn.contains(*id)).count();
    if missing > 0 {
        findings.lost.push(format!("{missing} decisions are not in the store"));
    }
}
