//! Logs of decisions: bodies as they were published, byte for byte.

use std::path::Path;

use crate::error::{Error, Result};
use crate::output::text::short_id;
use crate::verdict::Decision;

/// Digits of an id that are enough to ask for it.
pub const DIGITS_MIN: usize = 6;

/// The bodies of a file of JSON lines, such as `haldane replay --decisions` writes.
pub fn read_file(path: &Path) -> Result<Vec<Vec<u8>>> {
    let text = std::fs::read(path).map_err(|error| {
        Error::user(format!("cannot read {}", path.display())).because(error).hint(
            "write one with `haldane replay --decisions FILE`, or leave --decisions out to read the control topic",
        )
    })?;
    let lines = text.split(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    Ok(lines.filter(|line| !line.trim_ascii().is_empty()).map(<[u8]>::to_vec).collect())
}

/// The bodies of the decisions on a cluster's control topic.
pub fn read_topic(connection: &crate::kafka::Connection) -> Result<Vec<Vec<u8>>> {
    use crate::kafka::{cloud_event, whole_topic};
    use rdkafka::message::Message as _;

    let (mut bodies, mut newer) = (Vec::new(), None);
    whole_topic::read(connection, &connection.settings().topics.control, |message| {
        if cloud_event::is_newer(message, cloud_event::DECISION) {
            newer.get_or_insert(message.offset());
        }
        if cloud_event::attribute(message, "type").as_deref() == Some(cloud_event::DECISION) {
            bodies.push(message.payload().unwrap_or_default().to_vec());
        }
    })?;
    newer.map_or(Ok(bodies), |offset| {
        Err(Error::user(format!(
            "the decision at offset {offset} of the control topic is of a version that is not known"
        ))
        .hint("use the release of haldane that wrote it, or a newer one"))
    })
}

/// Every decision of a log, once, in its order.
pub fn decisions(bodies: &[Vec<u8>]) -> Result<Vec<Decision>> {
    let mut seen = std::collections::BTreeSet::new();
    let fresh = (1..).zip(bodies).filter(|(_, body)| seen.insert(body.as_slice()));
    fresh.map(|(number, body)| serde_json::from_slice(body).map_err(|error| unreadable(number, error))).collect()
}

fn unreadable(number: usize, error: serde_json::Error) -> Error {
    Error::user(format!("decision {number} of the log cannot be read"))
        .because(error)
        .hint("`haldane audit verify` shows everything that is wrong with a log")
}

/// The one decision whose id begins so; `b3:` may be left out.
pub fn find<'a>(decisions: &'a [Decision], id: &str) -> Result<&'a Decision> {
    let digits = id.strip_prefix("b3:").unwrap_or(id);
    if digits.len() < DIGITS_MIN {
        return Err(Error::user(format!("`{id}` is too short to name a decision"))
            .hint(format!("write at least {DIGITS_MIN} digits of its id")));
    }
    let fits = |decision: &&Decision| decision.id.strip_prefix("b3:").is_some_and(|full| full.starts_with(digits));
    let mut fitting = decisions.iter().filter(fits);
    match (fitting.next(), fitting.next()) {
        (Some(found), None) => Ok(found),
        (Some(_), Some(_)) => {
            Err(Error::user(format!("several decisions begin with `{id}`")).hint("write more digits of the id"))
        }
        (None, _) => Err(Error::user(format!("no decision of the log begins with `{id}`")).hint(known(decisions))),
    }
}

/// The last decisions of a log, for whoever mistyped one.
fn known(decisions: &[Decision]) -> String {
    if decisions.is_empty() {
        return "the log has no decisions at all".to_owned();
    }
    let brief =
        |decision: &Decision| format!("{} ({} {})", short_id(&decision.id), decision.action.name(), decision.candidate);
    let last: Vec<String> = decisions.iter().rev().take(5).map(brief).collect();
    format!("the last ones are {}", last.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log() -> Vec<Decision> {
        let lines = include_str!("../../../tests/data/recorded/flights.decisions.jsonl").lines();
        lines.map(|line| serde_json::from_str(line).expect("a decision")).collect()
    }

    #[test]
    fn a_decision_is_found_by_the_beginning_of_its_id() {
        let log = log();
        let id = &log[2].id;
        assert_eq!(find(&log, id).expect("the whole id"), &log[2]);
        assert_eq!(find(&log, &id[3..12]).expect("nine digits"), &log[2]);
    }

    #[test]
    fn who_asks_for_what_is_not_there_is_told_what_is() {
        let log = log();
        let hint =
            |id: &str, log: &[Decision]| find(log, id).map(|_| ()).map_err(|error| error.advice().map(str::to_owned));
        let last = log.last().expect("decisions");
        assert!(hint("000000", &log).expect_err("none").expect("a hint").contains(&last.id[..15]));
        assert!(hint("b3:0", &log).expect_err("short").expect("a hint").contains("6 digits"));
        assert!(hint("000000", &[]).expect_err("none").expect("a hint").contains("no decisions"));
        let twice = [log[0].clone(), log[0].clone()];
        assert!(hint(&log[0].id, &twice).expect_err("two").expect("a hint").contains("more digits"));
    }
}
