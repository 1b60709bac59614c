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
