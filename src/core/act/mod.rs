//! Carrying decisions out, as far as that needs no clock and no network: what is wanted of a target, and what to do
//! next.
//!
//! Nothing is decided here. A [`Book`] keeps what the topics say, an [`Order`] is what follows from it for one
//! candidate, and a [`Course`] goes one step after another: look, set, look again, acknowledge. A restriction is kept
//! for as long as it is in force, whoever puts the share back. A permission is used once, and only while it is alive.

mod book;
mod course;
mod order;
#[cfg(test)]
mod tests;

pub use book::{Acknowledgement, AdapterTerms, Book, CandidateKey};
pub use course::{Course, Step};
pub use order::Order;

/// What a target shows of a candidate.
#[derive(Debug, Clone, PartialEq)]
pub struct ObservedShare {
    /// The version whose share it is; `None` where the target was asked for the candidate by its name.
    pub version: Option<String>,
    /// Share of traffic, percent; `None` where the target does not know the candidate.
    pub share_pct: Option<f64>,
    /// The smallest step in which shares can be set, percent.
    pub grain_pct: f64,
    /// What names this state of the target, so that a change by others in between is noticed.
    pub mark: String,
}

/// Why a target could not be looked at or set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// Somebody else has changed it since it was looked at: nothing was set.
    Conflict,
    /// It cannot be reached, or asks for patience.
    Away(String),
    /// It says no, and would say so again.
    Refused(String),
    /// There is no way to say this share to it.
    Unable(String),
}

impl Trouble {
    /// What is wrong.
    #[must_use]
    pub fn why(&self) -> &str {
        match self {
            Self::Conflict => "somebody else changes it at the same time",
            Self::Away(why) | Self::Refused(why) | Self::Unable(why) => why,
        }
    }
}
