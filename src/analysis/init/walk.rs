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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The cells of one record that is taken as a whole, and what was found in it.
    fn walked(records: &[Value]) -> Walk {
        let mut walk = Walk::default();
        for (record, value) in records.iter().enumerate() {
            let mut cells = Scalars::new();
            for (key, value) in value.as_object().expect("a record") {
                walk.value(&[PathStep::Key(key.clone())], std::slice::from_ref(key), value, &mut cells);
            }
            walk.rows.push((record, cells));
        }
        walk
    }

    /// The cells of all rows, as JSON.
    fn cells(walk: &Walk) -> Value {
        walk.rows.iter().map(|(_, cells)| json!(cells)).collect()
    }

    fn lists(paths: &[&str]) -> Vec<Path> {
        paths.iter().map(|path| path.parse().expect("a path")).collect()
    }

    /// The rows in lists of a record, beside what all share.
    fn rows(paths: &[&str], list: &Value) -> Walk {
        let mut walk = Walk::default();
        let shared = Scalars::from([("id".to_owned(), json!(7))]);
        walk.elements((&lists(paths), 0), &|field| field != "secret", list, 3, &shared);
        walk
    }

    #[test]
    fn scalars_stand_under_their_places_as_pipelines_write_them() {
        let walk = walked(&[json!({ "a": { "b": 1, "c.d": "x", "e[0]": true }, "none": null, "empty": {} })]);
        assert_eq!(cells(&walk), json!([{ "a.b": 1, "a.c\\.d": "x", "a.e\\[0]": true }]));
        let names = |place: &str| walk.names[place].1.clone();
        assert_eq!(names("a.c\\.d"), ["a", "c.d"]);
        for place in walk.names.keys() {
            assert_eq!(place.parse::<Path>().expect("a path").escaped(), *place);
        }
    }

    #[test]
    fn lists_of_numbers_are_vectors_and_other_lists_are_left_out() {
        let walk = walked(&[
            json!({ "v": [1, null, 3], "words": ["a", "b"], "none": [], "nested": [[1], [2]], "mixed": [1, "a"] }),
        ]);
        assert_eq!(cells(&walk), json!([{ "v[0]": 1, "v[1]": null, "v[2]": 3 }]));
        assert_eq!(walk.names["v[2]"].1, ["v_2"], "each element has a name of its own");
        assert_eq!(walk.vectors().collect::<Vec<_>>(), ["`v` is a vector of 3 numbers"]);
    }

    #[test]
    fn of_a_long_vector_the_first_elements_are_watched() {
        let said = |n: usize| {
            let walk = walked(&[json!({ "v": vec![0.5; n] })]);
            (walk.rows[0].1.len(), walk.vectors().next().expect("a vector"))
        };
        assert_eq!(said(VECTOR_MAX), (VECTOR_MAX, "`v` is a vector of 64 numbers".to_owned()));
        let long = "`v` is a vector of 65 numbers, of which the first 16 are watched".to_owned();
        assert_eq!(said(VECTOR_MAX + 1), (LONG_VECTOR, long));
    }

    #[test]
    fn lists_that_are_not_always_as_long_mean_nothing_by_their_places() {
        let all = [json!({ "v": [1, 2], "w": [1] }), json!({ "v": [1, 2, 3], "w": [2] }), json!({ "w": [3] })];
        let mut walk = walked(&all);
        walk.leave_uneven();
        assert_eq!(cells(&walk), json!([{ "w[0]": 1 }, { "w[0]": 2 }, { "w[0]": 3 }]));
        assert!(walk.names.keys().eq(["w[0]"]));
        assert_eq!(walk.vectors().count(), 1);
        let mut shrinking = walked(&[json!({ "v": [1, 2, 3] }), json!({ "v": [1] })]);
        shrinking.leave_uneven();
        assert_eq!(cells(&shrinking), json!([{}, {}]), "all of the longest are left out");
    }

    #[test]
    fn probabilities_of_classes_stay_together() {
        let walk = walked(&[json!({ "probabilities": [0.25, 0.75], "p": ["a"] })]);
        assert_eq!(cells(&walk), json!([{ "probabilities": [0.25, 0.75] }]));
    }

    #[test]
    fn attributes_are_known_by_their_keys_whatever_their_type_is_called() {
        let all = json!([
            { "key": "model", "value": { "stringValue": "m" } },
            { "key": "tokens", "value": { "intValue": 5 } },
            { "key": "reasons", "value": { "arrayValue": { "values": [{ "stringValue": "stop" }, { "stringValue": "x" }] } } },
            { "key": "none" },
        ]);
        let walk = walked(&[json!({ "attributes": all })]);
        let place = |key: &str, rest: &str| format!("attributes[key={key}].value.{rest}");
        let expected = json!({
            place("model", "stringValue"): "m",
            place("tokens", "intValue"): 5,
            place("reasons", "arrayValue.values[0].stringValue"): "stop",
        });
        assert_eq!(cells(&walk), json!([expected]));
        assert_eq!(walk.names[&place("tokens", "intValue")].1, ["tokens"]);
        let more = walked(&[json!({ "attributes": [{ "key": "a", "value": 1, "unit": "s" }] })]);
        assert_eq!(cells(&more), json!([{}]), "what says more is no attribute");
        let some = walked(&[json!({ "attributes": [{ "key": "a", "value": 1 }, { "x": 1 }] })]);
        assert_eq!(cells(&some), json!([{}]), "nor is one beside what is none");
        assert!(attribute(&json!({ "key": 1, "value": 2 })).is_none() && attribute(&json!({ "value": 2 })).is_none());
    }

    #[test]
    fn a_row_for_each_element_has_what_all_share() {
        let walk = rows(&["rows"], &json!([{ "x": 1, "secret": 2 }, { "x": { "y": null, "z": 3 } }, {}]));
        assert_eq!(cells(&walk), json!([{ "id": 7, "$row.x": 1 }, { "id": 7, "$row.x.z": 3 }, { "id": 7 }]));
        assert!(walk.rows.iter().all(|(record, _)| *record == 3));
        assert_eq!(cells(&rows(&["rows"], &json!("none"))), json!([]));
    }

    #[test]
    fn elements_without_fields_are_rows_by_themselves() {
        let walk = rows(&["instances"], &json!([[1, 2], [3, 4]]));
        assert_eq!(
            cells(&walk),
            json!([{ "id": 7, "$row[0]": 1, "$row[1]": 2 }, { "id": 7, "$row[0]": 3, "$row[1]": 4 }])
        );
        assert_eq!(walk.names["$row[1]"].1, ["instances_1"], "named as the list is");
        assert_eq!(cells(&rows(&["predictions"], &json!([0.5]))), json!([{ "id": 7, "$row": 0.5 }]));
    }

    #[test]
    fn rows_in_lists_of_lists_have_what_stands_around_them() {
        let list = json!([
            { "name": "a", "secret": 0, "inner": [{ "x": 1 }, { "x": 2 }] },
            { "name": "b", "inner": [] },
            { "name": "c" },
            { "name": "d", "inner": [4, 5] },
            "no object",
            { "inner": [{ "x": 3 }] },
        ]);
        let walk = rows(&["outer", "outer[*].inner"], &list);
        let of = |name: &str, x: u32| json!({ "id": 7, "outer[*].name": name, "$row.x": x });
        let bare = |x: u32| json!({ "id": 7, "outer[*].name": "d", "$row": x });
        let expected = json!([of("a", 1), of("a", 2), bare(4), bare(5), { "id": 7, "$row.x": 3 }]);
        assert_eq!(cells(&walk), expected, "the inner list is no vector of what is around it");
    }

    #[test]
    fn so_many_places_are_noted_and_no_more() {
        let many: Map<String, Value> = (0..=PLACES_MAX).map(|at| (format!("k{at}"), json!(1))).collect();
        let walk = walked(&[Value::Object(many)]);
        assert_eq!((walk.names.len(), walk.rows[0].1.len()), (PLACES_MAX, PLACES_MAX));
    }
}
