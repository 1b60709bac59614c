//! The share of traffic as a text says it: a weight, that of the rest, and whose they are.

use super::place::{LocatedValue, Locator};
use super::words::Placeholders;
use crate::act::{ObservedShare, Trouble};

/// Where a text says the share of traffic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShareConfig {
    /// The candidate's weight.
    pub weight: Locator,
    /// The weight of all the rest; `None` where it is not written.
    pub rest: Option<Locator>,
    /// The version whose weight it is; `None` where the place of the weight names it.
    pub version: Option<Locator>,
    /// The sum of both weights.
    pub scale: u64,
    /// Percent that it means when there is no weight; `None` where that is a mistake.
    pub absent_pct: Option<u8>,
    /// Whether the place of the weight is another for each candidate: then one that is not there has no share.
    pub is_keyed: bool,
}

/// What a text says.
#[derive(Debug, Clone)]
pub struct ShareReading {
    pub(super) version: Option<String>,
    pub(super) share_pct: Option<f64>,
    pub(super) weight: Option<LocatedValue>,
    pub(super) rest: Option<LocatedValue>,
}

impl ShareConfig {
    /// What a text says of a candidate.
    ///
    /// # Errors
    /// When there is no such value in it, or no number.
    pub fn read(&self, text: &str, words: &Placeholders) -> Result<ShareReading, Trouble> {
        let find = |place: &Locator| place.filled(words).find(text).map_err(Trouble::Refused);
        let version = match &self.version {
            Some(place) => Some(find(place)?.ok_or_else(|| missing("version", place, words))?.value),
            None => None,
        };
        let weight = find(&self.weight)?;
        let Some(found) = &weight else {
            let share_pct = self.absent_pct.map(f64::from);
            let absent = ShareReading { version, share_pct, weight: None, rest: None };
            let known = share_pct.is_some() || self.is_keyed;
            return if known { Ok(absent) } else { Err(missing("weight", &self.weight, words)) };
        };
        let of = number(found)?;
        let rest = match &self.rest {
            Some(place) => Some(find(place)?.ok_or_else(|| missing("weight of the rest", place, words))?),
            None => None,
        };
        let all = match &rest {
            Some(rest) => of + number(rest)?,
            None => self.whole(),
        };
        let share_pct = Some(if all > 0.0 { 100.0 * of / all } else { 0.0 });
        Ok(ShareReading { version, share_pct, weight, rest })
    }

    /// The text with another share, everything else as it was.
    ///
    /// # Errors
    /// When there is no weight to change, or the text would not say what was meant.
    pub fn write(&self, text: &str, words: &Placeholders, share_pct: f64) -> Result<String, Trouble> {
        let said = self.read(text, words)?;
        let Some(weight) = said.weight else {
            return Err(Trouble::Unable(format!("there is no weight at {} to change", self.weight.filled(words))));
        };
        let (of, rest) = self.weights(share_pct);
        let mut changes = vec![(weight.span, of)];
        changes.extend(said.rest.map(|found| (found.span, rest)));
        // From the end, so that places before stay where they are.
        changes.sort_by_key(|(span, _)| std::cmp::Reverse(span.start));
        let mut fresh = text.to_owned();
        for (span, number) in changes {
            fresh.replace_range(span, &number.to_string());
        }
        let now = self.read(&fresh, words)?.share_pct.unwrap_or(100.0);
        if now > share_pct + 1e-9 {
            return Err(Trouble::Unable(format!("written back it would say {now} %, and not {share_pct} %")));
        }
        Ok(fresh)
    }

    /// Both weights of a share. Rounded down, so that a share is never above what was asked for.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of a scale that is a whole number; the cast saturates"
    )]
    #[must_use]
    pub fn weights(&self, share_pct: f64) -> (u64, u64) {
        let of = ((self.whole() * share_pct / 100.0 + 1e-9).floor() as u64).min(self.scale);
        (of, self.scale - of)
    }

    /// What was seen, with what names the state of the target.
    #[must_use]
    pub fn seen(&self, said: ShareReading, mark: String) -> ObservedShare {
        ObservedShare { version: said.version, share_pct: said.share_pct, grain_pct: 100.0 / self.whole(), mark }
    }

    #[expect(clippy::cast_precision_loss, reason = "scales are far below 2^52")]
    fn whole(&self) -> f64 {
        self.scale as f64
    }
}

fn missing(what: &str, place: &Locator, words: &Placeholders) -> Trouble {
    Trouble::Refused(format!("there is no {what} at {}", place.filled(words)))
}

fn number(found: &LocatedValue) -> Result<f64, Trouble> {
    let number = found.value.trim().parse::<f64>().ok().filter(|number| number.is_finite() && *number >= 0.0);
    number.ok_or_else(|| Trouble::Refused(format!("`{}` is no weight", found.value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(weight: &str, rest: Option<&str>, scale: u64) -> ShareConfig {
        let place = |text: &str| text.parse().expect("a place");
        let (weight, rest) = (place(weight), rest.map(place));
        ShareConfig { weight, rest, version: None, scale, absent_pct: None, is_keyed: false }
    }

    #[test]
    fn a_share_is_changed_and_everything_else_stays() {
        let flagd = "{ \"fractional\": [ [\"candidate\", 2500], [\"stable\", 7500] ], \"x\": 1 }";
        let of = share("/fractional/[0=candidate]/1", Some("/fractional/[0=stable]/1"), 10_000);
        let words = Placeholders::default();
        assert_eq!(of.read(flagd, &words).expect("read").share_pct, Some(25.0));
        let fresh = of.write(flagd, &words, 5.0).expect("written");
        assert_eq!(fresh, "{ \"fractional\": [ [\"candidate\", 500], [\"stable\", 9500] ], \"x\": 1 }");
        let nginx = "split_clients $id $to {\n  25% v2; # ours\n  * v1;\n}\n";
        let of = share("{weight}% v2;", None, 100);
        assert_eq!(of.write(nginx, &words, 0.0).expect("written"), nginx.replace("25", "0"));
    }

    #[test]
    fn a_share_is_never_rounded_up() {
        let of = share("/w", None, 100);
        assert_eq!((of.weights(33.9), of.weights(0.9), of.weights(100.0)), ((33, 67), (0, 100), (100, 0)));
        assert_eq!(share("/w", None, 10_000).weights(0.29), (29, 9_971));
    }

    #[test]
    fn what_is_no_weight_is_refused() {
        let of = share("/w", None, 100);
        let words = Placeholders::default();
        for (text, why) in [("{}", "there is no weight at /w"), ("w: many", "`many` is no weight"), ("w: [", "neither")]
        {
            let trouble = of.read(text, &words).expect_err("refused");
            assert!(trouble.why().contains(why), "{trouble:?}");
        }
        let keyed = ShareConfig { is_keyed: true, ..of.clone() };
        assert_eq!(keyed.read("{}", &words).expect("read").share_pct, None);
        let whole = ShareConfig { absent_pct: Some(100), ..of };
        assert_eq!(whole.read("{}", &words).expect("read").share_pct, Some(100.0));
    }
}
