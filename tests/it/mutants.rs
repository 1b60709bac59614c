//! Records of every format that were changed at random stand between good ones: the good ones are read as ever, each
//! mutant ends as rows or is refused with a reason or passed over, and none takes more than its length allows.
//!
//! CI looks at [`SEEDS`] seeds of some mutants each. `HALDANE_FUZZ_COUNT=1000000 cargo test --test it mutants` looks at
//! so many seeds, `HALDANE_FUZZ_SECONDS` goes on for so long, `HALDANE_FUZZ_SEED` begins elsewhere; a failure names the
//! seed that repeats it.

mod change;
mod golden;

use haldane::decode::schema::{SchemaId, SchemaTexts};
use haldane::decode::{Decoded, Decoder, Record};
use haldane::event::Poison;
use haldane::scan::CheckpointMeta;
use haldane::scan::frame::Frame;
use haldane::sim::Rng;

use self::change::{grafted, mutated};
use self::golden::{Golden, Sent};
use crate::avro::texts;
use crate::flights::{Row, rows};
use crate::formats;
use crate::fuzz::{below, each_seed_of, one};
use crate::heap::{Taken, measured};

/// Seeds that CI tries.
const SEEDS: u64 = 2_000;
/// Mutants that one decoder is given at most.
const MUTANTS: usize = 8;

/// What a record may take while it is read, however short it is, and for each of its bytes. What is packed may hold
/// 16 MiB in a frame and 256 MiB in Arrow, and is held once packed and once as columns.
const BYTES_MIN: usize = 64 << 20;
const BYTES_PER_BYTE: usize = 4_096;
const BYTES_ARROW: usize = 600 << 20;
/// How often it may ask for memory, likewise: what stands for the work that a record causes.
const CALLS_MIN: u64 = 50_000;
const CALLS_PER_BYTE: u64 = 64;
/// The longest reason.
const REASON_MAX: usize = 1_024;

const BROKER_TIME: i64 = 1_800_000_000_000_000;

/// What came of one record: its rows, what was refused of it, and how much of it was passed over.
#[derive(Debug, Clone, PartialEq)]
struct Outcome {
    rows: Vec<Row>,
    refused: Vec<(u32, Poison)>,
    passed_over: u64,
}

/// Gives a decoder a record, and the schema that it names: there is none but those that it knows.
fn push(decoder: &mut dyn Decoder, offset: i64, sent: &Sent) {
    let headers: Vec<(&str, &[u8])> = sent.headers.iter().map(|(name, value)| (*name, value.as_slice())).collect();
    let (key, payload) = (sent.key.as_deref(), sent.payload.as_deref());
    let record = Record { offset, broker_time: BROKER_TIME, key, payload, headers: &headers, topic: "p" };
    if let Some(id) = decoder.needs(&record) {
        decoder.learn(id, None::<&SchemaTexts>);
        assert_eq!(decoder.needs(&record), None, "what is known is not asked for again");
    }
    decoder.push(&record);
}

fn outcome(decoded: &Decoded, offset: i64) -> Outcome {
    let of = |(at, row): (&i64, Row)| (*at == offset).then_some(row);
    let rows = decoded.batch.offset.values().iter().zip(rows(&decoded.batch)).filter_map(of).collect();
    let refused = decoded.rejects.iter().filter(|reject| reject.offset == offset);
    Outcome { rows, refused: refused.map(|reject| (reject.row, reject.reason)).collect(), passed_over: 0 }
}

/// Good records, and what comes of each of them alone.
fn with_expected(golden: Golden) -> (Golden, Vec<Outcome>) {
    let alone = |sent: &Sent| {
        let mut decoder = golden.decoder();
        push(decoder.as_mut(), 0, sent);
        let seen = decoder.finish();
        let outcome = Outcome { passed_over: seen.passed_over, ..outcome(&seen, 0) };
        assert!(outcome.refused.is_empty(), "{}: {:?}", golden.name, seen.rejects);
        outcome
    };
    let all = golden.sent.iter().map(alone).collect();
    (golden, all)
}

/// A record of which something was changed: mostly what it says.
fn mutant(rng: &mut Rng, golden: &Golden) -> Sent {
    let mut sent = golden.sent[below(rng, golden.sent.len())].clone();
    let payloads: Vec<&[u8]> = golden.sent.iter().filter_map(|sent| sent.payload.as_deref()).collect();
    match below(rng, 20) {
        0 => sent.payload = None,
        1 => sent.payload = Some(Vec::new()),
        2 | 3 if !sent.headers.is_empty() => {
            let at = below(rng, sent.headers.len());
            sent.headers[at].1 = mutated(rng, &sent.headers[at].1, &payloads);
        }
        4 => sent.key = sent.key.map(|key| mutated(rng, &key, &payloads)),
        _ => sent.payload = sent.payload.map(|payload| mutated(rng, &payload, &payloads)),
    }
    sent
}

/// A mutant between two good records, as the next three of a decoder.
fn between(rng: &mut Rng, decoder: &mut dyn Decoder, golden: &Golden, good: &[Outcome], first: i64) {
    let [before, after] = [below(rng, good.len()), below(rng, good.len())];
    let sent = mutant(rng, golden);
    let (made, taken) = measured(|| {
        let all = [&golden.sent[before], &sent, &golden.sent[after]];
        (first..).zip(all).for_each(|(offset, sent)| push(decoder, offset, sent));
        decoder.finish()
    });
    let what = || format!("{}: {}", golden.name, shown(&sent));
    let passed_over = made.passed_over.checked_sub(good[before].passed_over + good[after].passed_over);
    let read = Outcome {
        passed_over: passed_over.expect("good records are passed over as ever"),
        ..outcome(&made, first + 1)
    };
    for (offset, neighbour) in [(first, &good[before]), (first + 2, &good[after])] {
        let seen = Outcome { passed_over: neighbour.passed_over, ..outcome(&made, offset) };
        assert_eq!(&seen, neighbour, "neighbours do not notice: {}", what());
    }
    check(golden, &read, &made, &what);
    is_bounded(golden, &sent, taken, &what);
}

fn check(golden: &Golden, read: &Outcome, decoded: &Decoded, what: &dyn Fn() -> String) {
    let n = read.rows.len() as u64 + read.refused.len() as u64 + read.passed_over;
    let is_said = if golden.is_one_row { n == 1 } else { n >= 1 };
    assert!(is_said, "rows, rejects and passed over are {n}: {read:?} of {}", what());
    // Records of Arrow with rows in lists have several lists.
    let has_one_list = golden.name != "Arrow, nested rows";
    assert!(
        !has_one_list || read.refused.windows(2).all(|pair| pair[0].0 < pair[1].0),
        "one reject a row: {:?} of {}",
        read.refused,
        what()
    );
    let is_short = |reason: &str| (1..=REASON_MAX).contains(&reason.len());
    assert!(decoded.rejects.iter().all(|reject| is_short(&reject.detail)), "{:?} of {}", decoded.rejects, what());
    let offsets = decoded.rejects.iter().map(|reject| reject.offset);
    assert!(offsets.eq(decoded.batch.refused.iter().copied()), "each reject has its place");
    assert!(decoded.batch.offset.values().is_sorted());
}

fn is_bounded(golden: &Golden, sent: &Sent, taken: Taken, what: &dyn Fn() -> String) {
    let headers: usize = sent.headers.iter().map(|(_, value)| value.len()).sum();
    let length = sent.payload.as_ref().map_or(0, Vec::len) + headers;
    let least = if golden.name.starts_with("Arrow") { BYTES_ARROW } else { BYTES_MIN };
    let calls = CALLS_MIN + CALLS_PER_BYTE * length as u64;
    assert!(taken.bytes <= least + BYTES_PER_BYTE * length && taken.calls <= calls, "{taken:?} for {}", what());
}

fn shown(sent: &Sent) -> String {
    let payload = sent.payload.as_deref().unwrap_or_default();
    let head = payload[..payload.len().min(2_000)].escape_ascii();
    format!("{} bytes, {head}, key {:?}, headers {:?}", payload.len(), sent.key, sent.headers)
}

#[test]
fn mutants_leave_their_neighbours_alone_and_end_as_rows_or_rejects() {
    let all: Vec<(Golden, Vec<Outcome>)> = golden::all().into_iter().map(with_expected).collect();
    each_seed_of("mutants", SEEDS, |rng| {
        // Those of OpenTelemetry are long, and take most of the time.
        let of = |rng: &mut Rng| &all[below(rng, all.len())];
        let (golden, good) = Some(of(rng)).filter(|one| !one.0.name.starts_with("OTLP")).unwrap_or_else(|| of(rng));
        let mut decoder = golden.decoder();
        let mutants = 1 + below(rng, MUTANTS);
        (0..mutants as i64).for_each(|n| between(rng, decoder.as_mut(), golden, good, 3 * n));
    });
}

#[test]
fn schemas_that_were_changed_at_random_cost_their_own_records_alone() {
    const OTHER: u32 = 77;
    let of_schemas = |golden: &Golden| ["Avro, every kind", "Protobuf, Confluent"].contains(&golden.name);
    let all: Vec<_> = golden::all().into_iter().filter(of_schemas).map(with_expected).collect();
    each_seed_of("mutants of schemas", SEEDS / 4, |rng| {
        let (golden, good) = &all[below(rng, all.len())];
        let text = golden.schemas[0].1[0].as_str();
        let text = if rng.chance(0.5) { grafted(rng, text) } else { None }.unwrap_or_else(|| {
            let bytes = mutated(rng, text.as_bytes(), &[text.as_bytes()]);
            String::from_utf8_lossy(&bytes).into_owned()
        });
        let (decoded, taken) = measured(|| {
            let mut decoder = golden.decoder();
            decoder.learn(SchemaId::Number(OTHER), Some(&texts(&[&text])));
            for (at, sent) in golden.sent.iter().enumerate() {
                let mut other = sent.clone();
                other.payload.as_mut().expect("a payload")[1..5].copy_from_slice(&OTHER.to_be_bytes());
                push(decoder.as_mut(), 2 * at as i64, sent);
                push(decoder.as_mut(), 2 * at as i64 + 1, &other);
            }
            decoder.finish()
        });
        for (at, neighbour) in (0..).zip(good) {
            assert_eq!(&outcome(&decoded, 2 * at), neighbour, "{text}");
            let Outcome { rows, refused, .. } = outcome(&decoded, 2 * at + 1);
            assert_eq!(rows.len() + refused.len(), 1, "{:?} of {text}", decoded.rejects);
        }
        assert!(taken.bytes <= BYTES_MIN + BYTES_PER_BYTE * text.len(), "{taken:?} for {text}");
    });
}

#[test]
fn mutants_of_frames_and_checkpoints_are_read_or_refused() {
    let lines = |name: &str| {
        let read = |version| std::fs::read_to_string(formats::folder(version).join(name)).expect("samples");
        ["v1", "v5"]
            .map(read)
            .iter()
            .flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>())
            .collect::<Vec<_>>()
    };
    let frames: Vec<Vec<u8>> = lines("frames.hex").iter().map(|line| unhex(line)).collect();
    let frames: Vec<&[u8]> = frames.iter().map(Vec::as_slice).collect();
    let checkpoints = lines("checkpoints.jsonl");
    let checkpoints: Vec<&[u8]> = checkpoints.iter().map(String::as_bytes).collect();
    each_seed_of("mutants of frames", SEEDS, |rng| {
        let of = |rng: &mut Rng, all: &[&[u8]]| {
            let one = one(rng, all);
            mutated(rng, one, all)
        };
        let (frame, checkpoint) = (of(rng, &frames), of(rng, &checkpoints));
        let (_, taken) =
            measured(|| (Frame::decode(&frame).is_ok(), serde_json::from_slice::<CheckpointMeta>(&checkpoint).is_ok()));
        let length = frame.len() + checkpoint.len();
        assert!(taken.bytes <= BYTES_MIN + BYTES_PER_BYTE * length, "{taken:?} for {length} bytes");
    });
}

fn unhex(line: &str) -> Vec<u8> {
    let digits = line.trim().as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).expect("digits"));
    digits.map(|pair| u8::from_str_radix(pair, 16).expect("hexadecimal digits")).collect()
}
