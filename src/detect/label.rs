//! What is known about a stream: `labels.json`, one object per stream.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::event::Micros;
use crate::sim::{self, World};

/// What happens in one stream. All times are microseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Label {
    /// The stream, which is the model's name.
    pub stream: String,
    /// What kind of change it has; streams of one kind are scored together.
    pub kind: String,
    /// From when on the candidate has traffic.
    pub test_start: Micros,
    /// The end.
    pub end: Micros,
    /// When something changes; `null` in a healthy stream.
    pub change_time: Option<Micros>,
    /// When the change is over.
    pub change_end: Option<Micros>,
    /// Who changes; `null` in a healthy stream.
    pub scope: Option<Scope>,
    /// Over after one window: to be noted, not to be acted on.
    #[serde(default)]
    pub transient: bool,
}

/// Who changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Only the candidate.
    V2,
    /// Both versions; no version is to blame.
    Both,
}

impl Label {
    /// Reads `labels.json`.
    ///
    /// # Errors
    /// When it cannot be read or is something else.
    pub fn load(path: &Path) -> Result<Vec<Self>> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| Error::user(format!("cannot read {}", path.display())).because(error))?;
        serde_json::from_str(&text).map_err(|error| {
            Error::user(format!("{} holds no labels of streams", path.display()))
                .because(error)
                .hint("write a list of objects with stream, kind, test_start, end, change_time, change_end and scope")
        })
    }

    /// What is known of a made-up world.
    #[must_use]
    pub fn of(world: &World) -> Self {
        let scope = world.kind.change.map(|change| match change.scope {
            sim::Scope::Candidate => Scope::V2,
            sim::Scope::Both => Scope::Both,
        });
        Self {
            stream: world.stream.clone(),
            kind: world.kind.name.to_owned(),
            test_start: world.test_start(),
            end: world.end(),
            change_time: world.change_time(),
            change_end: world.change_end(),
            scope,
            transient: world.kind.change.is_some_and(|change| change.transient),
        }
    }

    /// Until when the stream is healthy.
    #[must_use]
    pub fn healthy_until(&self) -> Micros {
        self.change_time.unwrap_or(self.end)
    }
}
