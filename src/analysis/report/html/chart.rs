//! Charts as inline SVG. Every one is 340 wide and drawn in classes, so that the style sheet decides about colours; the
//! two sides differ in form as well: the reference is an area, the current side a line.

use std::fmt::Write as _;

use super::escape;
use crate::event::Micros;
use crate::output::text::{instant, number};
use crate::report::model::{CurvePoint, Distribution, PsiEffect};

/// Width of a chart.
const WIDTH: f64 = 340.0;

/// A chart of a height, with what it shows in words.
fn svg(height: f64, title: &str, body: &str) -> String {
    let title = escape(title);
    format!(
        "<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{title}\"><title>{title}</title>{body}</svg>"
    )
}

/// A coordinate with one decimal.
fn at(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

fn text(x: f64, y: f64, anchor: &str, words: &str) -> String {
    format!("<text x=\"{}\" y=\"{}\" text-anchor=\"{anchor}\">{}</text>", at(x), at(y), escape(words))
}

fn line(class: &str, from: (f64, f64), to: (f64, f64)) -> String {
    format!(
        "<line class=\"{class}\" x1=\"{}\" y1=\"{}\" x2=\"{}\" y2=\"{}\"/>",
        at(from.0),
        at(from.1),
        at(to.0),
        at(to.1)
    )
}

fn path(class: &str, points: &[(f64, f64)]) -> String {
    let mut d = String::new();
    for (i, (x, y)) in points.iter().enumerate() {
        let _ = write!(d, "{}{} {}", if i == 0 { 'M' } else { 'L' }, at(*x), at(*y));
    }
    format!("<path class=\"{class}\" d=\"{d}\"/>")
}

/// Both sides of a column, small enough for a cell of a table.
pub(super) fn miniature(distribution: &Distribution, title: &str) -> String {
    let (width, height) = (132.0, 30.0);
    let title = escape(title);
    let body = shapes(distribution, (0.0, 1.0, width, height - 2.0));
    format!("<svg class=\"mini\" viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{title}\">{body}</svg>")
}

/// Both sides of a column over each other.
pub(super) fn overlay(distribution: &Distribution, title: &str) -> String {
    if !distribution.names.is_empty() {
        return bars(distribution, title);
    }
    let (Some(low), Some(high)) = (distribution.edges.first(), distribution.edges.last()) else { return String::new() };
    let (top, height) = (6.0, 118.0);
    let mut body = shapes(distribution, (0.0, top, WIDTH, height));
    body += &line("axis", (0.0, top + height), (WIDTH, top + height));
    let ticks = [(0.0, "start", *low), (WIDTH / 2.0, "middle", f64::midpoint(*low, *high)), (WIDTH, "end", *high)];
    body.extend(ticks.map(|(x, anchor, value)| text(x, top + height + 14.0, anchor, &number(value))));
    svg(146.0, title, &body)
}

/// The two shapes in a box (x, y, width, height).
fn shapes(distribution: &Distribution, (x, y, width, height): (f64, f64, f64, f64)) -> String {
    let all = distribution.reference.iter().chain(&distribution.current);
    let most = all.copied().fold(0.0, f64::max);
    let n = float(distribution.reference.len());
    if most <= 0.0 {
        return String::new();
    }
    let step = width / n;
    let height_of = |share: &f64| share.max(0.0) / most * height;
    if !distribution.names.is_empty() {
        let bar = |(i, (reference, current)): (usize, (&f64, &f64))| {
            let left = x + float(i) * step;
            let rect = |class: &str, from: f64, share: &f64| {
                let tall = height_of(share);
                format!(
                    "<rect class=\"{class}\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"/>",
                    at(left + from * step),
                    at(y + height - tall),
                    at(step * 0.38),
                    at(tall)
                )
            };
            rect("rb", 0.1, reference) + &rect("cb", 0.5, current)
        };
        return distribution.reference.iter().zip(&distribution.current).enumerate().map(bar).collect();
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
    path("ra", &area) + &path("ca", &steps(&distribution.current))
}

/// Categories, one below the other.
fn bars(distribution: &Distribution, title: &str) -> String {
    let (row, label) = (19.0, 104.0);
    let all = distribution.reference.iter().chain(&distribution.current);
    let most = all.copied().fold(0.0, f64::max).max(f64::MIN_POSITIVE);
    let room = WIDTH - label - 44.0;
    let mut body = String::new();
    let shares = distribution.reference.iter().zip(&distribution.current);
    for (i, (name, (reference, current))) in distribution.names.iter().zip(shares).enumerate() {
        let y = float(i) * row;
        body += &text(label - 6.0, y + 13.0, "end", &shortened(name, 16));
        for (class, share, from) in [("rb", reference, 2.0), ("cb", current, 9.5)] {
            let _ = write!(
                body,
                "<rect class=\"{class}\" x=\"{label}\" y=\"{}\" width=\"{}\" height=\"6.5\"/>",
                at(y + from),
                at(share / most * room)
            );
        }
        let longest = reference.max(*current) / most * room;
        body += &text(label + longest + 5.0, y + 13.0, "start", &format!("{:.1} %", current * 100.0));
    }
    svg(float(distribution.names.len()) * row + 4.0, title, &body)
}

/// The first letters of a name that is too long.
fn shortened(name: &str, most: usize) -> String {
    if name.chars().count() <= most { name.to_owned() } else { name.chars().take(most - 1).chain(['…']).collect() }
}

/// An index with its interval against what is tolerated, on a scale that all rows share.
pub(super) fn forest(psi: &PsiEffect, most: f64) -> String {
    let (width, height) = (170.0, 24.0);
    let x = |value: f64| 5.0 + (value.max(0.0) / most).sqrt().min(1.0) * (width - 12.0);
    let middle = height / 2.0;
    let title = format!("PSI {}, interval {} to {}", number(psi.debiased), number(psi.low), number(psi.high));
    let mut body = line("axis", (5.0, middle), (width - 7.0, middle));
    body += &line("tol", (x(psi.tolerated), 2.0), (x(psi.tolerated), height - 2.0));
    let beyond = psi.low > psi.tolerated;
    let (whisk, dot) = if beyond { ("whisk bads", "badf") } else { ("whisk", "dot") };
    body += &line(whisk, (x(psi.low), middle), (x(psi.high), middle));
    let _ = write!(body, "<circle class=\"{dot}\" cx=\"{}\" cy=\"{middle}\" r=\"3.6\"/>", at(x(psi.debiased)));
    format!("<svg class=\"forest\" viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{title}\">{body}</svg>")
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
    pub(super) fn draw(&self) -> String {
        let times = || self.traces.iter().flat_map(|trace| trace.points.iter().map(|(time, _)| *time));
        let (Some(first), Some(last)) = (times().min(), times().max()) else { return String::new() };
        let (low, high) = self.range();
        let (left, top, height) = (42.0, 16.0, 92.0);
        let width = WIDTH - left - 6.0;
        let span = float_of(last - first).max(1.0);
        let x = |time: Micros| left + float_of(time.clamp(first, last) - first) / span * width;
        let y = |value: f64| top + height - (value.clamp(low, high) - low) / (high - low) * height;
        let mut body = String::new();
        for value in [low, f64::midpoint(low, high), high] {
            body += &line("axis", (left, y(value)), (WIDTH - 6.0, y(value)));
            body += &text(left - 5.0, y(value) + 4.0, "end", &number(value));
        }
        body += &text(left, top + height + 15.0, "start", &day(first));
        body += &text(WIDTH - 6.0, top + height + 15.0, "end", &day(last));
        for bound in self.bounds.iter().filter(|bound| (low..=high).contains(*bound)) {
            body += &line("tol", (left, y(*bound)), (WIDTH - 6.0, y(*bound)));
        }
        for (time, name) in self.marks.iter().filter(|(time, _)| (first..=last).contains(time)) {
            body += &line("mark", (x(*time), top), (x(*time), top + height));
            let _ = write!(
                body,
                "<text class=\"mk\" x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
                at(x(*time)),
                top - 4.0,
                escape(name)
            );
        }
        for trace in &self.traces {
            if !trace.band.is_empty() {
                let upper = trace.band.iter().map(|(time, _, high)| (x(*time), y(*high)));
                let lower = trace.band.iter().rev().map(|(time, low, _)| (x(*time), y(*low)));
                body += &path("band", &upper.chain(lower).collect::<Vec<_>>());
            }
            let points: Vec<(f64, f64)> = trace.points.iter().map(|(time, value)| (x(*time), y(*value))).collect();
            body += &path(trace.class, &points);
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
pub(super) fn reliability(reference: &[CurvePoint], current: &[CurvePoint]) -> String {
    let (left, top, size) = (36.0, 8.0, 270.0);
    let x = |value: f64| left + value.clamp(0.0, 1.0) * size;
    let y = |value: f64| top + size - value.clamp(0.0, 1.0) * size;
    let mut body = String::new();
    for step in [0.0, 0.25, 0.5, 0.75, 1.0] {
        body += &line("axis", (left, y(step)), (left + size, y(step)));
        body += &text(left - 6.0, y(step) + 4.0, "end", &number(step));
        body += &text(x(step), top + size + 15.0, "middle", &number(step));
    }
    body += &line("tol", (x(0.0), y(0.0)), (x(1.0), y(1.0)));
    for (points, band, stroke, dot) in [(reference, "rband", "rl", "rdot"), (current, "band", "ca", "dot")] {
        let upper = points.iter().map(|point| (x(point.score), y(point.high)));
        let lower = points.iter().rev().map(|point| (x(point.score), y(point.low)));
        body += &path(band, &upper.chain(lower).collect::<Vec<_>>());
        body += &path(stroke, &points.iter().map(|point| (x(point.score), y(point.observed))).collect::<Vec<_>>());
        for point in points {
            let _ = write!(
                body,
                "<circle class=\"{dot}\" cx=\"{}\" cy=\"{}\" r=\"3\"/>",
                at(x(point.score)),
                at(y(point.observed))
            );
        }
    }
    body += &text(left + size / 2.0, top + size + 30.0, "middle", "mean score of a bin; up: share that came true");
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
