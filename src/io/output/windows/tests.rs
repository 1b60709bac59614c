//! Windows written and read back.

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;

use super::*;

fn any_row() -> impl Strategy<Value = WindowRow> {
    let texts = proptest::collection::vec("[a-z=,:é]{0,8}", 8);
    let numbers = proptest::collection::vec(proptest::option::of(-1e300..1e300_f64), 5);
    let status = prop_oneof![Just(RowStatus::Ok), Just(RowStatus::Insufficient), Just(RowStatus::Undefined)];
    (any::<(i64, u32, u64, u64, u32)>(), texts, numbers, status).prop_map(|(plain, texts, numbers, status)| {
        let text = |at: usize| texts[at].clone();
        WindowRow {
            window_start: plain.0,
            window_end: plain.0.wrapping_add(1),
            model: text(0),
            version: text(1),
            segment: text(2),
            baseline: text(3),
            reference: text(4),
            column: text(5),
            metric: text(6),
            convention: text(7),
            revision: plain.1,
            status,
            value: numbers[0],
            low: numbers[1],
            high: numbers[2],
            p_value: numbers[3],
            n: plain.2,
            n_baseline: plain.3,
            bins: plain.4,
            coverage: numbers[4],
            doubts: text(0),
            trust: Trust::ALL[plain.4 as usize % 3],
        }
    })
}

fn written(path: &Path, rows: &[WindowRow], at_once: usize) -> Vec<u8> {
    let mut writer = WindowWriter::create(path).unwrap();
    for part in rows.chunks(at_once) {
        writer.write(part).unwrap();
    }
    writer.finish().unwrap();
    std::fs::read(path).unwrap()
}

fn read_back(path: &Path) -> Vec<WindowRow> {
    let mut rows = Vec::new();
    read_windows(path, |row| rows.push(row)).unwrap();
    rows
}

#[test]
fn what_a_newer_release_wrote_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let lines = dir.path().join("w.jsonl");
    std::fs::write(&lines, "{\"format\":2,\"something\":\"else\"}\n").unwrap();
    let parquet = dir.path().join("w.parquet");
    let newer = vec![KeyValue::new(FORMAT_KEY.to_owned(), "2".to_owned())];
    let properties = WriterProperties::builder().set_key_value_metadata(Some(newer)).build();
    let out = File::create(&parquet).unwrap();
    ArrowWriter::try_new(out, window_schema(), Some(properties)).unwrap().close().unwrap();
    for path in [lines, parquet] {
        let error = read_windows(&path, |_| panic!("it has no row")).unwrap_err();
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(cause.contains("use the release that wrote it"), "{cause}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn parquet_and_json_lines_give_the_rows_back(rows in proptest::collection::vec(any_row(), 0..40)) {
        let dir = tempfile::tempdir().unwrap();
        let table = dir.path().join("windows.parquet");
        let whole = written(&table, &rows, 1000);
        prop_assert_eq!(&read_back(&table), &rows);
        prop_assert_eq!(&written(&table, &rows, 3), &whole, "how rows were handed in must not show in the bytes");

        let lines = dir.path().join("windows.jsonl");
        written(&lines, &rows, 7);
        prop_assert_eq!(read_back(&lines), rows);
    }
}

#[test]
fn more_rows_than_one_chunk_keep_their_order() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("windows.parquet");
    let mut row = any_row().new_tree(&mut proptest::test_runner::TestRunner::deterministic()).unwrap().current();
    let rows: Vec<WindowRow> = (0..2 * CHUNK_ROWS as u64 + 5)
        .map(|n| {
            row.n = n;
            row.clone()
        })
        .collect();
    written(&path, &rows, 5000);
    assert_eq!(read_back(&path), rows);
}

#[test]
fn an_unknown_extension_and_a_missing_directory_are_explained() {
    let error = WindowWriter::create(Path::new("windows.xlsx")).unwrap_err();
    assert_eq!(error.to_string(), "cannot tell the format of windows.xlsx");
    assert_eq!(error.advice(), Some("end the name in .parquet or .jsonl"));
    let error = WindowWriter::create(Path::new("/no/such/dir/windows.jsonl")).unwrap_err();
    assert!(error.to_string().starts_with("cannot write /no/such/dir/windows.jsonl: "), "{error}");
}
