//! Analyses as their ids hold them, and what requests of both kinds say.

use proptest::prelude::*;

use super::*;
use crate::serve::verdict::RowCounts;
use crate::verdict::State;

const START: Micros = 1_796_000_000_000_000;

fn thresholds(pass: f64, marginal: f64) -> Thresholds {
    Thresholds { pass, marginal }
}

fn analysis(candidate: &str) -> Analysis {
    Analysis {
        rollout: "r".to_owned(),
        application: "app".to_owned(),
        candidate: candidate.to_owned(),
        model: String::new(),
        step: String::new(),
        thresholds: thresholds(95.0, 75.0),
        begun: START,
        until: START + 10 * MINUTE,
    }
}

fn good<T>(result: Result<T, ErrorResponse>) -> T {
    result.unwrap_or_else(|problem| panic!("{}", problem.error))
}

fn problem<T>(result: Result<T, ErrorResponse>) -> (u16, String) {
    result.map_or_else(|problem| (problem.status.as_u16(), problem.error), |_| (200, String::new()))
}

proptest! {
    #[test]
    fn an_id_holds_all_that_an_analysis_is(
        names in proptest::collection::vec(".{0,12}", 5),
        (begun, until) in (0..=TIME_MAX, 0..=TIME_MAX),
        pass in 0.0..100.0_f64,
    ) {
        let [rollout, application, candidate, model, step] = <[String; 5]>::try_from(names).expect("five");
        let thresholds = thresholds(pass, pass / 2.0);
        let asked = Analysis { rollout, application, candidate, model, step, thresholds, begun, until };
        let id = good(asked.id());
        prop_assert!(id.bytes().all(|digit| digit.is_ascii_hexdigit()));
        prop_assert_eq!(Analysis::of(&id), Some(asked));
    }

    #[test]
    fn no_text_that_is_no_id_does_harm(text in ".{0,40}", at in 0..400_usize, digit in "[0-9a-g]") {
        prop_assert_eq!(Analysis::of(&text), None);
        let mut id = good(analysis("v2").id());
        let at = at % id.len();
        id.replace_range(at..=at, &digit);
        if let Some(other) = Analysis::of(&id) {
            prop_assert_eq!(Analysis::of(&good(other.id())), Some(other));
        }
    }
}

#[test]
fn what_an_id_cannot_hold_is_refused_when_it_is_asked_for() {
    let long = analysis(&"v".repeat(ID_BYTES_MAX / 2));
    assert_eq!(problem(long.id()), (400, "the names are too long".to_owned()));
    for (until, fits) in [(0, true), (TIME_MAX, true), (-1, false), (TIME_MAX + 1, false)] {
        let asked = Analysis { until, ..analysis("v2") };
        let (status, error) = if fits { (200, "") } else { (400, "it would end before 1970 or after 9999") };
        assert_eq!(problem(asked.id()), (status, error.to_owned()), "{until}");
    }
}

#[test]
fn between_thresholds_lies_a_whole_number_that_says_neither() {
    for (pass, marginal, undecided) in [(95.0, 75.0, 85.0), (100.0, 98.0, 99.0), (3.0, 0.5, 1.0), (90.0, 75.0, 82.0)] {
        let both = good(thresholds(pass, marginal).check());
        assert_eq!(both.undecided().to_bits(), f64::to_bits(undecided), "{pass} and {marginal}");
        assert!(undecided > marginal && undecided < pass, "{pass} and {marginal}");
        let classes = [pass, undecided, marginal, 0.0].map(|score| both.class(score));
        assert_eq!(classes, ["Pass", "Marginal", "Marginal", "Fail"]);
    }
    for (pass, marginal) in [(95.0, 0.0), (95.0, -1.0), (76.9, 75.0), (100.5, 75.0), (50.0, 75.0), (f64::NAN, 1.0)] {
        let said = format!("no score between marginal {marginal} and pass {pass} could say that nothing is known");
        assert_eq!(problem(thresholds(pass, marginal).check()), (400, said));
    }
}

#[test]
fn a_standalone_analysis_lasts_from_when_it_begins() {
    let end = |lasts: &str| {
        let text = format!(r#"{{"scopes": [], "thresholds": {{"pass": 95, "marginal": 75}}{lasts}}}"#);
        good(read::<StandaloneRequest>(text.as_bytes())).end(START).map(|end| (end - START) / MINUTE)
    };
    assert_eq!(end(""), None);
    assert_eq!(end(r#", "beginAfterMins": 5"#), None, "when it begins does not say when it ends");
    assert_eq!(end(r#", "lifetimeDurationMins": 30"#), Some(30));
    assert_eq!(end(r#", "lifetimeDurationMins": 30, "beginAfterMins": 5"#), Some(35));
    assert_eq!(end(r#", "lifetimeDurationMins": 4294967295, "beginAfterMins": 4294967295"#), Some(8_589_934_590));
}

#[test]
fn scopes_of_both_kinds_say_the_same() {
    let canary = r#"{"thresholds": {"pass": 95, "marginal": 75}, "scopes": {"default": {
        "controlScope": {"scope": "v1"},
        "experimentScope": {"scope": "v2", "end": "2026-12-01T00:00:00Z", "extendedScopeParams": {"step": "25"}}}}}"#;
    let standalone = r#"{"thresholds": {"pass": 95, "marginal": 75}, "scopes": [{
        "controlScope": "v1", "experimentScope": "v2", "endTimeIso": "2026-12-01T00:00:00Z",
        "extendedScopeParams": {"step": "25"}}]}"#;
    let of_canary = good(read::<CanaryRequest>(canary.as_bytes())).scopes();
    let of_standalone = good(read::<StandaloneRequest>(standalone.as_bytes())).scopes();
    for scopes in [of_canary, of_standalone] {
        let [one] = scopes.as_slice() else { panic!("one pair of scopes, not {}", scopes.len()) };
        assert_eq!((one.control.as_str(), one.candidate.as_str()), ("v1", "v2"));
        assert_eq!((one.end.as_deref(), one.more["step"].as_str()), (Some("2026-12-01T00:00:00Z"), "25"));
    }
    let (status, error) = problem(read::<CanaryRequest>(b"{}"));
    assert_eq!(status, 400);
    assert!(error.starts_with("it is no request of Kayenta: missing field"), "{error}");
}

#[test]
fn an_analysis_says_when_it_began_and_only_once_it_has_ended_when_that_was() {
    let asked = analysis("v2");
    let running = asked.about("x", None);
    assert_eq!((&running["complete"], &running["status"]), (&json!(false), &json!("running")));
    assert_eq!(running["startTimeMillis"], json!(START / 1_000));
    assert!(running.get("endTimeMillis").is_none() && running.get("endTimeIso").is_none());
    let ended = asked.about("x", Some(START + MINUTE));
    assert_eq!((&ended["complete"], &ended["status"]), (&json!(true), &json!("succeeded")));
    assert_eq!(ended["endTimeMillis"], json!((START + MINUTE) / 1_000));
    assert_eq!(
        (&ended["startTimeIso"], &ended["endTimeIso"]),
        (&json!(rfc3339(START)), &json!(rfc3339(START + MINUTE)))
    );
    for (after, lasted) in [(0, "PT0S"), (MINUTE, "PT60S"), (-2_000_000, "PT0S"), (1_999_999, "PT1S")] {
        assert_eq!(asked.lasted(START + after), lasted);
    }
}

#[test]
fn a_result_says_in_kayentas_words_what_the_word_is_and_on_how_much() {
    let asked = analysis("v2");
    let answer = |verdict| VerdictResponse {
        verdict,
        state: Some(State::Held),
        sequence: 7,
        n: RowCounts { candidate: 30, baseline: 60 },
        ..VerdictResponse::wait("why")
    };
    let cases = [
        (Word::Pass, 100.0, "Pass", "Pass"),
        (Word::Fail, 0.0, "High", "Fail"),
        (Word::Wait, 85.9, "Nodata", "Marginal"),
        (Word::Blind, 85.0, "Nodata", "Marginal"),
    ];
    for (word, score, of_metric, of_all) in cases {
        let result = asked.judge_result(score, &answer(word));
        let one = &result["results"][0];
        assert_eq!(
            (&one["classification"], &one["classificationReason"]),
            (&json!(of_metric), &json!("why")),
            "{word:?}"
        );
        assert_eq!(one["controlMetadata"]["stats"]["count"], json!(60), "the control is the baseline");
        assert_eq!(one["experimentMetadata"]["stats"]["count"], json!(30));
        assert_eq!(one["resultMetadata"]["sequence"], json!(7));
        assert_eq!(result["score"]["classification"], json!(of_all), "{word:?}");
        assert_eq!(result["groupScores"][0]["classification"], json!(of_all));
        assert_eq!(result["score"]["score"], json!(whole(score)), "clients read whole numbers");
    }
}
