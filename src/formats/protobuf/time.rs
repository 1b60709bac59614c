//! `google.protobuf.Timestamp` and `Duration`: seconds, and billionths of a second.

use super::wire::{Tag, Wire, WireType};
use crate::arrays::BadValue;

/// The first and the last second of the years 1 to 9999, which is what a Timestamp may say.
const SECONDS: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;
const NANOS: i64 = 1_000_000_000;

/// The time of a Timestamp in microseconds since 1970.
pub(super) fn micros(wire: &mut Wire<'_>) -> Result<i64, BadValue> {
    let (seconds, nanos) = parts(wire)?;
    if !SECONDS.contains(&seconds) || !(0..NANOS).contains(&nanos) {
        return Err("a time that there is not");
    }
    Ok(seconds * 1_000_000 + nanos / 1_000)
}

/// The length of a Duration in seconds.
#[expect(clippy::cast_precision_loss, reason = "the nearest number")]
pub(super) fn seconds(wire: &mut Wire<'_>) -> Result<f64, BadValue> {
    let (seconds, nanos) = parts(wire)?;
    Ok(seconds as f64 + nanos as f64 / NANOS as f64)
}

#[expect(clippy::cast_possible_truncation, reason = "as the format says: the lower bits count")]
fn parts(wire: &mut Wire<'_>) -> Result<(i64, i64), BadValue> {
    let (mut seconds, mut nanos) = (0, 0);
    while let Some(tag) = wire.tag()? {
        match tag {
            Tag { number: 1, kind: WireType::Varint } => seconds = wire.varint()?.cast_signed(),
            Tag { number: 2, kind: WireType::Varint } => nanos = i64::from(wire.varint()? as i32),
            tag => wire.skip(tag)?,
        }
    }
    Ok((seconds, nanos))
}
