//! A number over time, drawn here: the candidate's line, the baseline's, bounds, and the decisions that fell.
//!
//! Lines differ by dash and width, not by colour alone, and stand in words below the picture. The plot is stretched to
//! its place; text stays as large as text is.

use std::fmt::Write as _;

use super::link::decision_url;
use super::words::{clock, time_of_day, value};
use crate::event::{Micros, stable_hash};
use crate::markup::{Html, html};
use crate::serve::history::ShownPoint;

/// The plot's own measure, in which lines are drawn.
const WIDTH: f64 = 1_000.0;
const HEIGHT: f64 = 100.0;

/// Decisions nearer than this share one label.
const NEAR: f64 = 45.0;

/// Windows in the table below a chart.
const TABLE_MAX: usize = 12;

/// A decision on the time line.
#[derive(Debug, Clone)]
pub(super) struct DecisionMark {
    pub(super) time: Micros,
    pub(super) id: String,
    pub(super) sequence: u64,
    pub(super) text: String,
}

/// What is drawn.
#[derive(Debug, Clone, Default)]
pub(super) struct Chart {
    pub(super) title: String,
    pub(super) metric: String,
    pub(super) candidate: String,
    pub(super) points: Vec<ShownPoint>,
    pub(super) baseline: String,
    pub(super) baseline_points: Vec<ShownPoint>,
    /// Bounds of rules, each with its name.
    pub(super) bounds: Vec<(String, Vec<(Micros, f64)>)>,
    pub(super) marks: Vec<DecisionMark>,
}

/// From time and value to the plot.
#[derive(Debug, Clone, Copy)]
struct Scale {
    times: (Micros, Micros),
    values: (f64, f64),
}

impl Scale {
    fn of(chart: &Chart) -> Option<Self> {
        let points = || chart.points.iter().chain(&chart.baseline_points);
        let times = points().map(|point| point.end);
        let times = times.clone().min().zip(times.max())?;
        let bounds = chart.bounds.iter().flat_map(|(_, line)| line).map(|(_, value)| *value);
        let whole = [&chart.points, &chart.baseline_points].into_iter().flat_map(|points| whole(points));
        let values = whole.map(|point| point.value).chain(bounds).filter(|value| value.is_finite());
        let (low, high) =
            values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
        // From zero where that costs at most half of the height.
        let low = if low > 0.0 && low < high / 2.0 { 0.0 } else { low };
        let room = if high > low { (high - low) * 0.06 } else { high.abs().max(1.0) * 0.1 };
        Some(Self { times, values: (if low == 0.0 { 0.0 } else { low - room }, high + room) })
    }

    #[expect(clippy::cast_precision_loss, reason = "places on a screen")]
    fn x(&self, time: Micros) -> f64 {
        let (from, to) = self.times;
        if to == from { WIDTH } else { (time - from) as f64 / (to - from) as f64 * WIDTH }
    }

    fn y(&self, value: f64) -> f64 {
        let (low, high) = self.values;
        HEIGHT - (value - low) / (high - low) * HEIGHT
    }

    fn line(&self, points: impl Iterator<Item = (Micros, f64)>) -> String {
        points.fold(String::new(), |mut line, (time, value)| {
            let (x, y) = (self.x(time), self.y(value).clamp(-HEIGHT, 2.0 * HEIGHT));
            write!(line, "{x:.1},{y:.1} ").expect("a string takes all text");
            line
        })
    }
}

impl Chart {
    pub(super) fn html(&self) -> Html {
        let Some(scale) = Scale::of(self) else { return Html::default() };
        html!(
            "<figure><h3>{}</h3>{}<svg class=\"chart\" role=\"img\" aria-label=\"{}\">"
            "<svg x=\"0\" y=\"16\" width=\"100%\" height=\"112\" viewBox=\"0 0 1000 100\" preserveAspectRatio=\"none\">"
            "<rect class=\"plot\" width=\"1000\" height=\"100\"/>{}{}{}{}</svg>{}{}</svg>{}</figure>",
            self.title,
            self.legend(),
            self.words(),
            self.band(&scale),
            self.bound_lines(&scale),
            line("baseline", &scale, &self.baseline_points),
            line("candidate", &scale, &self.points),
            self.axes(&scale),
            self.marked(&scale),
            self.table(),
        )
    }

    /// The last number of a line, in words.
    fn last(&self, points: &[ShownPoint]) -> Option<String> {
        points.last().map(|point| value(&self.metric, point.value))
    }

    fn words(&self) -> String {
        let side = |name: &str, points: &[ShownPoint]| self.last(points).map(|last| format!("{name} {last}"));
        let sides = [side(&self.candidate, &self.points), side(&self.baseline, &self.baseline_points)];
        format!("{}, last window: {}", self.title, sides.into_iter().flatten().collect::<Vec<_>>().join(", "))
    }

    fn legend(&self) -> Html {
        let entry = |class: &str, name: &str, last: Option<String>| {
            let sample = html!(
                "<svg class=\"sample\" aria-hidden=\"true\"><line class=\"{}\" x1=\"0\" x2=\"100%\" y1=\"50%\" y2=\"50%\"/></svg>",
                class
            );
            html!("<span>{}{} <b>{}</b></span> ", sample, name, last.unwrap_or_else(|| "–".to_owned()))
        };
        let baseline = self.last(&self.baseline_points).map(|last| entry("baseline", &self.baseline, Some(last)));
        let bounds = self
            .bounds
            .iter()
            .map(|(name, line)| entry("bound", name, line.last().map(|(_, bound)| value(&self.metric, *bound))));
        let candidate = entry("candidate", &self.candidate, self.last(&self.points));
        html!("<p class=\"legend\">{}{}{}</p>", candidate, baseline, bounds.collect::<Html>())
    }

    /// Between which bounds the candidate's number certainly is.
    fn band(&self, scale: &Scale) -> Html {
        let bounded: Vec<_> = self.points.iter().filter_map(|point| Some((point.end, point.bounds?))).collect();
        if bounded.len() < 2 {
            return Html::default();
        }
        let up = bounded.iter().map(|(time, (low, _))| (*time, f64::from(*low)));
        let down = bounded.iter().rev().map(|(time, (_, high))| (*time, f64::from(*high)));
        html!("<polygon class=\"band\" points=\"{}\"/>", scale.line(up.chain(down)))
    }

    fn bound_lines(&self, scale: &Scale) -> Html {
        let drawn = |(_, line): &(String, Vec<(Micros, f64)>)| {
            html!("<polyline class=\"bound\" points=\"{}\"/>", scale.line(line.iter().copied()))
        };
        self.bounds.iter().map(drawn).collect()
    }

    fn axes(&self, scale: &Scale) -> Html {
        let shown = |value_at: f64| value(&self.metric, value_at);
        html!(
            "<text class=\"axis\" x=\"2\" y=\"27\">{}</text><text class=\"axis\" x=\"2\" y=\"124\">{}</text>"
            "<text class=\"axis\" x=\"0\" y=\"142\">{}</text><text class=\"axis end\" x=\"100%\" y=\"142\">{}</text>",
            shown(scale.values.1),
            shown(scale.values.0),
            clock(scale.times.0),
            clock(scale.times.1)
        )
    }

    /// Decisions as lines with their number; each is a way to its page. Numbers of neighbours share a label.
    fn marked(&self, scale: &Scale) -> Html {
        let mut inside: Vec<_> =
            self.marks.iter().filter(|mark| (scale.times.0..=scale.times.1).contains(&mark.time)).collect();
        inside.sort_by_key(|mark| (mark.time, mark.sequence));
        let drawn = |mark: &&DecisionMark| {
            let x = share(scale.x(mark.time));
            html!(
                "<a href=\"{}\" tabindex=\"-1\"><title>{}</title>"
                "<line class=\"mark\" x1=\"{}\" x2=\"{}\" y1=\"14\" y2=\"128\"/></a>",
                decision_url(&mark.id),
                mark.text,
                x,
                x
            )
        };
        let near = |a: &&DecisionMark, b: &&DecisionMark| scale.x(b.time) - scale.x(a.time) < NEAR;
        let label = |group: &[&DecisionMark]| {
            let middle = group.iter().map(|mark| scale.x(mark.time)).sum::<f64>()
                / f64::from(u32::try_from(group.len()).unwrap_or(1));
            let numbers: Vec<String> = group.iter().map(|mark| mark.sequence.to_string()).collect();
            let place = if middle > WIDTH - NEAR { "mark end" } else { "mark" };
            html!("<text class=\"{}\" x=\"{}\" y=\"11\">{}</text>", place, share(middle), numbers.join(", "))
        };
        let labels: Html = inside.chunk_by(near).map(label).collect();
        html!("{}{}", inside.iter().map(drawn).collect::<Html>(), labels)
    }

    fn table(&self) -> Html {
        let of_baseline = |end: Micros| self.baseline_points.iter().find(|point| point.end == end);
        let row = |point: &ShownPoint| {
            let baseline = of_baseline(point.end).map(|point| value(&self.metric, point.value));
            html!(
                "<tr><th scope=\"row\">{}</th><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td>{}</tr>",
                time_of_day(point.end),
                value(&self.metric, point.value),
                baseline,
                point.n,
                labels_of(point).map(|labels| html!("<td>{}</td>", labels))
            )
        };
        let rows: Html = self.points.iter().rev().take(TABLE_MAX).map(row).collect();
        html!(
            "<details id=\"t{}\"><summary>Last numbers</summary><table><thead><tr><th>Window ended, UTC</th><th class=\"n\">{}</th>"
            "<th class=\"n\">{}</th><th class=\"n\">n</th>{}</tr></thead><tbody>{}</tbody></table></details>",
            format!("{:016x}", stable_hash(self.title.as_bytes())),
            self.candidate,
            self.baseline,
            self.points.iter().find_map(labels_of).map(|_| html!("<th>labels</th>")),
            rows
        )
    }
}

/// The points without those at the beginning that come from less than half of the usual number of rows: the first
/// windows after a start hold a part of their events, and what they say by chance would leave no room for all others.
fn whole(points: &[ShownPoint]) -> &[ShownPoint] {
    let mut rows: Vec<u32> = points.iter().map(|point| point.n).collect();
    rows.sort_unstable();
    let usual = rows.get(rows.len() / 2).copied().unwrap_or_default();
    let first = points.iter().position(|point| point.n >= usual.div_ceil(2)).unwrap_or_default();
    &points[first..]
}

/// How ripe a number of labels is: the share that was there, when they had had their first wait or later.
fn labels_of(point: &ShownPoint) -> Option<String> {
    let age = if point.is_first { "first result" } else { "revised" };
    point.labels_pct.map(|pct| format!("{pct} %, {age}"))
}

/// A place of the plot as a share of its width.
fn share(x: f64) -> String {
    format!("{:.2}%", x / WIDTH * 100.0)
}

fn line(class: &str, scale: &Scale, points: &[ShownPoint]) -> Html {
    let points = scale.line(points.iter().map(|point| (point.end, point.value)));
    if points.is_empty() { Html::default() } else { html!("<polyline class=\"{}\" points=\"{}\"/>", class, points) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(values: &[f64]) -> Chart {
        let points = (0..)
            .zip(values)
            .map(|(end, &value)| ShownPoint {
                end,
                value,
                bounds: None,
                n: 1,
                n_baseline: 1,
                labels_pct: None,
                is_first: true,
            })
            .collect();
        Chart {
            title: "<b>".to_owned(),
            metric: "psi".to_owned(),
            candidate: "v2".to_owned(),
            points,
            ..Chart::default()
        }
    }

    #[test]
    fn numbers_of_labels_say_how_many_were_there_and_when() {
        let mut chart = chart(&[0.1, 0.2]);
        assert!(!chart.table().into_string().contains("labels"));
        (chart.points[0].labels_pct, chart.points[0].is_first) = (Some(99), false);
        chart.points[1].labels_pct = Some(83);
        let table = chart.table().into_string();
        for cell in ["<th>labels</th>", "<td>83 %, first result</td>", "<td>99 %, revised</td>"] {
            assert!(table.contains(cell), "{cell} is missing in {table}");
        }
    }

    #[test]
    fn a_line_runs_from_edge_to_edge() {
        let scale = Scale::of(&chart(&[0.0, 1.0, 2.0])).expect("points");
        assert_eq!((scale.x(0), scale.x(1), scale.x(2)), (0.0, 500.0, WIDTH));
        assert!((scale.y(0.0) - HEIGHT).abs() < 1e-9, "zero is the ground");
        assert!(scale.y(2.0) > 0.0 && scale.y(2.0) < 10.0);
    }

    #[test]
    fn first_windows_that_are_not_whole_leave_the_scale_to_the_others() {
        let mut chart = chart(&[90.0, 40.0, 1.0, 2.0, 1.5, 1.0]);
        for (point, n) in chart.points.iter_mut().zip([3, 40, 100, 100, 100, 100]) {
            point.n = n;
        }
        let scale = Scale::of(&chart).expect("points");
        assert!(scale.values.1 < 3.0, "{scale:?}");
        chart.points.truncate(1);
        assert!(Scale::of(&chart).expect("a point").values.1 >= 90.0, "one that is alone is shown");
    }

    #[test]
    fn what_has_no_size_is_drawn_all_the_same() {
        assert!(chart(&[]).html().is_empty());
        for values in [&[0.0][..], &[3.0, 3.0], &[-1.0, -1.0], &[1e300, -1e300]] {
            let html = chart(values).html().into_string();
            assert!(html.contains("polyline") && !html.contains("NaN") && !html.contains("inf"), "{html}");
            assert!(!html.contains("<b>v") && html.contains("&lt;b&gt;"));
        }
    }

    #[test]
    fn decisions_outside_the_picture_are_left_out() {
        let mark = |time| DecisionMark { time, id: "b3:1".to_owned(), sequence: 7, text: String::new() };
        let html = Chart { marks: vec![mark(1), mark(9)], ..chart(&[1.0, 2.0, 3.0]) }.html().into_string();
        assert_eq!(html.matches("class=\"mark\" x1").count(), 1);
        assert!(html.contains("x1=\"50.00%\""));
    }
}
