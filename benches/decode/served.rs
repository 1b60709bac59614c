//! The same events as answers of a model server, in the Open Inference Protocol.

use haldane::plan::{FieldSource, Mapping, NumericField, Path, Side, TimeFormat};
use serde_json::json;

use super::{Drawn, N_CATEGORICAL, N_NUMERIC};

/// Where values are in answers.
pub(super) fn mapping(is_wide: bool) -> Mapping {
    let path = |text: String| text.parse::<Path>().expect("a path");
    let feature =
        |i: usize| if is_wide { format!("outputs[name=f{i:02}]") } else { format!("outputs[name=features][{i}]") };
    let answers = ["outputs[name=score]", "outputs[name=latency]"].map(str::to_owned);
    let numeric = (0..N_NUMERIC).map(feature).chain(answers);
    Mapping {
        side: Some(Side::Response),
        id: Some(path("id".into())),
        event_time: Some((path("parameters.at".into()), TimeFormat::Micros)),
        model: FieldSource::Path(path("model_name".into())),
        version: FieldSource::Path(path("model_version".into())),
        numeric: numeric.map(|text| Some(NumericField { path: path(text), factor: 1.0 })).collect(),
        categorical: (0..N_CATEGORICAL).map(|i| Some(path(format!("outputs[name=categories][{i}]")))).collect(),
        ..Mapping::default()
    }
}

/// An answer in JSON, its features in one tensor.
pub(super) fn json(event: &Drawn) -> Vec<u8> {
    let tensor = |name: &str, datatype: &str, data: serde_json::Value| {
        let width = data.as_array().map_or(0, Vec::len);
        json!({ "name": name, "shape": [1, width], "datatype": datatype, "data": data })
    };
    json!({ "model_name": "fraud", "model_version": "v17", "id": event.id, "parameters": { "at": event.time },
            "outputs": [
                tensor("features", "FP64", event.features.iter().flatten().copied().collect()),
                tensor("categories", "BYTES", event.categories.clone().into()),
                tensor("score", "FP64", vec![event.score].into()),
                tensor("latency", "FP64", vec![event.latency].into()),
            ] })
    .to_string()
    .into_bytes()
}

/// An answer as protobuf with raw contents; `is_wide`: each feature is a tensor, instead of one of all.
pub(super) fn protobuf(event: &Drawn, is_wide: bool) -> Vec<u8> {
    let (mut tensors, mut raw) = (Vec::new(), Vec::new());
    let mut add = |name: &str, datatype: &str, width: u8, bytes: Vec<u8>| {
        let parts = [field(1, name.as_bytes()), field(2, datatype.as_bytes()), field(3, &[1, width])];
        tensors.extend(field(5, &parts.concat()));
        raw.extend(field(6, &bytes));
    };
    let doubles = |values: &[f64]| values.iter().flat_map(|value| value.to_le_bytes()).collect();
    let features: Vec<f64> = event.features.iter().flatten().copied().collect();
    if is_wide {
        features.iter().enumerate().for_each(|(i, value)| add(&format!("f{i:02}"), "FP64", 1, doubles(&[*value])));
    } else {
        add("features", "FP64", 30, doubles(&features));
    }
    let lengths = |text: &String| u32::try_from(text.len()).expect("a short text").to_le_bytes();
    let texts = event.categories.iter().flat_map(|text| [&lengths(text)[..], text.as_bytes()].concat());
    add("categories", "BYTES", 5, texts.collect());
    add("score", "FP64", 1, doubles(&[event.score]));
    add("latency", "FP64", 1, doubles(&[event.latency]));
    let at = [&[2 << 3][..], &varint(event.time.unsigned_abs())].concat();
    let parameter = [field(1, b"at"), field(2, &at)].concat();
    let head = [field(1, b"fraud"), field(2, b"v17"), field(3, event.id.as_bytes()), field(4, &parameter)];
    [head.concat(), tensors, raw].concat()
}

/// An event as a message of Protobuf in Confluent's frame.
pub(super) fn message(event: &Drawn) -> Vec<u8> {
    let double = |number: usize, value: f64| [&varint((number << 3 | 1) as u64)[..], &value.to_le_bytes()].concat();
    let whole = |number: u8, value: u64| [&[number << 3][..], &varint(value)].concat();
    let features = event.features.iter().enumerate();
    let features: Vec<u8> =
        features.flat_map(|(i, value)| value.iter().flat_map(move |value| double(i + 1, *value))).collect();
    let categories: Vec<u8> =
        (1..).zip(&event.categories).flat_map(|(number, text)| field(number, text.as_bytes())).collect();
    let head = [vec![0, 0, 0, 0, 1, 0], field(1, b"fraud"), field(2, b"v17"), field(3, event.id.as_bytes())];
    let numbers =
        [whole(4, event.time.unsigned_abs()), double(5, event.latency), whole(6, 200), double(7, event.score)];
    [head.concat(), numbers.concat(), field(8, &features), field(9, &categories)].concat()
}

fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2][..], &varint(bytes.len() as u64), bytes].concat()
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    bytes.push(value.to_le_bytes()[0]);
    bytes
}
