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
        if high - low <= f64::EPSILON * high.abs().max(1.0) { (low, low + 1.0) } else { (low, high) }
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
