//! What sources may not say, and what to do about it.

use super::*;

/// A whole file that is wrong: the first line of the problem, where it stands, and the advice.
fn check_file(text: &str, message: &str, help: &str) {
    let error = parse(text, "p.yaml", Path::new("/nowhere")).map(|_| ()).expect_err(text).to_string();
    assert!(error.lines().any(|line| line.ends_with(message)), "{message}\n--- in\n{error}");
    assert!(error.lines().any(|line| line.trim_start() == format!("= {help}")), "{help}\n--- in\n{error}");
}

/// A source of answers of a model server, with these keys.
fn check_server(keys: &str, message: &str, help: &str) {
    let text = format!(
        "sources: {{ predictions: {{ topic: p, format: open_inference, id: id, version: model_version, \
         score: 'outputs[name=score]'{keys} }} }}\n"
    );
    check_file(&text, message, help);
}

/// A source whose rows are in its records, with these keys.
fn check_rows(keys: &str, message: &str, help: &str) {
    check_file(&format!("sources: {{ predictions: {{ topic: p, version: v, {keys} }} }}\n"), message, help);
}

#[test]
fn records_of_model_servers_are_of_one_side_and_have_no_other_rows() {
    check_server(
        "",
        ": records of `open_inference` are requests or responses, and this section does not say which",
        "add `side: request` or `side: response`",
    );
    check_server(
        ", side: request, where: { $ce.type: org.kubeflow.serving.inference.response }",
        ": `side: request`, but `where` takes responses",
        "correct one of the two",
    );
    check_server(
        ", side: response, rows: 'batch[*]'",
        ": `rows: batch[*]` in records of `open_inference`",
        "leave it out: each row of the batch is a row",
    );
    check_server(
        ", side: response, where: { 'outputs[0]': x }",
        ": `where` names `outputs[0]`, which is in a row",
        "`where` is about whole records; name a value beside the tensors",
    );
    let has = |side: &str, tensors: &str| {
        format!(
            "a {side} has id, model_name, model_version, parameters, error, and tensors, of which \
             {tensors}[name=amount] is the value of each row, and {tensors}[name=vector][0] its first one"
        )
    };
    for stray in ["inputs[name=x]", "outputs[key=x]", "outputs.x", "outputs", "outputs[0].x", "took"] {
        let message = format!(": `{stray}` leads nowhere in a response");
        check_server(&format!(", side: response, status: '{stray}'"), &message, &has("response", "outputs"));
    }
    check_server(", side: request", ": `outputs[name=score]` leads nowhere in a request", &has("request", "inputs"));
    check(
        "    side: request\n",
        ": `side` is about records of the Open Inference Protocol",
        "add `format: open_inference`, or leave `side` out",
    );
    check_file(
        "sources: { predictions: { topic: p, id: id, version: v, score: s }, \
         outcomes: { topic: o, format: open_inference, id: id, label: y } }\n",
        ": outcomes of format `open_inference`",
        "requests and responses are features and predictions; give this section another format",
    );
}

#[test]
fn the_side_of_records_may_follow_from_the_types_that_are_taken() {
    let text = |condition: &str| {
        format!(
            "sources: {{ predictions: {{ topic: p, format: open_inference, id: id, version: model_version, \
             score: 'outputs[name=score][1]', where: {{ {condition} }} }} }}\n"
        )
    };
    let side = |condition: &str| load(&text(condition)).plan.sources[0].mapping.side.expect("a side");
    let kind = "org.kubeflow.serving.inference.response";
    assert_eq!(side(&format!("$ce.type: {kind}")).name(), "response");
    assert_eq!(side(&format!("$ce.type: [{kind}, RESPONSE]")).name(), "response");
    for unclear in ["$ce.type: [a.request, a.response]", "model_name: a.response", "$ce.type: other"] {
        let error = parse(&text(unclear), "p.yaml", Path::new("")).map(|_| ()).expect_err(unclear).to_string();
        assert!(error.contains("this section does not say which"), "{unclear}: {error}");
    }
}

#[test]
fn what_is_in_a_row_needs_rows_to_be_in() {
    check_rows(
        "id: $row.id, score: s",
        ": `$row.id` is in a row, but a record is one row here",
        "say which list holds the rows, as in `rows: instances[*]`",
    );
    check_rows(
        "id: $row.id, score: 'others[*].s', rows: 'batch[*].rows[*]'",
        ": `others[*].s` is neither in a row of `batch[*].rows[*]` nor around it",
        "let it begin with batch[*] or $row",
    );
    check_rows(
        "id: $row.id, score: $row.s, rows: '$key[*]'",
        ": `rows: $key[*]` is no list in the record",
        "name a list in its payload",
    );
    check_rows(
        "id: id, score: s, where: { $row.kind: a }",
        ": `$row.kind` is in a row, but a record is one row here",
        "say which list holds the rows, as in `rows: instances[*]`",
    );
}

#[test]
fn labels_need_something_to_be_held_against() {
    check_file(
        "sources: { features: { topic: f, version: v, features: { categorical: [a] } }, \
         outcomes: { topic: o, id: id, label: y } }\n",
        ": `outcomes` without `predictions` to belong to",
        "add the source `predictions`",
    );
    let bare = "sources: { predictions: { topic: p, id: id, version: v, features: { categorical: [a] }, label: y } }\n";
    let help = "add `score: …` or `predicted_label: …` to `predictions`, or `class_scores: …` for several classes";
    check_file(bare, ": labels need a score or a class to be compared with", help);
    let classes = bare.replace("label: y", "label: y, predicted_label: c");
    assert!(load(&classes).plan.quality.is_some(), "classes are enough where there are some");
    check_file(&format!("task: regression\n{classes}"), ": labels need a score or a class to be compared with", help);
    check_file(
        "task: multiclass\nsources: { predictions: { topic: p, id: id, version: v, score: s, class_scores: all } }\n",
        ": `score` and `class_scores` both name the score",
        "keep `class_scores`; its largest value is the score",
    );
}

#[test]
fn labels_are_followed_in_some_numbers() {
    let check_labels = |keys: &str, message: &str, help: &str| {
        check(&format!("    label: y\nlabels: {{ {keys} }}\n"), message, help);
    };
    for wrong in ["[]", "[1]", "[10, 1001]"] {
        let message = ": `bins` must be numbers from 2 to 1000, one at least";
        check_labels(&format!("bins: {wrong}"), message, "write [10, 15] as most papers do");
    }
    check_labels("sample: 0%", ": `sample` is zero", "without labels leave out the section and their source");
    check_labels("pending_max: 0", ": `pending_max` is zero", "write how many predictions may wait");
    check_labels(
        "corrections: last",
        ": `corrections` without a source that could bring them",
        "add a source `outcomes`, or leave it out: a prediction carries one label",
    );
    let good = load(&with("    label: y\nlabels: { bins: [2, 1000], sample: 1%, pending_max: 1 }\n")).plan;
    let quality = good.quality.as_ref().expect("labels");
    assert_eq!((quality.width_bins.as_slice(), quality.sample, quality.pending_max), (&[2, 1000][..], 0.01, 1));
}

#[test]
fn windows_of_at_least_so_many_need_some() {
    check(
        "windows: { at_least: 0 }\n",
        ": `at_least` is zero",
        "write how many predictions of each version a window needs",
    );
}

#[test]
fn measures_are_of_predictions_and_have_names_of_their_own() {
    check(
        "    features: { numeric: { a: { path: a, range: [0, 5] } } }\nmeasures: { a: { path: b, range: [0, 5] } }\n",
        ": `a` is the name of a feature and of a measure",
        "give the measure another name; it may have the same path",
    );
    check_file(
        "sources: { features: { topic: f, version: v, features: { categorical: [a] } } }\n\
         measures: { m: { path: b, range: [0, 5] } }\n",
        ": `m` is a number of predictions, and there are none",
        "add a source `predictions`",
    );
}

#[test]
fn names_of_pipelines_and_baselines_are_some_and_bounds_are_numbers() {
    let nameless = |text: &str| parse(text, "p.yaml", Path::new("")).map(|_| ()).expect_err(text).to_string();
    assert!(nameless(&format!("pipeline: ''\n{SMALL}")).contains("the pipeline's name is empty"));
    check("rollout: { baseline: '' }\n", ": the baseline version is empty", "write a version name");
    let rule = "policy: [{ name: a, metric: error_rate, above: .inf, action: warn, breaches: 1 }]\n";
    let error = nameless(&with(rule));
    assert!(error.contains("a bound must be a finite number"), "{error}");
}

#[test]
fn a_registry_lets_in_whoever_has_a_password() {
    check(
        "registry: { url: 'https://r', username: ada }\n",
        ": a user without a password",
        "add `password_env` or `password_file`",
    );
    let error = parse(&with("registry: { schemas: { orders: a.avsc } }\n"), "p.yaml", Path::new("/nowhere"))
        .map(|_| ())
        .expect_err("no id")
        .to_string();
    assert!(error.contains("`orders` is no id of a schema"), "{error}");
}

#[test]
fn limits_of_clients_are_numbers_above_zero() {
    for key in ["requests_per_second", "failed_logins_per_minute", "connections", "connections_per_client"] {
        for wrong in ["0", "4294967296"] {
            let text = with(&format!("serve: {{ limits: {{ {key}: {wrong} }} }}\n"));
            let error = parse(&text, "p.yaml", Path::new("")).map(|_| ()).expect_err(key).to_string();
            assert!(error.contains(&format!("`{key}` is from 1 to 4294967295")), "{error}");
        }
    }
    check("serve: { limits: { patience: 0s } }\n", ": no client is as quick as that", "write a second or more");
}
