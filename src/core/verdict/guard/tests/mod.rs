//! Windows of two versions, made up, for the tests of this folder.

mod looked;
mod rollout;

use std::collections::BTreeMap;

use crate::event::Micros;
use crate::metric::view::{Baselines, ViewKey, Views};
use crate::plan::Columns;
use crate::summary::{Fixed, Quality, Traffic};
use crate::verdict::decision::Exposure;
use crate::verdict::judged::{ActiveVersion, Judged, JudgedKind, ShareLooks, VersionCounts};

pub(crate) fn key(version: &str) -> ViewKey {
    ViewKey { model: "m".to_owned(), version: version.to_owned(), segment: String::new() }
}

/// Traffic without columns.
pub(crate) fn traffic(requests: u64, errors: u64) -> Traffic {
    let mut traffic = Traffic::new(&Columns::default());
    (traffic.rates.requests, traffic.rates.errors) = (requests, errors);
    traffic
}

/// Labels with this mean squared error.
pub(crate) fn labelled(n: u64, loss: f64) -> Quality {
    let mut squared = Fixed::default();
    (0..n).for_each(|_| squared.add(loss));
    Quality { n, squared, ..Quality::default() }
}

/// A version of which this share of labels has come.
pub(crate) fn seen(version: &str, coverage: Option<f64>) -> ActiveVersion {
    ActiveVersion { model: "m".to_owned(), version: version.to_owned(), coverage, thirds: None }
}

/// Shows a window without counts.
pub(crate) fn judged_with(seen: &[ActiveVersion], show: impl FnOnce(&Judged<'_>)) {
    show_all(seen, &VersionCounts::Traffic(&Views::new()), None, None, show);
}

/// Shows an empty window.
pub(crate) fn judged(show: impl FnOnce(&Judged<'_>)) {
    judged_with(&[], show);
}

/// Shows a window of counts, in which the candidate was declared to get a share.
pub(crate) fn show_counts(newest: &VersionCounts<'_>, declared_pct: Option<f64>, show: impl FnOnce(&Judged<'_>)) {
    show_all(&[], newest, declared_pct, None, show);
}

/// Shows the labels of a window.
pub(crate) fn judged_labels(views: &Views<Quality>, show: impl FnOnce(&Judged<'_>)) {
    show_counts(&VersionCounts::Quality(views), None, |judged| {
        show(&Judged { order: (1, JudgedKind::Quality), offsets: Vec::new(), ..*judged });
    });
}

/// Shows an empty window that may be held against a reference.
pub(crate) fn with_reference(reference: &BTreeMap<String, Traffic>, show: impl FnOnce(&Judged<'_>)) {
    show_all(&[], &VersionCounts::Traffic(&Views::new()), None, Some(reference), show);
}

/// Shows the counts of a window, and what looks have shown of the candidate's share by then.
pub(crate) fn show_looked(
    (start, end): (Micros, Micros),
    newest: &VersionCounts<'_>,
    looks: Option<&ShareLooks>,
    declared_pct: Option<f64>,
    show: impl FnOnce(&Judged<'_>),
) {
    show(&Judged {
        start,
        end,
        order: (end, JudgedKind::Traffic),
        rows: &[],
        seen: &[],
        newest_from: start,
        trust: &crate::trust::WindowTrust::default(),
        newest,
        exposure: &|_, _| Exposure { declared_pct, observed_pct: 0.0 },
        looks: &|_, _| looks.cloned(),
        baselines: Baselines { reference: None, earlier: &|_| None },
        offsets: Vec::new(),
    });
}

fn show_all(
    seen: &[ActiveVersion],
    newest: &VersionCounts<'_>,
    declared_pct: Option<f64>,
    reference: Option<&BTreeMap<String, Traffic>>,
    show: impl FnOnce(&Judged<'_>),
) {
    let exposure = |_: &str, _: &str| Exposure { declared_pct, observed_pct: 0.0 };
    let baselines = Baselines { reference, earlier: &|_| None };
    let (order, offsets) = ((1, JudgedKind::Traffic), Vec::new());
    show(&Judged {
        start: 0,
        end: 1,
        order,
        rows: &[],
        seen,
        newest_from: 0,
        trust: &crate::trust::WindowTrust::default(),
        newest,
        exposure: &exposure,
        looks: &|_, _| None,
        baselines,
        offsets,
    });
}
