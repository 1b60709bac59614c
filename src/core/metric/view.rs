//! Views: what is judged. Groups are the finest cells; a view is a model version as a whole, or one segment of it.

use std::collections::BTreeMap;

use crate::metric::row::ALL_VERSIONS;
use crate::plan::{Baseline, Plan};
use crate::scan::GroupKey;
use crate::scan::groups::{Cell, Groups};
use crate::summary::{Profile, Traffic};

/// What is judged; sorted by model, version, and segment with all traffic first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ViewKey {
    pub(crate) model: String,
    pub(crate) version: String,
    /// `field=value`, or empty for all traffic.
    pub(crate) segment: String,
}

impl ViewKey {
    /// How many bytes it takes, about.
    pub(crate) fn bytes(&self) -> usize {
        size_of::<Self>() + self.model.len() + self.version.len() + self.segment.len()
    }
}

/// Summaries by view.
pub(crate) type Views<T> = BTreeMap<ViewKey, T>;

/// What a window may be compared with.
#[derive(Clone, Copy)]
pub(crate) struct Baselines<'a> {
    /// The reference profile by segment.
    pub(crate) reference: Option<&'a BTreeMap<String, Traffic>>,
    /// Traffic of earlier windows, for the baselines that look back.
    pub(crate) earlier: &'a dyn Fn(&Baseline) -> Option<&'a Views<Traffic>>,
}

/// Rolls groups up: every group counts in its version, in each of its segments, and in all versions together.
pub(crate) fn roll_up<T: Cell>(plan: &Plan, groups: &Groups<T>) -> Views<T> {
    let mut views = Views::new();
    for (key, cell) in groups.iter() {
        let mut add = |version: &str, segment: String| {
            let view = ViewKey { model: key.model.clone(), version: version.to_owned(), segment };
            views.entry(view).or_insert_with(|| T::new(plan)).merge(plan, cell);
        };
        add(&key.version, String::new());
        add(ALL_VERSIONS, String::new());
        segments_of(plan, key).for_each(|segment| add(&key.version, segment));
    }
    views
}

fn segments_of(plan: &Plan, key: &GroupKey) -> impl Iterator<Item = String> {
    plan.segments.iter().zip(&key.segment).map(|(field, value)| format!("{field}={value}"))
}

/// The reference profile by segment; all rows under the empty segment.
pub(crate) fn reference(plan: &Plan, profile: &Profile) -> BTreeMap<String, Traffic> {
    let mut by_segment = BTreeMap::from([(String::new(), profile.all.clone())]);
    for (values, traffic) in &profile.segments {
        for (field, value) in plan.segments.iter().zip(values) {
            let segment = by_segment.entry(format!("{field}={value}"));
            segment.or_insert_with(|| Traffic::new(&plan.columns)).merge(traffic);
        }
    }
    by_segment
}
