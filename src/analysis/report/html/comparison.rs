//! The sections of a comparison of two files.

use super::chart::{self, OverTime, Trace};
use super::grid::{HtmlCell, HtmlTable, left, right};
use super::{Section, card, items, known, note, sub, tag};
use crate::markup::{Html, html};
use crate::metric::{self, Visibility};
use crate::output::text::{count, interval, number, or_dash, percent, plural};
use crate::report::model::{
    ClassRates, ColumnReport, Comparison, Estimate, Figure, LatencyFigure, QualityReport, Rate, Shape, Stand, Timeline,
};

/// Classes that are shown at first.
const CLASSES_FIRST: usize = 12;

/// The few numbers below the verdict.
pub(super) fn tiles(comparison: &Comparison) -> Html {
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
        html!("<div class=\"tile\"><div class=\"n\">{}</div><div class=\"l\">{}</div></div>", n, label)
    };
    html!("<div class=\"tiles\">{}</div>", tiles.into_iter().map(tile).collect::<Html>())
}

/// From the reference's number to the current one.
fn change(before: Option<f64>, after: Option<f64>) -> String {
    let after = or_dash(after, number);
    before.map_or_else(|| after.clone(), |before| format!("{} → {after}", number(before)))
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

fn verdict(column: &ColumnReport) -> (Html, u8) {
    match (column.verdict, column.drifted_e) {
        (Stand::Drifted, true) => (tag("tag bad", "drifted"), 3),
        (Stand::Drifted, false) => (tag("tag warn", "drifted, not by e-BH"), 2),
        (Stand::Unclear, _) => (tag("tag", "unclear"), 1),
        (Stand::Within, _) => (tag("tag", "within"), 0),
    }
}

/// How both sides are drawn.
fn sides() -> Html {
    html!("<span class=\"key r\"></span>reference <span class=\"key c\"></span>current")
}

fn columns(comparison: &Comparison) -> Html {
    if comparison.columns.is_empty() {
        return note("No column could be tested; the reasons are below.");
    }
    let most = comparison.columns.iter().map(|column| column.psi.high).fold(0.4, f64::max);
    let row = |(at, column): (usize, &ColumnReport)| {
        let (verdict, order) = verdict(column);
        let title = format!("{} on both sides", column.column);
        let ks = column.ks.as_ref().map(|ks| ks.low);
        let missing = format!("{} → {}", percent(column.reference.missing), percent(column.current.missing));
        let kind = if column.role == "feature" { &column.kind } else { &column.role };
        let name = html!("<a href=\"#c{}\">{}</a> {}", at, column.column, sub(kind));
        vec![
            HtmlCell::left(&name).by(&column.column),
            HtmlCell::left(&verdict).by(&order),
            HtmlCell::right(&format!("{:.4}", column.psi.debiased)).by(&column.psi.debiased),
            HtmlCell::left(&chart::miniature(&column.distribution, &title)).by(&column.psi.debiased),
            HtmlCell::left(&chart::forest(&column.psi, most)).by(&column.psi.debiased),
            HtmlCell::right(&or_dash(ks, number)).by(&ks.unwrap_or(-1.0)),
            HtmlCell::right(&p_value(column.p_value)).by(&column.p_value),
            HtmlCell::right(&missing).by(&column.current.missing),
            HtmlCell::count(column.n),
        ]
    };
    let heads = [
        left("column"),
        left("verdict"),
        right("PSI"),
        left(sides()),
        left("90 % interval, tolerated"),
        right("KS"),
        right("p"),
        right("missing"),
        right("n"),
    ];
    html!(
        "<p class=\"note\">The dot is the index less what chance adds, the bar its interval, the dashed line what is tolerated; all rows "
        "share one square-root scale up to {}. p: how likely an index or a distance (KS) this large is if the true one were just tolerated.</p>{}",
        number(most),
        HtmlTable { heads: &heads, rows: comparison.columns.iter().enumerate().map(row).collect() }.draw_sortable()
    )
}

fn p_value(p: f64) -> String {
    if p < 1e-4 { "< 0.0001".to_owned() } else { format!("{p:.4}") }
}

#[expect(clippy::cast_precision_loss, reason = "counts, for sorting")]
fn float(n: u64) -> f64 {
    n as f64
}

fn problems(comparison: &Comparison) -> Html {
    let trust = (!comparison.trust.is_empty())
        .then(|| html!("<h3>Trust</h3><ul class=\"plain\">{}</ul>", items(&comparison.trust)));
    if comparison.problems.is_empty() {
        return html!(
            "<p class=\"note\">Nothing is missing, unseen, out of range or of another type more often than in the reference, beyond what is tolerated.</p>{}",
            trust
        );
    }
    let rows = comparison.problems.iter().map(|problem| {
        vec![
            HtmlCell::text(&problem.column),
            HtmlCell::left(&tag("tag warn", &problem.what.replace('_', " "))),
            HtmlCell::text(&problem.text),
            HtmlCell::right(&or_dash(problem.reference, percent)),
            HtmlCell::right(&or_dash(problem.current, percent)),
            HtmlCell::count(problem.n),
        ]
    });
    let heads = [left("column"), left("problem"), left("what was seen"), right("before"), right("now"), right("n")];
    html!("{}{}", HtmlTable { heads: &heads, rows: rows.collect() }.draw(), trust)
}

fn figures<'a>(figures: impl IntoIterator<Item = &'a Figure>) -> Html {
    let rows = figures.into_iter().map(|figure| {
        let bounds = figure.low.zip(figure.high);
        vec![
            HtmlCell::text(&figure.metric),
            HtmlCell::left(&sub(&figure.convention)),
            HtmlCell::number(figure.reference),
            HtmlCell::number(figure.value),
            HtmlCell::right(&bounds.map(|(low, high)| interval(low, high))),
            HtmlCell::count(figure.n),
        ]
    });
    let heads =
        [left("metric"), left("convention"), right("reference"), right("current"), right("certified"), right("n")];
    HtmlTable { heads: &heads, rows: rows.collect() }.draw()
}

fn quality(quality: &QualityReport) -> Html {
    let coverage = |share: Option<f64>| share.map(|share| format!(" ({} of the scored)", percent(share)));
    let evidence = quality.log10_e_miscalibrated.map(|log10_e| {
        html!(
            " Evidence that the current scores are not calibrated: e-value 10<sup>{:.1}</sup> (20 is strong, below 1 is none).",
            log10_e
        )
    });
    let has_curve = !quality.current_curve.is_empty() || !quality.reference_curve.is_empty();
    let curves = has_curve.then(|| {
        let title = html!("Reliability <span class=\"sub note\">{}, 90 % bands</span>", sides());
        card(&title, &chart::reliability(&quality.reference_curve, &quality.current_curve))
    });
    let (main, rest): (Vec<&Figure>, Vec<&Figure>) = quality.figures.iter().partition(|figure| is_main(figure));
    html!(
        "<p class=\"note\">Labelled predictions: {}{} in the reference, {}{} now.{}</p>"
        "<div class=\"grid\">{}<div class=\"span2\">{}</div></div>"
        "<details><summary><span class=\"note\">every other quality metric and convention</span></summary>"
        "<div class=\"in\">{}</div></details>{}",
        count(quality.n.0),
        coverage(quality.coverage.0),
        count(quality.n.1),
        coverage(quality.coverage.1),
        evidence,
        curves,
        figures(main),
        figures(rest),
        (!quality.classes.is_empty()).then(|| classes(&quality.classes))
    )
}

/// The classes that fell most, and behind a click all others.
fn classes(classes: &[ClassRates]) -> Html {
    let (first, rest) = classes.split_at(classes.len().min(CLASSES_FIRST));
    let more = (!rest.is_empty()).then(|| {
        html!(
            "<details><summary><span class=\"note\">{} other classes</span></summary><div class=\"in\">{}</div></details>",
            count(rest.len() as u64),
            class_table(rest)
        )
    });
    html!(
        "<p class=\"note\">By class: the share of its labels that were answered with it (recall) and of answers with it that were right (precision), with Newcombe's 90 % intervals of differences; first those that fell most. Marked is what is lower by more than chance, over all classes together.</p>{}{}",
        class_table(first),
        more
    )
}

fn class_table(classes: &[ClassRates]) -> Html {
    let row = |one: &ClassRates| {
        let mut cells = vec![HtmlCell::text(&one.class)];
        for rate in [&one.recall, &one.precision] {
            let share = |side: Option<Estimate>| or_dash(side, |side| percent(side.value));
            let mark = one.worse.contains(&rate.metric).then(|| html!(" class=\"up\""));
            let apart = rate.apart.as_ref().map(known::apart);
            cells.push(HtmlCell::right(&html!("{} → {}", share(rate.reference), share(rate.current))));
            cells.push(HtmlCell::left(&html!("<span{}>{}</span>", mark, apart)));
        }
        cells.push(HtmlCell::count(one.recall.n_reference));
        cells.push(HtmlCell::count(one.recall.n));
        cells
    };
    let heads = [
        left("class"),
        right("recall"),
        left("difference"),
        right("precision"),
        left("difference"),
        right("labels, reference"),
        right("labels"),
    ];
    HtmlTable { heads: &heads, rows: classes.iter().map(row).collect() }.draw()
}

/// Whether a figure is among those that are shown at first.
fn is_main(figure: &Figure) -> bool {
    let is_first = matches!(figure.convention.as_str(), "equal_width_10") || !figure.convention.starts_with("equal_");
    is_first && metric::find(&figure.metric).is_some_and(|metric| metric.spec().is_shown(Visibility::Figures))
}

fn answers(comparison: &Comparison) -> Html {
    let share = |side: Option<Estimate>| {
        side.map_or_else(
            || html!("–"),
            |side| {
                let bounds = format!("{} – {}", percent(side.low), percent(side.high));
                html!("{} {}", percent(side.value), sub(&bounds))
            },
        )
    };
    let rate = |rate: &Rate| {
        vec![
            HtmlCell::text(&rate.metric),
            HtmlCell::right(&share(rate.reference)),
            HtmlCell::right(&share(rate.current)),
            HtmlCell::left(&rate.apart.as_ref().map(known::apart)),
            HtmlCell::count(rate.n_reference),
            HtmlCell::count(rate.n),
        ]
    };
    let rows = comparison.answers.iter().map(rate).chain(comparison.latency.iter().map(latency)).collect();
    let heads =
        [left(""), right("reference"), right("current"), left("ratio or difference"), right("n reference"), right("n")];
    html!(
        "<p class=\"note\">Shares with Wilson's 90 % intervals, differences in percentage points with Newcombe's; latencies by nearest rank, ratios of quantiles with 90 % intervals.</p>{}",
        HtmlTable { heads: &heads, rows }.draw()
    )
}

fn latency(figure: &LatencyFigure) -> Vec<HtmlCell> {
    let ratio = figure.ratio.map(|ratio| {
        html!(
            "<span{}>×{:.2}</span> {}",
            (ratio.low > 1.1).then(|| html!(" class=\"up\"")),
            ratio.value,
            sub(&format!("{:.2} – {:.2}", ratio.low, ratio.high))
        )
    });
    let ms = |value: f64| format!("{} ms", number(value));
    vec![
        HtmlCell::text(&figure.metric),
        HtmlCell::right(&or_dash(figure.reference, ms)),
        HtmlCell::right(&or_dash(figure.current, ms)),
        HtmlCell::left(&ratio),
        HtmlCell::count(figure.n_reference),
        HtmlCell::count(figure.n),
    ]
}

fn column_over_time(column: &ColumnReport, timeline: &Timeline) -> Html {
    let start = |period: usize| timeline.start + i64::try_from(period).unwrap_or_default() * timeline.length;
    let points = column.periods.iter().map(|point| (start(point.period), point.debiased)).collect();
    let band = column.periods.iter().map(|point| (start(point.period), point.low, point.high)).collect();
    let trace = Trace { class: "l0", name: String::new(), points, band };
    let title = format!("PSI of {} in each period against the reference", column.column);
    let bounds = vec![column.psi.tolerated];
    OverTime { title: &title, traces: vec![trace], bounds, marks: Vec::new(), floor: Some(0.0) }.draw()
}

fn over_time(comparison: &Comparison, timeline: &Timeline) -> Html {
    let mut cards = Html::default();
    let series = |class, name: &str, of: fn(&crate::report::model::Period) -> Option<f64>| Trace {
        class,
        name: name.to_owned(),
        points: timeline.periods.iter().filter_map(|period| Some((period.start, of(period)?))).collect(),
        band: Vec::new(),
    };
    let mut card = |title: &str, traces: Vec<Trace>, floor: Option<f64>| {
        let drawn = OverTime { title, traces, bounds: Vec::new(), marks: Vec::new(), floor }.draw();
        if !drawn.is_empty() {
            cards.push(&self::card(title, &drawn));
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
        let title = html!("PSI of {} <span class=\"note\">against the reference</span>", column.column);
        cards.push(&self::card(&title, &column_over_time(column, timeline)));
    }
    html!(
        "<p class=\"note\">Periods of {}; the band is the 90 % interval, the dashed line what is tolerated. The columns that moved most; all others are below.</p>"
        "<div class=\"grid\">{}</div>",
        length(timeline.length),
        cards
    )
}

/// A length of time in its largest unit.
fn length(micros: i64) -> String {
    let minutes = u64::try_from(micros / 60_000_000).unwrap_or_default();
    match minutes {
        1440.. => plural(minutes / 1440, "day"),
        60.. => plural(minutes / 60, "hour"),
        _ => plural(minutes, "minute"),
    }
}

fn segments(comparison: &Comparison) -> Html {
    let rows = comparison.segments.iter().map(|segment| {
        let n_drifted = segment.drifted.len();
        let drifted = if n_drifted == 0 { "none".to_owned() } else { segment.drifted.join(", ") };
        vec![
            HtmlCell::text(&format!("{} = {}", segment.field, segment.value)),
            HtmlCell::right(&format!("{n_drifted} / {}", segment.tested)).by(&n_drifted),
            HtmlCell::text(&drifted),
            HtmlCell::text(segment.worst.as_deref().unwrap_or("–")),
            HtmlCell::number(segment.psi),
            HtmlCell::number(segment.psi_all),
            HtmlCell::count(segment.n_reference),
            HtmlCell::count(segment.n),
        ]
    });
    let heads = [
        left("segment"),
        right("drifted"),
        left("which"),
        left("moved most"),
        right("PSI there"),
        right("PSI overall"),
        right("n reference"),
        right("n"),
    ];
    html!(
        "<p class=\"note\">Each segment against the same segment of the reference; Benjamini and Hochberg's rule over all of them together. PSI less what chance adds.</p>{}",
        HtmlTable { heads: &heads, rows: rows.collect() }.draw_sortable()
    )
}

fn shape(reference: &Shape, current: &Shape) -> Html {
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
    let rows = rows.map(|(name, a, b)| vec![HtmlCell::text(name), HtmlCell::number(a), HtmlCell::number(b)]).collect();
    let sides = [("reference", reference), ("current", current)].into_iter();
    let notes =
        sides.flat_map(|(side, shape)| shape.notes.iter().map(move |note| html!("<li>{}: {}</li>", side, note)));
    let notes: Html = notes.collect();
    let heads = [left(""), right("reference"), right("current")];
    html!(
        "{}{}",
        HtmlTable { heads: &heads, rows }.draw(),
        (!notes.is_empty()).then(|| html!("<ul class=\"plain note\">{}</ul>", notes))
    )
}

fn details(comparison: &Comparison) -> Html {
    comparison.columns.iter().enumerate().map(|(at, column)| detail(comparison, at, column)).collect()
}

/// Everything about one column, folded up.
fn detail(comparison: &Comparison, at: usize, column: &ColumnReport) -> Html {
    let beyond = column.distribution.beyond;
    let beyond = (beyond.0.max(beyond.1) >= 0.0005).then(|| {
        note(&format!("Beyond the drawing: {} of the reference, {} now.", percent(beyond.0), percent(beyond.1)))
    });
    let title = format!("Distribution of {} on both sides", column.column);
    let drawing = html!("{}{}", chart::overlay(&column.distribution, &title), beyond);
    let timeline = comparison.timeline.as_ref().filter(|_| !column.periods.is_empty());
    let ks = column.ks.as_ref().map(|ks| {
        format!(
            " · KS {} (tolerated {}, p {:.3})",
            interval(ks.low, ks.high),
            comparison.method.ks_tolerated,
            ks.p_value
        )
    });
    html!(
        "<details id=\"c{}\"><summary><b>{}</b> {} <span class=\"note\">PSI {} ({}){}</span></summary>"
        "<div class=\"in\"><div class=\"grid\">{}{}<div class=\"card\">{}{}</div></div>"
        "<details><summary><span class=\"note\">every metric of {}</span></summary><div class=\"in\">{}</div></details>"
        "</div></details>",
        at,
        column.column,
        verdict(column).0,
        number(column.psi.debiased),
        interval(column.psi.low, column.psi.high),
        ks,
        card(&sides(), &drawing),
        timeline.map(|timeline| card("PSI over time", &column_over_time(column, timeline))),
        shape(&column.reference, &column.current),
        known::tests(column),
        column.column,
        figures(&column.figures),
    )
}

fn untested(comparison: &Comparison) -> Html {
    if comparison.untested.is_empty() {
        return note("Every column was tested.");
    }
    let rows = comparison
        .untested
        .iter()
        .map(|column| vec![HtmlCell::text(&column.column), HtmlCell::text(&column.why)])
        .collect();
    HtmlTable { heads: &[left("column"), left("why not")], rows }.draw()
}

fn how(comparison: &Comparison) -> Html {
    let roles = (!comparison.roles.is_empty()).then(|| {
        let cells =
            |[column, role, why]: [&str; 3]| vec![HtmlCell::text(column), HtmlCell::text(role), HtmlCell::text(why)];
        let rows = comparison.roles.iter().map(|role| cells([&role.column, &role.role, &role.why])).collect();
        let heads = [left("column"), left("taken for"), left("because")];
        html!("<h3>What columns were taken for</h3>{}", HtmlTable { heads: &heads, rows }.draw())
    });
    html!("<ul class=\"plain note\">{}</ul>{}", items(&comparison.method.notes), roles)
}
