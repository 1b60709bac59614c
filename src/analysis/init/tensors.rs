//! Rows of messages of model servers: the batch is the first dimension of each tensor.

use serde_json::Value;

use super::classes::is_stem;
use super::walk::{Scalars, Walk, with};
use crate::plan::{PathStep, Side};

/// Numbers of one row of a tensor that are watched at most.
const WIDTH_MAX: usize = 64;

/// Takes the rows of the tensors of a message.
pub(super) fn rows(walk: &mut Walk, side: Side, tensors: &[Value], record: usize, shared: &Scalars) {
    let tensors: Vec<(&str, usize, Vec<&Value>)> = tensors.iter().filter_map(tensor).collect();
    let n = tensors.iter().map(|(_, n, _)| *n).min().unwrap_or(0);
    for row in 0..n {
        let mut cells = shared.clone();
        for (name, rows, flat) in &tensors {
            let width = flat.len() / rows;
            let own = &flat[row * width..(row + 1) * width];
            let place =
                [PathStep::Key(side.tensors().to_owned()), PathStep::Named("name".to_owned(), (*name).to_owned())];
            let one = |name: &str| vec![name.to_owned()];
            match own {
                [only] => walk.cell(&place, &one(name), (*only).clone(), &mut cells),
                all if is_stem(name) => {
                    let list = all.iter().map(|value| (*value).clone()).collect();
                    walk.cell(&place, &one(name), Value::Array(list), &mut cells);
                }
                all => {
                    for (at, value) in (0_u32..).zip(all.iter().take(WIDTH_MAX)) {
                        let place = with(&place, PathStep::Index(at));
                        walk.cell(&place, &one(&format!("{name}_{at}")), (*value).clone(), &mut cells);
                    }
                }
            }
        }
        walk.rows.push((record, cells));
    }
}

/// The name of a tensor, how many rows it has, and its elements; none if they are not in the JSON.
fn tensor(value: &Value) -> Option<(&str, usize, Vec<&Value>)> {
    let rows = usize::try_from(value.get("shape")?.get(0)?.as_u64()?).ok().filter(|rows| *rows > 0)?;
    let mut flat = Vec::new();
    flatten(value.get("data")?, &mut flat);
    (flat.len() >= rows && flat.len() % rows == 0).then_some((value.get("name")?.as_str()?, rows, flat))
}

fn flatten<'a>(value: &'a Value, flat: &mut Vec<&'a Value>) {
    match value {
        Value::Array(all) => all.iter().for_each(|value| flatten(value, flat)),
        one => flat.push(one),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(tensors: &Value) -> Vec<Scalars> {
        let mut walk = Walk::default();
        let shared = Scalars::from([("id".to_owned(), json!("r"))]);
        rows(&mut walk, Side::Request, tensors.as_array().expect("a list"), 7, &shared);
        walk.rows.into_iter().map(|(record, cells)| (assert_eq!(record, 7), cells).1).collect()
    }

    fn at<'a>(row: &'a Scalars, place: &str) -> Option<&'a Value> {
        row.get(place)
    }

    #[test]
    fn a_batch_has_a_row_for_each_of_its_first_dimension() {
        let found = read(&json!([
            { "name": "age", "shape": [2], "datatype": "INT64", "data": [30, 40] },
            { "name": "v", "shape": [2, 2], "datatype": "FP32", "data": [[1.0, 2.0], [3.0, 4.0]] },
        ]));
        assert_eq!(found.len(), 2);
        assert_eq!(at(&found[1], "inputs[name=age]"), Some(&json!(40)));
        assert_eq!(
            (at(&found[0], "inputs[name=v][1]"), at(&found[1], "inputs[name=v][0]")),
            (Some(&json!(2.0)), Some(&json!(3.0)))
        );
        assert!(found.iter().all(|row| at(row, "id") == Some(&json!("r"))), "what all rows share");
        let flat = read(&json!([{ "name": "v", "shape": [2, 2], "datatype": "FP32", "data": [1, 2, 3, 4] }]));
        assert_eq!(at(&flat[1], "inputs[name=v][1]"), Some(&json!(4)), "written flat");
    }

    #[test]
    fn scores_of_classes_stay_together_and_long_rows_are_watched_in_part() {
        let scores =
            read(&json!([{ "name": "probabilities", "shape": [1, 3], "datatype": "FP32", "data": [0.2, 0.3, 0.5] }]));
        assert_eq!(at(&scores[0], "inputs[name=probabilities]"), Some(&json!([0.2, 0.3, 0.5])));
        let data: Vec<u32> = (0..100).collect();
        let long = read(&json!([{ "name": "v", "shape": [1, 100], "datatype": "FP32", "data": data }]));
        assert!(at(&long[0], "inputs[name=v][63]").is_some() && at(&long[0], "inputs[name=v][64]").is_none());
    }

    #[test]
    fn tensors_that_are_not_what_they_say_are_passed_over() {
        for tensor in [
            json!({ "name": "v", "shape": [2], "datatype": "FP32", "data": [1] }),
            json!({ "name": "v", "shape": [2, 2], "datatype": "FP32", "data": [1, 2, 3] }),
            json!({ "name": "v", "shape": [0], "datatype": "FP32", "data": [] }),
            json!({ "name": "v", "shape": [], "datatype": "FP32", "data": [1] }),
            json!({ "name": "v", "shape": [1], "datatype": "FP32" }),
            json!({ "name": 5, "shape": [1], "datatype": "FP32", "data": [1] }),
        ] {
            assert!(read(&json!([tensor.clone()])).is_empty(), "{tensor}");
        }
        let of_two = read(&json!([
            { "name": "a", "shape": [3], "datatype": "FP32", "data": [1, 2, 3] },
            { "name": "b", "shape": [2], "datatype": "FP32", "data": [1, 2] },
        ]));
        assert_eq!(of_two.len(), 2, "rows that all of them have");
    }
}
