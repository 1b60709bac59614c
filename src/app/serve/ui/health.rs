//! `/ui/health`: whether what the other pages show can be trusted: workers, lag, and what was refused, late or lost.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::Response;

use super::card;
use super::page::{Page, PageSection, live};
use super::words::{count, number, or_dash, span, time, validity_sign};
use crate::markup::{Html, html};
use crate::serve::entrance::Caller;
use crate::serve::health::{Phase, WorkerSilence};
use crate::serve::view::JudgedUpto;
use crate::serve::{Shared, View};
use crate::telemetry::{Family, Sample, family};
use crate::verdict::{RolloutState, Validity};

/// Every counter and gauge, by family.
type Samples = BTreeMap<String, Vec<Sample>>;

pub(super) async fn health(State(shared): State<Arc<Shared>>, caller: Caller) -> Response {
    let samples = shared.telemetry().samples();
    let pulses = shared.health().pulses();
    let (states, judged, dropped) = {
        let view: &View = &shared.read();
        (view.states().cloned().collect::<Vec<_>>(), view.progress(), view.rows_dropped())
    };
    let content = html!(
        "<h1>{}</h1><h2>Data of rollouts</h2>{}<h2>Streams</h2>{}<h2>Events</h2>{}<h2>Memory</h2>{}<h2>Workers</h2>{}{}",
        headline(&shared, &pulses, &states),
        trust(&states),
        streams(&samples),
        events(&samples),
        memory(&samples),
        workers(&pulses, shared.health().age()),
        kept(judged, dropped),
    );
    Page::new(PageSection::Health, "Health", live("health", "Health", &content)).answer(&shared, &caller)
}

fn headline(shared: &Shared, pulses: &[WorkerSilence], states: &[RolloutState]) -> String {
    let dead: Vec<_> = pulses.iter().filter(|pulse| !pulse.alive()).map(|pulse| pulse.worker.as_str()).collect();
    let blind = states.iter().filter(|state| state.state.is_live() && state.validity == Validity::Blind).count();
    match shared.health().phase() {
        Phase::Starting => "Starting: joining, restoring or catching up".to_owned(),
        Phase::Standby => "Standing by: another process of the group does the work".to_owned(),
        Phase::Stopping => "Stopping".to_owned(),
        Phase::Ready if !dead.is_empty() => format!("Not well: {} is silent; restart the process", dead.join(", ")),
        Phase::Ready if blind > 0 => {
            format!("Well, but {} lacks data", if blind == 1 { "a rollout" } else { "rollouts" })
        }
        Phase::Ready => "Well".to_owned(),
    }
}

/// A table that may be wider than a phone.
fn table(label: &str, heads: &[&str], rows: &Html) -> Html {
    if rows.is_empty() {
        return html!("<p>Nothing yet.</p>");
    }
    let head = |(index, name): (usize, &&str)| {
        if index == 0 { html!("<th>{}</th>", name) } else { html!("<th class=\"n\">{}</th>", name) }
    };
    html!(
        "<div class=\"wide\" role=\"region\" aria-label=\"{}\" tabindex=\"0\"><table><thead><tr>{}</tr></thead>"
        "<tbody>{}</tbody></table></div>",
        label,
        heads.iter().enumerate().map(head).collect::<Html>(),
        rows
    )
}

fn row(name: &Html, cells: &[String]) -> Html {
    let cell = |cell: &String| html!("<td class=\"n\">{}</td>", cell);
    html!("<tr><th scope=\"row\">{}</th>{}</tr>", name, cells.iter().map(cell).collect::<Html>())
}

fn trust(states: &[RolloutState]) -> Html {
    let line = |state: &RolloutState| {
        let blind = if state.counts.blind > 0 { format!("for {} windows", state.counts.blind) } else { String::new() };
        html!(
            "<li>{} of {}: {} {} <small>judged up to {}</small></li>",
            card::name(state),
            state.model,
            validity_sign(state.validity).html(),
            blind,
            time(state.judged_upto.0)
        )
    };
    let lines: Html = states.iter().filter(|state| state.state.is_live()).map(line).collect();
    if lines.is_empty() { html!("<p>Nothing yet.</p>") } else { html!("<ul class=\"plain-list\">{}</ul>", lines) }
}

fn of<'a>(samples: &'a Samples, family: &Family) -> &'a [Sample] {
    samples.get(family.name).map_or(&[], Vec::as_slice)
}

fn sum(samples: &Samples, family: &Family) -> f64 {
    of(samples, family).iter().map(|sample| sample.value).sum()
}

/// The value of the series with these labels.
fn at(samples: &Samples, family: &Family, labels: &[String]) -> Option<f64> {
    of(samples, family).iter().find(|sample| sample.labels == labels).map(|sample| sample.value)
}

fn seconds(value: Option<f64>) -> String {
    or_dash(value, |seconds| span(Duration::try_from_secs_f64(seconds).unwrap_or_default()))
}

fn whole(value: f64) -> String {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count, shown to people")]
    let value = value.max(0.0) as u64;
    count(value)
}

fn streams(samples: &Samples) -> Html {
    let line = |sample: &Sample| {
        // Labels come in the order of their names: partition, topic.
        let [partition, topic] = sample.labels.as_slice() else { return Html::default() };
        let look = |family| at(samples, family, &sample.labels);
        row(
            &html!("<code>{}</code> {}", topic, partition),
            &[
                whole(sample.value),
                seconds(look(&family::LAG)),
                seconds(look(&family::WATERMARK_DELAY)),
                or_dash(look(&family::REPLAY_DEBT), whole),
            ],
        )
    };
    let rows = of(samples, &family::LAG_RECORDS).iter().map(line).collect();
    let heads = ["Topic and partition", "Lag, records", "Lag", "Event time behind", "Read again at a restart"];
    table("Streams", &heads, &rows)
}

fn events(samples: &Samples) -> Html {
    let taken = sum(samples, &family::INGESTED);
    let share = |n: f64| {
        let all = taken + sum(samples, &family::REJECTED);
        if all > 0.0 { format!("{} %", number(n / all * 100.0)) } else { "–".to_owned() }
    };
    let line = |name: Html, n: f64| row(&name, &[whole(n), share(n)]);
    let each = |family: &Family, what: &str| -> Html {
        let some = of(samples, family).iter().filter(|sample| sample.value > 0.0);
        some.map(|sample| line(html!("{}: {}", what, sample.labels.join(" ")), sample.value)).collect()
    };
    let rows = html!(
        "{}{}{}{}{}{}",
        each(&family::INGESTED, "taken"),
        line(html!("late for their window, dropped"), sum(samples, &family::LATE)),
        line(html!("seen before, dropped"), sum(samples, &family::DUPLICATE)),
        each(&family::REJECTED, "refused"),
        each(&family::PASSED_OVER, "passed over"),
        each(&family::LABELS, "labels"),
    );
    table("Events", &["Events", "Since the start", "Of all"], &rows)
}

fn memory(samples: &Samples) -> Html {
    let megabytes = |bytes: f64| format!("{} MB", number(bytes / 1e6));
    let parts = of(samples, &family::MEMORY).iter();
    let lines =
        parts.map(|sample| row(&html!("{}", sample.labels.join(" ").replace('_', " ")), &[megabytes(sample.value)]));
    let all = row(&html!("the whole process"), &[megabytes(sum(samples, &family::RESIDENT))]);
    let skipped = match sum(samples, &family::EARLY_SKIPPED) {
        none if none <= 0.0 => Html::default(),
        looks => html!("<p>{} results of open windows were left out so that reading is not held up.</p>", whole(looks)),
    };
    html!("{}{}", table("Memory", &["Taken by", "About"], &lines.chain([all]).collect()), skipped)
}

fn workers(pulses: &[WorkerSilence], age: Duration) -> Html {
    let line = |pulse: &WorkerSilence| {
        let state = if pulse.alive() { "✓ alive" } else { "✕ silent" };
        row(&html!("{}", pulse.worker), &[state.to_owned(), span(Duration::from_millis(pulse.silent_ms))])
    };
    let rows = pulses.iter().map(line).collect();
    html!(
        "{}<p>This process is {} old.</p>",
        table("Workers", &["Worker", "State", "Last heard of before"], &rows),
        span(age)
    )
}

fn kept(judged: JudgedUpto, dropped: u64) -> Html {
    let dropped = match dropped {
        0 => String::new(),
        rows => format!(" {} rows of windows found no room and are not shown.", count(rows)),
    };
    html!("<p>{} windows judged, the last one up to {}.{}</p>", count(judged.windows), time(judged.upto), dropped)
}
