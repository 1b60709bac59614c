//! Categories that a reference has but does not keep by name: whether a category is one of them, not which.
//!
//! A Bloom filter: every name sets eight bits, at places that follow from its hash, and a name whose bits are all set
//! is taken to be one of them. None that is one is ever missed.
//!
//! **Source**: Bloom, Space/time trade-offs in hash coding with allowable errors, CACM 13(7), 1970; two hashes make all
//! places: Kirsch and Mitzenmacher, Less hashing, same performance, ESA 2006. **Error**: a name that is not one passes
//! for one in [`Rare::error`] of cases: below 6 in a million with 32 bits a name, up to 8 million names. **State**: 4
//! to 8 bytes a name, at most 32 MiB. **Cost**: eight looks.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::event::stable_hash;

/// Bits that a name sets.
const PLACES: u32 = 8;
/// Bits of the filter for each name that it is made for.
const BITS_A_NAME: u64 = 32;
/// The smallest and the largest filter, in words.
const WORDS: [u64; 2] = [1 << 4, 1 << 22];
/// Letters of a word as text.
const DIGITS: usize = 16;

/// The names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rare {
    /// How many there are; a few less where names pass for others.
    n: u64,
    /// The filter, a power of two of words.
    #[serde(with = "self::hex")]
    words: Vec<u64>,
}

impl Rare {
    /// An empty filter for about so many names.
    #[must_use]
    pub fn with_room(names: u64) -> Self {
        let words = (names.saturating_mul(BITS_A_NAME) / u64::from(u64::BITS)).clamp(WORDS[0], WORDS[1]);
        let words = usize::try_from(words.next_power_of_two()).expect("4 million words at most");
        Self { n: 0, words: vec![0; words] }
    }

    /// Adds a name; `false` if it was there before.
    pub fn insert(&mut self, name: &str) -> bool {
        let is_new = !self.holds(name);
        for (word, bit) in self.places(name) {
            self.words[word] |= bit;
        }
        self.n += u64::from(is_new);
        is_new
    }

    /// Whether a name is one of them.
    #[must_use]
    pub fn holds(&self, name: &str) -> bool {
        self.places(name).all(|(word, bit)| self.words[word] & bit != 0)
    }

    /// How many names there are.
    #[must_use]
    pub fn n(&self) -> u64 {
        self.n
    }

    /// Of names that are none of them, the share that passes for one.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "at most 2^28 bits")]
    pub fn error(&self) -> f64 {
        let ones = self.words.iter().map(|word| u64::from(word.count_ones())).sum::<u64>();
        libm::pow(ones as f64 / (self.words.len() as u64 * u64::from(u64::BITS)) as f64, f64::from(PLACES))
    }

    fn places(&self, name: &str) -> impl Iterator<Item = (usize, u64)> + use<> {
        let first = stable_hash(name.as_bytes());
        // The finalizer of SplitMix64 gives a second hash; it must be odd to reach every bit.
        let mixed = (first ^ (first >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let step = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB) | 1;
        let mask = self.words.len() as u64 - 1;
        (0..u64::from(PLACES)).map(move |i| {
            let bit = first.wrapping_add(i.wrapping_mul(step)) >> 6;
            let word = usize::try_from((bit >> 6) & mask).expect("within the filter");
            (word, 1 << (bit & 63))
        })
    }
}

/// Words as hexadecimal text.
mod hex {
    use std::fmt::Write as _;

    use super::{DIGITS, Deserialize, Deserializer, Serializer, WORDS};

    pub(super) fn serialize<S: Serializer>(words: &[u64], serializer: S) -> Result<S::Ok, S::Error> {
        let mut text = String::with_capacity(words.len() * DIGITS);
        words.iter().for_each(|word| write!(text, "{word:016x}").expect("a text takes all"));
        serializer.serialize_str(&text)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u64>, D::Error> {
        let text = String::deserialize(deserializer)?;
        let word = |digits: &[u8]| u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok();
        let words: Option<Vec<u64>> = text.as_bytes().chunks(DIGITS).map(word).collect();
        let is_sound = |words: &Vec<u64>| {
            words.len().is_power_of_two() && words.len() as u64 <= WORDS[1] && words.len() * DIGITS == text.len()
        };
        words.filter(is_sound).ok_or_else(|| serde::de::Error::custom("a filter of names that is none"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_found_again_and_hardly_any_other() {
        let mut rare = Rare::with_room(20_000);
        let names: Vec<String> = (0..20_000).map(|i| format!("merchant-{i}")).collect();
        let new = names.iter().filter(|name| rare.insert(name)).count();
        assert!(new >= 19_998 && rare.n() == new as u64 && !rare.insert("merchant-7"), "{new}");
        assert!(names.iter().all(|name| rare.holds(name)));
        let others = (0..200_000).filter(|i| rare.holds(&format!("shop-{i}"))).count();
        assert!(rare.error() < 6e-6 && others <= 5, "{others} of 200,000, {}", rare.error());
    }

    #[test]
    fn survives_being_written() {
        let mut rare = Rare::with_room(3);
        ["a", "b", "ç"].into_iter().for_each(|name| _ = rare.insert(name));
        let text = serde_json::to_string(&rare).expect("encodes");
        assert_eq!(serde_json::from_str::<Rare>(&text).expect(&text), rare);
        for damaged in [r#"{"n":1,"words":"xyz"}"#, r#"{"n":1,"words":""}"#, r#"{"n":1,"words":"010203"}"#] {
            let error = serde_json::from_str::<Rare>(damaged).expect_err(damaged).to_string();
            assert!(error.starts_with("a filter of names that is none"), "{error}");
        }
    }
}
