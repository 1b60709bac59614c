//! Pairs of columns that are drawn.

use haldane::sim::Rng;

/// Two columns: missing cells are `None`.
pub(crate) struct Pair {
    /// What was drawn: the law, and what became of it.
    pub(crate) kind: String,
    pub(crate) reference: Vec<Option<f64>>,
    pub(crate) current: Vec<Option<f64>>,
    /// The current side before it was rounded, where it was.
    pub(crate) unrounded: Option<Vec<Option<f64>>>,
}

/// Where rows come from.
#[derive(Debug, Clone, Copy)]
enum Law {
    Normal,
    Lognormal(f64),
    /// A ratio of normals: no mean.
    Cauchy,
    Uniform,
    Exponential,
    /// So many whole numbers.
    Few(u32),
    /// Rounded to so many digits.
    Rounded(i32),
    /// One value, and only that.
    Constant(f64),
    /// A value with this chance, the rest normal on one side of it.
    Atom(f64, f64, f64),
    /// A value far out with this chance, the rest normal.
    Sentinel(f64, f64),
    /// Normal about a large number.
    Offset(f64),
    /// Normal, this small.
    Tiny(f64),
}

/// What becomes of the current side.
#[derive(Debug, Clone, Copy)]
enum Change {
    None,
    Shift(f64),
    Scale(f64),
    /// Rows that become this value, with this chance.
    Gather(f64, f64),
    /// Rows that are drawn from another law, with this chance.
    Mixed(Law, f64),
    /// The rows that hold the most frequent value are drawn anew around it.
    Vary(f64),
    /// A single value far out.
    Outlier(f64),
}

/// How the current side is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rounding {
    None,
    Single,
    LastBit,
}

/// The pair of a seed.
pub(crate) fn pair(seed: u64) -> Pair {
    let mut rng = Rng::new(seed.wrapping_mul(0xD1B5_4A32_D192_ED03));
    let (m, n) = (size(&mut rng), size(&mut rng));
    let law = law(&mut rng);
    let change = change(&mut rng);
    let rounding = if pick(&mut rng, 4) > 0 || !is_rounded_alike(law, change) {
        Rounding::None
    } else if pick(&mut rng, 2) == 0 {
        Rounding::Single
    } else {
        Rounding::LastBit
    };
    let reference: Vec<f64> = (0..m).map(|_| draw(law, &mut rng)).collect();
    // Now and then the same rows again, so that nothing but rounding is between the two.
    let again = rounding != Rounding::None && matches!(change, Change::None) && pick(&mut rng, 2) == 0;
    let mut current: Vec<f64> = if again { reference.clone() } else { (0..n).map(|_| draw(law, &mut rng)).collect() };
    apply(change, &reference, &mut current, &mut rng);
    let odd = pick(&mut rng, 6);
    let [mut reference, mut current] = [reference, current].map(|side| side.into_iter().map(Some).collect::<Vec<_>>());
    if odd == 0 && !again {
        [&mut reference, &mut current].into_iter().for_each(|side| spoil(side, &mut rng));
    }
    let unrounded = (rounding != Rounding::None).then(|| current.clone());
    let finite = current.iter_mut().flatten().filter(|value| value.is_finite());
    finite.for_each(|value| *value = rounded(*value, rounding, &mut rng));
    let kind = format!("{} {}{}", name(&law), name(&change), if unrounded.is_some() { " rounded" } else { "" });
    Pair { kind, reference, current, unrounded }
}

/// The name of a variant.
fn name(what: &impl std::fmt::Debug) -> String {
    let text = format!("{what:?}").to_lowercase();
    text.split('(').next().unwrap_or_default().to_owned()
}

fn pick(rng: &mut Rng, n: u64) -> u64 {
    rng.bits() % n
}

fn one_of<T: Copy>(rng: &mut Rng, all: &[T]) -> T {
    let at = usize::try_from(pick(rng, all.len() as u64)).unwrap_or_default();
    all[at]
}

fn size(rng: &mut Rng) -> usize {
    let widest = one_of(rng, &[60, 200, 500, 500, 2_000]);
    30 + usize::try_from(pick(rng, widest)).unwrap_or_default()
}

fn law(rng: &mut Rng) -> Law {
    let far = [-999.0, -1.0, 9_999.0, 1e9, 1e30, 1e300, -1e308, 0.0];
    match pick(rng, 12) {
        0 => Law::Normal,
        1 => Law::Lognormal(one_of(rng, &[0.5, 1.5, 3.0])),
        2 => Law::Cauchy,
        3 => Law::Uniform,
        4 => Law::Exponential,
        5 => Law::Few(one_of(rng, &[2, 3, 5, 12, 40, 300])),
        6 => Law::Rounded(one_of(rng, &[0, 1, 2])),
        7 => Law::Constant(one_of(rng, &[0.0, 7.0, -0.1, 1e-9, 1e12, 1.0 / 3.0])),
        8 => Law::Atom(
            one_of(rng, &[0.0, 1.0, 100.0]),
            one_of(rng, &[0.05, 0.3, 0.7, 0.95, 0.99]),
            one_of(rng, &[-1.0, 1.0]),
        ),
        9 => Law::Sentinel(one_of(rng, &far), one_of(rng, &[0.01, 0.05, 0.2])),
        10 => Law::Offset(one_of(rng, &[1e3, 1e6, 1e9, 1.7e12])),
        _ => Law::Tiny(one_of(rng, &[1e-3, 1e-9, 1e-30, 1e-300])),
    }
}

fn change(rng: &mut Rng) -> Change {
    match pick(rng, 10) {
        0..=2 => Change::None,
        3 => Change::Shift(one_of(rng, &[0.05, 0.2, 0.3, 0.5, 2.0, 50.0])),
        4 => Change::Scale(one_of(rng, &[0.0, 0.3, 1.2, 3.0, 1e6])),
        5 => Change::Gather(one_of(rng, &[0.0, 0.5, 7.0, -999.0]), one_of(rng, &[0.02, 0.1, 0.4, 1.0])),
        6 => Change::Mixed(law(rng), one_of(rng, &[0.05, 0.2, 0.6, 1.0])),
        7 | 8 => Change::Vary(one_of(rng, &[1e-3, 0.1, 10.0])),
        _ => Change::Outlier(one_of(rng, &[1e6, 5e8, 1e30, 1e308, -1e308])),
    }
}

/// Whether single precision keeps the values of this pair apart.
fn is_rounded_alike(law: Law, change: Change) -> bool {
    let is_wide = |law: Law| {
        let far = |value: f64| value.abs() < 1e5;
        match law {
            Law::Offset(offset) => offset < 1e5,
            Law::Tiny(size) => size > 1e-20,
            Law::Sentinel(value, _) => far(value),
            _ => true,
        }
    };
    let change = match change {
        Change::Mixed(law, _) => is_wide(law),
        Change::Outlier(_) => false,
        _ => true,
    };
    is_wide(law) && change
}

fn draw(law: Law, rng: &mut Rng) -> f64 {
    match law {
        Law::Normal => rng.normal(),
        Law::Lognormal(sigma) => (sigma * rng.normal()).exp(),
        Law::Cauchy => rng.normal() / rng.normal(),
        Law::Uniform => rng.unit(),
        Law::Exponential => rng.exponential(),
        Law::Few(n) => (rng.unit() * f64::from(n)).floor(),
        Law::Rounded(digits) => {
            let scale = 10_f64.powi(digits);
            (rng.normal() * scale).round() / scale
        }
        Law::Constant(value) => value,
        Law::Atom(value, share, side) => {
            if rng.unit() < share {
                value
            } else {
                value + side * rng.normal().abs()
            }
        }
        Law::Sentinel(value, share) => {
            if rng.unit() < share {
                value
            } else {
                rng.normal()
            }
        }
        Law::Offset(offset) => offset + rng.normal(),
        Law::Tiny(size) => size * rng.normal(),
    }
}

/// How far a column reaches, from its middle: the unit of changes.
fn spread(reference: &[f64]) -> f64 {
    let mut sorted = reference.to_vec();
    sorted.sort_by(f64::total_cmp);
    let width = sorted[sorted.len() * 3 / 4] - sorted[sorted.len() / 4];
    if width > 0.0 { width / 1.35 } else { sorted[0].abs().max(1e-6) / 10.0 }
}

fn apply(change: Change, reference: &[f64], current: &mut [f64], rng: &mut Rng) {
    let unit = spread(reference);
    let most = most_frequent(reference);
    for value in current.iter_mut() {
        match change {
            Change::Shift(by) => *value += by * unit,
            Change::Scale(by) => *value *= by,
            Change::Gather(to, share) if rng.unit() < share => *value = to,
            Change::Mixed(law, share) if rng.unit() < share => *value = draw(law, rng),
            Change::Vary(by) if value.to_bits() == most.to_bits() => *value += by * unit * rng.normal(),
            _ => {}
        }
    }
    if let (Change::Outlier(far), Some(value)) = (change, current.first_mut()) {
        *value = far;
    }
}

fn most_frequent(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let runs = sorted.chunk_by(|a, b| a.to_bits() == b.to_bits());
    runs.max_by_key(|run| run.len()).map_or(0.0, |run| run[0])
}

/// Puts in what is no number.
fn spoil(side: &mut [Option<f64>], rng: &mut Rng) {
    let with = one_of(rng, &[None, Some(f64::NAN), Some(f64::INFINITY), Some(f64::NEG_INFINITY)]);
    let share = one_of(rng, &[0.01, 0.1, 0.5]);
    side.iter_mut().filter(|_| rng.unit() < share).for_each(|value| *value = with);
}

fn rounded(value: f64, rounding: Rounding, rng: &mut Rng) -> f64 {
    #[expect(clippy::cast_possible_truncation, reason = "this is the rounding")]
    let single = |value: f64| f64::from(value as f32);
    match (rounding, pick(rng, 3)) {
        (Rounding::Single, _) => single(value),
        (Rounding::LastBit, 0) => value.next_up(),
        (Rounding::LastBit, 1) => value.next_down(),
        _ => value,
    }
}
