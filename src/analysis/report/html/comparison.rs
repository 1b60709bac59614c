//! The sections of a comparison of two files.

use std::fmt::Write as _;

use super::chart::{self, OverTime, Trace};
use super::{GridCell, HtmlGrid, Section, escape, known};
use crate::metric::{self, Place};
use crate::output::count;
use crate::output::text::number;
use crate::output::text::percent;
use crate::report::model::{ColumnReport, Comparison, Figure, QualityReport, Rate, Shape, Stand, Timeline};

/// The few numbers below the verdict.
pub(super) fn tiles(comparison: &Comparison) -> String {
    let method = &comparison.method;
    let mut tiles = vec![
        (format!("{} / {}", method.named_bh, method.tested), "columns drifted (BH)"),
        (format!("{} / {}", method.named_e_bh, method.tested), "drifted by e-BH"),
        (count(comparison.problems.len() as u64), "data problems"),
        (count(comparison.current.compared), "current rows"),
    ];
    let of = |metric: &str| comparison.quality.as_ref()?.figures.iter().find(|figure| figure.metric == metric);
    for (metric, label) in [("brier", "Brier score"), ("mae", "mean absolute error")] {
        if let Some(Figure { value: Some(after), reference, .. }) = of(metric) {
            tiles.push((change(*reference, Some(*after)), label));
        }
    }
    if let Some(p99) = comparison.latency.iter().find(|figure| figure.metric == "latency_p99") {
        tiles.push((change(p99.reference, p99.current), "ms, latency p99"));
    }
    if let Some(rate) = comparison.answers.iter().find(|rate| rate.metric == "error_rate") {
        let percent = |value: Option<f64>| value.map(percent).unwrap_or_default();
        let after = rate.current.map(|current| current.value);
        tiles.push((percent(after), "requests failed"));
    }
    let tile = |(n, label): (String, &str)| {
        format!("<div class=\"tile\"><div class=\"n\">{n}</div><div class=\"l\">{label}</div></div>")
    };
    format!("<div class=\"tiles\">{}</div>", tiles.into_iter().map(tile).collect::<String>())
}

/// From the reference's number to the current one.
fn change(before: Option<f64>, after: Option<f64>) -> String {
    let shown = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), number);
    match before {
        Some(_) => format!("{} → {}", shown(before), shown(after)),
        None => shown(after),
    }
}

/// All sections.
pub(super) fn sections(comparison: &Comparison) -> Vec<Section> {
    let mut sections = vec![Section { id: "columns", title: "Columns, most moved first", body: columns(comparison) }];
    sections.push(Section { id: "data", title: "Data quality", body: problems(comparison) });
    if let Some(quality) = &comparison.quality {
        sections.push(Section { id: "quality", title: "Predictions against the truth", body: self::quality(quality) });
    }
    if !comparison.latency.is_empty() || !comparison.answers.is_empty() {
        sections.push(Section { id: "answers", title: "Answers and latency", body: answers(comparison) });
    }
    if let Some(timeline) = &comparison.timeline {
        sections.push(Section { id: "time", title: "Over time", body: over_time(comparison, timeline) });
    }
    if !comparison.segments.is_empty() {
        sections.push(Section { id: "segments", title: "Segments that differ most", body: segments(comparison) });
    }
    sections.push(Section { id: "detail", title: "Column by column", body: details(comparison) });
    sections.push(Section { id: "untested", title: "Not tested", body: untested(comparison) });
    sections.push(Section { id: "how", title: "How to read this", body: how(comparison) });
    sections
}

fn tag(column: &ColumnReport) -> (&'static str, f64) {
    match (column.verdict, column.drifted_e) {
        (Stand::Drifted, true) => ("<span class=\"tag bad\">drifted</span>", 3.0),
        (Stand::Drifted, false) => ("<span class=\"tag warn\">drifted, not by e-BH</span>", 2.0),
        (Stand::Unclear, _) => ("<span class=\"tag\">unclear</span>", 1.0),
        (Stand::Within, _) => ("<span class=\"tag\">within</span>", 0.0),
    }
}

fn columns(comparison: &Comparison) -> String {
    let most = comparison.columns.iter().map(|column| column.psi.high).fold(0.4, f64::max);
    let row = |(at, column): (usize, &ColumnReport)| {
        let (tag, order) = tag(column);
        let title = format!("{} on both sides", column.column);
        let ks = column.ks.as_ref();
        let missing = format!("{} → {}", percent(column.reference.missing), percent(column.current.missing));
        let name = escape(&column.column);
        let sub = if column.role == "feature" { &column.kind } else { &column.role };
        vec![
            GridCell {
                key: name.clone(),
                ..GridCell::html(format!("<a href=\"#c{at}\">{name}</a> <span class=\"sub\">{sub}</span>"), 0.0)
            },
            GridCell::html(tag.to_owned(), order),
            GridCell::shown(format!("{:.4}", column.psi.debiased), column.psi.debiased),
            GridCell::html(chart::miniature(&column.distribution, &title), column.psi.debiased),
            GridCell::html(chart::forest(&column.psi, most), column.psi.debiased),
            GridCell::shown(ks.map_or_else(|| "–".to_owned(), |ks| number(ks.low)), ks.map_or(-1.0, |ks| ks.low)),
            GridCell::shown(p_value(column.p_value), column.p_value),
            GridCell::shown(missing, column.current.missing),
            GridCell::shown(count(column.n), float(column.n)),
        ]
    };
    let grid = HtmlGrid {
        heads: vec![
            ("column", false),
            ("verdict", false),
            ("PSI", true),
            ("<span class=\"key r\"></span>reference <span class=\"key c\"></span>current", false),
            ("90 % interval, tolerated", false),
            ("KS", true),
            ("p", true),
            ("missing", true),
            ("n", true),
        ],
        rows: comparison.columns.iter().enumerate().map(row).collect(),
    };
    let note = format!(
        "<p class=\"note\">The dot is the index less what chance adds, the bar its interval, the dashed line what is tolerated; all rows \
         share one square-root scale up to {}. p: how likely an index or a distance (KS) this large is if the true one were just tolerated.</p>",
        number(most)
    );
    if comparison.columns.is_empty() {
        "<p class=\"note\">No column could be tested; the reasons are below.</p>".to_owned()
    } else {
        note + &grid.draw(true)
    }
}

fn p_value(p: f64) -> String {
    if p < 1e-4 { "&lt; 0.0001".to_owned() } else { format!("{p:.4}") }
}

#[expect(clippy::cast_precision_loss, reason = "counts, for sorting")]
fn float(n: u64) -> f64 {
    n as f64
}

fn problems(comparison: &Comparison) -> String {
    let trust = comparison.trust.iter().map(|note| format!("<li>{}</li>", escape(note))).collect::<Vec<_>>().concat();
    let trust = if trust.is_empty() { trust } else { format!("<h3>Trust</h3><ul class=\"plain\">{trust}</ul>") };
    if comparison.problems.is_empty() {
        return format!(
            "<p class=\"note\">Nothing is missing, unseen, out of range or of another type more often than in the reference, beyond what is tolerated.</p>{trust}"
        );
    }
    let rows = comparison.problems.iter().map(|problem| {
        let share =
            |share: Option<f64>| GridCell::shown(share.map_or_else(|| "–".to_owned(), percent), share.unwrap_or(-1.0));
        vec![
            GridCell::text(&problem.column),
            GridCell::html(format!("<span class=\"tag warn\">{}</span>", problem.what.replace('_', " ")), 0.0),
            GridCell::text(&problem.text),
            share(problem.reference),
            share(problem.current),
            GridCell::shown(count(problem.n), float(problem.n)),
        ]
    });
    let heads = vec![
        ("column", false),
        ("problem", false),
        ("what was seen", false),
        ("before", true),
        ("now", true),
        ("n", true),
    ];
    HtmlGrid { heads, rows: rows.collect() }.draw(false) + &trust
}

fn figures(figures: &[Figure]) -> String {
    let rows = figures.iter().map(|figure| {
        let bounds = figure.low.zip(figure.high);
        let bounds = bounds.map_or_else(String::new, |(low, high)| format!("{} – {}", number(low), number(high)));
        vec![
            GridCell::text(&figure.metric),
            GridCell::html(format!("<span class=\"sub\">{}</span>", escape(&figure.convention)), 0.0),
            GridCell::number(figure.reference),
            GridCell::number(figure.value),
            GridCell::shown(bounds, 0.0),
            GridCell::shown(count(figure.n), 0.0),
        ]
    });
    let heads = vec![
        ("metric", false),
        ("convention", false),
        ("reference", true),
        ("current", true),
        ("certified", true),
        ("n", true),
    ];
    HtmlGrid { heads, rows: rows.collect() }.draw(false)
}

fn quality(quality: &QualityReport) -> String {
    let coverage =
        |share: Option<f64>| share.map_or_else(String::new, |share| format!(" ({} of the scored)", percent(share)));
    let mut body = format!(
        "<p class=\"note\">Labelled predictions: {}{} in the reference, {}{} now.",
        count(quality.n.0),
        coverage(quality.coverage.0),
        count(quality.n.1),
        coverage(quality.coverage.1)
    );
    if let Some(log10_e) = quality.log10_e_miscalibrated {
        let _ = write!(
            body,
            " Evidence that the current scores are not calibrated: e-value 10<sup>{log10_e:.1}</sup> (20 is strong, below 1 is none)."
        );
    }
    body += "</p><div class=\"grid\">";
    if !quality.current_curve.is_empty() || !quality.reference_curve.is_empty() {
        let curves = chart::reliability(&quality.reference_curve, &quality.current_curve);
        let _ = write!(
            body,
            "<div class=\"card\"><h3>Reliability <span class=\"sub note\"><span class=\"key r\"></span>reference <span class=\"key c\"></span>current, 90 % bands</span></h3>{curves}</div>"
        );
    }
    let (main, rest): (Vec<_>, Vec<_>) = quality.figures.iter().cloned().partition(is_main);
    let _ = write!(body, "<div class=\"span2\">{}</div></div>", figures(&main));
    let all = "<details><summary><span class=\"note\">every other quality metric and convention</span></summary>";
    body + all + "<div class=\"in\">" + &figures(&rest) + "</div></details>"
}

/// Whether a figure is among those that are shown at first.
fn is_main(figure: &Figure) -> bool {
    let is_first = matches!(figure.convention.as_str(), "equal_width_10") || !figure.convention.starts_with("equal_");
    is_first && metric::find(&figure.metric).is_some_and(|metric| metric.spec().is_shown(Place::Figures))
}

fn answers(comparison: &Comparison) -> String {
    let rate = |rate: &Rate| {
        let shown = |side: Option<crate::report::model::Estimate>| {
            side.map_or_else(
                || "–".to_owned(),
                |side| {
                    format!(
                        "{} <span class=\"sub\">{} – {}</span>",
                        percent(side.value),
                        percent(side.low),
                        percent(side.high)
                    )
                },
            )
        };
        vec![
            GridCell::text(&rate.metric),
            GridCell::shown(shown(rate.reference), 0.0),
            GridCell::shown(shown(rate.current), 0.0),
            GridCell::html(rate.apart.as_ref().map_or_else(String::new, known::apart), 0.0),
            GridCell::shown(count(rate.n_reference), 0.0),
            GridCell::shown(count(rate.n), 0.0),
        ]
    };
    let latency = comparison.latency.iter().map(|figure| {
        let ratio = figure.ratio.map_or_else(String::new, |ratio| {
            let class = if ratio.low > 1.1 { " class=\"up\"" } else { "" };
            format!(
                "<span{class}>×{:.2}</span> <span class=\"sub\">{:.2} – {:.2}</span>",
                ratio.value, ratio.low, ratio.high
            )
        });
        let ms = |value: Option<f64>| {
            GridCell::shown(value.map_or_else(|| "–".to_owned(), |value| format!("{} ms", number(value))), 0.0)
        };
        vec![
            GridCell::text(&figure.metric),
            ms(figure.reference),
            ms(figure.current),
            GridCell::html(ratio, 0.0),
            GridCell::shown(count(figure.n_reference), 0.0),
            GridCell::shown(count(figure.n), 0.0),
        ]
    });
    let rows = comparison.answers.iter().map(rate).chain(latency).collect();
    let heads = vec![
        ("", false),
        ("reference", true),
        ("current", true),
        ("ratio or difference", false),
        ("n reference", true),
        ("n", true),
    ];
    "<p class=\"note\">Shares with Wilson's 90 % intervals, differences in percentage points with Newcombe's; latencies by nearest rank, ratios of quantiles with 90 % intervals.</p>".to_owned()
        + &HtmlGrid { heads, rows }.draw(false)
}

fn column_over_time(column: &ColumnReport, timeline: &Timeline) -> String {
    let start = |period: usize| timeline.start + i64::try_from(period).unwrap_or_default() * timeline.length;
    let points = column.periods.iter().map(|point| (start(point.period), point.debiased)).collect();
    let band = column.periods.iter().map(|point| (start(point.period), point.low, point.high)).collect();
    let trace = Trace { class: "l0", name: String::new(), points, band };
    let title = format!("PSI of {} in each period against the reference", column.column);
    let bounds = vec![column.psi.tolerated];
    OverTime { title: &title, traces: vec![trace], bounds, marks: Vec::new(), floor: Some(0.0) }.draw()
}

fn over_time(comparison: &Comparison, timeline: &Timeline) -> String {
    let mut cards = Vec::new();
    let series = |class, name: &str, of: fn(&crate::report::model::Period) -> Option<f64>| Trace {
        class,
        name: name.to_owned(),
        points: timeline.periods.iter().filter_map(|period| Some((period.start, of(period)?))).collect(),
        band: Vec::new(),
    };
    let mut card = |title: &str, traces: Vec<Trace>, floor: Option<f64>| {
        let drawn = OverTime { title, traces, bounds: Vec::new(), marks: Vec::new(), floor }.draw();
        if !drawn.is_empty() {
            cards.push(format!("<div class=\"card\"><h3>{title}</h3>{drawn}</div>"));
        }
    };
    #[expect(clippy::cast_precision_loss, reason = "counts, for drawing")]
    let rows = series("l0", "", |period| Some(period.n as f64));
    card("Rows per period", vec![rows], Some(0.0));
    card("Share of requests that failed", vec![series("l0", "", |period| period.error_rate)], Some(0.0));
    let both = vec![
        series("l1", "mean label", |period| period.mean_label),
        series("l0", "mean score", |period| period.mean_score),
    ];
    card("Mean score (blue) and mean label (grey)", both, None);
    for column in comparison.columns.iter().filter(|column| !column.periods.is_empty()).take(6) {
        let drawn = column_over_time(column, timeline);
        cards.push(format!(
            "<div class=\"card\"><h3>PSI of {} <span class=\"note\">against the reference</span></h3>{drawn}</div>",
            escape(&column.column)
        ));
    }
    format!(
        "<p class=\"note\">Periods of {}; the band is the 90 % interval, the dashed line what is tolerated. The columns that moved most; all others are below.</p><div class=\"grid\">{}</div>",
        length(timeline.length),
        cards.concat()
    )
}

/// A length of time in its largest unit.
fn length(micros: i64) -> String {
    let minutes = micros / 60_000_000;
    match minutes {
        1440.. => crate::output::text::plural(u64::try_from(minutes / 1440).unwrap_or_default(), "day"),
        60.. => crate::output::text::plural(u64::try_from(minutes / 60).unwrap_or_default(), "hour"),
        _ => crate::output::text::plural(u64::try_from(minutes).unwrap_or_default(), "minute"),
    }
}

fn segments(comparison: &Comparison) -> String {
    let rows = comparison.segments.iter().map(|segment| {
        let drifted = if segment.drifted.is_empty() { "none".to_owned() } else { segment.drifted.join(", ") };
        vec![
            GridCell::text(&format!("{} = {}", segment.field, segment.value)),
            GridCell::shown(
                format!("{} / {}", segment.drifted.len(), segment.tested),
                float(segment.drifted.len() as u64),
            ),
            GridCell::text(&drifted),
            GridCell::text(segment.worst.as_deref().unwrap_or("–")),
            GridCell::number(segment.psi),
            GridCell::number(segment.psi_all),
            GridCell::shown(count(segment.n_reference), float(segment.n_reference)),
            GridCell::shown(count(segment.n), float(segment.n)),
        ]
    });
    let heads = vec![
        ("segment", false),
        ("drifted", true),
        ("which", false),
        ("moved most", false),
        ("PSI there", true),
        ("PSI overall", true),
        ("n reference", true),
        ("n", true),
    ];
    "<p class=\"note\">Each segment against the same segment of the reference; Benjamini and Hochberg's rule over all of them together. PSI less what chance adds.</p>".to_owned()
        + &HtmlGrid { heads, rows: rows.collect() }.draw(true)
}

fn shape(reference: &Shape, current: &Shape) -> String {
    let mut rows = vec![("rows", Some(float(reference.rows)), Some(float(current.rows)))];
    rows.extend([
        ("missing", Some(reference.missing), Some(current.missing)),
        ("mean", reference.mean, current.mean),
        ("standard deviation", reference.std_dev, current.std_dev),
        ("smallest", reference.min, current.min),
        ("largest", reference.max, current.max),
        ("categories", reference.categories.map(float), current.categories.map(float)),
    ]);
    let at = |side: &Shape, q: f64| side.quantiles.iter().find(|known| known.q >= q).map(|known| known.value);
    let quantiles = [("quantile 0.05", 0.05), ("median", 0.5), ("quantile 0.95", 0.95)];
    rows.extend(quantiles.map(|(name, q)| (name, at(reference, q), at(current, q))));
    let rows = rows.into_iter().filter(|(_, a, b)| a.is_some() || b.is_some());
    let rows = rows.map(|(name, a, b)| vec![GridCell::text(name), GridCell::number(a), GridCell::number(b)]).collect();
    let notes = [("reference", reference), ("current", current)];
    let notes = notes.iter().flat_map(|(side, shape)| shape.notes.iter().map(move |note| (side, note)));
    let notes = notes.map(|(side, note)| format!("<li>{side}: {}</li>", escape(note))).collect::<Vec<_>>().concat();
    let notes = if notes.is_empty() { notes } else { format!("<ul class=\"plain note\">{notes}</ul>") };
    HtmlGrid { heads: vec![("", false), ("reference", true), ("current", true)], rows }.draw(false) + &notes
}

fn details(comparison: &Comparison) -> String {
    let mut body = String::new();
    for (at, column) in comparison.columns.iter().enumerate() {
        let name = escape(&column.column);
        let (tag, _) = tag(column);
        let beyond = column.distribution.beyond;
        let beyond = if beyond.0.max(beyond.1) < 0.0005 {
            String::new()
        } else {
            format!(
                "<p class=\"note\">Beyond the drawing: {} of the reference, {} now.</p>",
                percent(beyond.0),
                percent(beyond.1)
            )
        };
        let over_time = comparison.timeline.as_ref().filter(|_| !column.periods.is_empty()).map(|timeline| {
            format!("<div class=\"card\"><h3>PSI over time</h3>{}</div>", column_over_time(column, timeline))
        });
        let ks = column.ks.as_ref().map_or_else(String::new, |ks| {
            format!(
                " · KS {} – {} (tolerated {}, p {:.3})",
                number(ks.low),
                number(ks.high),
                comparison.method.ks_tolerated,
                ks.p_value
            )
        });
        let _ = write!(
            body,
            "<details id=\"c{at}\"><summary><b>{name}</b> {tag} <span class=\"note\">PSI {} ({} – {}){ks}</span></summary><div class=\"in\"><div class=\"grid\">\
             <div class=\"card\"><h3><span class=\"key r\"></span>reference <span class=\"key c\"></span>current</h3>{}{beyond}</div>{}\
             <div class=\"card\">{}{}</div></div><details><summary><span class=\"note\">every metric of {name}</span></summary><div class=\"in\">{}</div></details></div></details>",
            number(column.psi.debiased),
            number(column.psi.low),
            number(column.psi.high),
            chart::overlay(&column.distribution, &format!("Distribution of {} on both sides", column.column)),
            over_time.unwrap_or_default(),
            shape(&column.reference, &column.current),
            known::tests(column),
            figures(&column.figures),
        );
    }
    body
}

fn untested(comparison: &Comparison) -> String {
    if comparison.untested.is_empty() {
        return "<p class=\"note\">Every column was tested.</p>".to_owned();
    }
    let rows = comparison
        .untested
        .iter()
        .map(|column| vec![GridCell::text(&column.column), GridCell::text(&column.why)])
        .collect();
    HtmlGrid { heads: vec![("column", false), ("why not", false)], rows }.draw(false)
}

fn how(comparison: &Comparison) -> String {
    let notes =
        comparison.method.notes.iter().map(|note| format!("<li>{}</li>", escape(note))).collect::<Vec<_>>().concat();
    let mut body = format!("<ul class=\"plain note\">{notes}</ul>");
    if !comparison.roles.is_empty() {
        let rows = comparison
            .roles
            .iter()
            .map(|role| vec![GridCell::text(&role.column), GridCell::text(&role.role), GridCell::text(&role.why)])
            .collect();
        body += "<h3>What columns were taken for</h3>";
        body +=
            &HtmlGrid { heads: vec![("column", false), ("taken for", false), ("because", false)], rows }.draw(false);
    }
    body
}
