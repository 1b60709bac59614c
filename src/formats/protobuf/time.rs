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

#[cfg(test)]
mod tests {
    use super::*;

    fn varint(mut value: u64, bytes: &mut Vec<u8>) {
        while value >= 0x80 {
            bytes.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        bytes.push(u8::try_from(value).expect("seven bits"));
    }

    fn message(seconds: i64, nanos: i64) -> Vec<u8> {
        let mut bytes = vec![1 << 3];
        varint(seconds.cast_unsigned(), &mut bytes);
        bytes.push(2 << 3);
        varint(nanos.cast_unsigned(), &mut bytes);
        bytes
    }

    #[test]
    fn times_are_of_the_years_that_there_are() {
        let of = |seconds, nanos| micros(&mut Wire::new(&message(seconds, nanos)));
        for (seconds, nanos, time) in [
            (0, 0, 0),
            (1, 999_999_999, 1_999_999),
            (-1, 1_000, -999_999),
            (-62_135_596_800, 0, -62_135_596_800_000_000),
            (253_402_300_799, 999_999_999, 253_402_300_799_999_999),
        ] {
            assert_eq!(of(seconds, nanos), Ok(time), "{seconds} {nanos}");
        }
        for (seconds, nanos) in [(-62_135_596_801, 0), (253_402_300_800, 0), (0, -1), (0, 1_000_000_000), (i64::MAX, 0)]
        {
            assert_eq!(of(seconds, nanos), Err("a time that there is not"), "{seconds} {nanos}");
        }
    }

    #[test]
    fn what_is_not_written_is_zero_and_what_comes_last_counts() {
        assert_eq!(micros(&mut Wire::new(&[])), Ok(0));
        let twice = [message(5, 0), message(7, 2_000)].concat();
        assert_eq!(micros(&mut Wire::new(&twice)), Ok(7_000_002));
        let with_more = [message(5, 0), vec![3 << 3 | 2, 2, 9, 9]].concat();
        assert_eq!(micros(&mut Wire::new(&with_more)), Ok(5_000_000), "fields of a later schema are passed over");
        assert!(micros(&mut Wire::new(&[1 << 3, 0x80])).is_err(), "cut off");
    }

    #[test]
    fn durations_have_a_sign() {
        let of = |seconds, nanos| seconds_of(&message(seconds, nanos));
        assert_eq!((of(3, 500_000_000), of(-3, -500_000_000)), (3.5, -3.5));
        assert_eq!(of(0, 0).to_bits(), 0);
    }

    fn seconds_of(bytes: &[u8]) -> f64 {
        seconds(&mut Wire::new(bytes)).expect("a duration")
    }
}
