//! The JSON scanner against `serde_json`: random documents, shuffled, spaced, escaped and damaged, are taken or refused
//! alike and give the same values.
#![expect(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "a test fails by panicking; the oracle is exact where it matters"
)]

use std::fmt;
use std::sync::Arc;

use arrow::compute::kernels::cast_utils::string_to_timestamp_nanos;
use arrow::temporal_conversions::timestamp_us_to_datetime;
use haldane::decode::{Record, decoder};
use haldane::event::{TEXT_BYTES_MAX, stable_hash};
use proptest::prelude::*;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::flights::{CATEGORICAL, NUMERIC, PREDICTIONS, Row, plan, rows};

const BROKER_TIME: i64 = 1_400_000_000_000_000;
const SKEW_MAX: i64 = 3_600_000_000;

/// A document as `serde_json` reads it, with repeated keys kept.
#[derive(Debug, Clone)]
enum Json {
    Null,
    Bool(bool),
    Int(i128),
    Float(f64),
    Text(String),
    Array,
    Object(Vec<(String, Json)>),
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Json;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }
            fn visit_unit<E>(self) -> Result<Json, E> {
                Ok(Json::Null)
            }
            fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
                Ok(Json::Bool(value))
            }
            fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
                Ok(Json::Int(value.into()))
            }
            fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
                Ok(Json::Int(value.into()))
            }
            fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
                Ok(Json::Float(value))
            }
            fn visit_str<E>(self, value: &str) -> Result<Json, E> {
                Ok(Json::Text(value.to_owned()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Json, A::Error> {
                while seq.next_element::<Json>()?.is_some() {}
                Ok(Json::Array)
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Json::Object(members))
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

/// The one value of a key; null when absent, an error when it is there twice.
fn get<'a>(object: &'a Json, key: &str) -> Result<&'a Json, ()> {
    let members = match object {
        Json::Object(members) => members.as_slice(),
        Json::Null => &[],
        _ => return Err(()),
    };
    let mut found = members.iter().filter(|(name, _)| name == key).map(|(_, value)| value);
    match (found.next(), found.next()) {
        (None, _) => Ok(&Json::Null),
        (Some(value), None) => Ok(value),
        _ => Err(()),
    }
}

/// Whether a text, blanks around it left out, is one of some words in any case.
fn is_any(text: &str, words: &str) -> bool {
    words.split(' ').any(|word| word == text.trim().to_lowercase())
}

/// Words for nothing, no text among them.
fn is_nothing(text: &str) -> bool {
    text.trim().is_empty() || is_any(text, "na n/a <na> null none nil - ?")
}

/// The number in a text; a word for nothing is none.
fn numeric(text: &str) -> Result<Option<f64>, ()> {
    match text.trim() {
        text if is_nothing(text) => Ok(None),
        text if is_any(text, "true") => Ok(Some(1.0)),
        text if is_any(text, "false") => Ok(Some(0.0)),
        text => text.parse().map(Some).map_err(drop),
    }
}

/// A text by its value: `1.0` is `1`, `True` is `true`.
fn by_value(text: &str) -> String {
    if is_any(text, "true false") && text.trim() == text {
        return text.to_lowercase();
    }
    as_whole(text)
}

/// A whole number with a point and zeros behind it, without them; other texts as they are.
fn as_whole(text: &str) -> String {
    let Some((whole, zeros)) = text.split_once('.') else { return text.to_owned() };
    let digits = whole.strip_prefix('-').unwrap_or(whole);
    let is_number = digits == "0" || (digits.starts_with(|first: char| ('1'..='9').contains(&first)));
    let is_whole = is_number && digits.chars().all(|digit| digit.is_ascii_digit());
    if !is_whole || zeros.is_empty() || zeros.chars().any(|digit| digit != '0') {
        return text.to_owned();
    }
    if digits == "0" { "0".to_owned() } else { whole.to_owned() }
}

fn number(value: &Json) -> Result<Option<f64>, ()> {
    match value {
        Json::Null => Ok(None),
        Json::Bool(value) => Ok(Some(f64::from(u8::from(*value)))),
        Json::Int(value) => Ok(Some(*value as f64)),
        Json::Float(value) => Ok(Some(*value)),
        Json::Text(text) => numeric(text),
        _ => Err(()),
    }
}

fn text(value: &Json) -> Result<Option<String>, ()> {
    let text = match value {
        Json::Null => return Ok(None),
        Json::Bool(value) => value.to_string(),
        Json::Int(value) => value.to_string(),
        Json::Float(value) => return Ok(Some((value + 0.0).to_string())),
        Json::Text(text) => text.clone(),
        _ => return Err(()),
    };
    if text.len() <= TEXT_BYTES_MAX { Ok(Some(text)) } else { Err(()) }
}

fn category(value: &Json) -> Result<Option<String>, ()> {
    Ok(text(value)?.map(|text| by_value(&text)))
}

fn name(value: &Json) -> Result<Option<String>, ()> {
    text(value)?.filter(|text| !text.is_empty()).map(Some).ok_or(())
}

fn class(value: &Json) -> Result<Option<String>, ()> {
    let side = |text: String| match text.trim() {
        text if is_nothing(text) => None,
        text if is_any(text, "true t yes y on") || text.parse() == Ok(1.0) => Some("1".to_owned()),
        text if is_any(text, "false f no n off") || text.parse() == Ok(0.0) => Some("0".to_owned()),
        text => Some(by_value(text)),
    };
    Ok(text(value)?.and_then(side))
}

fn status(value: &Json) -> Result<Option<i16>, ()> {
    let Some(value) = number(value)? else { return Ok(None) };
    if value.fract() == 0.0 && (-32_768.0..32_768.0).contains(&value) { Ok(Some(value as i16)) } else { Err(()) }
}

fn time(value: &Json) -> Result<i64, ()> {
    let time = match value {
        Json::Int(value) => i64::try_from(*value).map_err(drop)?,
        Json::Float(value) if value.abs() < 9e18 => value.round() as i64,
        Json::Text(text) => written_time(text.trim()).ok_or(())?,
        _ => return Err(()),
    };
    if (0..=BROKER_TIME + SKEW_MAX).contains(&time) { Ok(time) } else { Err(()) }
}

/// Microseconds in a text: a number, or a time as Arrow reads it.
fn written_time(text: &str) -> Option<i64> {
    let number = || text.parse::<f64>().ok().filter(|number| number.abs() < 9e18).map(|number| number.round() as i64);
    let date = || string_to_timestamp_nanos(text).ok().map(|nanos| nanos.div_euclid(1_000));
    text.parse().ok().or_else(number).or_else(date)
}

fn id(value: &Json) -> Result<Option<u64>, ()> {
    match value {
        Json::Float(value) if value.fract() != 0.0 || value.abs() > 9_007_199_254_740_992.0 => Err(()),
        Json::Text(_) | Json::Int(_) | Json::Float(_) => {
            Ok(name(value)?.map(|text| stable_hash(as_whole(&text).as_bytes())))
        }
        _ => Err(()),
    }
}

fn checked(value: Option<f64>, good: impl Fn(f64) -> bool) -> Result<Option<f64>, ()> {
    if value.is_none_or(good) { Ok(value) } else { Err(()) }
}

/// The row that the flights plan makes of a document.
fn expected(event: &Json) -> Result<Row, ()> {
    let (features, categories) = (get(event, "features_num")?, get(event, "features_cat")?);
    let mut numeric = NUMERIC.iter().map(|name| number(get(features, name)?)).collect::<Result<Vec<_>, _>>()?;
    numeric.push(checked(number(get(event, "score")?)?, |score| (0.0..=1.0).contains(&score))?);
    numeric.push(checked(number(get(event, "latency_ms")?)?, |latency| latency >= 0.0 && latency.is_finite())?);
    Ok(Row {
        event_time: time(get(event, "event_time_us")?)?,
        id: id(get(event, "prediction_id")?)?,
        model: name(get(event, "model")?)?,
        version: name(get(event, "version")?)?,
        segments: vec![category(get(event, "cohort")?)?],
        numeric,
        categorical: CATEGORICAL.iter().map(|name| category(get(categories, name)?)).collect::<Result<_, _>>()?,
        predicted: class(get(event, "predicted_label")?)?,
        status: status(get(event, "status")?)?,
        ..Row::default()
    })
}

/// What `serde_json` and the rules make of the bytes; `None` where the two differ by intention.
fn oracle(payload: &[u8]) -> Option<Result<Row, ()>> {
    if payload.windows(3).any(|bytes| bytes.starts_with(b"-0") && !b".eE".contains(&bytes[2])) {
        return None; // an integer for haldane, a float for serde_json
    }
    if payload.chunk_by(|a, b| a.is_ascii_digit() && b.is_ascii_digit()).any(|run| run.len() > 19) {
        return None; // digits as they are written for haldane, rounded for serde_json
    }
    if haldane::decode::json::finite(payload).is_some() {
        return None; // numbers that only Python writes
    }
    match serde_json::from_slice::<Json>(payload) {
        Ok(object @ Json::Object(_)) => Some(expected(&object)),
        Err(error) if error.to_string().contains("number out of range") => None, // haldane does not look at unmapped numbers
        Ok(_) | Err(_) => Some(Err(())),
    }
}

fn escaped(text: &str, how: u8) -> String {
    if how == 0 {
        return text.encode_utf16().fold(String::new(), |all, unit| all + &format!("\\u{unit:04x}"));
    }
    serde_json::to_string(text).unwrap().trim_matches('"').to_owned()
}

fn key() -> impl Strategy<Value = String> {
    const KNOWN: [&str; 8] =
        ["model", "version", "score", "temp", "carrier", "features_num", "extra", "another_key_that_is_quite_long"];
    prop_oneof![8 => proptest::sample::select(&KNOWN[..]).prop_map(str::to_owned), 1 => "[a-zé\"\\\\]{0,20}"]
}

fn quoted() -> impl Strategy<Value = String> {
    (any::<String>(), 0..4_u8).prop_map(|(text, how)| format!("\"{}\"", escaped(&text.replace('"', "'"), how)))
}

fn scalar() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|value| value.to_string()),
        any::<i64>().prop_map(|value| value.to_string()),
        (-1000..1000_i32).prop_map(|value| value.to_string()),
        any::<f64>().prop_filter("JSON has no other", |value| value.is_finite()).prop_map(|value| format!("{value:?}")),
        r"-?(0|[1-9][0-9]{0,17})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,2})?",
        quoted(),
        spelled(),
    ]
}

fn space() -> impl Strategy<Value = String> {
    prop_oneof![6 => Just(String::new()), 2 => Just(" ".to_owned()), 1 => "[ \n\r\t]{0,4}"]
}

fn object(members: Vec<(String, String)>, space: &str) -> String {
    let members = members.into_iter().map(|(key, value)| format!("{space}\"{key}\"{space}:{space}{value}{space}"));
    format!("{{{}}}", members.collect::<Vec<_>>().join(","))
}

fn any_value() -> impl Strategy<Value = String> {
    scalar().prop_recursive(4, 24, 5, |inner| {
        let member = (key().prop_map(|key| escaped(&key, 1)), inner.clone());
        prop_oneof![
            (proptest::collection::vec(inner, 0..5), space())
                .prop_map(|(items, space)| format!("[{space}{}{space}]", items.join(&format!("{space},")))),
            (proptest::collection::vec(member, 0..5), space()).prop_map(|(members, space)| object(members, &space)),
        ]
    })
}

/// A value that is nearly always of the right type, and sometimes anything.
fn mostly(good: impl Strategy<Value = String> + 'static) -> BoxedStrategy<String> {
    prop_oneof![60 => good, 1 => Just("null".to_owned()), 2 => any_value(), 1 => spelled()].boxed()
}

fn short() -> impl Strategy<Value = String> {
    prop_oneof!["\"[A-Za-zé]{1,12}\"", "\"[a-z0-9_]{30,40}\"", (0..30_i32).prop_map(|n| n.to_string())]
}

fn plain_number() -> impl Strategy<Value = String> {
    prop_oneof![r"-?[1-9][0-9]{0,3}\.[0-9]{1,4}", (0..9999_i32).prop_map(|n| n.to_string()), r"0\.[0-9]{1,20}"]
}

/// Members of which most are there, in any order, among others.
fn members(known: Vec<(&'static str, BoxedStrategy<String>)>) -> impl Strategy<Value = Vec<(String, String)>> {
    let known: Vec<_> = known
        .into_iter()
        .map(|(name, value)| {
            let name = (0..12_u8).prop_map(move |how| escaped(name, how));
            proptest::option::weighted(0.97, (name, value))
        })
        .collect();
    let unknown = proptest::collection::vec(("[a-z_]{1,20}", any_value()), 0..3);
    (known, unknown, any::<bool>()).prop_flat_map(|(known, unknown, shuffled)| {
        let all: Vec<_> = known.into_iter().flatten().chain(unknown).collect();
        if shuffled { Just(all).prop_shuffle().boxed() } else { Just(all).boxed() }
    })
}

/// A time as a number, as a number in a text, and written out.
fn spelled_time() -> impl Strategy<Value = String> {
    (0..BROKER_TIME, 0..6_u8).prop_map(|(time, how)| match how {
        0 => format!("\"{time}\""),
        1 => format!("\"{}\"", timestamp_us_to_datetime(time).unwrap()),
        2 => format!("\"{}\"", timestamp_us_to_datetime(time).unwrap().and_utc().to_rfc3339()),
        _ => time.to_string(),
    })
}

/// Words and numbers that a slot reads by their value, as texts.
fn spelled() -> impl Strategy<Value = String> {
    const WORDS: [&str; 14] =
        ["True", " yes ", "OFF", "n", "1.0", "-0.0", "007.0", "1.50", "NA", "none", "?", "1e3", "inf", ".5"];
    proptest::sample::select(&WORDS[..]).prop_map(|word| format!("\"{word}\""))
}

fn event() -> impl Strategy<Value = String> {
    let features = members(NUMERIC.iter().map(|name| (*name, mostly(plain_number()))).collect());
    let categories = members(CATEGORICAL.iter().map(|name| (*name, mostly(short()))).collect());
    (features, categories, space(), space()).prop_flat_map(|(features, categories, inner, space)| {
        let known = vec![
            ("event_time_us", mostly(spelled_time())),
            ("prediction_id", mostly(short())),
            ("model", mostly(short())),
            ("version", mostly(short())),
            ("cohort", mostly(short())),
            ("features_num", mostly(Just(object(features, &inner)))),
            ("features_cat", mostly(Just(object(categories, &space)))),
            ("score", mostly(r"0\.[0-9]{1,20}")),
            (
                "predicted_label",
                mostly(proptest::sample::select(&["0", "1", "true", "1.0"][..]).prop_map(str::to_owned)),
            ),
            ("latency_ms", mostly(r"[1-9][0-9]{0,3}(\.[0-9]{1,3})?")),
            ("status", mostly(proptest::sample::select(&["200", "500", "429"][..]).prop_map(str::to_owned))),
        ];
        members(known).prop_map(move |members| object(members, &space))
    })
}

/// One change to the bytes.
#[derive(Debug, Clone)]
enum Damage {
    Replace(proptest::sample::Index, u8),
    Insert(proptest::sample::Index, u8),
    Remove(proptest::sample::Index),
    Cut(proptest::sample::Index),
}

impl Damage {
    fn apply(&self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        match self {
            Self::Replace(at, byte) => *at.get_mut(bytes) = *byte,
            Self::Insert(at, byte) => bytes.insert(at.index(bytes.len()), *byte),
            Self::Remove(at) => drop(bytes.remove(at.index(bytes.len()))),
            Self::Cut(at) => bytes.truncate(at.index(bytes.len())),
        }
    }
}

fn damage() -> impl Strategy<Value = Damage> {
    let byte =
        || prop_oneof![3 => proptest::sample::select(&b"{}[]\",:\\.-+eEu0123456789tfn \n"[..]), 1 => any::<u8>()];
    let at = any::<proptest::sample::Index>;
    prop_oneof![
        (at(), byte()).prop_map(|(at, byte)| Damage::Replace(at, byte)),
        (at(), byte()).prop_map(|(at, byte)| Damage::Insert(at, byte)),
        at().prop_map(Damage::Remove),
        at().prop_map(Damage::Cut),
    ]
}

fn check(payloads: &[Vec<u8>]) -> Result<(), TestCaseError> {
    let plan = Arc::new(plan());
    let mut taker = decoder(&plan, PREDICTIONS, 0);
    for (offset, payload) in (0..).zip(payloads) {
        taker.push(&Record {
            offset,
            broker_time: BROKER_TIME,
            key: None,
            payload: Some(payload),
            headers: &[],
            topic: "t",
        });
    }
    let decoded = taker.finish();
    let read = rows(&decoded.batch);
    for (offset, payload) in (0..).zip(payloads) {
        let Some(expected) = oracle(payload) else { continue };
        let row = decoded.batch.offset.values().iter().position(|&other| other == offset).map(|row| read[row].clone());
        let why = || format!("{} {:?}", String::from_utf8_lossy(payload), decoded.rejects);
        prop_assert_eq!(row, expected.ok(), "{}", why());
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn good_documents_are_read_like_serde_json(events in proptest::collection::vec(event(), 1..8)) {
        check(&events.into_iter().map(String::into_bytes).collect::<Vec<_>>())?;
    }

    #[test]
    fn damaged_documents_are_refused_like_serde_json(events in proptest::collection::vec((event(), proptest::collection::vec(damage(), 0..3)), 1..8)) {
        let damaged = events.into_iter().map(|(event, damage)| {
            let mut bytes = event.into_bytes();
            for damage in damage {
                damage.apply(&mut bytes);
            }
            bytes
        });
        check(&damaged.collect::<Vec<_>>())?;
    }

    #[test]
    fn documents_of_any_shape_are_read_like_serde_json(value in any_value()) {
        check(&[value.into_bytes()])?;
    }
}

/// The generator must make enough good documents, or the comparison means little.
#[test]
fn most_generated_documents_are_good() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let good = (0..200).filter(|_| {
        let event = event().new_tree(&mut runner).unwrap();
        oracle(proptest::strategy::ValueTree::current(&event).as_bytes()).is_some_and(|row| row.is_ok())
    });
    let n = good.count();
    assert!((50..190).contains(&n), "{n} of 200");
}
