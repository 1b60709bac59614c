//! Tables to events: Arrow IPC records and the record batches of files.
#![expect(clippy::unwrap_used, clippy::similar_names, reason = "a test fails by panicking")]

use std::sync::Arc;

use arrow::array::*;
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Field as Column, Fields, Int8Type, Schema, TimeUnit};
use arrow::ipc::CompressionType;
use arrow::ipc::writer::{IpcWriteOptions, StreamWriter};
use haldane::decode::columnar::{Columnar, from_record_batch};
use haldane::decode::{Decoded, Record, decoder};
use haldane::error::Fault;
use haldane::event::{Poison, stable_hash};
use haldane::plan::*;
use proptest::prelude::*;

use crate::flights::{OUTCOMES, PREDICTIONS, path, plan, plan_with, rows};

const BROKER_TIME: i64 = 1_400_000_000_000_000;
const EVENT_TIME: i64 = 1_367_575_215_765_021;

fn table(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true))).unwrap()
}

fn text<const N: usize>(values: [&str; N]) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(values))
}

/// Three predictions with the least that is needed.
fn least() -> Vec<(&'static str, ArrayRef)> {
    let times = TimestampMicrosecondArray::from(vec![EVENT_TIME; 3]).with_timezone("UTC");
    vec![
        ("event_time", Arc::new(times)),
        ("prediction_id", text(["a", "b", "c"])),
        ("model", text(["m", "m", "m"])),
        ("version", text(["v1", "v2", "v1"])),
    ]
}

fn decode(plan: &Arc<Plan>, source: u16, table: &RecordBatch) -> haldane::error::Result<Decoded> {
    let offsets = (10..).take(table.num_rows()).collect::<Vec<i64>>();
    let arrivals = Int64Array::from(vec![BROKER_TIME; table.num_rows()]);
    from_record_batch(plan, source, 0, table, offsets.into(), arrivals)
}

/// The three predictions with one more column, which must be readable.
fn with(name: &'static str, array: ArrayRef) -> Decoded {
    let mut columns = least();
    columns.retain(|(other, _)| *other != name);
    columns.push((name, array));
    decode(&Arc::new(plan()), PREDICTIONS, &table(columns)).unwrap()
}

/// An Arrow IPC stream of these tables.
pub(crate) fn ipc(tables: &[RecordBatch]) -> Vec<u8> {
    let mut writer = StreamWriter::try_new(Vec::new(), &tables[0].schema()).unwrap();
    for table in tables {
        writer.write(table).unwrap();
    }
    writer.into_inner().unwrap()
}

#[test]
fn fields_are_found_by_path_then_in_structs_then_by_last_part_then_by_canonical_name() {
    let plan = Arc::new(plan());
    let numbers = |value: f64| Arc::new(Float64Array::from(vec![value; 3])) as ArrayRef;
    let nested = |name: &str, value| {
        Arc::new(StructArray::from(vec![(Arc::new(Column::new(name, DataType::Float64, true)), numbers(value))]))
    };
    let read = |extra: Vec<(&'static str, ArrayRef)>| {
        let decoded = decode(&plan, PREDICTIONS, &table([least(), extra].concat())).unwrap();
        rows(&decoded.batch)[0].numeric[0]
    };
    let (path, object, last) = (
        ("features_num.dep_hour", numbers(1.0)),
        ("features_num", nested("dep_hour", 2.0) as ArrayRef),
        ("dep_hour", numbers(3.0)),
    );
    assert_eq!(read(vec![last.clone(), object.clone(), path]), Some(1.0));
    assert_eq!(read(vec![last.clone(), object]), Some(2.0));
    assert_eq!(read(vec![last]), Some(3.0));
    assert_eq!(read(vec![]), None);
    let latency = Arc::new(plan_with(PREDICTIONS, |source| {
        source.mapping.numeric[10] = Some(NumericField { path: crate::flights::path("took_s"), factor: 1000.0 });
    }));
    let value = |name| {
        let columns = [least(), vec![(name, numbers(0.5))]].concat();
        rows(&decode(&latency, PREDICTIONS, &table(columns)).unwrap().batch)[0].numeric[10]
    };
    assert_eq!((value("took_s"), value("latency_ms")), (Some(500.0), Some(0.5)), "the canonical unit is milliseconds");
}

#[test]
fn a_field_of_a_null_struct_is_null() {
    let fields = Fields::from(vec![Column::new("temp", DataType::Float64, true)]);
    let values = vec![Arc::new(Float64Array::from(vec![1.0, 2.0, 3.0])) as ArrayRef];
    let object = StructArray::new(fields, values, Some(vec![true, false, true].into()));
    let decoded = with("features_num", Arc::new(object));
    assert_eq!(rows(&decoded.batch).iter().map(|row| row.numeric[4]).collect::<Vec<_>>(), [Some(1.0), None, Some(3.0)]);
}

#[test]
fn a_field_that_can_hold_no_nulls_may_stand_in_a_null_struct() {
    let in_null = |field: ArrayRef| -> ArrayRef {
        let fields = Fields::from(vec![Column::new("temp", field.data_type().clone(), true)]);
        Arc::new(StructArray::new(fields, vec![field], Some(vec![true, false, true].into())))
    };
    let decoded = with("features_num", in_null(Arc::new(NullArray::new(3))));
    assert!(rows(&decoded.batch).iter().all(|row| row.numeric[4].is_none()));
    let ends = Int32Array::from(vec![2, 3]);
    let runs: ArrayRef = Arc::new(RunArray::try_new(&ends, &Float64Array::from(vec![1.0, 2.0])).unwrap());
    let columns = [least(), vec![("features_num", in_null(runs))]].concat();
    let error = decode(&Arc::new(plan()), PREDICTIONS, &table(columns)).unwrap_err().to_string();
    assert!(error.contains("RunEndEncoded") && error.contains("expected numbers"), "{error}");
}

#[test]
fn numbers_of_every_type_are_read_and_f64_is_shared() {
    let score = Float64Array::from(vec![Some(0.5), None, Some(1.0)]);
    let decoded = with("score", Arc::new(score.clone()));
    assert_eq!(decoded.batch.numeric[9], score);
    assert_eq!(decoded.batch.numeric[9].values().as_ptr(), score.values().as_ptr(), "not copied");
    let others: [ArrayRef; 6] = [
        Arc::new(Float32Array::from(vec![Some(1.0), None, Some(0.0)])),
        Arc::new(Int64Array::from(vec![Some(1), None, Some(0)])),
        Arc::new(UInt8Array::from(vec![Some(1), None, Some(0)])),
        Arc::new(Decimal128Array::from(vec![Some(10), None, Some(0)]).with_precision_and_scale(4, 1).unwrap()),
        Arc::new(StringArray::from(vec![Some("1.0"), Some(""), Some("0")])),
        Arc::new(StringArray::from(vec![Some("1"), None, Some("0")]).iter().collect::<DictionaryArray<Int8Type>>()),
    ];
    for array in others {
        let decoded = with("score", Arc::clone(&array));
        assert_eq!(
            decoded.batch.numeric[9],
            Float64Array::from(vec![Some(1.0), None, Some(0.0)]),
            "{}",
            array.data_type()
        );
    }
}

#[test]
fn texts_of_every_type_are_read() {
    let expected = [Some("1"), None, Some("0")];
    let of_int: Vec<Option<i64>> = vec![Some(1), None, Some(0)];
    let texts: [ArrayRef; 6] = [
        Arc::new(StringArray::from(expected.to_vec())),
        Arc::new(LargeStringArray::from(expected.to_vec())),
        Arc::new(StringViewArray::from(expected.to_vec())),
        Arc::new(expected.into_iter().collect::<DictionaryArray<Int8Type>>()),
        Arc::new(Int64Array::from(of_int)),
        Arc::new(Float64Array::from(vec![1.0, f64::NAN, 0.0])),
    ];
    for array in texts {
        let kind = array.data_type().clone();
        let decoded = with("cohort", array);
        let read: Vec<_> = rows(&decoded.batch).into_iter().map(|row| row.segments[0].clone()).collect();
        assert_eq!(read, expected.map(|text| text.map(str::to_owned)), "{kind}");
    }
    let flags = with("carrier", Arc::new(BooleanArray::from(vec![true, false, true])));
    assert_eq!(rows(&flags.batch)[1].categorical[0].as_deref(), Some("false"));
    let classes = with("predicted_label", Arc::new(BooleanArray::from(vec![true, false, true])));
    assert_eq!(rows(&classes.batch)[1].predicted.as_deref(), Some("0"));
}

#[test]
fn a_dictionary_with_repetitions_becomes_one_without() {
    let keys = Int8Array::from(vec![0, 1, 2]);
    let values = StringArray::from(vec!["x", "y", "x"]);
    let decoded = with("cohort", Arc::new(DictionaryArray::new(keys, Arc::new(values))));
    let column = &decoded.batch.segments[0];
    assert_eq!(column.keys().values(), &[0, 1, 0]);
    let empty = DictionaryArray::<Int8Type>::new(Int8Array::new_null(3), Arc::new(StringArray::new_null(0)));
    assert_eq!(with("cohort", Arc::new(empty)).batch.segments[0].null_count(), 3);
}

#[test]
fn ids_hash_like_those_of_json() {
    let ids = |array: ArrayRef| with("prediction_id", array).batch.id.values().to_vec();
    let expected = [stable_hash(b"7"), stable_hash(b"8"), stable_hash(b"9")];
    assert_eq!(ids(text(["7", "8", "9"])), expected);
    assert_eq!(ids(Arc::new(Int32Array::from(vec![7, 8, 9]))), expected);
    assert_eq!(ids(Arc::new(["7", "8", "9"].into_iter().collect::<DictionaryArray<Int8Type>>())), expected);
}

#[test]
fn times_of_every_type_are_read() {
    let time = |array: ArrayRef| rows(&with("event_time", array).batch)[0].event_time;
    assert_eq!(time(Arc::new(TimestampNanosecondArray::from(vec![EVENT_TIME * 1000 + 999; 3]))), EVENT_TIME);
    assert_eq!(time(Arc::new(TimestampSecondArray::from(vec![5; 3]))), 5_000_000);
    assert_eq!(time(Arc::new(Int64Array::from(vec![EVENT_TIME; 3]))), EVENT_TIME);
    assert_eq!(time(Arc::new(Date32Array::from(vec![1; 3]))), 86_400_000_000);
    assert_eq!(time(text(["2013-05-03T10:00:15.765021Z"; 3])), EVENT_TIME);
    let millis = plan_with(PREDICTIONS, |source| source.mapping.event_time = Some((path("at"), TimeFormat::Millis)));
    let read = |array: ArrayRef| {
        let columns = [least()[1..].to_vec(), vec![("at", array)]].concat();
        rows(&decode(&millis, PREDICTIONS, &table(columns)).unwrap().batch)[0].event_time
    };
    assert_eq!(read(Arc::new(Int32Array::from(vec![5; 3]))), 5000);
    assert_eq!(read(Arc::new(Float64Array::from(vec![5.5; 3]))), 5500);
}

#[test]
fn bad_values_refuse_their_row_only() {
    let cases: [(&'static str, ArrayRef, Poison); 8] = [
        ("score", Arc::new(Float64Array::from(vec![0.5, 1.5, 0.5])), Poison::OutOfRange),
        ("score", text(["0.5", "high", "0.5"]), Poison::WrongType),
        ("status", Arc::new(Int64Array::from(vec![200, 70_000, 200])), Poison::OutOfRange),
        ("status", Arc::new(Float64Array::from(vec![200.0, 0.5, 200.0])), Poison::WrongType),
        ("prediction_id", Arc::new(StringArray::from(vec![Some("a"), None, Some("c")])), Poison::MissingField),
        ("version", text(["v1", "", "v2"]), Poison::MissingField),
        ("event_time", Arc::new(TimestampMicrosecondArray::from(vec![1, -1, 1])), Poison::AbsurdTime),
        ("carrier", text(["AA", &"x".repeat(513), "BB"]), Poison::TooLong),
    ];
    for (name, array, reason) in cases {
        let decoded = with(name, array);
        let rejects: Vec<_> = decoded.rejects.iter().map(|reject| (reject.offset, reject.row, reject.reason)).collect();
        assert_eq!(rejects, [(11, 0, reason)], "{name}: {:?}", decoded.rejects);
        assert_eq!(decoded.batch.offset.values(), &[10, 12], "{name}");
        assert_eq!(rows(&decoded.batch).len(), 2);
    }
}

#[test]
fn what_is_missing_is_told() {
    let mut columnar = Columnar::new(&Arc::new(plan()), PREDICTIONS, 0);
    let columns = |n: usize| Int64Array::from(vec![BROKER_TIME; n]);
    columnar.decode(&table(least()), columns(3), columns(3)).unwrap();
    assert!(
        columnar.absent().contains(&"features_num.visib".to_owned())
            && !columnar.absent().contains(&"version".to_owned())
    );
    let error = columnar.decode(&table(least()[..3].to_vec()), columns(3), columns(3)).unwrap_err();
    assert_eq!(error.to_string(), "no column `version`; there are event_time, prediction_id, model");
    assert!(error.fault() == Fault::User && error.advice().is_some());
    let typed = [least(), vec![("score", Arc::new(Date32Array::from(vec![1; 3])) as ArrayRef)]].concat();
    let error = columnar.decode(&table(typed), columns(3), columns(3)).unwrap_err();
    assert_eq!(error.to_string(), "column for `score` is Date32, expected numbers");
}

#[test]
fn labels_and_class_scores_are_read() {
    let outcome = |label: ArrayRef| {
        let columns = vec![least()[0].clone(), least()[1].clone(), ("label", label)];
        decode(&Arc::new(plan()), OUTCOMES, &table(columns)).unwrap()
    };
    assert_eq!(outcome(Arc::new(Int8Array::from(vec![1, 0, 1]))).batch.label.values(), &[1.0, 0.0, 1.0]);
    assert_eq!(outcome(Arc::new(BooleanArray::from(vec![true, false, true]))).batch.label.values(), &[1.0, 0.0, 1.0]);
    assert_eq!(outcome(Arc::new(Int8Array::from(vec![1, 2, 1]))).rejects[0].reason, Poison::OutOfRange);

    let mut plan = plan();
    plan.quality.as_mut().unwrap().task = Task::Multiclass;
    let mapping = &mut plan.sources[0].mapping;
    (mapping.class_scores, mapping.predicted, mapping.numeric[9]) =
        (Some(ClassScores::Whole(path("scores"))), None, None);
    let class = |name: &str, values: [f64; 3]| {
        (
            Arc::new(Column::new(name, DataType::Float64, true)),
            Arc::new(Float64Array::from(values.to_vec())) as ArrayRef,
        )
    };
    let scores = StructArray::from(vec![class("cat", [0.9, 0.1, 0.5]), class("dog", [0.1, 0.9, 0.5])]);
    let decoded =
        decode(&Arc::new(plan), PREDICTIONS, &table([least(), vec![("scores", Arc::new(scores))]].concat())).unwrap();
    let best: Vec<_> =
        rows(&decoded.batch).into_iter().map(|row| (row.predicted.unwrap(), row.numeric[9].unwrap())).collect();
    assert_eq!(best, [("cat".into(), 0.9), ("dog".into(), 0.9), ("cat".into(), 0.5)]);
}

fn ipc_plan() -> Arc<Plan> {
    plan_with(PREDICTIONS, |source| source.format = Format::ArrowIpc)
}

fn decode_ipc(payloads: &[&[u8]]) -> Decoded {
    let mut decoder = decoder(&ipc_plan(), PREDICTIONS, 5);
    for (offset, payload) in (0..).zip(payloads) {
        decoder.push(&Record {
            offset,
            broker_time: BROKER_TIME,
            key: None,
            payload: Some(payload),
            headers: &[],
            topic: "t",
        });
    }
    let n = decoder.n_pending();
    let decoded = decoder.finish();
    assert_eq!((n, decoder.n_pending()), (decoded.batch.len() + decoded.rejects.len(), 0));
    decoded
}

/// Tables with every kind of column, one row refused.
fn varied() -> Vec<RecordBatch> {
    let score: ArrayRef = Arc::new(Float64Array::from(vec![Some(0.1), Some(1.5), None]));
    let carrier: ArrayRef = Arc::new([Some("AA"), None, Some("BB")].into_iter().collect::<DictionaryArray<Int8Type>>());
    let one = table([least(), vec![("score", score), ("carrier", carrier)]].concat());
    vec![one.clone(), one.slice(0, 1)]
}

#[test]
fn one_ipc_record_carries_many_events() {
    let good = ipc(&varied());
    let plain = ipc(&[table(least())]);
    let decoded = decode_ipc(&[&good, b"garbage that is no Arrow stream", &plain, &[], &good]);
    assert_eq!(decoded.batch.offset.values(), &[0, 0, 0, 2, 2, 2, 4, 4, 4]);
    assert_eq!(decoded.batch.lane, 5);
    let rejects: Vec<_> = decoded.rejects.iter().map(|reject| (reject.offset, reject.row, reject.reason)).collect();
    let expected =
        [(0, 1, Poison::OutOfRange), (1, 0, Poison::Malformed), (3, 0, Poison::Empty), (4, 1, Poison::OutOfRange)];
    assert_eq!(rejects, expected);
    let rows = rows(&decoded.batch);
    assert_eq!(rows[0], rows[2], "the second table repeats the first row");
    assert_eq!(rows[0], rows[6], "records do not touch each other");
    assert_eq!((rows[1].categorical[0].as_deref(), rows[0].categorical[0].as_deref()), (Some("BB"), Some("AA")));
    assert_eq!(decode_ipc(&[]).batch.len(), 0);
    assert_eq!(
        decode_ipc(&[&good, &good]).batch.categorical[0].values().len(),
        2,
        "one dictionary without repetitions"
    );
}

#[test]
fn an_ipc_record_without_rows_is_passed_over() {
    let mut decoder = decoder(&ipc_plan(), PREDICTIONS, 0);
    let none = table(least()).slice(0, 0);
    for (offset, payload) in (0..).zip([ipc(std::slice::from_ref(&none)), ipc(&[none, table(least())])]) {
        let payload = Some(payload.as_slice());
        decoder.push(&Record { offset, broker_time: BROKER_TIME, key: None, payload, headers: &[], topic: "t" });
    }
    assert_eq!(decoder.n_pending(), 4);
    let decoded = decoder.finish();
    assert_eq!((decoded.batch.len(), decoded.rejects.len(), decoded.passed_over), (3, 0, 1));
}

#[test]
fn an_ipc_record_without_a_required_column_is_refused() {
    let decoded = decode_ipc(&[&ipc(&[table(least()[1..].to_vec())])]);
    assert_eq!(decoded.rejects[0].reason, Poison::MissingField);
    let typed = [least(), vec![("score", Arc::new(Date32Array::from(vec![1; 3])) as ArrayRef)]].concat();
    assert_eq!(decode_ipc(&[&ipc(&[table(typed)])]).rejects[0].reason, Poison::WrongType);
}

#[test]
fn an_ipc_record_cannot_claim_more_rows_than_are_allowed() {
    let schema = Arc::new(Schema::new(vec![Column::new("version", DataType::Null, true)]));
    let nulls = RecordBatch::try_new(schema, vec![Arc::new(NullArray::new(usize::MAX >> 2))]).unwrap();
    assert_eq!(decode_ipc(&[&ipc(&[nulls])]).rejects[0].reason, Poison::Malformed);
}

#[test]
fn a_packed_ipc_record_cannot_claim_more_memory_than_is_allowed() {
    let one = table(least());
    let many = concat_batches(&one.schema(), &vec![one; 1000]).unwrap();
    let packed = IpcWriteOptions::default().try_with_compression(Some(CompressionType::LZ4_FRAME)).unwrap();
    let mut writer = StreamWriter::try_new_with_options(Vec::new(), &many.schema(), packed).unwrap();
    writer.write(&many).unwrap();
    let good = writer.into_inner().unwrap();
    assert_eq!(decode_ipc(&[&good]).batch.len(), 3000);
    let times = 24_000_u64.to_le_bytes();
    let at = good.windows(8).position(|bytes| bytes == times).unwrap();
    for claimed in [1_u64 << 40, 1 << 60, i64::MAX as u64] {
        let mut bad = good.clone();
        bad[at..at + 8].copy_from_slice(&claimed.to_le_bytes());
        let decoded = decode_ipc(&[&bad, &good]);
        assert_eq!((decoded.rejects[0].reason, decoded.batch.len()), (Poison::Malformed, 3000), "{claimed}");
    }
}

#[test]
fn timestamps_keep_their_zone_out_of_it() {
    let times = TimestampMillisecondArray::from(vec![1; 3]).with_timezone("+02:00");
    assert!(matches!(times.data_type(), DataType::Timestamp(TimeUnit::Millisecond, Some(_))));
    assert_eq!(rows(&with("event_time", Arc::new(times)).batch)[0].event_time, 1000);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn damaged_ipc_records_do_no_harm(changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..4), cut in 0..20_usize) {
        let good = ipc(&varied());
        let mut bad = good.clone();
        for (index, byte) in changes {
            *index.get_mut(&mut bad) = byte;
        }
        bad.truncate(good.len() - cut.saturating_sub(10) * 8);
        let alone = rows(&decode_ipc(&[&good]).batch);
        let decoded = decode_ipc(&[&good, &bad, &good]);
        let all = rows(&decoded.batch);
        prop_assert!(all.starts_with(&alone) && all.ends_with(&alone));
    }
}
