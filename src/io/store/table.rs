//! The tables: what stands in their rows, how rows are sorted, and which time puts a row into a day.

use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};

use super::{panes, quality, rows};
use crate::output::window_schema;

/// A table of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StoreTable {
    /// Results: one metric of one column in one window.
    Windows,
    /// Where each rollout stood after each judgement and command.
    Verdicts,
    /// Decisions.
    Decisions,
    /// What people and actuators asked for, and what became of it.
    Commands,
    /// What was counted of each column, by pane, version and segment: windows are merged from it.
    Panes,
    /// How each column is cut, by plan.
    Columns,
    /// What was read of each stream: rows, late and repeated events, refused records by reason.
    Quality,
}

impl StoreTable {
    /// Every table.
    pub const ALL: [Self; 7] =
        [Self::Windows, Self::Verdicts, Self::Decisions, Self::Commands, Self::Panes, Self::Columns, Self::Quality];

    /// Its name, in SQL and as a folder.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Windows => "windows",
            Self::Verdicts => "verdicts",
            Self::Decisions => "decisions",
            Self::Commands => "commands",
            Self::Panes => "panes",
            Self::Columns => "columns",
            Self::Quality => "quality",
        }
    }

    /// Its columns. All of them may be null to a reader: older files lack the newer ones.
    #[must_use]
    pub fn schema(self) -> SchemaRef {
        match self {
            Self::Windows => {
                let fields = window_schema();
                let fields = fields.fields().iter().map(|field| field.as_ref().clone().with_nullable(true));
                Arc::new(Schema::new(fields.collect::<Vec<_>>()))
            }
            Self::Verdicts => rows::verdicts(&[]).schema(),
            Self::Decisions => rows::decisions(&[]).schema(),
            Self::Commands => rows::commands(&[]).schema(),
            Self::Panes => panes::panes(&[]).schema(),
            Self::Columns => panes::columns(&[]).schema(),
            Self::Quality => quality::quality(&[]).schema(),
        }
    }

    /// The time that puts a row into a day, and its last moment.
    #[must_use]
    pub fn times(self) -> (&'static str, &'static str) {
        match self {
            Self::Windows => ("window_start", "window_end"),
            Self::Verdicts | Self::Decisions | Self::Commands | Self::Quality => ("time", "time"),
            Self::Panes => ("pane_start", "pane_end"),
            Self::Columns => ("since", "since"),
        }
    }

    /// The most rows that compaction puts into one file.
    pub(super) fn rows_max(self) -> u64 {
        if self == Self::Panes { 20_000 } else { 1_000_000 }
    }

    /// The columns that rows of one file are sorted by.
    #[must_use]
    pub fn order(self) -> &'static [&'static str] {
        match self {
            Self::Windows => &[
                "column",
                "metric",
                "convention",
                "version",
                "segment",
                "baseline",
                "window_start",
                "window_end",
                "revision",
            ],
            Self::Verdicts | Self::Decisions => &["time", "rollout", "candidate", "sequence"],
            Self::Commands => &["time", "rollout", "candidate", "id"],
            Self::Panes => &["column", "kind", "version", "segment", "pane_start", "part", "topic", "lane"],
            Self::Columns => &["plan", "kind", "column"],
            Self::Quality => &["time", "topic", "lane"],
        }
    }
}
