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

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of a family's labels, and a value.
    type Series<'a> = (&'a [&'a str], f64);

    fn samples(all: &[(&Family, &[Series<'_>])]) -> Samples {
        let sample = |(labels, value): &Series<'_>| Sample {
            labels: labels.iter().map(|label| (*label).to_owned()).collect(),
            value: *value,
        };
        all.iter().map(|(family, series)| (family.name.to_owned(), series.iter().map(sample).collect())).collect()
    }

    /// The cells of a table's rows, as text.
    fn rows(table: Html) -> Vec<Vec<String>> {
        let text = table.into_string();
        let body =
            text.split_once("<tbody>").and_then(|(_, rest)| rest.split_once("</tbody>")).map_or("", |(body, _)| body);
        let plain = |cell: &str| {
            let words = cell.split('<').map(|part| part.split_once('>').map_or(part, |(_, text)| text));
            words.collect::<String>().trim().to_owned()
        };
        let cells = |row: &str| row.replace("</th>", "</td>").split("</td>").map(plain).collect::<Vec<_>>();
        let row = |row: &str| cells(row).into_iter().filter(|cell| !cell.is_empty()).collect();
        body.split("<tr>").skip(1).map(row).collect()
    }

    #[test]
    fn events_are_shares_of_all_that_were_taken_or_refused() {
        let counted = samples(&[
            (&family::INGESTED, &[(&["prediction"], 900.0), (&["outcome"], 0.0)]),
            (&family::REJECTED, &[(&["malformed"], 100.0)]),
            (&family::LATE, &[(&[], 50.0)]),
        ]);
        let told = rows(events(&counted));
        assert_eq!(told[0], ["taken: prediction", "900", "90 %"]);
        assert_eq!(told[1], ["late for their window, dropped", "50", "5 %"]);
        assert_eq!(told[2], ["seen before, dropped", "0", "0 %"]);
        assert_eq!(told[3], ["refused: malformed", "100", "10 %"]);
        assert_eq!(told.len(), 4, "what has not happened is left out");
        let none = rows(events(&Samples::new()));
        assert_eq!(none[0], ["late for their window, dropped", "0", "–"]);
    }

    #[test]
    fn a_stream_has_its_numbers_by_its_labels() {
        let two = |value: f64| -> [Series<'static>; 2] { [(&["0", "p"], value), (&["1", "p"], 7.0)] };
        let (records, lag, debt) = (two(1_234.0), two(61.0), two(5.0));
        let told = rows(streams(&samples(&[
            (&family::LAG_RECORDS, &records),
            (&family::LAG, &lag),
            (&family::REPLAY_DEBT, &debt),
        ])));
        assert_eq!(told[0], ["p 0", "1,234", "1 min 1 s", "–", "5"]);
        assert_eq!(told[1], ["p 1", "7", "7 s", "–", "7"]);
        assert_eq!(
            rows(streams(&samples(&[(&family::LAG_RECORDS, &[(&["0"], 1.0)])]))).len(),
            0,
            "labels of another kind"
        );
    }

    #[test]
    fn memory_is_told_in_megabytes_with_what_was_left_out() {
        let taken = samples(&[
            (&family::MEMORY, &[(&["open_panes"], 2_500_000.0), (&["ids"], 0.0)]),
            (&family::RESIDENT, &[(&[], 150_000_000.0)]),
            (&family::EARLY_SKIPPED, &[(&[], 3.0)]),
        ]);
        let html = memory(&taken);
        assert!(html.clone().into_string().contains("<p>3 results of open windows were left out"));
        assert_eq!(rows(html), [["open panes", "2.5 MB"], ["ids", "0 MB"], ["the whole process", "150 MB"]]);
        assert!(!memory(&Samples::new()).into_string().contains("left out"));
    }

    #[test]
    fn rollouts_that_are_over_say_nothing_of_their_data() {
        let blind = |windows: u64| {
            let mut state = RolloutState::new("r", "m<b>", "v2", "v1");
            (state.validity, state.counts.blind) = (Validity::Blind, windows.try_into().expect("few"));
            state
        };
        let ended = RolloutState { state: crate::verdict::State::Retired, ..blind(9) };
        let told = trust(&[blind(3), ended.clone()]).into_string();
        assert_eq!(told.matches("<li>").count(), 1);
        assert!(told.contains("for 3 windows") && told.contains("m&lt;b&gt;"), "{told}");
        assert_eq!(trust(&[ended]).into_string(), "<p>Nothing yet.</p>");
        assert!(!trust(&[blind(0)]).into_string().contains("for 0 windows"));
    }

    #[test]
    fn workers_that_are_silent_are_told_apart() {
        let worker = |name: &str, silent_ms| WorkerSilence { worker: name.to_owned(), silent_ms };
        let told = rows(workers(&[worker("engine", 2_000), worker("reader-0", 3_600_000)], Duration::from_secs(90)));
        assert_eq!(told, [["engine", "✓ alive", "2 s"], ["reader-0", "✕ silent", "1 h"]]);
    }

    #[test]
    fn counts_are_whole_and_never_below_nothing() {
        assert_eq!([whole(-1.0), whole(0.0), whole(1_999.9), whole(f64::NAN)], ["0", "0", "1,999", "0"]);
        assert_eq!(
            [seconds(None), seconds(Some(-1.0)), seconds(Some(125.0)), seconds(Some(f64::MAX))],
            ["–", "0 ms", "2 min 5 s", "0 ms"]
        );
    }

    #[test]
    fn windows_that_found_no_room_are_counted() {
        let told = |dropped| kept(JudgedUpto { windows: 1_200, upto: 0 }, dropped).into_string();
        assert!(told(0).starts_with("<p>1,200 windows judged, the last one up to <time"), "{}", told(0));
        assert!(!told(0).contains("no room") && told(7).contains(" 7 rows of windows found no room"));
    }
}
