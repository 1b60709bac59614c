//! Where decisions are carried out, as the `act` section says.

use super::*;
use crate::event::{EventKind, SECOND};
use crate::targets::{ActConfig, TargetKind};

fn text(keys: &str) -> String {
    with(&format!("act: [{{ name: t, {keys} }}]\n"))
}

fn act(keys: &str) -> ActConfig {
    load(&text(keys)).act.remove(0)
}

/// The first problem with these keys, and what is said to do.
fn wrong(keys: &str) -> String {
    parse(&text(keys), "p.yaml", Path::new("")).map(|_| ()).expect_err("the file is wrong").to_string()
}

const FILE: &str = "file: { path: f.json, share: { weight: '/{candidate}' } }";

#[test]
fn everything_but_the_target_has_a_default_and_shares_are_lowered_only() {
    let said = act(FILE);
    assert!(!said.terms.raise && said.terms.model.is_none() && said.terms.candidate.is_none());
    assert_eq!((said.terms.every, said.timeout), (60_000_000, std::time::Duration::from_secs(10)));
    let TargetKind::File(file) = said.kind else { panic!("a file") };
    assert_eq!((file.path.as_path(), file.share.scale, file.share.is_keyed), (Path::new("f.json"), 100, true));
    assert!(load(SMALL).act.is_empty());
}

#[test]
fn keys_beside_a_preset_take_its_place() {
    let preset = "preset: kserve, with: { namespace: ml, name: f }";
    let said = act(&format!("http: {{ {preset}, server: 'https://k8s', share: {{ weight: /w, version: /v }} }}"));
    let TargetKind::Http(http) = said.kind else { panic!("an API") };
    assert_eq!(http.share.weight.to_string(), "/w");
    assert!(http.look.path.contains("inferenceservices") && http.conflicts == [409, 412]);
}

#[test]
fn a_preset_with_a_word_for_the_candidate_needs_nothing_else_that_names_it() {
    let with = "namespace: ml, name: f, predictor: '{candidate}'";
    assert!(matches!(
        act(&format!("http: {{ preset: kserve-standard, with: {{ {with} }} }}")).kind,
        TargetKind::Http(_)
    ));
    let fixed = "namespace: ml, name: f, predictor: canary";
    let said = wrong(&format!("http: {{ preset: kserve-standard, with: {{ {fixed} }} }}"));
    assert!(said.contains("nothing says whose share this is"), "{said}");
    act(&format!("candidate: v2, http: {{ preset: kserve-standard, with: {{ {fixed} }} }}"));
}

#[test]
fn what_cannot_be_carried_out_is_told_with_what_to_do() {
    for (keys, problem) in [
        ("raise: true", "`t` is 0 kinds of targets"),
        ("file: { path: f, share: { weight: /w } }", "nothing says whose share this is"),
        ("file: { path: f, share: { weight: w } }", "`w` is no place"),
        ("candidate: v2, file: { path: f, share: { weight: /w, scale: 0 } }", "a scale is one at least"),
        ("candidate: v2, file: { path: f, share: { weight: /w, absent_pct: 101 } }", "a share is 100 % at most"),
        ("http: { preset: kserv, with: {} }", "there is no preset `kserv`"),
        ("http: { preset: kserve, with: { name: f } }", "`kserve` needs namespace"),
        ("http: { server: 'https://h' }", "it does not say how to look"),
        ("exec: { look: [], set: [x] }", "a program is missing"),
        ("notify: { url: 'https://h' }", "the secret has no place"),
        ("notify: { url: h, secret_env: S }", "it is no URL"),
        ("notify: { at: error }", "it is not said who is told, or more than one is"),
        (
            "notify: { alertmanager: 'http://a', slack: { url_env: U } }",
            "it is not said who is told, or more than one is",
        ),
        ("notify: { slack: {} }", "the url has no place"),
        ("notify: { pagerduty: { routing_key_env: K, routing_key_file: k } }", "the routing key has two places"),
        ("notify: { alertmanager: 'http://a', per_hour: 0 }", "`per_hour` is zero"),
        ("notify: { alertmanager: 'http://a', hours: { from: '8', to: '18:00' } }", "`8` is no time of day"),
        ("notify: { mail: { server: 'm:x', from: a@b, to: [c@d] } }", "it is no host and port"),
        ("notify: { mail: { server: m, from: a@b, to: [] } }", "`to` is empty"),
        ("notify: { mail: { server: m, from: a@b, to: [c@d], username: u } }", "the password has no place"),
        ("every: 10ms, exec: { look: [a], set: [b] }", "`every` is one second at least"),
    ] {
        let said = wrong(keys);
        assert!(said.contains(problem), "{keys}: {said}");
    }
    let both = wrong(&format!("{FILE}, exec: {{ look: [a], set: [b] }}"));
    assert!(both.contains("`t` is 2 kinds of targets"), "{both}");
}

#[test]
fn a_token_never_goes_over_the_network_in_the_clear() {
    let http = |server: &str| {
        format!(
            "candidate: v2, http: {{ server: '{server}', token_env: T, look: {{ path: / }}, set: {{ path: / }}, share: {{ weight: \
             /w }} }}"
        )
    };
    for elsewhere in ["http://flags.example", "http://localhost.example"] {
        assert!(wrong(&http(elsewhere)).contains("a token would go over the network in the clear"));
    }
    let notify = |keys: &str| wrong(&format!("notify: {{ {keys} }}"));
    let pagerduty = notify("pagerduty: { routing_key_env: K, url: 'http://pages.example' }");
    assert!(pagerduty.contains("the routing key would go over the network in the clear"), "{pagerduty}");
    let mail = notify("mail: { server: m, encryption: none, username: u, password_env: P, from: a@b, to: [c@d] }");
    assert!(mail.contains("a password would go over the network in the clear"), "{mail}");
    act(&http("http://127.0.0.1:8080"));
    act(&http("https://flags.example"));
}

#[test]
fn names_are_plain_and_stand_once() {
    let twice = with(&format!("act: [{{ name: t, {FILE} }}, {{ name: t, {FILE} }}, {{ name: 'a b', {FILE} }}]\n"));
    let said = parse(&twice, "p.yaml", Path::new("")).expect_err("the file is wrong").to_string();
    assert!(said.contains("the name `t` stands here twice") && said.contains("`a b` cannot be a name here"), "{said}");
}

#[test]
fn the_share_that_a_target_shows_is_declared_where_that_is_asked_for() {
    let target = |name: &str| format!("{{ name: {name}, every: 30s, exposure: true, {FILE} }}");
    let one = with(&format!("pipeline: fraud\nact: [{}, {{ name: u, {FILE} }}]\n", target("t")));
    let pipeline = parse(&one, "p.yaml", Path::new("")).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(pipeline.act.iter().map(|one| one.exposure).collect::<Vec<_>>(), [true, false]);
    let source = pipeline.plan.sources.last().expect("a source");
    let taken = &source.mapping.selection.conditions;
    assert_eq!((source.kind, source.topic.as_str()), (EventKind::Exposure, "haldane.exposures.v1"));
    assert_eq!(source.mapping.looked_every, Some(30 * SECOND));
    assert_eq!(
        (taken.len(), taken[0].path.to_string(), &taken[0].allowed),
        (1, "pipeline".into(), &vec!["fraud".into()])
    );
    assert!(pipeline.plan.share_holds().is_some_and(|holds| holds >= 60 * SECOND));

    let wrong = |text: &str| parse(text, "p.yaml", Path::new("")).expect_err("the file is wrong").to_string();
    let two = wrong(&with(&format!("act: [{}, {}]\n", target("t"), target("u"))));
    assert!(two.contains("`t` says what share is declared, too") && two.contains("keep `exposure: true` at"), "{two}");
    let told = "{ name: t, exposure: true, notify: { alertmanager: 'http://a' } }";
    assert!(wrong(&with(&format!("act: [{told}]\n"))).contains("a target that only tells people has no share"));
    let exposures = "exposures: { topic: e, version: v, exposure: x }";
    let both = one.replacen("sources:\n", &format!("sources:\n  {exposures}\n"), 1);
    assert_ne!(both, one);
    assert!(wrong(&both).contains("two say which share of traffic is declared"));
}
