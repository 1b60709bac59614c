//! What of the input does not count: rows that are refused or come too late, labels that join nothing, what is left out
//! of files as a whole; each with its share and an example.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::text::{count, percent, plural, share};
use crate::event::Poison;
use crate::replay::Refused;
use crate::scan::{LabelCounts, LaneCounts};

/// Counts what is lost, and tells of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Losses {
    /// How many rows were refused for a reason, and the first of them.
    refused: BTreeMap<Poison, (u64, String)>,
    /// How many records no source takes.
    passed_over: u64,
    counts: LaneCounts,
    notes: Vec<String>,
}

impl Losses {
    /// Takes in a refused row; `example` says where it stands and what is wrong with it.
    pub fn refuse(&mut self, reason: Poison, example: impl FnOnce() -> String) {
        self.refused.entry(reason).or_insert_with(|| (0, example())).0 += 1;
    }

    /// Takes in refused rows of files.
    pub fn refuse_all(&mut self, refused: &[Refused]) {
        for one in refused {
            self.refuse(one.reject.reason, || format!("{}, {}: {}", one.file.display(), one.place, one.reject.detail));
        }
    }

    /// Takes in records that their source does not take.
    pub fn pass_over(&mut self, n: u64) {
        self.passed_over += n;
    }

    /// Takes in what a lane counted.
    pub fn count(&mut self, counts: LaneCounts) {
        self.counts += counts;
    }

    /// Takes in what is left out of a file as a whole.
    pub fn note(&mut self, note: &str) {
        self.notes.push(note.to_owned());
    }

    /// Takes in what others took in.
    pub fn add(&mut self, other: Self) {
        for (reason, (n, example)) in other.refused {
            self.refused.entry(reason).or_insert((0, example)).0 += n;
        }
        self.passed_over += other.passed_over;
        self.counts += other.counts;
        self.notes.extend(other.notes);
    }

    /// Rows that were refused.
    #[must_use]
    pub fn n_refused(&self) -> u64 {
        self.refused.values().map(|(n, _)| n).sum()
    }

    /// What was counted of the rows that were read.
    #[must_use]
    pub fn counts(&self) -> &LaneCounts {
        &self.counts
    }

    /// A sentence for each kind of loss; none where nothing is lost.
    #[must_use]
    pub fn sentences(&self) -> Vec<String> {
        let rows = self.counts.rows + self.n_refused();
        let labels = &self.counts.labels;
        let late = part(self.counts.late, self.counts.rows, "rows", "came too late for their window");
        let fates = [
            (labels.orphans, "joined no answered prediction"),
            (labels.expired, "came after the horizon"),
            (labels.early, "are older than their prediction by more than `skew_max`"),
            (labels.duplicates, "are further labels of one prediction, and do not count (`labels.corrections`)"),
        ];
        let fates = fates.into_iter().filter_map(|(n, fate)| part(n, n_labels(labels), "labels", fate));
        let full = (labels.refused > 0).then(|| {
            format!("{} found no room to wait for their labels; raise `pending_max`", plural(labels.refused, "event"))
        });
        self.notes.iter().cloned().chain(self.refused(rows)).chain(late).chain(fates).chain(full).collect()
    }

    fn refused(&self, rows: u64) -> Option<String> {
        let reasons = self.refused.iter().map(|(reason, (n, example))| format!("{} {reason}, as {example}", count(*n)));
        let reasons: Vec<String> = reasons.collect();
        part(self.n_refused(), rows, "rows", &format!("are refused: {}", reasons.join("; ")))
    }

    /// What became of labels, in a line; nothing where there are none.
    fn labels(&self) -> Option<String> {
        let labels = &self.counts.labels;
        let corrected = (labels.corrected > 0).then(|| format!(", {} corrected", count(labels.corrected)));
        (n_labels(labels) > 0).then(|| {
            format!(
                "labels: {} joined{}, {} orphaned, {} after the horizon, {} early, {} further ones",
                count(labels.joined),
                corrected.unwrap_or_default(),
                count(labels.orphans),
                count(labels.expired),
                count(labels.early),
                count(labels.duplicates)
            )
        })
    }

    /// What became of labels, how much was passed over, then a line for each kind of loss.
    #[must_use]
    pub fn render(&self) -> String {
        let mut out = self.labels().map_or_else(String::new, |labels| format!("{labels}\n"));
        if self.passed_over > 0 {
            let passed = plural(self.passed_over, "record");
            let _ = writeln!(out, "passed over: {passed} that the sources do not take (`where`, `tombstones`)");
        }
        for sentence in self.sentences() {
            let _ = writeln!(out, "lost: {sentence}");
        }
        out
    }
}

fn n_labels(labels: &LabelCounts) -> u64 {
    let LabelCounts { joined, duplicates, corrected, orphans, expired, early, refused: _ } = labels;
    joined + duplicates + corrected + orphans + expired + early
}

/// A sentence on some of many; nothing for none.
fn part(n: u64, all: u64, noun: &str, what: &str) -> Option<String> {
    (n > 0).then(|| format!("{} of the {noun} ({} of {}) {what}", percent(share(n, all)), count(n), count(all)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_loss_has_its_share_and_an_example() {
        let mut losses = Losses::default();
        assert_eq!((losses.sentences().len(), losses.render()), (0, String::new()));
        losses.refuse(Poison::WrongType, || "a.csv, line 7: amount: expected a number".to_owned());
        losses.refuse(Poison::WrongType, || unreachable!("the first is the example"));
        let labels =
            LabelCounts { joined: 92, corrected: 2, orphans: 3, expired: 1, early: 1, duplicates: 1, refused: 2 };
        losses.count(LaneCounts { rows: 98, late: 49, duplicates: 5, labels });
        losses.note("a.jsonl: topic `other` feeds no source");
        losses.pass_over(7);
        let told = "labels: 92 joined, 2 corrected, 3 orphaned, 1 after the horizon, 1 early, 1 further ones
passed over: 7 records that the sources do not take (`where`, `tombstones`)
lost: a.jsonl: topic `other` feeds no source
lost: 2.0 % of the rows (2 of 100) are refused: 2 wrong_type, as a.csv, line 7: amount: expected a number
lost: 50.0 % of the rows (49 of 98) came too late for their window
lost: 3.0 % of the labels (3 of 100) joined no answered prediction
lost: 1.0 % of the labels (1 of 100) came after the horizon
lost: 1.0 % of the labels (1 of 100) are older than their prediction by more than `skew_max`
lost: 1.0 % of the labels (1 of 100) are further labels of one prediction, and do not count (`labels.corrections`)
lost: 2 events found no room to wait for their labels; raise `pending_max`
";
        assert_eq!(losses.render(), told);
        let mut sum = losses.clone();
        sum.add(losses);
        assert_eq!((sum.n_refused(), sum.counts().rows), (4, 196));
    }
}
