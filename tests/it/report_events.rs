//! Reports about files whose rows a source's decoder makes: they are those that a replay reads.

use std::path::{Path, PathBuf};

use haldane::report::{self, CompareRequest};
use serde_json::{Value, json};

/// A pipeline whose records have rows, and the same for rows that were laid flat.
const OF_ROWS: &str = "
sources:
  predictions:
    topic: p
    where: { op: [c, u], $row.kind: scored }
    rows: calls[*]
    event_time: { path: at, unit: us }
    id: id
    version: version
    status: { path: $row.status, ok: [OK] }
    predicted_label: $row.said
    score: $row.score
    latency: { path: $row.took, unit: s }
    segments: { country: place.country }
    features: { numeric: { x: { path: '$row.x[0]', range: [0, 10] } }, categorical: { kind: { path: '$row.c' } } }
  outcomes: { topic: o, where: { op: c }, id: id, row: n, event_time: { path: at, unit: us }, label: { path: y, positive: [fraud] } }
labels: {}
";

/// Records with rows and such rows laid flat, with their outcomes: the second half differs by `shift`.
fn in_rows_and_flat(folder: &Path, name: &str, shift: f64) -> [PathBuf; 4] {
    let call = |n: u64| {
        let kind = if n.is_multiple_of(7) { "other" } else { "scored" };
        let (status, said) =
            (if n.is_multiple_of(11) { "LATE" } else { "OK" }, if n % 5 > 2 { "fraud" } else { "fine" });
        json!({ "kind": kind, "status": status, "said": said, "score": (n % 97) as f64 / 100.0,
            "took": n as f64 / 1_000.0, "x": [(n % 89) as f64 / 10.0 + shift, 1], "c": format!("c{}", n % 4) })
    };
    let record = |n: u64| {
        let op = if n.is_multiple_of(5) { "d" } else { "c" };
        let calls: Vec<Value> = (0..n % 4).map(|row| call(n * 4 + row)).collect();
        json!({ "op": op, "at": 1_700_000_000_000_000_u64 + n * 60_000_000, "id": format!("r-{n}"),
            "version": "v1", "place": { "country": if n.is_multiple_of(3) { "DE" } else { "FR" } }, "calls": calls })
    };
    let records: Vec<Value> = (0..1_200).map(record).collect();
    let (mut flat, mut truths, mut flat_truths) = (Vec::new(), Vec::new(), Vec::new());
    for record in &records {
        for (row, call) in record["calls"].as_array().expect("calls").iter().enumerate() {
            let id = format!("{}/{row}", record["id"].as_str().expect("an id"));
            let y = if call["score"].as_f64() > Some(0.6) { "fraud" } else { "fine" };
            truths.push(json!({ "op": "c", "at": record["at"], "id": record["id"], "n": row, "y": y }));
            truths.push(json!({ "op": "d", "at": record["at"], "id": record["id"], "n": row, "y": "fraud" }));
            flat_truths.push(json!({ "at": record["at"], "id": id, "y": y }));
            if record["op"] == "c" && call["kind"] == "scored" {
                let (mut one, call) = (record.clone(), call.clone());
                let fields = one.as_object_mut().expect("an object");
                fields.extend(call.as_object().expect("an object").clone());
                fields.insert("id".to_owned(), id.into());
                fields.remove("calls");
                flat.push(one);
            }
        }
    }
    let write = |kind: &str, rows: &[Value]| {
        let folder = folder.join(kind);
        std::fs::create_dir_all(&folder).expect("a folder");
        let path = folder.join(name);
        std::fs::write(&path, rows.iter().map(Value::to_string).collect::<Vec<_>>().join("\n") + "\n").expect("a file");
        path
    };
    [write("rows", &records), write("flat", &flat), write("truths", &truths), write("flat-truths", &flat_truths)]
}

#[test]
fn rows_in_records_and_those_that_are_taken_are_compared_as_if_they_were_laid_flat() {
    let folder = tempfile::tempdir().expect("a folder");
    let of = |name, shift| in_rows_and_flat(folder.path(), name, shift);
    let ([before, flat_before, ..], [after, flat_after, truths, flat_truths]) =
        (of("before.jsonl", 0.0), of("after.jsonl", 4.0));
    let plan = |text: &str| haldane::config::parse(text, "p.yaml", Path::new("")).expect("a pipeline").plan;
    let compared = |text: &str, reference: &PathBuf, current: &PathBuf, outcomes: &PathBuf| {
        let request = CompareRequest {
            reference: vec![reference.clone()],
            current: vec![current.clone()],
            outcomes: vec![outcomes.clone()],
            ..CompareRequest::default()
        };
        report::compare(&request, Some(&plan(text))).expect("two files")
    };
    let flat = OF_ROWS.replace("    where: { op: [c, u], $row.kind: scored }\n    rows: calls[*]\n", "");
    let flat = flat.replace("$row.", "").replace("where: { op: c }, id: id, row: n,", "id: id,");
    let mut nested = compared(OF_ROWS, &before, &after, &truths);
    let laid_flat = compared(&flat, &flat_before, &flat_after, &flat_truths);
    assert!(nested.columns.iter().any(|column| column.column == "x" && column.drifted));
    assert!(nested.quality.is_some() && nested.reference.rows > 1_000, "{:?}", nested.reference);
    // Every fifth record is one, and so is every fourth of the others, which has no calls, and one call in seven.
    assert_eq!((nested.reference.passed_over, nested.current.passed_over), (686, 686));
    assert!(nested.trust.iter().any(|note| note.contains("were passed over")), "{:?}", nested.trust);
    nested.trust.retain(|note| !note.contains("passed over"));
    (nested.reference.passed_over, nested.current.passed_over) = (0, 0);
    let json = |comparison| report::json(&report::report(Some(comparison), None));
    let (nested, laid_flat) = (json(nested), json(laid_flat));
    let differing: Vec<_> = nested.lines().zip(laid_flat.lines()).filter(|(one, other)| one != other).collect();
    assert_eq!((differing, nested.len()), (vec![], laid_flat.len()));
}
