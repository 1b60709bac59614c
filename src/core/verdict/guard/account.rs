//! The lines of the error budget that guards write.

use super::GuardName;
use super::list::ACCOUNTS;

/// A line of the error budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Account {
    /// Its name in decisions. After one that ends with a colon comes what it is about.
    pub name: &'static str,
    /// What enough evidence shows, in words.
    pub shows: &'static str,
    /// Whether evidence speaks for the candidate: then enough of it leads to a pass, and not to a finding.
    pub speaks_for: bool,
}

impl Account {
    /// One whose evidence speaks against the candidate.
    pub(crate) const fn against(name: &'static str, shows: &'static str) -> Self {
        Self { name, shows, speaks_for: false }
    }

    /// One whose evidence speaks for it.
    pub(crate) const fn speaking_for(name: &'static str, shows: &'static str) -> Self {
        Self { name, shows, speaks_for: true }
    }

    /// The guard and the account of a line's name; `None` where this release knows none.
    #[must_use]
    pub fn of(name: &str) -> Option<(GuardName, Self)> {
        let all = ACCOUNTS.iter().flat_map(|(guard, accounts)| accounts.iter().map(move |account| (*guard, *account)));
        let is =
            |account: &Self| if account.is_of_many() { name.starts_with(account.name) } else { name == account.name };
        all.into_iter().find(|(_, account)| is(account))
    }

    /// The name of a line about something; about nothing where there is one line only.
    pub(crate) fn line(self, about: &str) -> String {
        debug_assert_eq!(self.is_of_many(), !about.is_empty(), "only one of many lines is about something");
        format!("{}{about}", self.name)
    }

    fn is_of_many(self) -> bool {
        self.name.trim_end().ends_with(':')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_known_by_its_name() {
        let names = [
            ("shadow", GuardName::Shadow),
            ("shadow: safe", GuardName::Shadow),
            ("shadow: answers", GuardName::Shadow),
            ("rollback", GuardName::Guardrails),
            ("contain", GuardName::Guardrails),
            ("rollback: last look", GuardName::Guardrails),
            ("contain: last look", GuardName::Guardrails),
            ("safe", GuardName::Guardrails),
            ("measures", GuardName::Measures),
            ("measures: safe", GuardName::Measures),
            ("fairness: recall by sex", GuardName::Fairness),
            ("classes", GuardName::Classes),
            ("success: accuracy better", GuardName::Success),
            ("slo:latency_p95", GuardName::Limits),
            ("drift", GuardName::Drift),
            ("drift in segments", GuardName::Segments),
            ("calibration", GuardName::Calibration),
            ("share", GuardName::Share),
            ("volume", GuardName::Volume),
            ("world", GuardName::World),
        ];
        for (name, guard) in names {
            assert_eq!(Account::of(name).expect(name).0, guard, "{name}");
        }
        assert_eq!(Account::of("slow"), None);
        let all: Vec<&str> = ACCOUNTS.iter().flat_map(|(_, accounts)| *accounts).map(|account| account.name).collect();
        assert_eq!(all.len(), names.len(), "{all:?}");
        assert!(all.iter().zip(names).all(|(one, (name, _))| name.starts_with(one)), "{all:?}");
    }
}
