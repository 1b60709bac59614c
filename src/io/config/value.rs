//! The small values of a pipeline file: places in it, durations, ratios, paths, and the short and long forms of a
//! field.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::{MapAccessDeserializer, MapDeserializer};
use serde::de::{DeserializeOwned, Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::path::Dotted;
use super::problem::Spot;
use crate::event::{Micros, SECOND};
use crate::plan::Baseline;

/// A value and where it stands.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct At<T> {
    /// The value.
    pub(crate) value: T,
    /// Where it stands.
    pub(crate) spot: Spot,
}

impl<T> From<T> for At<T> {
    fn from(value: T) -> Self {
        Self { value, spot: Spot::default() }
    }
}

impl<T> Deref for At<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for At<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = serde_saphyr::Spanned::<T>::deserialize(deserializer)?;
        Ok(Self { value: spanned.value, spot: spanned.referenced.into() })
    }
}

impl<T: Serialize> Serialize for At<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value.serialize(serializer)
    }
}

impl<T: JsonSchema> JsonSchema for At<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        T::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

/// A value whose every key has a default.
pub(crate) fn by_default<T: DeserializeOwned>() -> T {
    let no_keys = std::iter::empty::<(&str, &str)>();
    T::deserialize(MapDeserializer::<_, serde::de::value::Error>::new(no_keys)).expect("every key has a default")
}

/// Default of a duration key.
pub(crate) fn seconds<const N: i64>() -> At<Period> {
    Period(N * SECOND).into()
}

/// Default of a count key.
pub(crate) fn count<const N: u64>() -> At<u64> {
    N.into()
}

/// Implements reading from a YAML scalar through [`FromStr`], and writing through [`fmt::Display`].
macro_rules! scalar {
    ($type:ty, $name:literal, $schema:tt) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> std::borrow::Cow<'static, str> {
                $name.into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    };
}

/// A span of time: a whole number and a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Period(pub(crate) Micros);

/// Units from the largest to the smallest.
const UNITS: [(&str, Micros); 6] =
    [("d", 86_400 * SECOND), ("h", 3_600 * SECOND), ("m", 60 * SECOND), ("s", SECOND), ("ms", 1_000), ("us", 1)];

impl FromStr for Period {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let factor = UNITS.iter().find(|(name, _)| *name == unit.trim_start()).map(|(_, factor)| *factor);
        let micros = number.parse::<Micros>().ok().zip(factor).and_then(|(number, factor)| number.checked_mul(factor));
        micros.map(Self).ok_or_else(|| {
            format!("`{text}` is not a duration; write a whole number and a unit, such as 30s, 5m, 4h or 1d")
        })
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, factor) = UNITS.iter().find(|(_, factor)| self.0 != 0 && self.0 % factor == 0).unwrap_or(&UNITS[3]);
        write!(f, "{}{unit}", self.0 / factor)
    }
}

pub(crate) use scalar;

scalar!(Period, "Duration", {
    "type": "string",
    "pattern": "^[0-9]+ *(d|h|m|s|ms|us)$",
    "description": "A whole number and a unit: 500ms, 30s, 5m, 4h, 1d."
});

/// An amount of memory: a whole number and a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Bytes(pub(crate) usize);

impl FromStr for Bytes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let units = [("MB", 1_000_000), ("GB", 1_000_000_000), ("MiB", 1 << 20), ("GiB", 1 << 30)];
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let factor = units.iter().find(|(name, _)| *name == unit.trim_start()).map(|(_, factor)| *factor);
        let bytes = number.parse::<usize>().ok().zip(factor).and_then(|(number, factor)| number.checked_mul(factor));
        bytes.map(Self).ok_or_else(|| {
            format!("`{text}` is not an amount of memory; write a whole number and a unit, such as 512MB or 2GiB")
        })
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}MB", self.0.div_ceil(1_000_000))
    }
}

scalar!(Bytes, "Bytes", {
    "type": "string",
    "pattern": "^[0-9]+ *(MB|GB|MiB|GiB)$",
    "description": "A whole number and a unit: 512MB, 2GB, 512MiB, 2GiB."
});

/// A share: 0 to 1, or percent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Ratio(pub(crate) f64);

impl FromStr for Ratio {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (number, divisor) = text.strip_suffix('%').map_or((text, 1.0), |percent| (percent.trim_end(), 100.0));
        let ratio = number.parse::<f64>().ok().map(|number| number / divisor);
        ratio
            .filter(|ratio| (0.0..=1.0).contains(ratio))
            .map(Self)
            .ok_or_else(|| format!("`{text}` is not a share; write a number from 0 to 1, or percent such as 5%"))
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

scalar!(Ratio, "Ratio", {
    "anyOf": [{ "type": "number", "minimum": 0, "maximum": 1 }, { "type": "string", "pattern": "^[0-9.]+ *%$" }],
    "description": "A share: a number from 0 to 1, or percent such as 5%."
});

/// How many times as much is tolerated: a ratio from 1 on, or a share on top.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Margin(pub(crate) f64);

impl Margin {
    /// The share on top, to the last digit that anybody would write: 0.1 for a ratio of 1.1.
    pub(crate) fn on_top(self) -> f64 {
        ((self.0 - 1.0) * 1e12).round() / 1e12
    }
}

impl FromStr for Margin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bare = text.trim_start_matches('+');
        let ratio = match bare.strip_suffix('%') {
            Some(percent) => percent.trim_end().parse::<f64>().ok().map(|percent| 1.0 + percent / 100.0),
            None => bare.strip_suffix('x').unwrap_or(bare).trim_end().parse::<f64>().ok(),
        };
        ratio.filter(|ratio| (1.0..=100.0).contains(ratio)).map(Self).ok_or_else(|| {
            format!("`{text}` is not a margin; write how much worse is tolerated: a ratio such as 1.2, or percent such as 20%")
        })
    }
}

impl fmt::Display for Margin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

scalar!(Margin, "Margin", {
    "anyOf": [
        { "type": "number", "minimum": 1, "maximum": 100 },
        { "type": "string", "pattern": "^\\+?[0-9.]+ *[%x]$" }
    ],
    "description": "How much worse is tolerated: a ratio such as 1.2, or percent on top such as 20%."
});

/// A section, or the word `off`.
#[derive(Debug, Clone)]
pub(crate) enum OrOff<T> {
    /// `section: off`
    Off,
    /// `section: { … }`
    On(T),
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for OrOff<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OrOffVisitor<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for OrOffVisitor<T> {
            type Value = OrOff<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`off` or a mapping")
            }

            fn visit_bool<E: serde::de::Error>(self, on: bool) -> Result<Self::Value, E> {
                if on { Err(E::custom("expected `off` or a mapping, found true")) } else { Ok(OrOff::Off) }
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
                let off = (text == "off").then_some(OrOff::Off);
                off.ok_or_else(|| E::custom(format!("expected `off` or a mapping, found `{text}`")))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(OrOff::On)
            }
        }

        deserializer.deserialize_any(OrOffVisitor(PhantomData))
    }
}

impl<T: JsonSchema> JsonSchema for OrOff<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("{}OrOff", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [{ "enum": ["off", false] }, generator.subschema_for::<T>()] })
    }
}

/// The name of a baseline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BaselineName(pub(crate) Baseline);

impl FromStr for BaselineName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let days = || text.strip_suffix("d_ago")?.parse().ok().filter(|days| *days > 0).map(Baseline::DaysAgo);
        match text {
            "concurrent" => Some(Baseline::Concurrent),
            "reference" => Some(Baseline::Reference),
            "previous" => Some(Baseline::Previous),
            _ => days(),
        }
        .map(Self)
        .ok_or_else(|| {
            format!(
                "`{text}` is not a baseline; write concurrent, reference, previous, or a number of days such as 7d_ago"
            )
        })
    }
}

impl fmt::Display for BaselineName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.name())
    }
}

scalar!(BaselineName, "Baseline", {
    "type": "string",
    "pattern": "^(concurrent|reference|previous|[1-9][0-9]*d_ago)$",
    "description": "What a version is compared with."
});

/// Named entries in the order of the file: a mapping of name to value, or a list of names whose value is their own
/// name.
#[derive(Debug, Clone)]
pub(crate) struct Entries<T>(pub(crate) Vec<(String, At<T>)>);

impl<T> Default for Entries<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de> + From<Dotted>> Deserialize<'de> for Entries<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EntriesVisitor<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de> + From<Dotted>> Visitor<'de> for EntriesVisitor<T> {
            type Value = Entries<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a mapping of names to paths or a list of names")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut names: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(At { value: path, spot }) = names.next_element::<At<Dotted>>()? {
                    entries.push((path.to_string(), At { value: path.into(), spot }));
                }
                Ok(Entries(entries))
            }
        }

        deserializer.deserialize_any(EntriesVisitor(PhantomData))
    }
}

impl<T: JsonSchema> JsonSchema for Entries<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("Entries{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let value = generator.subschema_for::<T>();
        json_schema!({ "anyOf": [
            { "type": "object", "additionalProperties": value },
            { "type": "array", "items": { "type": "string" }, "uniqueItems": true },
        ]})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_written_in_their_largest_unit() {
        for (text, micros, canonical) in [
            ("30s", 30_000_000, "30s"),
            ("90m", 5_400_000_000, "90m"),
            ("60m", 3_600_000_000, "1h"),
            ("24 h", 86_400_000_000, "1d"),
            ("250ms", 250_000, "250ms"),
            ("7us", 7, "7us"),
            ("0s", 0, "0s"),
        ] {
            let period: Period = text.parse().unwrap();
            assert_eq!((period.0, period.to_string().as_str()), (micros, canonical), "{text}");
        }
        for text in ["", "5", "m", "5 minutes", "-5m", "1.5h", "1h30m", "99999999999999999d"] {
            assert!(text.parse::<Period>().is_err(), "{text}");
        }
    }

    #[test]
    fn ratios_are_shares_or_percent() {
        for (text, ratio) in [("0.05", 0.05), ("5%", 0.05), ("5 %", 0.05), ("1", 1.0), ("0", 0.0)] {
            assert_eq!(text.parse(), Ok(Ratio(ratio)), "{text}");
        }
        assert!(["5", "-0.1", "101%", "half", "nan"].iter().all(|text| text.parse::<Ratio>().is_err()));
    }

    #[test]
    fn margins_are_ratios_or_percent_on_top() {
        for (text, ratio) in [("1.2", 1.2), ("1.2x", 1.2), ("2 x", 2.0), ("25%", 1.25), ("+50 %", 1.5), ("1", 1.0)] {
            assert_eq!(text.parse(), Ok(Margin(ratio)), "{text}");
        }
        assert!(["0.2", "-5%", "twice", "x", "101", "nan"].iter().all(|text| text.parse::<Margin>().is_err()));
    }

    #[test]
    fn amounts_of_memory_are_read_in_two_counts() {
        for (text, bytes, shown) in [
            ("512MB", 512_000_000, "512MB"),
            ("2 GB", 2_000_000_000, "2000MB"),
            ("1MiB", 1_048_576, "2MB"),
            ("1GiB", 1_073_741_824, "1074MB"),
        ] {
            let read: Bytes = text.parse().expect(text);
            assert_eq!((read.0, read.to_string().as_str()), (bytes, shown), "{text}: no less than was meant");
        }
        for text in ["", "512", "1KB", "1.5GB", "-1GB", "99999999999999999GiB"] {
            let error = text.parse::<Bytes>().expect_err(text);
            assert!(error.contains(&format!("`{text}`")) && error.contains("512MB or 2GiB"), "{error}");
        }
    }

    #[test]
    fn a_margin_on_top_has_the_digits_that_were_written() {
        for (text, on_top) in [("10%", 0.1), ("1.1", 0.1), ("+30 %", 0.3), ("1", 0.0), ("2.5x", 1.5)] {
            assert_eq!(text.parse::<Margin>().expect(text).on_top().to_bits(), f64::to_bits(on_top), "{text}");
        }
    }

    #[test]
    fn baselines_have_names_and_days_have_numbers() {
        for text in ["concurrent", "reference", "previous", "1d_ago", "28d_ago"] {
            assert_eq!(text.parse::<BaselineName>().expect(text).to_string(), text);
        }
        for text in ["0d_ago", "-1d_ago", "1.5d_ago", "d_ago", "7d", "Concurrent", "99999999999d_ago"] {
            let error = text.parse::<BaselineName>().expect_err(text);
            assert!(error.contains("write concurrent, reference, previous"), "{error}");
        }
    }

    #[test]
    fn a_section_is_off_by_its_word_and_nothing_else() {
        let read = |text: &str| serde_saphyr::from_str::<OrOff<Vec<u8>>>(text).map(|read| matches!(read, OrOff::Off));
        assert!(read("off").is_ok_and(|off| off) && read("false").is_ok_and(|off| off));
        for (text, found) in
            [("true", "found true"), ("on", "found"), ("'no'", "found `no`"), ("5", "expected `off` or a mapping")]
        {
            let error = read(text).expect_err(text).to_string();
            assert!(error.contains("`off` or a mapping") && error.contains(found), "{text}: {error}");
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_shown_of_a_duration_is_read_as_the_same(micros in 0_i64..i64::MAX) {
            let period = Period(micros);
            proptest::prop_assert_eq!(period.to_string().parse::<Period>(), Ok(period));
        }

        #[test]
        fn what_is_shown_of_a_share_is_read_as_the_same(share in 0.0..=1.0_f64) {
            proptest::prop_assert_eq!(Ratio(share).to_string().parse::<Ratio>(), Ok(Ratio(share)));
        }
    }
}
