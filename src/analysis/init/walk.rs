//! The scalars in a record, each under its place as pipeline files write it.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::classes::is_stem;
use crate::plan::{Path, PathStep, ROW};

/// Elements of a vector that are watched: all of a short one, the first of a long one.
const VECTOR_MAX: usize = 64;
const LONG_VECTOR: usize = 16;
/// The most places that are noted.
const PLACES_MAX: usize = 2_000;

/// Scalars of a row by their places.
pub(super) type Scalars = BTreeMap<String, Value>;

/// What was found in records.
#[derive(Debug, Default)]
pub(super) struct Walk {
    /// The rows, each with its record.
    pub(super) rows: Vec<(usize, Scalars)>,
    /// The names on the way to each place, and how many places came before it.
    pub(super) names: BTreeMap<String, (usize, Vec<String>)>,
    /// Lists of numbers: the fewest and the most elements, and the places of those.
    lists: BTreeMap<String, (usize, usize, Vec<String>)>,
}

impl Walk {
    /// Takes the rows in a list, or in lists in it; of what is around them and in them the fields that are `read`.
    pub(super) fn elements(
        &mut self,
        (lists, at): (&[Path], usize),
        read: &dyn Fn(&str) -> bool,
        list: &Value,
        record: usize,
        shared: &Scalars,
    ) {
        let Value::Array(elements) = list else { return };
        let name = lists[at].last().unwrap_or("row").to_owned();
        for element in elements {
            let mut cells = shared.clone();
            let Some(next) = lists.get(at + 1) else {
                let row = [PathStep::Key(ROW.to_owned())];
                match element {
                    Value::Object(fields) => {
                        for (field, value) in fields.iter().filter(|(field, _)| read(field)) {
                            self.value(
                                &with(&row, PathStep::Key(field.clone())),
                                std::slice::from_ref(field),
                                value,
                                &mut cells,
                            );
                        }
                    }
                    other => self.value(&row, std::slice::from_ref(&name), other, &mut cells),
                }
                self.rows.push((record, cells));
                continue;
            };
            let Some(key) = next.last() else { continue };
            let Value::Object(fields) = element else { continue };
            let root = [PathStep::Key(lists[at].each())];
            for (field, value) in fields.iter().filter(|(field, _)| *field != key && read(field)) {
                self.value(&with(&root, PathStep::Key(field.clone())), std::slice::from_ref(field), value, &mut cells);
            }
            self.elements((lists, at + 1), read, fields.get(key).unwrap_or(&Value::Null), record, &cells);
        }
    }

    /// Takes what stands at a place.
    pub(super) fn value(&mut self, steps: &[PathStep], names: &[String], value: &Value, cells: &mut Scalars) {
        match value {
            Value::Null => {}
            Value::Object(fields) => {
                for (key, value) in fields {
                    self.value(&with(steps, PathStep::Key(key.clone())), &with(names, key.clone()), value, cells);
                }
            }
            Value::Array(all) => self.list(steps, names, all, cells),
            scalar => self.cell(steps, names, scalar.clone(), cells),
        }
    }

    fn list(&mut self, steps: &[PathStep], names: &[String], all: &[Value], cells: &mut Scalars) {
        let attributes: Vec<(&str, &Value)> = all.iter().filter_map(attribute).collect();
        if !all.is_empty() && attributes.len() == all.len() {
            for (key, value) in attributes {
                let place =
                    with(&with(steps, PathStep::Named("key".into(), key.into())), PathStep::Key("value".into()));
                self.attribute(&place, &[key.to_owned()], value, cells);
            }
        } else if names.last().is_some_and(|name| is_stem(name)) && all.iter().all(Value::is_number) {
            self.cell(steps, names, Value::Array(all.to_vec()), cells);
        } else if all.iter().all(|value| value.is_number() || value.is_null()) && !all.is_empty() || is_row(steps) {
            self.vector(steps, names, all, cells);
        }
    }

    /// Takes the elements of a list in which each place has its own meaning.
    fn vector(&mut self, steps: &[PathStep], names: &[String], all: &[Value], cells: &mut Scalars) {
        let most = if all.len() > VECTOR_MAX { LONG_VECTOR } else { VECTOR_MAX };
        let (last, above) = names.split_last().map_or(("", &[][..]), |(last, above)| (last.as_str(), above));
        let mut places = Vec::new();
        for (at, value) in (0_u32..).zip(all.iter().take(most)).filter(|(_, value)| !is_nested(value)) {
            let place = with(steps, PathStep::Index(at));
            places.push(place.iter().cloned().collect::<Path>().escaped());
            self.cell(&place, &with(above, format!("{last}_{at}")), value.clone(), cells);
        }
        let whole = steps.iter().cloned().collect::<Path>().escaped();
        let (low, high, known) = self.lists.entry(whole).or_insert((all.len(), all.len(), Vec::new()));
        (*low, *high) = ((*low).min(all.len()), (*high).max(all.len()));
        if places.len() > known.len() {
            *known = places;
        }
    }

    /// Takes the value of an attribute, which may say of which type it is.
    fn attribute(&mut self, steps: &[PathStep], names: &[String], value: &Value, cells: &mut Scalars) {
        match value {
            Value::Null => {}
            Value::Object(fields) => {
                for (key, value) in fields {
                    self.attribute(&with(steps, PathStep::Key(key.clone())), names, value, cells);
                }
            }
            Value::Array(all) => {
                let first = all.first().unwrap_or(&Value::Null);
                self.attribute(&with(steps, PathStep::Index(0)), names, first, cells);
            }
            scalar => self.cell(steps, names, scalar.clone(), cells),
        }
    }

    pub(super) fn cell(&mut self, steps: &[PathStep], names: &[String], value: Value, cells: &mut Scalars) {
        let place = steps.iter().cloned().collect::<Path>().escaped();
        // What cannot be written is not read.
        if place.parse::<Path>().is_ok_and(|path| path.steps() == steps) && self.names.len() < PLACES_MAX {
            let n = self.names.len();
            self.names.entry(place.clone()).or_insert_with(|| (n, names.to_vec()));
            cells.insert(place, value);
        }
    }

    /// Leaves out the elements of lists that are not always as long: their places mean nothing.
    pub(super) fn leave_uneven(&mut self) {
        let uneven: Vec<String> =
            self.lists.values().filter(|(low, high, _)| low != high).flat_map(|list| list.2.clone()).collect();
        self.lists.retain(|_, (low, high, _)| low == high);
        for place in &uneven {
            self.names.remove(place);
            self.rows.iter_mut().for_each(|(_, cells)| drop(cells.remove(place)));
        }
    }

    /// The vectors, in words.
    pub(super) fn vectors(&self) -> impl Iterator<Item = String> {
        self.lists.iter().map(|(place, (_, n, watched))| match watched.len() {
            few if few < *n => format!("`{place}` is a vector of {n} numbers, of which the first {few} are watched"),
            _ => format!("`{place}` is a vector of {n} numbers"),
        })
    }
}

/// More of something that is in order.
pub(super) fn with<T: Clone>(before: &[T], last: T) -> Vec<T> {
    before.iter().cloned().chain([last]).collect()
}

fn is_row(steps: &[PathStep]) -> bool {
    matches!(steps, [PathStep::Key(root)] if root == ROW)
}

fn is_nested(value: &Value) -> bool {
    value.is_array() || value.is_object()
}

/// A key and its value, if an element of a list says no more.
pub(super) fn attribute(element: &Value) -> Option<(&str, &Value)> {
    let fields: &Map<String, Value> = element.as_object()?;
    let is_all = fields.keys().all(|key| key == "key" || key == "value");
    Some((fields.get("key")?.as_str()?, fields.get("value").unwrap_or(&Value::Null))).filter(|_| is_all)
}
