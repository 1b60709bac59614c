//! `haldane store`: what a store holds, and keeping it tidy.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::print;
use crate::config::{self, StoreConfig, days_kept, span};
use crate::error::{Error, Result};
use crate::event::Micros;
use crate::output::{aligned, count};
use crate::store::{Compacted, Keep, Store, StoreTable, compact, sizes};

/// Look after a store of results.
#[derive(Debug, Subcommand)]
pub enum StoreCommand {
    /// Show what a store holds.
    #[command(after_help = "Examples:
  haldane store status DIR
  haldane store status DIR --verify      reads every file")]
    Status(StatusArgs),
    /// Put the files of closed days together, let old days go, and delete what was replaced.
    #[command(after_help = "Examples:
  haldane store compact DIR
  haldane store compact DIR --keep panes=30d --keep windows=400d

A day is closed when the store holds a later one. A service does the same for the store that it writes, unless its `store:` \
section says `compact: false`; the command may run beside it. --config heeds that section's `keep`.")]
    Compact(CompactArgs),
}

/// Which store.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// The store: a directory, or `s3://bucket/folder`.
    #[arg(value_name = "DIR")]
    pub store: String,
    /// Read every file, to find damaged ones.
    #[arg(long)]
    pub verify: bool,
}

/// Which store, and what it keeps.
#[derive(Debug, Args)]
pub struct CompactArgs {
    /// The store: a directory, or `s3://bucket/folder`; default: that of the pipeline.
    #[arg(value_name = "DIR", required_unless_present = "config")]
    pub store: Option<String>,
    /// Pipeline file whose `store:` section says what is kept.
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<std::path::PathBuf>,
    /// Days that a table keeps, counted back from its newest; may be repeated.
    #[arg(long, value_name = "TABLE=SPAN", value_parser = kept)]
    pub keep: Vec<(StoreTable, u32)>,
    /// For how long replaced files stay, for readers that have begun.
    #[arg(long, value_name = "SPAN", default_value = "1h", value_parser = span)]
    pub replaced_for: Micros,
}

fn kept(text: &str) -> std::result::Result<(StoreTable, u32), String> {
    let (name, period) = text.split_once('=').ok_or("write TABLE=SPAN, such as panes=30d")?;
    let days = days_kept(span(period)?).ok_or("a table keeps at least one day")?;
    Ok((table(name).ok_or_else(|| format!("there is no table `{name}`"))?, days))
}

fn table(name: &str) -> Option<StoreTable> {
    StoreTable::ALL.into_iter().find(|table| table.name() == name)
}

/// Runs the command.
pub fn run(command: &StoreCommand, out: &mut dyn Write) -> Result<()> {
    match command {
        StoreCommand::Status(args) => print(out, &status(args)?),
        StoreCommand::Compact(args) => print(out, &compacted(args)?),
    }
}

fn status(args: &StatusArgs) -> Result<String> {
    let store = Store::open(&args.store)?;
    let files = store.files()?;
    if args.verify {
        store.verify()?;
    }
    let days = |table: StoreTable| {
        let dates = || files.iter().filter(move |file| file.table == table).map(|file| file.date.as_str());
        format!("{} to {}", dates().min().unwrap_or("-"), dates().max().unwrap_or("-"))
    };
    let line = |(table, (n, rows, bytes)): (StoreTable, (u64, u64, u64))| {
        [
            table.name().to_owned(),
            format!("{} rows", count(rows)),
            format!("{} files", count(n)),
            size(bytes),
            days(table),
        ]
    };
    let lines: Vec<_> = sizes(&files).into_iter().map(line).collect();
    let whole = if args.verify { "every file is whole\n" } else { "" };
    Ok(format!("pipeline {}\n{}{whole}", store.pipeline()?, aligned(&lines, 2)))
}

#[expect(clippy::cast_precision_loss, reason = "sizes for people")]
fn size(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

/// The days that the tables of a pipeline's store keep.
pub(super) fn days_of(store: &StoreConfig) -> BTreeMap<StoreTable, u32> {
    store.keep_days.iter().filter_map(|(name, &days)| Some((table(name)?, days))).collect()
}

fn compacted(args: &CompactArgs) -> Result<String> {
    let pipeline = args.config.as_deref().map(config::load).transpose()?.and_then(|pipeline| pipeline.store);
    let url = args.store.clone().or_else(|| pipeline.as_ref().map(|store| store.url.clone()));
    let url = url
        .ok_or_else(|| Error::user("the pipeline has no store").hint("add a `store:` section, or name a directory"))?;
    let mut days = pipeline.as_ref().map(days_of).unwrap_or_default();
    days.extend(args.keep.iter().copied());
    let replaced_for = Duration::from_micros(u64::try_from(args.replaced_for).unwrap_or_default());
    let keep = Keep { days, replaced_for, ..Keep::default() };
    let Compacted { merged, written, expired, deleted, .. } = compact(&url, &keep)?;
    Ok(format!("{merged} files became {written}, {expired} expired, {deleted} were deleted\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_row_goes_before_its_time() {
        let panes = |days| Ok((StoreTable::Panes, days));
        let refused = |why: &str| Err(why.to_owned());
        let cases = [
            ("panes=30d", panes(30)),
            ("panes=24h", panes(1)),
            ("panes=36h", panes(2)),
            ("panes=86400001ms", panes(2)),
            ("windows=1d", Ok((StoreTable::Windows, 1))),
            ("panes=23h", refused("a table keeps at least one day")),
            ("panes", refused("write TABLE=SPAN, such as panes=30d")),
            ("Panes=1d", refused("there is no table `Panes`")),
        ];
        for (text, expected) in cases {
            assert_eq!(kept(text), expected, "{text}");
        }
        assert!(StoreTable::ALL.iter().all(|known| table(known.name()) == Some(*known)));
    }

    #[test]
    fn the_days_of_a_pipeline_are_those_of_its_tables() {
        let keep_days = [("panes", 3), ("decisions", 400), ("no table", 1)].into();
        let store = StoreConfig { url: String::new(), flush_every: 1, keep_days, compact: true };
        assert_eq!(days_of(&store), [(StoreTable::Panes, 3), (StoreTable::Decisions, 400)].into());
    }

    #[test]
    fn sizes_are_told_in_millions_of_bytes() {
        assert_eq!(
            [0, 49_999, 50_001, 1_000_000, 12_345_678].map(size),
            ["0.0 MB", "0.0 MB", "0.1 MB", "1.0 MB", "12.3 MB"]
        );
    }
}
