//! The `store` section: where windows, verdicts, decisions, commands and panes are kept, and for how long.

use std::collections::BTreeMap;
use std::path::Path;

use schemars::JsonSchema;
use serde::Deserialize;

use super::problem::Problems;
use super::value::{At, Period, seconds};
use crate::event::{Micros, SECOND};

const DAY: Micros = 86_400 * SECOND;

/// Where results are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreConfig {
    /// A directory, or a bucket as `s3://bucket/folder`.
    pub url: String,
    /// How long rows wait for company before they are written.
    pub flush_every: Micros,
    /// Days that tables keep, by name of the table; others keep all.
    pub keep_days: BTreeMap<&'static str, u32>,
    /// Whether the service that writes it compacts it, too.
    pub compact: bool,
}

/// Where windows, verdicts, decisions, commands and panes are kept, as Parquet.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StoreSection {
    /// A directory, relative to this file, or a bucket as `s3://bucket/folder`, which the variables `AWS_REGION`,
    /// `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and, for others than Amazon, `AWS_ENDPOINT_URL` tell of. Each
    /// pipeline has its own. Where scan and judge run apart, the judge writes it. While it fails, the service goes on
    /// deciding and commits nothing.
    path: At<String>,
    /// How long rows wait for company before they are written, in event time or by the clock, whichever is sooner.
    /// Offsets are committed after that, so a restart reads that much again.
    #[serde(default = "seconds::<60>")]
    flush_every: At<Period>,
    /// For how long each table keeps its days, counted back from the newest one. Default: for ever.
    #[serde(default)]
    keep: KeepSection,
    /// Whether the service puts the files of closed days together and lets go of what is older than `keep`, a bounded
    /// piece at a time. Otherwise `haldane store compact` does.
    #[serde(default = "yes")]
    compact: bool,
}

fn yes() -> bool {
    true
}

/// For how long each table keeps its days.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct KeepSection {
    /// Results by window.
    windows: Option<At<Period>>,
    /// Where rollouts stood.
    verdicts: Option<At<Period>>,
    /// Decisions.
    decisions: Option<At<Period>>,
    /// Commands and what became of them.
    commands: Option<At<Period>>,
    /// The state that windows are merged from; by far the largest.
    panes: Option<At<Period>>,
}

impl StoreSection {
    /// What the section means for a pipeline whose file lies in `base`.
    pub(crate) fn resolve(&self, base: &Path, problems: &mut Problems) -> StoreConfig {
        let is_url = self.path.value.contains("://");
        let path = if is_url { self.path.value.clone().into() } else { base.join(&self.path.value) };
        let url = path.to_string_lossy().into_owned();
        let keep = &self.keep;
        let tables = [
            ("windows", &keep.windows),
            ("verdicts", &keep.verdicts),
            ("decisions", &keep.decisions),
            ("commands", &keep.commands),
            ("panes", &keep.panes),
        ];
        let named = tables.into_iter().filter_map(|(table, period)| Some((table, period.as_ref()?)));
        let mut keep_days = BTreeMap::new();
        for (table, period) in named {
            match days_kept(period.value.0) {
                Some(days) => drop(keep_days.insert(table, days)),
                None => {
                    problems.add(period.spot, "a table keeps at least one day").help("write days, such as 30d");
                }
            }
        }
        StoreConfig { url, flush_every: self.flush_every.value.0, keep_days, compact: self.compact }
    }
}

/// The days that a table keeps where it was told a span: no row goes before its time. `None` for less than one.
#[must_use]
pub fn days_kept(span: Micros) -> Option<u32> {
    let (days, more) = (span / DAY, span % DAY);
    (days > 0).then(|| u32::try_from(days + i64::from(more > 0)).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(text: &str) -> Result<StoreConfig, String> {
        let section: StoreSection = serde_saphyr::from_str(text).expect("a section");
        let mut problems = Problems::default();
        let config = section.resolve(Path::new("/etc/haldane"), &mut problems);
        problems.into_result("p.yaml", text).map(|()| config).map_err(|error| error.to_string())
    }

    #[test]
    fn a_folder_is_beside_the_file_and_a_bucket_is_where_it_is() {
        for (path, url) in [
            ("store", "/etc/haldane/store"),
            ("/var/store", "/var/store"),
            ("s3://bucket/folder", "s3://bucket/folder"),
        ] {
            let config = resolved(&format!("path: {path}")).expect("a store");
            assert_eq!(config.url, url);
            assert_eq!((config.flush_every, config.compact, config.keep_days.len()), (60 * SECOND, true, 0));
        }
    }

    #[test]
    fn tables_keep_whole_days_and_none_less_than_it_was_told() {
        let keep = "path: s\nkeep: { windows: 30d, verdicts: 24h, decisions: 36h, panes: 2d }\ncompact: false";
        let config = resolved(keep).expect("a store");
        let days: Vec<(&str, u32)> = config.keep_days.into_iter().collect();
        assert_eq!(days, [("decisions", 2), ("panes", 2), ("verdicts", 1), ("windows", 30)]);
        assert!(!config.compact);
        let error = resolved("path: s\nkeep: { panes: 12h }").expect_err("half a day");
        assert!(error.contains("p.yaml:2:16: a table keeps at least one day"), "{error}");
        assert!(error.contains("= write days, such as 30d"), "{error}");
    }
}
