//! Records that were changed at random: bits, cuts, repeats, lengths that lie, and two records in one.

use haldane::sim::Rng;
use serde_json::Value;

use crate::fuzz::{below, one};

/// No mutant is longer, whatever is repeated in it.
const BYTES_MAX: usize = 1 << 16;

/// What formats give a meaning to: signs of JSON, frames, lengths of variable and of fixed size, and what is no text.
const PIECES: [&[u8]; 24] = [
    b"\"",
    b"\\",
    b"\\ud800",
    b",",
    b":",
    b"{",
    b"}",
    b"[",
    b"]",
    b"null",
    b"-",
    b"1e999",
    b"99999999999999999999",
    b"\0",
    &[0xff],
    &[0x80],
    &[0xff, 0xff, 0xff, 0xff, 0x07],
    &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f],
    &[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
    &[0xff, 0xff, 0xff, 0x7f],
    &[0x7f, 0xff, 0xff, 0xff],
    &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f],
    &[3, 5],
    &[0xc3, 1],
];

/// Changes bytes once to four times; `others` are records of the same kind.
pub(super) fn mutated(rng: &mut Rng, bytes: &[u8], others: &[&[u8]]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..=below(rng, 4) {
        change(rng, &mut bytes, others);
        bytes.truncate(BYTES_MAX);
    }
    bytes
}

/// A stretch of bytes: mostly a short one.
fn stretch(rng: &mut Rng, bytes: &[u8]) -> std::ops::Range<usize> {
    let from = below(rng, bytes.len() + 1);
    let longest = if rng.chance(0.2) { bytes.len() } else { 16 };
    from..(from + below(rng, longest + 1)).min(bytes.len())
}

fn change(rng: &mut Rng, bytes: &mut Vec<u8>, others: &[&[u8]]) {
    let at = below(rng, bytes.len());
    match below(rng, 9) {
        0 | 1 if !bytes.is_empty() => bytes[at] ^= 1 << below(rng, 8),
        2 if !bytes.is_empty() => bytes[at] = rng.bits() as u8,
        3 => bytes.truncate(at),
        4 => drop(bytes.drain(stretch(rng, bytes))),
        5 => drop(bytes.splice(at..at, one(rng, &PIECES).iter().copied())),
        6 => {
            let over = at..(at + one(rng, &PIECES).len()).min(bytes.len());
            drop(bytes.splice(over, one(rng, &PIECES).iter().copied()));
        }
        7 => {
            let (again, times) = (stretch(rng, bytes), 1 << below(rng, 13));
            let again = bytes[again].repeat(times.min(BYTES_MAX / 64));
            drop(bytes.splice(at..at, again));
        }
        _ => {
            let other = one(rng, others);
            let from = below(rng, other.len());
            bytes.truncate(at);
            bytes.extend_from_slice(&other[from..]);
        }
    }
}

/// A text of JSON in which one value stands in the place of another; none if it is no JSON.
pub(super) fn grafted(rng: &mut Rng, text: &str) -> Option<String> {
    let mut document: Value = serde_json::from_str(text).ok()?;
    for _ in 0..=below(rng, 3) {
        let mut places = Vec::new();
        pointers(&document, String::new(), &mut places);
        let scion = match below(rng, 6) {
            0 => [0_i64, -1, 1 << 40].map(Value::from)[below(rng, 3)].clone(),
            1 => ["null", "bytes", "R", "decimal", ""].map(Value::from)[below(rng, 5)].clone(),
            2 => Value::Array(Vec::new()),
            _ => document.pointer(&places[below(rng, places.len())]).cloned()?,
        };
        *document.pointer_mut(&places[below(rng, places.len())])? = scion;
    }
    Some(document.to_string())
}

/// Where the values in a document stand.
fn pointers(value: &Value, at: String, places: &mut Vec<String>) {
    match value {
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(n, item)| pointers(item, format!("{at}/{n}"), places));
        }
        Value::Object(members) => {
            members.iter().for_each(|(key, member)| pointers(member, format!("{at}/{key}"), places));
        }
        _ => {}
    }
    places.push(at);
}
