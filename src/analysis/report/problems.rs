//! What is wrong with the data: more missing, unseen, odd or out of range than in the reference, by the same test as
//! drift.

use super::answers::{Answers, Outcomes};
use super::column::{ALPHA, CountedColumn, FALSE_DISCOVERIES, Subset};
use super::count::ColumnCounts;
use super::model::Problem;
use super::rows::Rows;
use crate::infer::multiplicity::bh;
use crate::infer::psi_tolerance::PsiTest;
use crate::metric::Side;
use crate::output::count;
use crate::output::text::{percent, share};

/// The index of a share that is tolerated: of many rows, 1 % may become 2.8 %, 10 % may become 14.6 %.
pub(crate) const RATE_PSI_TOLERATED: f64 = 0.02;

/// A share on both sides: how many of how many.
struct ShareOfBoth {
    what: &'static str,
    words: &'static str,
    reference: (u64, u64),
    current: (u64, u64),
}

/// The problems of columns, worst first.
pub(crate) fn of(pairs: &[CountedColumn<'_>]) -> Vec<Problem> {
    let mut problems: Vec<Problem> = pairs.iter().filter_map(absent).collect();
    let shares = pairs.iter().flat_map(|pair| shares(pair).into_iter().map(move |share| (pair, share)));
    let tested: Vec<_> = shares.filter_map(|(pair, share)| Some((pair, test(&share)?, share))).collect();
    let p: Vec<f64> = tested.iter().map(|(_, test, _)| test.p()).collect();
    let named = bh(&p, FALSE_DISCOVERIES);
    let mut moved: Vec<&(&CountedColumn<'_>, PsiTest, ShareOfBoth)> = named.into_iter().map(|at| &tested[at]).collect();
    moved.sort_by(|a, b| b.1.debiased().total_cmp(&a.1.debiased()));
    problems.extend(moved.into_iter().map(|(pair, test, share)| problem(pair, test, share)));
    problems.extend(pairs.iter().filter_map(no_longer_constant));
    problems
}

/// Rows of a file that could not be read.
pub(crate) fn losses(side: usize, rows: &Rows) -> Option<Problem> {
    let (lost, all) = (rows.refused, rows.read + rows.refused);
    let whose = ["reference", "current file"][side];
    let example = rows.example.as_ref().map_or_else(String::new, |example| format!("; {example}"));
    let part = percent(share(lost, all));
    let text = format!("{part} of the {whose} ({} of {}) cannot be read{example}", count(lost), count(all));
    (lost > 0).then(|| lost_of("rows", "refused", text, side, (lost, all)))
}

/// Labels or scores that are none of the task.
pub(crate) fn unfit(side: usize, answers: &Answers) -> Option<Problem> {
    let whose = ["reference", "current file"][side];
    let example = answers.example.as_deref().unwrap_or_default();
    let text = format!(
        "{} of the {whose} ({} of {}) or their scores do not fit the task, the first is `{example}`; \
         which classes are positive, --positive can say",
        percent(share(answers.strange, answers.labelled)),
        count(answers.strange),
        count(answers.labelled)
    );
    let lost = (answers.strange, answers.labelled);
    (answers.strange > 0).then(|| lost_of("labels", "unfit", text, side, lost))
}

/// Labels in files of outcomes that join no row, where they are most.
pub(crate) fn unjoined(labels: u64, joined: u64) -> Option<Problem> {
    let lost = labels.saturating_sub(joined);
    let text = format!(
        "{} of the outcomes ({} of {}) belong to no row by their id",
        percent(share(lost, labels)),
        count(lost),
        count(labels)
    );
    (lost * 2 > labels).then(|| lost_of("labels", "unjoined", text, 1, (lost, labels)))
}

/// Labels of files of outcomes that do not count.
pub(crate) fn of_outcomes(outcomes: &Outcomes) -> impl Iterator<Item = Problem> {
    let example = outcomes.example.as_ref().map_or_else(String::new, |example| format!("; {example}"));
    let lost = [
        ("refused", outcomes.refused, format!("cannot be read{example}")),
        ("blank", outcomes.blank, "name no prediction or no class".to_owned()),
        ("further", outcomes.further, "are further labels of one prediction, and do not count".to_owned()),
    ];
    let all = outcomes.rows;
    lost.into_iter().filter(|(_, n, _)| *n > 0).map(move |(what, n, why)| {
        let part = percent(share(n, all));
        let text = format!("{part} of the outcomes ({} of {}) {why}", count(n), count(all));
        lost_of("labels", what, text, 1, (n, all))
    })
}

/// Topics of a file that are not looked at.
pub(crate) fn left_out(side: usize, topics: &[String]) -> Option<Problem> {
    let whose = ["reference", "current file"][side];
    let text = format!(
        "of the {whose} are left out but for the first: {}; --topic names the one to compare",
        topics.join(", ")
    );
    (!topics.is_empty()).then(|| lost_of("topics", "left_out", text, side, (0, 0)))
}

/// A problem of a file as a whole: so many lost of so many.
fn lost_of(column: &str, what: &str, text: String, side: usize, (lost, all): (u64, u64)) -> Problem {
    let part = |at: usize| (at == side && all > 0).then(|| share(lost, all));
    let n = |at: usize| if at == side { all } else { 0 };
    Problem {
        column: column.to_owned(),
        what: what.to_owned(),
        text,
        reference: part(0),
        current: part(1),
        n_reference: n(0),
        n: n(1),
    }
}

/// The test of a share that rose; nothing for one that fell.
fn test(share: &ShareOfBoth) -> Option<PsiTest> {
    let ((x, m), (y, n)) = (share.reference, share.current);
    let rose = self::share(y, n) > self::share(x, m);
    PsiTest::of(&[x, m - x], &[y, n - y], RATE_PSI_TOLERATED, 1.0).filter(|_| rose)
}

fn absent(pair: &CountedColumn<'_>) -> Option<Problem> {
    let [reference, current] = pair.watched.place.at;
    let text = match (reference, current) {
        (Some(_), None) => "is not in the current file",
        (None, Some(_)) => "is new: the reference has no such column",
        _ => return None,
    };
    let [n_reference, n] = pair.rows();
    Some(Problem {
        column: pair.name().to_owned(),
        what: "absent".to_owned(),
        text: text.to_owned(),
        reference: None,
        current: None,
        n_reference,
        n,
    })
}

fn shares(pair: &CountedColumn<'_>) -> Vec<ShareOfBoth> {
    if pair.watched.place.at.contains(&None) {
        return Vec::new();
    }
    let [m, n] = pair.rows();
    let of = |what, words, x: u64, y: u64, (m, n): (u64, u64)| ShareOfBoth {
        what,
        words,
        reference: (x, m),
        current: (y, n),
    };
    match (pair.counted, pair.sides(Subset::All)) {
        (ColumnCounts::Numeric { column, mistyped, infinite, .. }, [Side::Numeric(a), Side::Numeric(b)]) => {
            let odd = [mistyped[0].min(m), mistyped[1].min(n)];
            let absent = |missing: u64, side: usize| missing.saturating_sub(odd[side] + infinite[side]);
            let outside = [a, b].map(|side| if a.n() == 0 { 0 } else { side.n_out_of_range(&column.cut) });
            vec![
                of("missing", "missing", absent(a.missing, 0), absent(b.missing, 1), (m, n)),
                of("infinite", "infinite", infinite[0], infinite[1], (m, n)),
                of("mistyped", "not a number", odd[0], odd[1], (m, n)),
                of("nan", "NaN", a.nan, b.nan, (m, n)),
                of("out_of_range", "outside the reference's range", outside[0], outside[1], (a.n(), b.n())),
            ]
        }
        (_, [Side::Categorical(a), Side::Categorical(b)]) => vec![
            of("missing", "missing", a.missing, b.missing, (m, n)),
            of("unseen", "in categories that the reference does not have", 0, b.n_unseen(), (a.n(), b.n())),
        ],
        _ => Vec::new(),
    }
}

fn problem(pair: &CountedColumn<'_>, test: &PsiTest, share: &ShareOfBoth) -> Problem {
    let ((x, m), (y, n)) = (share.reference, share.current);
    let (before, after) = (self::share(x, m), self::share(y, n));
    let (low, _) = test.interval(ALPHA);
    let mut words = format!("{} {}, {} before (PSI at least {low:.3})", percent(after), share.words, percent(before));
    if let ("unseen", Side::Categorical(current)) = (share.what, pair.sides(Subset::All)[1]) {
        let mut new: Vec<(&str, u64)> = current.unseen.values().map(|(name, n)| (name.as_str(), *n)).collect();
        new.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
        let named = new.iter().take(3).map(|(name, n)| format!("{name} ({})", count(*n)));
        words = format!("{words}: {}", named.collect::<Vec<_>>().join(", "));
    }
    Problem {
        column: pair.name().to_owned(),
        what: share.what.to_owned(),
        text: words,
        reference: Some(before),
        current: Some(after),
        n_reference: m,
        n,
    }
}

/// A column that never changed, and does now.
fn no_longer_constant(pair: &CountedColumn<'_>) -> Option<Problem> {
    let [Side::Numeric(a), Side::Numeric(b)] = pair.sides(Subset::All) else { return None };
    let (low, high) = a.min.zip(a.max)?;
    let moved = b.min.zip(b.max).is_some_and(|(least, most)| least < low || most > high);
    (low.to_bits() == high.to_bits() && moved).then(|| Problem {
        column: pair.name().to_owned(),
        what: "constant".to_owned(),
        text: format!("was always {low} in the reference, and is not any more"),
        reference: None,
        current: None,
        n_reference: a.n(),
        n: b.n(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::summary::Rates;

    fn rows(read: u64, refused: u64, example: Option<&str>) -> Rows {
        let mut rows = Rows::default();
        (rows.read, rows.refused, rows.example) = (read, refused, example.map(str::to_owned));
        rows
    }

    #[test]
    fn rows_that_cannot_be_read_are_a_problem_of_their_side() {
        assert_eq!(losses(0, &rows(100, 0, None)), None);
        let found = losses(1, &rows(75, 25, Some("row 3 has 4 fields"))).expect("a problem");
        assert_eq!(found.text, "25.0 % of the current file (25 of 100) cannot be read; row 3 has 4 fields");
        assert_eq!((found.column.as_str(), found.what.as_str()), ("rows", "refused"));
        assert_eq!((found.reference, found.current, found.n_reference, found.n), (None, Some(0.25), 0, 100));
        let all = losses(0, &rows(0, 7, None)).expect("a problem");
        assert_eq!((all.reference, all.current, all.n_reference), (Some(1.0), None, 7));
        assert!(all.text.starts_with("100 % of the reference (7 of 7) cannot be read"), "{}", all.text);
    }

    #[test]
    fn labels_of_another_task_name_the_first_of_them_and_the_way_out() {
        let answers = |strange: u64| Answers {
            rates: Rates::default(),
            quality: None,
            periods: Vec::new(),
            labelled: 1_000,
            strange,
            example: Some("fraud".to_owned()),
            joined: 0,
        };
        assert_eq!(unfit(0, &answers(0)), None);
        let found = unfit(0, &answers(1_000)).expect("a problem");
        assert!(found.text.starts_with("100 % of the reference (1,000 of 1,000)"), "{}", found.text);
        assert!(found.text.contains("`fraud`") && found.text.ends_with("--positive can say"), "{}", found.text);
        assert_eq!((found.what.as_str(), found.reference), ("unfit", Some(1.0)));
    }

    #[test]
    fn outcomes_that_join_nothing_are_a_problem_only_where_they_are_most() {
        for (labels, joined, told) in [(0, 0, false), (10, 10, false), (10, 5, false), (10, 4, true), (3, 9, false)] {
            assert_eq!(unjoined(labels, joined).is_some(), told, "{joined} of {labels}");
        }
        let text = unjoined(10, 1).expect("a problem").text;
        assert_eq!(text, "90.0 % of the outcomes (9 of 10) belong to no row by their id");
    }

    #[test]
    fn each_way_in_which_outcomes_do_not_count_is_told_apart() {
        let mut outcomes = Outcomes::default();
        (outcomes.rows, outcomes.refused, outcomes.further) = (200, 2, 50);
        let told: Vec<(String, String)> = of_outcomes(&outcomes).map(|one| (one.what, one.text)).collect();
        assert_eq!(told.len(), 2, "what is nothing is not told");
        assert_eq!(told[0], ("refused".into(), "1.0 % of the outcomes (2 of 200) cannot be read".into()));
        assert!(told[1].0 == "further" && told[1].1.starts_with("25.0 % of the outcomes (50 of 200)"), "{told:?}");
        let mut blank = Outcomes::default();
        (blank.rows, blank.blank, blank.example) = (4, 4, Some("line 2".to_owned()));
        let told: Vec<Problem> = of_outcomes(&blank).collect();
        assert!(told.len() == 1 && told[0].what == "blank" && !told[0].text.contains("line 2"), "{told:?}");
    }

    #[test]
    fn topics_that_are_not_looked_at_are_named() {
        assert_eq!(left_out(0, &[]), None);
        let found = left_out(1, &["a".to_owned(), "b".to_owned()]).expect("a problem");
        assert!(
            found.text.starts_with("of the current file") && found.text.contains("a, b; --topic"),
            "{}",
            found.text
        );
        assert_eq!((found.reference, found.current), (None, None), "a topic is no share of rows");
    }

    fn p(reference: (u64, u64), current: (u64, u64)) -> Option<f64> {
        test(&ShareOfBoth { what: "missing", words: "missing", reference, current }).map(|test| test.p())
    }

    /// Of many rows what is tolerated is where the index is 0.02: `brentq` of `SciPy` 1.16 over
    /// `(q - p) ln(q / p) + (p - q) ln((1 - q) / (1 - p))` gives 2.866 % for 1 %, 14.62 % for 10 %, 57.05 % for 50 %.
    #[test]
    fn a_share_may_rise_as_far_as_is_tolerated() {
        let n = 10_000_000;
        for (before, tolerated) in [(0.01, 0.028_658_561), (0.1, 0.146_222_864), (0.5, 0.570_474_899)] {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts")]
            let of = |share: f64| ((share * 1e7).round() as u64, n);
            let less = p(of(before), of(tolerated * 0.99)).expect("a share that rose");
            let more = p(of(before), of(tolerated * 1.01)).expect("a share that rose");
            assert!(less > 0.99 && more < 0.01, "{before}: {less} {more}");
        }
    }

    #[test]
    fn shares_that_fell_stayed_or_are_of_nothing_are_no_problem() {
        for (reference, current) in
            [((50, 100), (1, 100)), ((5, 100), (5, 100)), ((0, 0), (5, 100)), ((5, 100), (0, 0)), ((0, 9), (0, 9))]
        {
            assert_eq!(p(reference, current), None, "{reference:?} {current:?}");
        }
    }
}
