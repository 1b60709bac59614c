//! Labels that come later for one class than for the other: files in, decisions out.

use haldane::judge::Effects;
use haldane::verdict::Validity;

use crate::columns::replayed;
use crate::world::Rng;

/// Requests of a window of ten minutes, every other one the candidate's.
const WINDOW: u32 = 1_000;
const WINDOWS: u32 = 12;
/// Windows in which the baseline version is alone.
const ALONE: u32 = 2;

const PIPELINE: &str = "pipeline: loans\ntask: binary\nsources:\n  predictions:\n    topic: answers\n    event_time: time\n    \
     id: id\n    version: version\n    score: score\n  outcomes:\n    topic: truths\n    event_time: time\n    id: id\n    \
     label: label\nrollout: { baseline: v1 }\nwindows: { size: 10m, lateness: 1m }\n\
     labels: { wait: 15m, horizon: 2h }\nmetrics: { names: [brier] }\nguards: { design_effect: 1 }\n";

/// A log in which so many of a hundred negative and positive labels come at once and the others after an hour, and the
/// candidate's scores are higher than the chances that the baseline version's are.
fn log(at_once: [u64; 2]) -> String {
    let mut rng = Rng::new(11);
    let mut lines: Vec<(u32, String)> = Vec::new();
    for n in 0..WINDOWS * WINDOW {
        let (window, second) = (n / WINDOW, n * 600 / WINDOW);
        let is_candidate = window >= ALONE && n % 2 == 0;
        let chance = rng.below(1_000) as f64 / 1_000.0;
        let truth = (rng.below(1_000) as f64) < 1_000.0 * chance;
        let (version, score) = if is_candidate { ("v2", chance.powf(0.6)) } else { ("v1", chance) };
        let came = second + if rng.below(100) < at_once[usize::from(truth)] { 5 } else { 3_600 };
        let prediction = format!(
            r#"{{"id":"r{n}","time":"{}","version":"{version}","score":{score:.4},"answer":{}}}"#,
            time(second),
            u8::from(score >= 0.5)
        );
        let label = format!(r#"{{"id":"r{n}","time":"{}","label":{}}}"#, time(came), u8::from(truth));
        lines.extend([(second, prediction), (came, label)]);
    }
    lines.sort_by_key(|(at, _)| *at);
    lines.into_iter().map(|(_, line)| line + "\n").collect()
}

fn time(second: u32) -> String {
    format!("2026-03-02T{:02}:{:02}:{:02}Z", second / 3_600, second / 60 % 60, second % 60)
}

fn judged(pipeline: &str, at_once: [u64; 2]) -> Effects {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("log.jsonl");
    std::fs::write(&file, log(at_once)).unwrap();
    replayed(pipeline, &file)
}

/// What decisions rest on.
fn named(effects: &Effects) -> Vec<&str> {
    effects.decisions.iter().flat_map(|decision| &decision.evidence).map(|evidence| evidence.metric.as_str()).collect()
}

fn is_biased(effects: &Effects) -> bool {
    let mut texts = effects.states.iter().flat_map(|state| &state.waits_for);
    texts.any(|text| text.contains("LABEL_BIASED"))
}

/// Least and most coverage of first results and of revisions.
fn coverages(effects: &Effects) -> [(f64, f64); 2] {
    let of = |is_first: bool| {
        let rows = effects.windows.iter().filter(|row| (row.revision == 0) == is_first);
        let all: Vec<f64> = rows.filter_map(|row| row.coverage).collect();
        let (least, most) = (all.iter().copied().fold(1.0, f64::min), all.iter().copied().fold(0.0, f64::max));
        assert!(!all.is_empty());
        (least, most)
    };
    [of(true), of(false)]
}

#[test]
fn labels_that_come_later_for_one_class_judge_nobody_and_scores_still_do() {
    let effects = judged(PIPELINE, [90, 42]);
    let metrics = named(&effects);
    assert!(metrics.contains(&"psi") || metrics.contains(&"mean_shift"), "scores have moved: {metrics:?}");
    assert!(!metrics.iter().any(|metric| metric.contains("brier") || metric.contains("calibration")), "{metrics:?}");
    let mut states = effects.states.iter().filter(|state| state.candidate == "v2" && state.judged_upto.1 == 1);
    let last = states.next_back().expect("a state of the candidate");
    assert_eq!(last.validity, Validity::Degraded);
    let said = last.waits_for.iter().find(|text| text.starts_with("labels: LABEL_BIASED, ")).expect("it is said");
    assert!(said.contains(" third with the lowest scores arrived and "), "{said}");
    let world = effects.states.iter().find(|state| !state.waits_for.is_empty()).expect("a state that waits");
    assert_eq!(world.candidate, "v1", "it is known before the candidate comes: {:?}", world.waits_for);
    let [in_time, revised] = coverages(&effects);
    assert!(in_time.0 > 0.55 && in_time.1 < 0.75 && revised.0 > 0.99, "{in_time:?} {revised:?}");
}

#[test]
fn labels_of_which_as_many_are_missing_by_chance_judge() {
    let effects = judged(PIPELINE, [66, 66]);
    let metrics = named(&effects);
    assert!(metrics.iter().any(|metric| metric.contains("brier") || metric.contains("calibration")), "{metrics:?}");
    assert!(!is_biased(&effects));
}

#[test]
fn answers_without_scores_tell_it_too() {
    let pipeline = PIPELINE.replace("    score: score\n", "    predicted_label: answer\n").replace("brier", "accuracy");
    assert!(is_biased(&judged(&pipeline, [90, 42])));
    assert!(!is_biased(&judged(&pipeline, [66, 66])));
}
