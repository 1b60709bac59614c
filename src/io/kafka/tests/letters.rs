//! Records that leave as they are read back: events, and what was refused.

use proptest::prelude::*;

use super::*;
use crate::event::{EventKind, Poison, Reject};
use crate::kafka::cloud_event::{DECISION, Letter, RESULT, attribute, body_of, is_newer};
use crate::kafka::dead_letter::{self, DeadLetter};

fn reject() -> Reject {
    Reject { offset: 7, row: 3, reason: Poison::MissingField, detail: "no `id`".to_owned() }
}

/// A letter of a record that was refused, as it is read back; and the record that holds it.
fn refused(record: &SentRecord, kind: Option<EventKind>) -> (DeadLetter, SentRecord) {
    let log = EventLog::default();
    dead_letter::send_of(&log, "dlq", record, &reject(), kind).expect("sent");
    let sent = log.sent().remove(0);
    (DeadLetter::of(&sent).expect("a letter"), sent)
}

fn header(record: &SentRecord, name: &str) -> Option<String> {
    let headers = record.headers()?;
    headers.iter().rfind(|(key, _)| *key == name).map(|(_, value)| String::from_utf8_lossy(value).into_owned())
}

#[test]
fn a_refused_record_comes_back_with_why_and_from_where() {
    let original = SentRecord { headers: headers(&[("trace", "x"), ("trace", "y")]), ..foreign("k", Some("{}")) };
    let (letter, sent) = refused(&original, Some(EventKind::Outcome));
    assert_eq!((sent.topic.as_str(), letter.source.clone(), letter.row.as_str()), ("dlq", ("t".to_owned(), 2, 7), "3"));
    assert_eq!((letter.reason.as_str(), letter.detail.as_str()), ("missing_field", "no `id`"));
    assert_eq!((letter.key.as_deref(), letter.payload.as_deref()), (Some(&b"k"[..]), Some(&b"{}"[..])));
    let own: Vec<(&str, &[u8])> =
        letter.headers.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect();
    assert_eq!(own, [("trace", &b"x"[..]), ("trace", b"y")], "what was added is left out");
    assert_eq!((letter.cut_from, letter.redriven), (None, 0));
    assert_eq!(header(&sent, "haldane.source.kind").as_deref(), Some("outcome"));
    assert_eq!(header(&refused(&original, None).1, "haldane.source.kind"), None);
}

#[test]
fn of_a_long_payload_its_beginning_is_kept_and_its_length() {
    let of = |bytes: usize| {
        let payload = Some(vec![b'x'; bytes]);
        let (letter, _) = refused(&SentRecord { payload, ..foreign("k", None) }, None);
        (letter.payload.map(|payload| payload.len()), letter.cut_from)
    };
    assert_eq!(of(900_000), (Some(900_000), None));
    assert_eq!(of(900_001), (Some(900_000), Some("900001".to_owned())));
    let (letter, _) = refused(&foreign("k", None), None);
    assert_eq!((letter.payload, letter.cut_from), (None, None), "a tombstone stays one");
}

#[test]
fn what_is_refused_again_tells_how_often_it_was_sent_back() {
    let again = |times: &str| {
        let record = SentRecord { headers: headers(&[("haldane.redriven", times)]), ..foreign("k", Some("{}")) };
        refused(&record, None).0.redriven
    };
    assert_eq!([again("2"), again("4294967295"), again("x"), again("-1")], [2, u32::MAX, 0, 0]);
}

#[test]
fn a_letter_in_a_letter_tells_of_its_last_refusal() {
    let (_, sent) = refused(&foreign("k", Some("{}")), None);
    let (letter, _) = refused(&sent, None);
    assert_eq!(letter.source, ("dlq".to_owned(), 2, 0), "it was refused where it stood");
    assert!(letter.headers.is_empty());
}

#[test]
fn records_that_are_no_letters_are_told_apart() {
    let full = [
        ("haldane.reason", "empty"),
        ("haldane.detail", "d"),
        ("haldane.source.topic", "t"),
        ("haldane.source.partition", "1"),
        ("haldane.source.offset", "2"),
    ];
    let is_letter =
        |all: &[(&str, &str)]| DeadLetter::of(&SentRecord { headers: headers(all), ..foreign("k", None) }).is_some();
    assert!(is_letter(&full));
    for left_out in 0..full.len() {
        let most: Vec<(&str, &str)> = (0..full.len()).filter(|at| *at != left_out).map(|at| full[at]).collect();
        assert!(!is_letter(&most), "without {}", full[left_out].0);
    }
    let odd = |name: &'static str, value: &'static str| {
        full.map(|(key, known)| if key == name { (key, value) } else { (key, known) })
    };
    assert!(!is_letter(&odd("haldane.source.partition", "x")) && !is_letter(&odd("haldane.source.offset", "1.5")));
}

proptest! {
    #[test]
    fn a_letter_has_the_time_of_its_record_whatever_that_says(millis in any::<i64>()) {
        let record = SentRecord {
            millis: Some(millis),
            headers: headers(&[
                ("haldane.reason", "empty"), ("haldane.detail", ""), ("haldane.source.topic", "t"),
                ("haldane.source.partition", "0"), ("haldane.source.offset", "0"),
            ]),
            ..foreign("k", None)
        };
        let letter = DeadLetter::of(&record).expect("a letter");
        prop_assert_eq!(letter.time, millis.saturating_mul(1_000));
    }
}

fn sent(letter: &Letter) -> SentRecord {
    let log = EventLog::default();
    log.send(letter.to("c")).expect("sent");
    log.sent().remove(0)
}

#[test]
fn a_decision_is_an_event_of_its_rollout() {
    let decision = decision("v2", 12);
    let record = sent(&Letter::decision(&decision, "k", NOW));
    let of = |name: &str| attribute(&record, name).unwrap_or_default();
    assert_eq!((record.key.as_deref(), record.millis), (Some(&b"r"[..]), Some(NOW / 1_000)));
    assert_eq!(
        (of("id"), of("subject"), of("source")),
        (decision.id.clone(), "m/v2".to_owned(), "/haldane/k/rollouts/r".to_owned())
    );
    assert_eq!(of("sequence"), "00000000000000000012", "texts of them sort as numbers do");
    assert_eq!((of("drill"), attribute(&record, "causationid")), ("false".to_owned(), None));
    let read = body_of::<Decision>(&record, DECISION).expect("a decision").expect("whole");
    assert_eq!(read, decision);
    assert!(body_of::<Decision>(&record, RESULT).is_none(), "of another type");
    let caused = Decision { causation: Some("cmd".to_owned()), ..decision };
    assert_eq!(attribute(&sent(&Letter::decision(&caused, "k", NOW)), "causationid").as_deref(), Some("cmd"));
}

#[test]
fn a_result_is_an_event_beside_the_decisions() {
    let record = sent(&Letter::result(&result("cmd", "v2"), "k", NOW));
    assert_eq!(record.key.as_deref(), Some(&b"r"[..]), "in their partition");
    assert_eq!(attribute(&record, "id").as_deref(), Some("cmd.accepted"));
    assert_eq!(attribute(&record, "causationid").as_deref(), Some("cmd"));
    assert_eq!(body_of::<CommandResult>(&record, RESULT).expect("one").expect("whole"), result("cmd", "v2"));
}

#[test]
fn types_of_newer_releases_are_known_by_their_family() {
    let typed = |kind: &str| SentRecord { headers: headers(&[("ce_type", kind)]), ..foreign("k", None) };
    let cases = [
        ("io.haldane.decision.v2", true),
        ("io.haldane.decision.v10", true),
        (DECISION, false),
        (RESULT, false),
        ("io.haldane.decision", false),
        ("v2", false),
    ];
    for (kind, expected) in cases {
        assert_eq!(is_newer(&typed(kind), DECISION), expected, "{kind}");
    }
    assert!(!is_newer(&foreign("k", None), DECISION));
}

#[test]
fn attributes_are_headers_with_their_prefix() {
    let record =
        SentRecord { headers: headers(&[("type", "a"), ("ce_typed", "b"), ("ce_type", "c")]), ..foreign("k", None) };
    assert_eq!(attribute(&record, "type").as_deref(), Some("c"));
    assert_eq!(attribute(&record, "other"), None);
    let binary = OwnedHeaders::new().insert(Header { key: "ce_type", value: Some(&[0xff][..]) });
    assert_eq!(attribute(&SentRecord { headers: binary, ..foreign("k", None) }, "type"), None);
}
