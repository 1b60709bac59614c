//! What pipeline files mean, and how their errors read.

mod act;
mod measures;
mod policy;
mod serve;
mod sources;

use std::path::Path;

use super::*;
use crate::event::SECOND;
use crate::plan::{
    Achievement, ApprovalPlan, Authority, Baseline, ColumnRole, Corrections, Fairness, FieldSource, GroupRate,
    GuardPlan, RolloutPlan, Signal, SloPlan, Success, Task, TimeFormat, WindowKind,
};

/// Names only what cannot be guessed.
const SMALL: &str = "\
sources:
  predictions:
    topic: p
    id: id
    version: v
    event_time: t
    score: s
";

/// The text of [`SMALL`] with more sections after it.
fn with(more: &str) -> String {
    format!("{SMALL}{more}")
}

fn load(text: &str) -> Pipeline {
    parse(text, "p.yaml", Path::new("")).unwrap_or_else(|error| panic!("{error}"))
}

fn check_error(text: &str, expected: &str) {
    let error = parse(text, "p.yaml", Path::new("/nowhere")).map(|_| ()).expect_err("the file is wrong");
    assert_eq!(error.to_string(), expected.trim_start(), "\n{text}");
    assert_eq!(error.exit_code(), 2);
}

#[test]
fn a_file_that_names_only_what_cannot_be_guessed_is_enough() {
    let pipeline = load(SMALL);
    let plan = &*pipeline.plan;
    let source = &plan.sources[0];
    assert_eq!((plan.name.as_str(), plan.sources.len()), ("pipeline", 1));
    assert_eq!(source.mapping.model, FieldSource::Constant("pipeline".into()));
    assert_eq!(source.mapping.event_time, Some(("t".parse().unwrap(), TimeFormat::Rfc3339)));
    let time = &plan.time;
    assert_eq!(time.window, WindowKind::Sliding { size: 300 * SECOND, slide: 300 * SECOND });
    assert_eq!((time.pane, time.lateness, time.idle_after), (300 * SECOND, 30 * SECOND, 10 * SECOND));
    assert_eq!((time.early_every, time.jump_max, time.jump_confirmations), (2 * SECOND, 3600 * SECOND, 3));
    assert_eq!((time.skew_max, time.revise_for), (3600 * SECOND, 3600 * SECOND));
    assert!(plan.quality.is_none() && plan.baselines.is_empty() && plan.policy.rules.is_empty());
    assert!(plan.metrics.names.contains(&"error_rate") && !plan.metrics.names.contains(&"psi"));
    assert_eq!(pipeline.serve, ServeConfig::default());
    assert!(pipeline.kafka.is_none());
}

#[test]
fn labels_have_defaults_once_there_is_a_source_of_them() {
    let plan = load(&with("  outcomes: { topic: o, id: id, label: y }\nrollout: { baseline: v1 }\n")).plan;
    let quality = plan.quality.as_ref().unwrap();
    assert_eq!((quality.task, quality.width_bins.as_slice()), (Task::Binary, &[10, 15][..]));
    assert_eq!((quality.wait, quality.horizon), (3600 * SECOND, 86_400 * SECOND));
    assert_eq!((quality.threshold, quality.sample, quality.pending_max), (0.5, 1.0, 500_000));
    assert_eq!(plan.baselines, [Baseline::Concurrent]);
    assert_eq!((plan.policy.rollout.as_str(), plan.policy.authority), ("pipeline", Authority::Advisory));
    assert!(["psi", "brier", "auc"].iter().all(|name| plan.metrics.names.contains(name)));
    assert!(!plan.metrics.names.contains(&"mae"));
}

#[test]
fn columns_come_in_the_order_of_the_file_then_score_then_latency() {
    let text = "
sources:
  predictions:
    topic: p
    id: id
    version: { constant: '7' }
    score: { path: out.s, range: [-1, 1] }
    latency: { path: took, unit: us }
    features:
      numeric: { z: { path: in.z, edges: [1, 2] }, a: { path: in.a, range: [0, 5] } }
      categorical: [kind]
      boolean: [flag]
";
    let plan = load(text).plan;
    let columns: Vec<(&str, ColumnRole, usize)> =
        plan.columns.numeric.iter().map(|c| (c.name.as_str(), c.role, c.cut.edges.n_bins())).collect();
    assert_eq!(
        columns,
        [
            ("z", ColumnRole::Feature, 3),
            ("a", ColumnRole::Feature, 1171),
            ("score", ColumnRole::Score, 1171),
            ("latency", ColumnRole::Latency, 1043)
        ]
    );
    let mapping = &plan.sources[0].mapping;
    let factors: Vec<f64> = mapping.numeric.iter().flatten().map(|field| field.factor).collect();
    assert_eq!(factors, [1.0, 1.0, 1.0, 1e-3]);
    assert_eq!(mapping.categorical, ["kind", "flag"].map(|name| Some(name.parse().unwrap())));
    assert_eq!((mapping.version.clone(), mapping.event_time.clone()), (FieldSource::Constant("7".into()), None));
}

#[test]
fn panes_are_as_long_as_size_and_slide_allow() {
    let pane = |windows: &str| load(&with(&format!("windows: {windows}\n"))).plan.time.pane;
    assert_eq!(pane("{ size: 5m, slide: 1m }"), 60 * SECOND);
    assert_eq!(pane("{ size: 90s, slide: 60s }"), 30 * SECOND);
    assert_eq!(pane("{ size: 5m, pane: 30s }"), 30 * SECOND);
    assert_eq!(pane("{ at_least: 500 }"), 60 * SECOND);
    assert_eq!(pane("{ at_least: 500, max: 90s }"), 30 * SECOND);
}

#[test]
fn the_digest_is_of_the_meaning() {
    let digest = |text: &str| load(text).plan.digest.clone();
    let same = digest(&with("windows: { size: 60m }\n"));
    assert_eq!(same, digest(&with("windows: { size: 1h, slide: 3600s, pane: 1h, early_every: 9s }\n")));
    assert_eq!(same, digest(&with("kafka: { brokers: 'b:1' }\nwindows: { size: 1h }\nserve: { listen: '[::1]:1' }\n")));
    assert_ne!(same, digest(&with("windows: { size: 2h }\n")));
    assert_ne!(same, digest(&with("windows: { size: 1h }\nfine_bins: 20\n")));
    assert!(same.starts_with("b3:") && same.len() == 67);
}

#[test]
fn kafka_has_defaults_and_shows_no_secret() {
    let secret = "kafka:\n  brokers: 'b:9093'\n  librdkafka: { client.id: geheim }\n  security: { protocol: sasl_ssl, \
                  mechanism: SCRAM-SHA-256, username: u, password_env: PW, ca: ca.pem }\n";
    let pipeline = parse(&with(secret), "p.yaml", Path::new("/etc")).unwrap();
    let kafka = pipeline.kafka.unwrap();
    assert_eq!((kafka.brokers.as_str(), kafka.group.as_str()), ("b:9093", "haldane.pipeline"));
    assert_eq!(kafka.topics, Topics::default());
    assert_eq!(kafka.security.password, Some(Secret::Env("PW".into())));
    assert_eq!(kafka.security.ca.as_deref(), Some(Path::new("/etc/ca.pem")));
    assert!(!format!("{kafka:?}").contains("geheim"));
}

#[test]
fn approvers_have_a_name_a_role_and_a_place_for_their_token() {
    let people = "serve:\n  approvers:\n    - { name: ana, token_env: ANA, roles: [approver] }\n    - { name: oli, token_file: \
                  oli.token, roles: [approver, operator] }\n";
    let serve = parse(&with(people), "p.yaml", Path::new("/etc")).unwrap().serve;
    assert_eq!(serve.approvers[0].token, Some(Secret::Env("ANA".into())));
    assert_eq!(serve.approvers[1].token, Some(Secret::File("/etc/oli.token".into())));
    assert_eq!(serve.approvers[1].roles, [Power::Approver, Power::Operator]);
    let told = |person: &str| {
        let text =
            with(&format!("serve: {{ approvers: [{{ {person} }}, {{ name: x, token_env: X, roles: [viewer] }}] }}\n"));
        parse(&text, "p.yaml", Path::new("")).unwrap_err().to_string()
    };
    let cases = [
        ("name: ana, roles: [viewer]", "the token has no place"),
        ("name: ana, token_env: A, token_file: a, roles: [viewer]", "the token has two places"),
        ("name: ana, token_env: A, roles: []", "an approver without roles"),
        ("name: '', token_env: A, roles: [viewer]", "an approver's name is empty"),
        ("name: x, token_env: A, roles: [viewer]", "the name `x` stands here twice"),
        ("name: ana, token: secret, roles: [viewer]", "unknown key `token`"),
    ];
    for (person, problem) in cases {
        assert!(told(person).contains(problem), "{person}: {}", told(person));
    }
}

#[test]
fn clients_of_postgresql_need_a_store_and_from_elsewhere_a_login() {
    let serve = |keys: &str| with(&format!("store: {{ path: s }}\nserve: {{ {keys} }}\n"));
    let here = load(&serve("postgres: '127.0.0.1:5432'")).serve.postgres;
    assert_eq!(here, Some("127.0.0.1:5432".parse().unwrap()));
    let person = "approvers: [{ name: ana, token_env: ANA, roles: [viewer] }]";
    assert!(load(&serve(&format!("postgres: '0.0.0.0:5432', {person}"))).serve.postgres.is_some());
    check(
        "store: { path: s }\nserve: { postgres: '0.0.0.0:5432' }\n",
        ": anybody could query the store from elsewhere",
        "name `approvers`, who log in with their tokens, or listen on 127.0.0.1",
    );
    check("serve: { postgres: '127.0.0.1:5432' }\n", ": there is nothing to query", "add a `store:` section");
}

#[test]
fn what_the_parser_refuses_is_told_with_its_line() {
    check_error("", "p.yaml: the file is empty\n  = see pipelines/ for examples");
    check_error(
        &with("lables: { wait: 1h }\n"),
        "
p.yaml:8:1: unknown key `lables`
  |
8 | lables: { wait: 1h }
  | ^^^^^^
  = did you mean `labels`?",
    );
    check_error(
        "sources:\n  predictions:\n    topic: p\n",
        "
p.yaml:3:5: the key `id` is missing in this section
  |
3 |     topic: p
  |     ^^^^^
  = add `id: …`",
    );
    check_error(
        &with("task: binray\n"),
        "
p.yaml:8:7: unknown value `binray`
  |
8 | task: binray
  |       ^^^^^^
  = did you mean `binary`?",
    );
    check_error(
        &with("windows: { size: 5 }\n"),
        "
p.yaml:8:18: `5` is not a duration; write a whole number and a unit, such as 30s, 5m, 4h or 1d
  |
8 | windows: { size: 5 }
  |                  ^",
    );
    check_error(
        &with("labels: { sample: 150% }\n"),
        "
p.yaml:8:19: `150%` is not a share; write a number from 0 to 1, or percent such as 5%
  |
8 | labels: { sample: 150% }
  |                   ^^^^",
    );
    check_error(
        &with("task: binary\ntask: binary\n"),
        "
p.yaml:9:1: the key `task` stands here twice
  |
9 | task: binary
  | ^^^^",
    );
    check_error(
        &with("baselines: [6h_ago]\n"),
        "
p.yaml:8:13: `6h_ago` is not a baseline; write concurrent, reference, previous, or a number of days such as 7d_ago
  |
8 | baselines: [6h_ago]
  |             ^^^^^^",
    );
    check_error(
        &with("policy: { name: x }\n"),
        "
p.yaml:8:9: expected a list
  |
8 | policy: { name: x }
  |         ^",
    );
    check_error(
        &with("windows: { jump_confirmations: -1 }\n"),
        "
p.yaml:8:32: expected a whole number, not negative
  |
8 | windows: { jump_confirmations: -1 }
  |                                ^^",
    );
}

#[test]
fn contradictions_are_told_together() {
    check_error(
        &with("windows: { size: 1h, slide: 2h }\nbaselines: [concurrent, reference]\n"),
        "
p.yaml:8:29: `slide` 2h is longer than `size` 1h
  |
8 | windows: { size: 1h, slide: 2h }
  |                             ^^
  = events between two windows would be in none; make `slide` at most `size`

p.yaml:9:13: `concurrent` needs a version to compare with
  |
9 | baselines: [concurrent, reference]
  |             ^^^^^^^^^^
  = add `rollout: { baseline: VERSION }`

p.yaml:9:25: `reference` needs a reference profile
  |
9 | baselines: [concurrent, reference]
  |                         ^^^^^^^^^
  = build one with `haldane baseline build` and add `reference: FILE`",
    );
}

/// Checks the first line and the advice of one problem.
fn check(more: &str, message: &str, help: &str) {
    let text = with(more);
    let error = parse(&text, "p.yaml", Path::new("/nowhere")).map(|_| ()).expect_err(&text).to_string();
    assert!(error.lines().any(|line| line.ends_with(message)), "{message}\n--- in\n{error}");
    assert!(error.lines().any(|line| line.trim_start() == format!("= {help}")), "{help}\n--- in\n{error}");
}

#[test]
fn windows_must_fit() {
    check("windows: { size: 0s }\n", ": `size` is zero", "write a duration above zero, such as 5m");
    check(
        "windows: { size: 5m, pane: 2m }\n",
        ": `size` 5m and `slide` 5m are not whole panes of 2m",
        "make `pane` 5m or a part of it",
    );
    check(
        "windows: { size: 1d, slide: 30s }\n",
        ": a window of 1d would have 2880 panes, at most 1440 are allowed",
        "make `pane` or `slide` longer",
    );
    check(
        "windows: { size: 5m, max: 1h }\n",
        ": `max` belongs to `at_least`",
        "write `size` instead, or add `at_least`",
    );
    check(
        "windows: { at_least: 5, size: 1h }\n",
        ": `at_least` windows have no fixed `size` or `slide`",
        "keep `at_least` with `max`, or `size` with `slide`",
    );
    check(
        "windows: { at_least: 5, max: 1h, pane: 7m }\n",
        ": `max` 1h is not whole panes of 7m",
        "make `max` a multiple of `pane`",
    );
    check(
        "windows: { size: 11m }\nbaselines: [7d_ago]\n",
        ": no window starts exactly 7 days before another",
        "make the windows' `slide` a divisor of a day, and use no `at_least`",
    );
}

#[test]
fn sources_must_fit_together() {
    let nothing = parse("sources: {}\n", "p.yaml", Path::new("")).unwrap_err().to_string();
    assert!(nothing.starts_with("p.yaml:1:10: nothing to watch"), "{nothing}");
    check(
        "  outcomes: { topic: p, id: id, label: y }\n",
        ": topic `p` is the topic of two sources",
        "give each of them a `where` that says which records are its own, or a topic of its own",
    );
    check(
        "    label: y\n  outcomes: { topic: o, id: id, label: y }\n",
        ": the truth has two sources: `label` in `predictions`, and `outcomes`",
        "keep one of them",
    );
    check(
        "labels: { wait: 1h }\n",
        ": `labels` without a source of labels",
        "add a source `outcomes`, or `label` to `predictions`",
    );
    check(
        "    label: y\nlabels: { wait: 2d, horizon: 1d }\n",
        ": `horizon` 1d is shorter than `wait` 2d",
        "the horizon counts from the same moment; make it at least `wait`",
    );
    check(
        "    class_scores: all\n",
        ": `class_scores` belongs to task multiclass",
        "write `task: multiclass`, or `score`",
    );
    check(
        "task: multiclass\n",
        ": a multiclass score says nothing without its class",
        "add `predicted_label: …`, or `class_scores: …` instead of `score`",
    );
    let several = "pipeline: p\ntask: multiclass\nsources:\n  predictions: { topic: t, id: i, version: v, class_scores: all, label: y }\nrollout: { baseline: v1 }\nmetrics: { names: [accuracy, log_loss] }\n";
    let error = parse(several, "p.yaml", Path::new("")).unwrap_err();
    assert!(error.to_string().contains("metric `log_loss` needs the probabilities of all classes"), "{error}");
    check(
        "    segments: { a: a, b: b, c: c, d: d, e: e }\n",
        ": 5 segment fields, at most 4 are allowed",
        "every combination of their values is watched; keep the ones you would act on",
    );
    check(
        "  features: { topic: f, version: v, features: {}, segments: [region] }\n",
        ": `features` is split by other segments than `predictions`",
        "name the same segment fields in both: ",
    );
}

#[test]
fn columns_must_be_cut_somehow() {
    check(
        "    features: { numeric: [amount] }\n",
        ": no bins for `amount`: there is neither a reference nor a range",
        "build a reference with `haldane baseline build` and name it under `reference`, \
         or write `{ path: …, range: [low, high] }`",
    );
    check(
        "    features: { numeric: { a: { path: a, range: [5, 5] } } }\n",
        ": `range: [5, 5]` is empty",
        "write the smaller number first",
    );
    check(
        "    features: { numeric: { a: { path: a, range: [0, 5], edges: [1] } } }\n",
        ": `a` has both `range` and `edges`",
        "keep one of them",
    );
    check(
        "    features: { numeric: { a: { path: a, range: [0, 5] } }, categorical: [a] }\n",
        ": `a` is both numeric and categorical",
        "keep it in one of the lists",
    );
    check(
        "    features: { categorical: [score] }\n",
        ": a feature cannot be called `score`",
        "the model's answer and its latency have these names; give the feature another one",
    );
    check("fine_bins: 30\n", ": `fine_bins` is 30", "write a multiple of 20 from 20 to 2000");
    check("spill: here\n", ": `spill` without `memory`", "add how much memory is granted, such as memory: 512MB");
    check(
        "reference: none.json\n",
        ": cannot read the reference /nowhere/none.json: No such file or directory (os error 2)",
        "make it with `haldane baseline build`",
    );
}

#[test]
fn memory_is_an_amount_and_decides_no_result() {
    let bounded = load(&with("memory: 512MiB\nspill: here\n"));
    assert_eq!(bounded.memory, Some(MemoryConfig { max: 512 << 20, spill: "here".into() }));
    assert_eq!(bounded.plan.digest, load(SMALL).plan.digest);
    assert_eq!(load(&with("memory: 2 GB\n")).memory.expect("a bound").max, 2_000_000_000);
    let error = parse(&with("memory: 512\n"), "p.yaml", Path::new("")).expect_err("no unit").to_string();
    assert!(
        error.contains("`512` is not an amount of memory; write a whole number and a unit, such as 512MB"),
        "{error}"
    );
}

#[test]
fn the_horizon_is_a_day_or_as_long_as_the_wait() {
    let horizon = |labels: &str| {
        let outcomes = format!("  outcomes: {{ topic: o, id: id, label: y }}\n{labels}");
        load(&with(&outcomes)).plan.quality.as_ref().expect("labels").horizon / SECOND
    };
    assert_eq!(horizon("labels: {}\n"), 86_400);
    assert_eq!(horizon("labels: { wait: 3d }\n"), 3 * 86_400);
    assert_eq!(horizon("labels: { horizon: 2h }\n"), 7_200);
}

#[test]
fn the_first_outcome_counts_unless_the_file_says_the_last() {
    let of = |labels: &str| load(&with(&format!("  outcomes: {{ topic: o, id: id, label: y }}\n{labels}"))).plan;
    let corrections = |labels: &str| of(labels).quality.as_ref().expect("labels").corrections;
    assert_eq!(corrections("labels: {}\n"), Corrections::First);
    assert_eq!(corrections("labels: { corrections: last }\n"), Corrections::Last);
    let [unsaid, first, last] = ["", "corrections: first", "corrections: last"]
        .map(|said| of(&format!("labels: {{ {said} }}\n")).digest.clone());
    assert!(unsaid == first && first != last, "the digest of a plan that says nothing is what it was");
    check(
        "    label: y\nlabels: { corrections: last }\n",
        ": `corrections` without a source that could bring them",
        "add a source `outcomes`, or leave it out: a prediction carries one label",
    );
}

#[test]
fn metrics_must_exist_and_have_something_to_read() {
    check("metrics: { names: [errorrate] }\n", ": there is no metric `errorrate`", "did you mean `error_rate`?");
    check("metrics: { names: [psi] }\n", ": metric `psi` needs a baseline", "add it, or drop the metric");
    check(
        "metrics: { names: [brier] }\n",
        ": metric `brier` needs labels of a classification task",
        "add it, or drop the metric",
    );
    check("metrics: { bins: 15 }\n", ": `bins` is 15", "write 10 or 20; profiles hold these two cuts");
}

#[test]
fn a_registry_is_told_no_secret_in_the_clear() {
    check(
        "registry: { url: 'http://registry:8081', username: u, password_env: P }\n",
        ": the password would go over the network in the clear",
        "write https://…",
    );
    check(
        "registry: { url: 'https://registry:8081', token_env: T, token_file: t }\n",
        ": the token has two places",
        "write either `token_env` or `token_file`",
    );
}

#[test]
fn tokens_for_kafka_come_from_one_place() {
    check(
        "kafka: { brokers: b, security: { protocol: sasl_ssl, mechanism: OAUTHBEARER } }\n",
        ": mechanism OAUTHBEARER needs tokens",
        "add `oauth`",
    );
    check(
        "kafka: { brokers: b, security: { protocol: ssl, oauth: { file: t } } }\n",
        ": `oauth` has no effect",
        "add `mechanism: OAUTHBEARER`, or remove it",
    );
    let of_tokens = |oauth: &str, what: &str, help: &str| {
        let security = format!("{{ protocol: sasl_ssl, mechanism: OAUTHBEARER, oauth: {oauth} }}");
        check(&format!("kafka: {{ brokers: b, security: {security} }}\n"), what, help);
    };
    of_tokens(
        "{}",
        ": nothing says where tokens come from",
        "add `url` with `client_id`, or `file`, `command` or `aws_region`",
    );
    of_tokens("{ file: t, aws_region: r }", ": tokens come from `file` and from `aws_region`", "keep one of them");
    of_tokens("{ file: t, scope: s }", ": `scope` has no effect with `file`", "remove it, or use `url`");
    of_tokens("{ command: [] }", ": `command` is empty", "name a program, and its arguments after it");
    of_tokens("{ url: 'idp:8443', client_id: c, client_secret_env: S }", ": it is no URL", "write https://…");
    of_tokens(
        "{ url: 'http://idp/t', client_id: c, client_secret_env: S }",
        ": the client's secret would go over the network in the clear",
        "write https://…",
    );
    of_tokens(
        "{ url: 'https://idp/t', client_id: c, client_secret_env: S, client_secret_file: s }",
        ": the client secret has two places",
        "write either `client_secret_env` or `client_secret_file`",
    );
    of_tokens(
        "{ url: 'https://idp/t', client_id: c }",
        ": an authorization server gives tokens to a client that it knows",
        "add `client_id`, and `client_secret_env` or `client_secret_file`",
    );
}

#[test]
fn kafka_settings_must_make_sense() {
    check("kafka: { brokers: '' }\n", ": `brokers` is empty", "write host:port, such as localhost:9092");
    check(
        "kafka: { brokers: b, control_topic: 'a b' }\n",
        ": `a b` cannot be a Kafka topic",
        "use up to 249 letters, digits, dots, underscores and hyphens",
    );
    check(
        "kafka: { brokers: b, control_topic: x, state_topic: x }\n",
        ": topic `x` has two purposes",
        "haldane's own topics must differ from each other",
    );
    check(
        "kafka: { brokers: b, librdkafka: { sasl.password: geheim } }\n",
        ": `sasl.password` would put a secret into this file",
        "use security.password_env or security.password_file",
    );
    check(
        "kafka: { brokers: b, security: { protocol: sasl_ssl } }\n",
        ": protocol sasl_ssl needs credentials",
        "add `mechanism`, `username`, and `password_env` or `password_file`",
    );
    check(
        "kafka: { brokers: b, security: { protocol: ssl, mechanism: PLAIN } }\n",
        ": `mechanism` has no effect with protocol ssl",
        "did you mean `sasl_ssl`?",
    );
    check(
        "serve: { listen: nowhere }\n",
        ": `nowhere` is not an address to listen on",
        "write an IP address and a port, such as 127.0.0.1:8088 or 0.0.0.0:8088",
    );
}
