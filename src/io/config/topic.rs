//! Which topics a section of `sources` names.

use super::problem::{Problems, Spot};
use super::value::At;

/// The topics of a section, however they are named.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TopicNames<'a> {
    pub(crate) one: Option<&'a At<String>>,
    pub(crate) several: Option<&'a At<Vec<At<String>>>>,
    /// Where the section stands.
    pub(crate) spot: Spot,
    /// Whether it says which records are taken.
    pub(crate) is_selective: bool,
}

impl<'a> TopicNames<'a> {
    /// The topics; at least one, or a problem.
    pub(crate) fn resolve(self, problems: &mut Problems) -> Vec<&'a At<String>> {
        let problem = match (self.one, self.several) {
            (Some(topic), None) => return vec![topic],
            (None, Some(topics)) if !topics.is_empty() => return topics.iter().collect(),
            (None, Some(topics)) => (topics.spot, "`topics` is empty", "name one at least"),
            (Some(_), Some(topics)) => (topics.spot, "both `topic` and `topics`", "name all topics in `topics`"),
            (None, None) => {
                (self.spot, "the key `topic` is missing in this section", "add `topic: …`, or `topics: […]`")
            }
        };
        let (spot, what, help) = problem;
        problems.add(spot, what).help(help);
        Vec::new()
    }
}
