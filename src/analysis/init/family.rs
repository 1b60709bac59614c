//! Which well-known message the records of a sample are.

use serde_json::Value;

use super::walk::attribute;
use crate::plan::{Path, Side};
use crate::replay::ARRIVAL_NAMES;
use crate::table::TableColumn;

/// Where spans say what a language model was asked to do.
pub(super) const OTLP_OPERATION: &str = "$row.attributes[key=gen_ai.operation.name].value.stringValue";
/// Events among log records that tell of models.
pub(super) const OTLP_EVENTS: [&str; 2] = ["feature_flag.evaluation", "gen_ai.evaluation.result"];

/// Lists that hold a batch, by their names, whatever is in them.
const BATCHES: [&str; 2] = ["instances", "predictions"];
/// How deep lists of rows may stand in each other.
const LISTS_MAX: usize = 3;

/// What records are.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum RecordFamily {
    /// One row each.
    Flat,
    /// A row for each element of these lists, each in the elements of the one before it.
    Rows(Vec<Path>),
    /// Requests of OTLP, by the key of their outer list.
    Otlp(&'static str),
    /// Requests or answers of the Open Inference Protocol.
    Inference(Side),
    /// Changes of the rows of a table, behind these keys.
    Debezium(Vec<String>),
}

impl RecordFamily {
    /// What records are, by the columns of their table and what stands there.
    pub(super) fn of(columns: &[TableColumn], documents: &[&Vec<Value>]) -> Self {
        if let Some(above) = Self::debezium(columns) {
            return Self::Debezium(above);
        }
        let list = |name: &str| {
            let at = columns.iter().position(|column| column.path == [name] && column.data_type.is_nested())?;
            documents.iter().find_map(|document| document[at].as_array().filter(|list| !list.is_empty()))
        };
        if let Some(name) = ["resourceSpans", "resourceLogs"].into_iter().find(|name| list(name).is_some()) {
            return Self::Otlp(name);
        }
        let is_tensor = |value: &Value| ["name", "shape", "datatype"].iter().all(|key| value.get(key).is_some());
        let side = [Side::Response, Side::Request];
        if let Some(side) =
            side.into_iter().find(|side| list(side.tensors()).is_some_and(|all| all.iter().all(is_tensor)))
        {
            return Self::Inference(side);
        }
        let candidates = columns.iter().enumerate().filter_map(|(at, column)| {
            let of = documents.iter().find_map(|document| document[at].as_array().filter(|list| !list.is_empty()))?;
            let is_batch = column.path.last().is_some_and(|name| BATCHES.contains(&name.as_str()));
            let path: Path = column.path.iter().cloned().collect();
            (is_batch || are_rows(of)).then(|| lists(path, of))
        });
        candidates.into_iter().next().map_or(Self::Flat, Self::Rows)
    }

    /// The keys before those of a change, if columns are those of changes.
    pub(super) fn debezium(columns: &[TableColumn]) -> Option<Vec<String>> {
        let op = columns.iter().find(|column| column.path.last().is_some_and(|name| name == "op"))?;
        let above = op.path[..op.path.len() - 1].to_vec();
        let has = |name: &str| {
            let inside = [above.as_slice(), &[name.to_owned()]].concat();
            columns.iter().any(|column| column.path.len() > inside.len() && column.path.starts_with(&inside))
        };
        (has("after") && has("source")).then_some(above)
    }

    /// Whether a column is the list of the rows.
    pub(super) fn holds_rows(&self, column: &TableColumn) -> bool {
        match self {
            Self::Flat | Self::Debezium(_) => false,
            Self::Rows(lists) => column.path.iter().cloned().collect::<Path>() == lists[0],
            Self::Otlp(name) => column.path == [*name],
            Self::Inference(side) => column.path == [side.tensors()],
        }
    }

    /// Whether a column beside it can be read.
    pub(super) fn reads(&self, column: &TableColumn) -> bool {
        let first = column.path.first().map_or("", String::as_str);
        match self {
            Self::Inference(_) => {
                matches!(first, "id" | "model_name" | "model_version" | "parameters")
                    || first.starts_with('$')
                    || ARRIVAL_NAMES.contains(&first)
            }
            Self::Debezium(above) => {
                let is_in = |name: &str| {
                    let path = [above.as_slice(), &[name.to_owned()]].concat();
                    column.path.starts_with(&path)
                };
                is_in("after") || is_in("ts_ms") || first.starts_with('$')
            }
            _ => true,
        }
    }

    /// Whether a field in a row, or around it, tells of an event: most of what OpenTelemetry says is of traces.
    pub(super) fn reads_in_rows(&self, field: &str) -> bool {
        let is_otlp = matches!(self, Self::Otlp(_));
        !is_otlp
            || ["attributes", "resource", "endTimeUnixNano", "timeUnixNano", "eventName", "spanId"].contains(&field)
    }

    /// Whether a change leaves a row behind.
    pub(super) fn is_taken(&self, columns: &[TableColumn], document: &[Value]) -> bool {
        let Self::Debezium(above) = self else { return true };
        let op = [above.as_slice(), &["op".to_owned()]].concat();
        let found = columns.iter().zip(document).find(|(column, _)| column.path == op);
        found.and_then(|(_, value)| value.as_str()).is_some_and(|op| KEPT.contains(&op))
    }

    /// The lists that lead to the rows.
    pub(super) fn lists(&self) -> Vec<Path> {
        match self {
            Self::Rows(lists) => lists.clone(),
            Self::Otlp(_) => {
                let mut path = String::new();
                let parts = self.rows().unwrap_or_default();
                let parts: Vec<&str> = parts.split("[*]").filter(|part| !part.is_empty()).collect();
                parts
                    .iter()
                    .filter_map(|part| {
                        path = if path.is_empty() { (*part).to_owned() } else { format!("{path}[*]{part}") };
                        path.parse().ok()
                    })
                    .collect()
            }
            _ => Vec::new(),
        }
    }

    /// What `rows` of a pipeline file says.
    pub(super) fn rows(&self) -> Option<String> {
        match self {
            Self::Rows(lists) => lists.last().map(Path::each),
            Self::Otlp("resourceSpans") => Some("resourceSpans[*].scopeSpans[*].spans[*]".to_owned()),
            Self::Otlp(_) => Some("resourceLogs[*].scopeLogs[*].logRecords[*]".to_owned()),
            _ => None,
        }
    }

    /// Whether a record may have several rows.
    pub(super) fn has_rows(&self) -> bool {
        matches!(self, Self::Rows(_) | Self::Otlp(_) | Self::Inference(_))
    }

    /// Whether a place is in a tensor.
    pub(super) fn is_tensor(&self, place: &str) -> bool {
        matches!(self, Self::Inference(side) if place.starts_with(&format!("{}[", side.tensors())))
    }

    /// Which records are meant.
    pub(super) fn condition(&self) -> Option<(String, Vec<String>)> {
        let Self::Debezium(above) = self else { return None };
        let op: Path = above.iter().cloned().chain(["op".to_owned()]).collect();
        Some((op.escaped(), KEPT.map(str::to_owned).to_vec()))
    }

    /// What was seen, in words.
    pub(super) fn said(&self) -> Vec<String> {
        let said = match self {
            Self::Flat => return Vec::new(),
            Self::Rows(_) => format!("each element of `{}` is a row", self.rows().unwrap_or_default()),
            Self::Otlp("resourceSpans") => "spans of OpenTelemetry (OTLP): each is a row".to_owned(),
            Self::Otlp(_) => "log records of OpenTelemetry (OTLP): each is a row".to_owned(),
            Self::Inference(Side::Request) => {
                "requests of the Open Inference Protocol: each row of a batch is a row".to_owned()
            }
            Self::Inference(Side::Response) => {
                "answers of the Open Inference Protocol: each row of a batch is a row".to_owned()
            }
            Self::Debezium(_) => "changes of a table, as Debezium tells them: the row after each".to_owned(),
        };
        vec![said]
    }
}

/// Changes that leave a row behind: made, read, updated.
const KEPT: [&str; 3] = ["c", "r", "u"];

/// Whether elements of a list can be rows: objects that are no attributes, or lists.
fn are_rows(list: &[Value]) -> bool {
    list.iter().all(|element| element.is_object() && attribute(element).is_none() || element.is_array())
}

/// The list and those in its elements, as long as these hold no numbers of their own.
fn lists(path: Path, list: &[Value]) -> Vec<Path> {
    let mut lists = vec![path];
    let mut elements = list;
    while let (Some(Value::Object(fields)), true) = (elements.first(), lists.len() < LISTS_MAX) {
        let inner = fields
            .iter()
            .find_map(|(key, value)| Some((key, value.as_array().filter(|list| !list.is_empty() && are_rows(list))?)));
        let Some((key, inner)) = inner.filter(|_| !fields.values().any(Value::is_number)) else { break };
        let each = lists[lists.len() - 1].each();
        lists.push([each, key.clone()].into_iter().collect());
        elements = inner;
    }
    lists
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::datatypes::{DataType, Field};
    use serde_json::json;

    use super::*;

    fn column(path: &[&str], is_list: bool) -> TableColumn {
        let list = || DataType::List(Arc::new(Field::new("item", DataType::Null, true)));
        TableColumn {
            name: path.join("."),
            path: path.iter().map(|name| (*name).to_owned()).collect(),
            data_type: if is_list { list() } else { DataType::Utf8 },
            inside: None,
        }
    }

    fn of(columns: &[TableColumn], record: &[Value]) -> RecordFamily {
        let record = record.to_vec();
        RecordFamily::of(columns, &[&record])
    }

    fn rows(columns: &[TableColumn], record: &[Value]) -> Option<String> {
        of(columns, record).rows()
    }

    #[test]
    fn a_list_of_objects_or_of_lists_holds_rows_and_one_of_numbers_does_not() {
        let list = [column(&["id"], false), column(&["items"], true)];
        for (items, found) in [
            (json!([{ "a": 1 }]), Some("items[*]")),
            (json!([[1, 2], [3, 4]]), Some("items[*]")),
            (json!([1, 2]), None),
            (json!([{ "a": 1 }, 2]), None),
            (json!([{ "key": "k", "value": 1 }]), None),
            (json!([]), None),
        ] {
            assert_eq!(rows(&list, &[json!("x"), items.clone()]).as_deref(), found, "{items}");
        }
        let batch = [column(&["body", "instances"], true)];
        assert_eq!(rows(&batch, &[json!([1, 2])]).as_deref(), Some("body.instances[*]"), "by its name");
        assert_eq!(of(&[column(&["id"], false)], &[json!("x")]), RecordFamily::Flat);
    }

    #[test]
    fn lists_of_rows_stand_in_each_other_as_long_as_they_hold_no_numbers_of_their_own() {
        let orders = [column(&["orders"], true)];
        let deep = json!([{ "who": "a", "lines": [{ "parts": [{ "n": 1 }] }] }]);
        assert_eq!(rows(&orders, &[deep]).as_deref(), Some("orders[*].lines[*].parts[*]"));
        let with_number = json!([{ "total": 3, "lines": [{ "n": 1 }] }]);
        assert_eq!(rows(&orders, &[with_number]).as_deref(), Some("orders[*]"));
        let deeper = json!([{ "a": [{ "b": [{ "c": [{ "d": 1 }] }] }] }]);
        assert_eq!(rows(&orders, &[deeper]).as_deref(), Some("orders[*].a[*].b[*]"), "three lists at most");
    }

    #[test]
    fn messages_of_model_servers_are_told_by_what_tensors_say_of_themselves() {
        let tensor = json!([{ "name": "x", "shape": [1], "datatype": "FP32", "data": [1] }]);
        for (name, side) in [("inputs", Side::Request), ("outputs", Side::Response)] {
            let family = of(&[column(&[name], true), column(&["id"], false)], &[tensor.clone(), json!("1")]);
            assert_eq!(family, RecordFamily::Inference(side));
            assert!(family.holds_rows(&column(&[name], true)) && family.is_tensor(&format!("{name}[name=x]")));
            assert!(family.reads(&column(&["model_name"], false)) && !family.reads(&column(&["other"], false)));
        }
        let other = json!([{ "name": "x", "shape": [1] }]);
        assert_eq!(rows(&[column(&["inputs"], true)], &[other]).as_deref(), Some("inputs[*]"), "no tensors");
    }

    #[test]
    fn telemetry_is_told_by_its_outer_list() {
        let spans = json!([{ "scopeSpans": [] }]);
        let family = of(&[column(&["resourceSpans"], true)], &[spans]);
        assert_eq!(family.rows().as_deref(), Some("resourceSpans[*].scopeSpans[*].spans[*]"));
        let lists: Vec<String> = family.lists().iter().map(Path::to_string).collect();
        assert_eq!(lists.len(), 3, "{lists:?}");
        assert!(family.reads_in_rows("attributes") && !family.reads_in_rows("droppedAttributesCount"));
        let empty = of(&[column(&["resourceLogs"], true)], &[json!([])]);
        assert_eq!(empty, RecordFamily::Flat, "nothing has come yet");
    }

    #[test]
    fn changes_of_a_table_leave_a_row_unless_they_delete_it() {
        let columns = [
            column(&["payload", "op"], false),
            column(&["payload", "after", "x"], false),
            column(&["payload", "before", "x"], false),
            column(&["payload", "source", "db"], false),
            column(&["payload", "ts_ms"], false),
        ];
        let record = |op: &str| vec![json!(op), json!(1), json!(0), json!("d"), json!(5)];
        let family = of(&columns, &record("u"));
        assert_eq!(family, RecordFamily::Debezium(vec!["payload".to_owned()]));
        let taken = ["c", "r", "u", "d", "t"].map(|op| family.is_taken(&columns, &record(op)));
        assert_eq!(taken, [true, true, true, false, false]);
        let read: Vec<bool> = columns.iter().map(|column| family.reads(column)).collect();
        assert_eq!(read, [false, true, false, false, true], "what is there after it, and when");
        let (place, allowed) = family.condition().expect("a condition");
        assert_eq!((place.as_str(), allowed), ("payload.op", vec!["c".to_owned(), "r".to_owned(), "u".to_owned()]));
        assert_eq!(RecordFamily::debezium(&columns[..3]), None, "without a source it is any record");
        assert!(RecordFamily::Flat.is_taken(&columns, &record("d")) && RecordFamily::Flat.condition().is_none());
    }
}
