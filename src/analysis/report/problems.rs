//! What is wrong with the data: more missing, unseen, odd or out of range than in the reference, by the same test as drift.

use super::column::{ALPHA, FALSE_DISCOVERIES, Pair, Part};
use super::count::Counted;
use super::distribution::share;
use super::model::Problem;
use crate::infer::multiplicity::bh;
use crate::infer::psi_tolerance::PsiTest;
use crate::metric::Side;
use crate::output::count;

/// The index of a share that is tolerated: 1 % may become 3 %, 10 % may become 15 %.
pub(crate) const RATE_PSI_TOLERATED: f64 = 0.02;

/// A share on both sides: how many of how many.
struct Share {
    what: &'static str,
    words: &'static str,
    reference: (u64, u64),
    current: (u64, u64),
}

/// The problems of columns, worst first.
pub(crate) fn of(pairs: &[Pair<'_>]) -> Vec<Problem> {
    let mut problems: Vec<Problem> = pairs.iter().filter_map(absent).collect();
    let shares = pairs.iter().flat_map(|pair| shares(pair).into_iter().map(move |share| (pair, share)));
    let tested: Vec<_> = shares.filter_map(|(pair, share)| Some((pair, test(&share)?, share))).collect();
    let p: Vec<f64> = tested.iter().map(|(_, test, _)| test.p()).collect();
    let named = bh(&p, FALSE_DISCOVERIES);
    let mut moved: Vec<&(&Pair<'_>, PsiTest, Share)> = named.into_iter().map(|at| &tested[at]).collect();
    moved.sort_by(|a, b| b.1.debiased().total_cmp(&a.1.debiased()));
    problems.extend(moved.into_iter().map(|(pair, test, share)| problem(pair, test, share)));
    problems.extend(pairs.iter().filter_map(no_longer_constant));
    problems
}

/// The test of a share that rose; nothing for one that fell.
fn test(share: &Share) -> Option<PsiTest> {
    let ((x, m), (y, n)) = (share.reference, share.current);
    let rose = self::share(y, n) > self::share(x, m);
    PsiTest::of(&[x, m - x], &[y, n - y], RATE_PSI_TOLERATED, 1.0).filter(|_| rose)
}

fn absent(pair: &Pair<'_>) -> Option<Problem> {
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

fn shares(pair: &Pair<'_>) -> Vec<Share> {
    if pair.watched.place.at.contains(&None) {
        return Vec::new();
    }
    let [m, n] = pair.rows();
    let of =
        |what, words, x: u64, y: u64, (m, n): (u64, u64)| Share { what, words, reference: (x, m), current: (y, n) };
    match (pair.counted, pair.sides(Part::All)) {
        (Counted::Numeric { column, mistyped, .. }, [Side::Numeric(a), Side::Numeric(b)]) => {
            let odd = [mistyped[0].min(m), mistyped[1].min(n)];
            let outside = [a, b].map(|side| if a.n() == 0 { 0 } else { side.n_out_of_range(&column.cut) });
            vec![
                of("missing", "missing", a.missing - odd[0].min(a.missing), b.missing - odd[1].min(b.missing), (m, n)),
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

fn problem(pair: &Pair<'_>, test: &PsiTest, share: &Share) -> Problem {
    let ((x, m), (y, n)) = (share.reference, share.current);
    let (before, after) = (self::share(x, m), self::share(y, n));
    let (low, _) = test.interval(ALPHA);
    let mut words = format!("{} {}, {} before (PSI at least {low:.3})", percent(after), share.words, percent(before));
    if let ("unseen", Side::Categorical(current)) = (share.what, pair.sides(Part::All)[1]) {
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
fn no_longer_constant(pair: &Pair<'_>) -> Option<Problem> {
    let [Side::Numeric(a), Side::Numeric(b)] = pair.sides(Part::All) else { return None };
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

/// A share in percent, with as many digits as it needs.
pub(crate) fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if percent == 0.0 {
        "0 %".to_owned()
    } else if percent < 0.1 {
        format!("{percent:.2} %")
    } else if percent < 99.95 {
        format!("{percent:.1} %")
    } else {
        format!("{percent:.0} %")
    }
}
