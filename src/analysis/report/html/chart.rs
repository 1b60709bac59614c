//! Charts as inline SVG. Every one is 340 wide and drawn in classes, so that the style sheet decides about colours; the
//! two sides differ in form as well: the reference is an area, the current side a line.

use std::fmt::Write as _;

use crate::event::Micros;
use crate::markup::{Html, html};
use crate::output::text::{instant, number};
use crate::report::model::{CurvePoint, Distribution, PsiEffect};

/// Width of a chart.
const WIDTH: f64 = 340.0;

/// A chart of a height, with what it shows in words.
fn svg(height: f64, title: &str, body: &Html) -> Html {
    html!(
        "<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}\"><title>{}</title>{}</svg>",
        WIDTH,
        height,
        title,
        title,
        body
    )
}

/// A coordinate with one decimal.
fn at(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

fn text(x: f64, y: f64, anchor: &str, words: &str) -> Html {
    html!("<text x=\"{}\" y=\"{}\" text-anchor=\"{}\">{}</text>", at(x), at(y), anchor, words)
}

fn line(class: &str, from: (f64, f64), to: (f64, f64)) -> Html {
    html!(
        "<line class=\"{}\" x1=\"{}\" y1=\"{}\" x2=\"{}\" y2=\"{}\"/>",
        class,
        at(from.0),
        at(from.1),
        at(to.0),
        at(to.1)
    )
}

fn rect(class: &str, (x, y): (f64, f64), (width, height): (f64, f64)) -> Html {
    html!(
        "<rect class=\"{}\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"/>",
        class,
        at(x),
        at(y),
        at(width),
        at(height)
    )
}

fn circle(class: &str, (x, y): (f64, f64), radius: f64) -> Html {
    html!("<circle class=\"{}\" cx=\"{}\" cy=\"{}\" r=\"{}\"/>", class, at(x), at(y), at(radius))
}

fn path(class: &str, points: impl IntoIterator<Item = (f64, f64)>) -> Html {
    let mut d = String::new();
    for (i, (x, y)) in points.into_iter().enumerate() {
        let _ = write!(d, "{}{} {}", if i == 0 { 'M' } else { 'L' }, at(x), at(y));
    }
    html!("<path class=\"{}\" d=\"{}\"/>", class, d)
}

/// Both sides of a column, small enough for a cell of a table.
pub(super) fn miniature(distribution: &Distribution, title: &str) -> Html {
    let (width, height) = (132.0, 30.0);
    html!(
        "<svg class=\"mini\" viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}\">{}</svg>",
        width,
        height,
        title,
        shapes(distribution, (0.0, 1.0, width, height - 2.0))
    )
}

/// Both sides of a column over each other.
pub(super) fn overlay(distribution: &Distribution, title: &str) -> Html {
    if !distribution.names.is_empty() {
        return bars(distribution, title);
    }
    let (Some(low), Some(high)) = (distribution.edges.first(), distribution.edges.last()) else {
        return Html::default();
    };
    let (top, height) = (6.0, 118.0);
    let mut body = shapes(distribution, (0.0, top, WIDTH, height));
    body.push(&line("axis", (0.0, top + height), (WIDTH, top + height)));
    let ticks = [(0.0, "start", *low), (WIDTH / 2.0, "middle", f64::midpoint(*low, *high)), (WIDTH, "end", *high)];
    body.extend(ticks.map(|(x, anchor, value)| text(x, top + height + 14.0, anchor, &number(value))));
    svg(146.0, title, &body)
}

/// The two shapes in a box (x, y, width, height).
fn shapes(distribution: &Distribution, (x, y, width, height): (f64, f64, f64, f64)) -> Html {
    let all = distribution.reference.iter().chain(&distribution.current);
    let most = all.copied().fold(0.0, f64::max);
    let n = float(distribution.reference.len());
    if most <= 0.0 {
        return Html::default();
    }
    let step = width / n;
    let height_of = |share: &f64| share.max(0.0) / most * height;
    if !distribution.names.is_empty() {
        let bars = |(i, (reference, current)): (usize, (&f64, &f64))| {
            let left = x + float(i) * step;
            let bar = |class: &str, from: f64, share: &f64| {
                let tall = height_of(share);
                rect(class, (left + from * step, y + height - tall), (step * 0.38, tall))
            };
            [bar("rb", 0.1, reference), bar("cb", 0.5, current)]
        };
        return distribution.reference.iter().zip(&distribution.current).enumerate().flat_map(bars).collect();
    }
    let steps = |shares: &[f64]| {
        let mut points = Vec::with_capacity(2 * shares.len());
        for (i, share) in shares.iter().enumerate() {
            let level = y + height - height_of(share);
            points.push((x + float(i) * step, level));
            points.push((x + float(i + 1) * step, level));
        }
        points
    };
    let mut area = vec![(x, y + height)];
    area.extend(steps(&distribution.reference));
    area.push((x + width, y + height));
    html!("{}{}", path("ra", area), path("ca", steps(&distribution.current)))
}

/// Categories, one below the other.
fn bars(distribution: &Distribution, title: &str) -> Html {
    let (row, label) = (19.0, 104.0);
    let all = distribution.reference.iter().chain(&distribution.current);
    let most = all.copied().fold(0.0, f64::max).max(f64::MIN_POSITIVE);
    let room = WIDTH - label - 44.0;
    let shares = distribution.reference.iter().zip(&distribution.current);
    let drawn = |(i, (name, (reference, current))): (usize, (&String, (&f64, &f64)))| {
        let y = float(i) * row;
        let longest = reference.max(*current) / most * room;
        [
            text(label - 6.0, y + 13.0, "end", &shortened(name, 16)),
            rect("rb", (label, y + 2.0), (reference / most * room, 6.5)),
            rect("cb", (label, y + 9.5), (current / most * room, 6.5)),
            text(label + longest + 5.0, y + 13.0, "start", &format!("{:.1} %", current * 100.0)),
        ]
    };
    let body = distribution.names.iter().zip(shares).enumerate().flat_map(drawn).collect();
    svg(float(distribution.names.len()) * row + 4.0, title, &body)
}

/// The first letters of a name that is too long.
fn shortened(name: &str, most: usize) -> String {
    if name.chars().count() <= most { name.to_owned() } else { name.chars().take(most - 1).chain(['…']).collect() }
}

/// An index with its interval against what is tolerated, on a scale that all rows share.
pub(super) fn forest(psi: &PsiEffect, most: f64) -> Html {
    let (width, height) = (170.0, 24.0);
    let x = |value: f64| 5.0 + (value.max(0.0) / most).sqrt().min(1.0) * (width - 12.0);
    let middle = height / 2.0;
    let title = format!("PSI {}, interval {} to {}", number(psi.debiased), number(psi.low), number(psi.high));
    let beyond = psi.low > psi.tolerated;
    let (whisk, dot) = if beyond { ("whisk bads", "badf") } else { ("whisk", "dot") };
    html!(
        "<svg class=\"forest\" viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}\">{}{}{}{}</svg>",
        width,
        height,
        title,
        line("axis", (5.0, middle), (width - 7.0, middle)),
        line("tol", (x(psi.tolerated), 2.0), (x(psi.tolerated), height - 2.0)),
        line(whisk, (x(psi.low), middle), (x(psi.high), middle)),
        circle(dot, (x(psi.debiased), middle), 3.6)
    )
}

/// One line of a chart over time: class, points of time and value, and where the value may lie.
pub(super) struct Trace {
    pub(super) class: &'static str,
    pub(super) name: String,
    pub(super) points: Vec<(Micros, f64)>,
    pub(super) band: Vec<(Micros, f64, f64)>,
}

/// What is drawn over time.
pub(super) struct OverTime<'a> {
    pub(super) title: &'a str,
    pub(super) traces: Vec<Trace>,
    /// Bounds that values are held against.
    pub(super) bounds: Vec<f64>,
    /// Moments with a number to look up.
    pub(super) marks: Vec<(Micros, String)>,
    /// Where the scale begins if all values are above it.
    pub(super) floor: Option<f64>,
}

impl OverTime<'_> {
    /// The chart; nothing without points.
    pub(super) fn draw(&self) -> Html {
        let times = || self.traces.iter().flat_map(|trace| trace.points.iter().map(|(time, _)| *time));
        let (Some(first), Some(last)) = (times().min(), times().max()) else { return Html::default() };
        let (low, high) = self.range();
        let (left, top, height) = (42.0, 16.0, 92.0);
        let (right, ground) = (WIDTH - 6.0, top + height);
        let span = float_of(last - first).max(1.0);
        let x = |time: Micros| left + float_of(time.clamp(first, last) - first) / span * (right - left);
        let y = |value: f64| ground - (value.clamp(low, high) - low) / (high - low) * height;
        let across = |class: &str, value: f64| line(class, (left, y(value)), (right, y(value)));
        let mut body = Html::default();
        for value in [low, f64::midpoint(low, high), high] {
            body.extend([across("axis", value), text(left - 5.0, y(value) + 4.0, "end", &number(value))]);
        }
        body.push(&text(left, ground + 15.0, "start", &day(first)));
        body.push(&text(right, ground + 15.0, "end", &day(last)));
        let bounds = self.bounds.iter().filter(|bound| (low..=high).contains(*bound));
        body.extend(bounds.map(|bound| across("tol", *bound)));
        for (time, name) in self.marks.iter().filter(|(time, _)| (first..=last).contains(time)) {
            let x = x(*time);
            body.extend([
                line("mark", (x, top), (x, ground)),
                html!(
                    "<text class=\"mk\" x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
                    at(x),
                    at(top - 4.0),
                    name
                ),
            ]);
        }
        for trace in &self.traces {
            if !trace.band.is_empty() {
                let upper = trace.band.iter().map(|(time, _, high)| (x(*time), y(*high)));
                let lower = trace.band.iter().rev().map(|(time, low, _)| (x(*time), y(*low)));
                body.push(&path("band", upper.chain(lower)));
            }
            body.push(&path(trace.class, trace.points.iter().map(|(time, value)| (x(*time), y(*value)))));
        }
        svg(130.0, &self.words(), &body)
    }

    fn range(&self) -> (f64, f64) {
        let values = self.traces.iter().flat_map(|trace| trace.points.iter().map(|(_, value)| *value));
        let (mut low, mut high) =
            values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
        let reach = 3.0 * high.abs().max(low.abs());
        for bound in self.bounds.iter().filter(|bound| bound.abs() <= reach) {
            (low, high) = (low.min(*bound), high.max(*bound));
        }
        low = self.floor.map_or(low, |floor| low.min(floor));
        // Of one value the scale is a stretch that floats of its size can tell.
        let is_one = high - low <= f64::EPSILON * high.abs().max(1.0);
        if is_one { (low, low + (low.abs() * 1e-6).max(1.0)) } else { (low, high) }
    }

    fn words(&self) -> String {
        let names: Vec<&str> =
            self.traces.iter().map(|trace| trace.name.as_str()).filter(|name| !name.is_empty()).collect();
        if names.is_empty() { self.title.to_owned() } else { format!("{}: {}", self.title, names.join(", ")) }
    }
}

fn day(at: Micros) -> String {
    let text = instant(at);
    text.strip_suffix(" 00:00 UTC").map_or(text.clone(), str::to_owned)
}

/// Reliability curves with bands: what came true against what was promised.
pub(super) fn reliability(reference: &[CurvePoint], current: &[CurvePoint]) -> Html {
    let (left, top, size) = (36.0, 8.0, 270.0);
    let x = |value: f64| left + value.clamp(0.0, 1.0) * size;
    let y = |value: f64| top + size - value.clamp(0.0, 1.0) * size;
    let mut body = Html::default();
    for step in [0.0, 0.25, 0.5, 0.75, 1.0] {
        body.extend([
            line("axis", (left, y(step)), (left + size, y(step))),
            text(left - 6.0, y(step) + 4.0, "end", &number(step)),
            text(x(step), top + size + 15.0, "middle", &number(step)),
        ]);
    }
    body.push(&line("tol", (x(0.0), y(0.0)), (x(1.0), y(1.0))));
    for (points, band, stroke, dot) in [(reference, "rband", "rl", "rdot"), (current, "band", "ca", "dot")] {
        let upper = points.iter().map(|point| (x(point.score), y(point.high)));
        let lower = points.iter().rev().map(|point| (x(point.score), y(point.low)));
        let observed = || points.iter().map(|point| (x(point.score), y(point.observed)));
        body.extend([path(band, upper.chain(lower)), path(stroke, observed())]);
        body.extend(observed().map(|at| circle(dot, at, 3.0)));
    }
    let caption = "mean score of a bin; up: share that came true";
    body.push(&text(left + size / 2.0, top + size + 30.0, "middle", caption));
    svg(top + size + 36.0, "Reliability curves of both sides", &body)
}

#[expect(clippy::cast_precision_loss, reason = "small numbers")]
fn float(n: usize) -> f64 {
    n as f64
}

#[expect(clippy::cast_precision_loss, reason = "spans of time, for drawing")]
fn float_of(n: i64) -> f64 {
    n as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every number in the coordinates of a drawing.
    fn coordinates(drawn: &Html) -> Vec<f64> {
        let text = drawn.clone().into_string();
        let is_place =
            |name: &str| [" d", "x", "y", "x1", "x2", "y1", "y2", "width", "height", "cx", "cy"].contains(&name);
        let mut found = Vec::new();
        for part in text.split('<').flat_map(|tag| tag.split("=\"").zip(tag.split("=\"").skip(1))) {
            let name = part.0.rsplit([' ', '"']).next().unwrap_or_default();
            let value = part.1.split('"').next().unwrap_or_default();
            if is_place(name) || name == "d" {
                let numbers = value.split(['M', 'L', ' ']).filter(|number| !number.is_empty());
                found.extend(numbers.map(|number| number.parse::<f64>().unwrap_or(f64::NAN)));
            }
        }
        found
    }

    fn is_drawable(drawn: &Html) {
        let all = coordinates(drawn);
        assert!(!all.is_empty() && all.iter().all(|at| at.is_finite() && (-1e4..1e4).contains(at)), "{drawn:?}");
    }

    fn bars(reference: Vec<f64>, current: Vec<f64>) -> Distribution {
        let names = (0..reference.len()).map(|at| format!("n{at}")).collect();
        Distribution { edges: Vec::new(), names, reference, current, beyond: (0.0, 0.0) }
    }

    fn over_time(points: &[(Micros, f64)], bounds: &[f64], floor: Option<f64>) -> OverTime<'static> {
        let trace = Trace { class: "l0", name: "v2".to_owned(), points: points.to_vec(), band: Vec::new() };
        OverTime { title: "psi", traces: vec![trace], bounds: bounds.to_vec(), marks: Vec::new(), floor }
    }

    #[test]
    fn whatever_the_numbers_are_every_coordinate_is_one() {
        for values in
            [&[0.0][..], &[3.0, 3.0], &[-1.0, 2.0], &[1e300, 1e300], &[1e17], &[-1e300, 1e300], &[1e-300, 2e-300]]
        {
            let points: Vec<(Micros, f64)> = (0..).zip(values.iter().copied()).collect();
            is_drawable(&over_time(&points, &[0.1, 1e9], None).draw());
            is_drawable(&over_time(&points, &[], Some(0.0)).draw());
            is_drawable(&over_time(&points, &[], None).draw());
        }
        for distribution in
            [bars(vec![0.0], vec![0.0]), bars(vec![1.0, 0.0], vec![0.0, 0.0]), bars(vec![0.5; 13], vec![0.1; 13])]
        {
            is_drawable(&overlay(&distribution, "t"));
        }
        let effect = |value| PsiEffect {
            value,
            debiased: value,
            low: value,
            high: value,
            tolerated: 0.1,
            p_value: 1.0,
            log10_e: 0.0,
        };
        for (psi, most) in [(0.0, 0.0), (0.5, 0.4), (1e9, 1e9), (0.0, 0.4)] {
            is_drawable(&forest(&effect(psi), most));
        }
        is_drawable(&reliability(&[], &[CurvePoint { score: 1.5, observed: -0.1, low: -1.0, high: 2.0, n: 1 }]));
    }

    #[test]
    fn without_points_or_cells_nothing_is_drawn() {
        assert!(over_time(&[], &[1.0], None).draw().is_empty());
        assert!(overlay(&Distribution { names: vec![], ..bars(vec![], vec![]) }, "t").is_empty());
    }

    #[test]
    fn bounds_and_marks_are_drawn_where_they_are_in_the_picture() {
        let mut chart = over_time(&[(0, 1.0), (10, 2.0)], &[1.5, 5.0, 100.0], None);
        chart.marks = vec![(-1, "before".to_owned()), (5, "<7>".to_owned()), (11, "after".to_owned())];
        let text = chart.draw().into_string();
        assert_eq!(text.matches("class=\"tol\"").count(), 2, "a bound a hundred times as large would squeeze the rest");
        assert_eq!(text.matches("class=\"mark\"").count(), 1);
        assert!(text.contains("&lt;7&gt;") && !text.contains("before") && !text.contains("after"), "{text}");
        assert!(text.contains("aria-label=\"psi: v2\""), "{text}");
    }

    #[test]
    fn the_scale_begins_at_its_floor_and_never_above_a_value() {
        assert_eq!(over_time(&[(0, 2.0), (1, 4.0)], &[], Some(0.0)).range(), (0.0, 4.0));
        assert_eq!(over_time(&[(0, -2.0), (1, 4.0)], &[], Some(0.0)).range(), (-2.0, 4.0));
        assert_eq!(over_time(&[(0, 2.0), (1, 4.0)], &[], None).range(), (2.0, 4.0));
        assert_eq!(over_time(&[(0, 1.0)], &[3.0, 3.1, -3.0], None).range(), (-3.0, 3.0), "bounds within three times");
        let (low, high) = over_time(&[(0, 7.0)], &[], None).range();
        assert!(low <= 7.0 && high > low);
    }

    #[test]
    fn what_is_beyond_for_sure_is_drawn_as_bad() {
        let effect =
            |low| PsiEffect { value: 0.5, debiased: 0.5, low, high: 0.9, tolerated: 0.1, p_value: 0.0, log10_e: 0.0 };
        assert!(forest(&effect(0.11), 1.0).into_string().contains("whisk bads"));
        assert!(!forest(&effect(0.09), 1.0).into_string().contains("whisk bads"));
    }

    #[test]
    fn long_names_are_cut_by_letters() {
        assert_eq!(shortened("sixteen letters!", 16), "sixteen letters!");
        assert_eq!(shortened("äääääääääääääääää", 16), "äääääääääääääää…");
        let drawn =
            overlay(&Distribution { names: vec!["ß".repeat(500)], ..bars(vec![1.0], vec![0.5]) }, "t").into_string();
        assert!(drawn.contains(&format!(">{}…<", "ß".repeat(15))) && drawn.contains("50.0 %"), "{drawn}");
    }

    #[test]
    fn days_are_told_without_midnight() {
        assert_eq!((day(0).as_str(), day(60_000_000).as_str()), ("1970-01-01", "1970-01-01 00:01 UTC"));
        assert_eq!([at(1.0), at(1.25), at(-0.5), at(10.04)], ["1", "1.2", "-0.5", "10"]);
    }
}
