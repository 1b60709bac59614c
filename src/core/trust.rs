//! How far the data of a window can be trusted: what is missing from it or wrong with it, as shares of its records.
//!
//! It is a function of what streams brought (`scan::Intake`), not of what was measured. A window that
//! is not trusted may restrict a candidate and never lets one pass.

use serde::{Deserialize, Serialize};

use crate::name::{Name as _, NameOf};
use crate::plan::{Cause, TrustPlan};

/// How far a window is trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trust {
    /// Nothing speaks against it.
    #[default]
    Ok,
    /// So much is missing or wrong that people should know.
    Degraded,
    /// So much is missing or wrong that nothing passes on it.
    Untrusted,
}

impl Trust {
    /// All of them, from the best to the worst.
    pub const ALL: [Self; 3] = [Self::Ok, Self::Degraded, Self::Untrusted];

    /// The name in rows, states and remarks.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Degraded => "degraded",
            Self::Untrusted => "untrusted",
        }
    }
}

/// One thing that speaks against a window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Doubt {
    /// What it is.
    pub cause: NameOf<Cause>,
    /// How far the window is trusted for all that is known of it.
    pub level: Trust,
    /// So many records.
    pub n: u64,
    /// Their share of the source's records, 0 to 1.
    pub share: f64,
}

impl Doubt {
    /// As it stands beside numbers: `untrusted_poison_7.1pct`.
    #[must_use]
    pub fn remark(&self) -> String {
        format!("{}_{}_{:.1}pct", self.level.name(), self.cause, self.share * 100.0)
    }

    /// In words, with the share.
    #[must_use]
    pub fn in_words(&self) -> String {
        let meaning = self.cause.known().map_or("", |cause| cause.meaning());
        format!("{} ({:.1} %, {}): {meaning}", self.cause, self.share * 100.0, self.n)
    }
}

/// How far a window is trusted, and why not further.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct WindowTrust {
    /// The worst of its doubts.
    pub level: Trust,
    /// What speaks against it, in the order of [`Cause`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub doubts: Vec<Doubt>,
}

impl WindowTrust {
    /// Whether nothing speaks against it.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.level == Trust::Ok
    }

    /// Whether nothing may pass on it.
    #[must_use]
    pub fn is_untrusted(&self) -> bool {
        self.level == Trust::Untrusted
    }

    /// Its doubts as they stand beside numbers.
    pub fn remarks(&self) -> impl Iterator<Item = String> {
        self.doubts.iter().map(Doubt::remark)
    }

    /// Why it is not trusted, in words; empty where it is.
    #[must_use]
    pub fn in_words(&self) -> String {
        let words: Vec<String> = self.doubts.iter().map(Doubt::in_words).collect();
        words.join("; ")
    }

    /// Takes in one cause of one source: `n` of `all` records.
    pub(crate) fn doubt(&mut self, plan: &TrustPlan, cause: Cause, n: u64, all: u64) {
        let Some(limits) = plan.limits(cause).filter(|_| n >= plan.n_min.max(1)) else { return };
        #[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
        let share = n as f64 / all.max(1) as f64;
        let level = match share {
            _ if share >= limits.untrusted => Trust::Untrusted,
            _ if share >= limits.degraded => Trust::Degraded,
            _ => return,
        };
        self.take(Doubt { cause: cause.into(), level, n, share });
    }

    /// Takes in what speaks against another part of it: of one cause the worst counts.
    pub(crate) fn and(mut self, other: &Self) -> Self {
        other.doubts.iter().cloned().for_each(|doubt| self.take(doubt));
        self
    }

    fn take(&mut self, doubt: Doubt) {
        self.level = self.level.max(doubt.level);
        let order = |one: &Doubt| one.cause.known().map_or(usize::MAX, |cause| cause as usize);
        match self.doubts.iter_mut().find(|known| known.cause == doubt.cause) {
            Some(known) if known.share >= doubt.share => {}
            Some(known) => *known = doubt,
            None => self.doubts.push(doubt),
        }
        self.doubts.sort_by_key(order);
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    fn of(cause: Cause, n: u64, all: u64) -> WindowTrust {
        let mut trust = WindowTrust::default();
        trust.doubt(&TrustPlan::default(), cause, n, all);
        trust
    }

    /// A tenth of a window was refused.
    pub(crate) fn untrusted() -> WindowTrust {
        of(Cause::Poison, 100, 1_000)
    }

    #[test]
    fn each_cause_crosses_each_limit_by_itself() {
        for &cause in Cause::ALL {
            let [degraded, untrusted] = if cause == Cause::Duplicates { [1_000, 5_000] } else { [100, 500] };
            let at = |n: u64| of(cause, n, 10_000).level;
            assert_eq!(at(degraded - 1), Trust::Ok, "{cause:?}");
            assert_eq!((at(degraded), at(untrusted - 1)), (Trust::Degraded, Trust::Degraded), "{cause:?}");
            assert_eq!(at(untrusted), Trust::Untrusted, "{cause:?}");
        }
    }

    #[test]
    fn few_records_say_nothing_whatever_their_share() {
        assert!(of(Cause::Late, 9, 9).is_ok());
        assert_eq!(of(Cause::Late, 10, 10).remarks().collect::<Vec<_>>(), ["untrusted_late_100.0pct"]);
        let mut off = WindowTrust::default();
        off.doubt(&TrustPlan::off(), Cause::Late, 500, 1_000);
        assert!(off.is_ok());
    }

    #[test]
    fn the_worst_of_several_counts_and_all_are_told() {
        let all = of(Cause::Late, 20, 1_000).and(&of(Cause::Poison, 100, 1_000)).and(&of(Cause::Late, 30, 1_000));
        assert!(all.is_untrusted());
        assert_eq!(all.remarks().collect::<Vec<_>>(), ["untrusted_poison_10.0pct", "degraded_late_3.0pct"]);
        assert!(all.in_words().starts_with("poison (10.0 %, 100): records that were refused; late"), "{all:?}");
        let json = serde_json::to_string(&all).expect("encodes");
        assert_eq!(serde_json::from_str::<WindowTrust>(&json).expect("decodes"), all);
        assert_eq!(serde_json::to_string(&WindowTrust::default()).expect("encodes"), r#"{"level":"ok"}"#);
    }
}
