//! The first records of archives: files that hold records of topics as they were.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::TopicSample;
use crate::config::KafkaConfig;
use crate::error::Result;
use crate::replay::each_archived;

/// Where a cluster would be, which archives do not say.
const BROKERS: &str = "localhost:9092";

/// Up to `records` events of each topic that is in some archives.
///
/// # Errors
/// When a file cannot be read.
pub fn read(paths: &[PathBuf], records: usize) -> Result<Vec<TopicSample>> {
    let mut samples: BTreeMap<String, (TopicSample, usize)> = BTreeMap::new();
    for path in paths {
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        each_archived(path, &mut |lane, record| {
            let topic = if record.topic.is_empty() { &name } else { record.topic };
            let sample = || (TopicSample::new(&KafkaConfig::plain(BROKERS, "haldane.init"), topic), records);
            let (sample, left) = samples.entry(topic.to_owned()).or_insert_with(sample);
            if *left > 0 && record.payload.is_some() {
                *left = left.saturating_sub(sample.push(lane, record).max(1));
            }
        })?;
    }
    Ok(samples.into_values().map(|(sample, _)| sample).collect())
}
