//! Where decisions are carried out: files, HTTP APIs, programs and git repositories that hold a share of traffic.
//!
//! What is to be done is worked out in the engine ([`crate::act`]). A kind of target is one file here, and one line in
//! [`open`]: it can look and set, and knows nothing of decisions. [`acting`] drives one, [`Adapters`] all of a
//! pipeline; [`notify`] tells people; [`watch`] says what they do.

pub mod acting;
mod adapters;
pub(crate) mod client;
pub(crate) mod exec;
mod exposure;
mod file;
mod git;
mod http;
pub mod notify;
mod place;
mod share;
pub mod watch;
mod words;

pub use adapters::{Adapters, Listens};
pub use exec::ExecConfig;
pub use file::FileConfig;
pub use git::GitConfig;
pub use http::{HttpCall, HttpConfig, ServerAddress};
pub use place::Locator;
pub use share::ShareConfig;
pub(crate) use words::hex;
pub use words::{Placeholders, escaped};

use std::time::Duration;

use crate::act::{AdapterTerms, ObservedShare, Trouble};
use crate::error::Result;
use notify::NotifyConfig;

/// One place where decisions are carried out, or one where they are told.
#[derive(Debug, Clone, PartialEq)]
pub struct ActConfig {
    /// Its name and what it may do.
    pub terms: AdapterTerms,
    /// How long one look or one setting may take.
    pub timeout: Duration,
    /// Whether the share that it shows is the one that counts as declared.
    pub exposure: bool,
    /// What it is.
    pub kind: TargetKind,
}

/// Kinds of targets.
#[derive(Debug, Clone, PartialEq)]
pub enum TargetKind {
    /// A file.
    File(FileConfig),
    /// An API over HTTP.
    Http(Box<HttpConfig>),
    /// Two programs.
    Exec(ExecConfig),
    /// A file in a git repository.
    Git(GitConfig),
    /// Nobody acts on it: it is told.
    Notify(NotifyConfig),
}

/// Whose share is meant, and by which decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// Rollout.
    pub rollout: String,
    /// Model.
    pub model: String,
    /// The candidate.
    pub candidate: String,
    /// The version to go back to.
    pub baseline: String,
    /// The decision that is carried out.
    pub decision: String,
}

impl Subject {
    fn words(&self) -> Placeholders {
        Placeholders::default()
            .with("rollout", &self.rollout)
            .with("model", &self.model)
            .with("candidate", &self.candidate)
            .with("baseline", &self.baseline)
            .with("decision", &self.decision)
    }
}

/// What a target was asked, or why not.
pub type Tried<T> = std::result::Result<T, Trouble>;

/// Something that holds a share of traffic.
pub trait Target: Send {
    /// What it shows.
    ///
    /// # Errors
    /// When it cannot be reached, says no, or says what cannot be understood.
    fn look(&mut self, subject: &Subject) -> Tried<ObservedShare>;

    /// Sets the candidate's share, if the target still is as it was seen.
    ///
    /// # Errors
    /// When it has changed, cannot be reached, says no, or cannot hold such a share.
    fn set(&mut self, subject: &Subject, from: &ObservedShare, share_pct: f64) -> Tried<()>;
}

/// A target of a kind; `None` where there is nothing to set.
///
/// # Errors
/// When what it needs cannot be made ready.
pub fn open(config: &ActConfig) -> Result<Option<Box<dyn Target>>> {
    Ok(Some(match &config.kind {
        TargetKind::File(file) => Box::new(file::File::new(file.clone())),
        TargetKind::Http(api) => Box::new(http::Http::open(api, config.timeout)?),
        TargetKind::Exec(exec) => Box::new(exec::Exec::new(exec.clone(), config.timeout)),
        TargetKind::Git(git) => Box::new(git::Git::open(git.clone(), config.timeout)?),
        TargetKind::Notify(_) => return Ok(None),
    }))
}
