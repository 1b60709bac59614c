//! Files in SQL: however they are written, a query is answered alike, and as the other commands read them.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use parquet::arrow::ArrowWriter;

use crate::store::haldane;

/// Id, number, truth value, seconds since 1970, category.
type Row = (i64, &'static str, Option<bool>, i64, Option<&'static str>);

/// Numbers with NaN and infinity, truth values, times, categories and what is missing, in rows.
const ROWS: [Row; 5] = [
    (1, "0.5", Some(true), 0, Some("a")),
    (2, "NaN", Some(false), 60, Some("b")),
    (3, "Infinity", Some(true), 86_400, None),
    (4, "", None, 90_000, Some("a")),
    (5, "-2", Some(true), 100_000, Some("c, \"d\"")),
];

fn time(seconds: i64) -> String {
    chrono::DateTime::from_timestamp(seconds, 0).expect("a time").format("%Y-%m-%d %H:%M:%S").to_string()
}

/// The rows, with truth values spelled in some way.
fn csv(delimiter: &str, truths: [&str; 2]) -> String {
    let mut text = ["id", "x", "flag", "at", "k"].join(delimiter) + "\n";
    for (id, x, flag, at, k) in ROWS {
        let flag = flag.map_or("", |flag| truths[usize::from(flag)]);
        let k = k.map_or(String::new(), |k| format!("\"{}\"", k.replace('"', "\"\"")));
        text += &[&id.to_string(), x, flag, &time(at), &k].join(delimiter);
        text += "\n";
    }
    text
}

fn lines() -> String {
    let line = |(id, x, flag, at, k): Row| {
        let x = if x.is_empty() { "null" } else { x };
        let (flag, k) = (serde_json::json!(flag), serde_json::json!(k));
        format!("{{\"id\": {id}, \"x\": {x}, \"flag\": {flag}, \"at\": \"{}Z\", \"k\": {k}}}\n", time(at))
    };
    ROWS.map(line).concat()
}

fn parquet(path: &Path) {
    let number = |x: &str| (!x.is_empty()).then(|| x.parse::<f64>().expect("a number"));
    let columns: [(&str, ArrayRef); 5] = [
        ("id", Arc::new(ROWS.iter().map(|row| Some(row.0)).collect::<Int64Array>())),
        ("x", Arc::new(ROWS.iter().map(|row| number(row.1)).collect::<Float64Array>())),
        ("flag", Arc::new(ROWS.iter().map(|row| row.2).collect::<BooleanArray>())),
        ("at", {
            let times = ROWS.iter().map(|row| Some(row.3 * 1_000_000)).collect::<TimestampMicrosecondArray>();
            Arc::new(times.with_timezone("UTC"))
        }),
        ("k", Arc::new(ROWS.iter().map(|row| row.4).collect::<StringArray>())),
    ];
    let batch =
        RecordBatch::try_from_iter_with_nullable(columns.map(|(name, array)| (name, array, true))).expect("rows");
    let mut writer = ArrowWriter::try_new(File::create(path).expect("a file"), batch.schema(), None).expect("a writer");
    writer.write(&batch).expect("rows");
    writer.close().expect("a footer");
}

/// The same rows in files of every kind.
fn spellings(folder: &Path) -> Vec<PathBuf> {
    let mut paths = Vec::new();
    let mut write = |name: &str, bytes: Vec<u8>| {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        File::create(&path).and_then(|mut file| file.write_all(&bytes)).expect("a file");
        paths.push(path);
    };
    let gzip = |text: &str| {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packer.write_all(text.as_bytes()).and_then(|()| packer.finish()).expect("packed")
    };
    let plain = csv(",", ["false", "true"]);
    let (head, rest) = plain.split_once('\n').expect("a header");
    let (one, other) = rest.split_at(rest.match_indices('\n').nth(1).expect("rows").0 + 1);
    write("a.csv", plain.clone().into());
    write("b.csv", csv(";", ["False", "True"]).into());
    write("c.tsv", csv("\t", ["FALSE", "TRUE"]).into());
    write("d.txt", csv("|", ["false", "true"]).into());
    write("e.csv", format!("\u{feff}{plain}").into());
    write("f.csv.gz", gzip(&plain));
    write("g.csv.zst", zstd::encode_all(plain.as_bytes(), 1).expect("packed"));
    write("h.jsonl", lines().into());
    write("i.jsonl.gz", gzip(&lines()));
    write("j.json", format!("[{}]", lines().trim().replace("}\n", "},")).into());
    write("k.ndjson", format!("\u{feff}{}", lines()).into());
    write("l/1.csv", format!("{head}\n{one}").into());
    write("l/2.csv", format!("{head}\n{other}").into());
    paths.truncate(paths.len() - 2);
    paths.push(folder.join("l"));
    paths.push(folder.join("l/*.csv"));
    for name in ["m.parquet", "n.pq"] {
        parquet(&folder.join(name));
        paths.push(folder.join(name));
    }
    paths
}

fn ask(sql: &str) -> Result<String, haldane::error::Error> {
    haldane(&["sql", "--format", "json", sql])
}

#[test]
fn a_query_is_answered_alike_however_the_rows_are_written() {
    let scratch = tempfile::tempdir().expect("a folder");
    for path in spellings(scratch.path()) {
        let from = format!("FROM '{}'", path.display());
        let answer =
            |select: &str| ask(&format!("SELECT {select} {from}")).unwrap_or_else(|error| panic!("{from}: {error}"));
        assert_eq!(answer("count(*) AS n"), "[{\"n\":5}]\n", "{from}");
        assert_eq!(
            answer("sum(id) AS ids, count(x) AS xs, sum(CASE WHEN isnan(x) THEN 1 ELSE 0 END) AS nan, max(k) AS k"),
            "[{\"ids\":15,\"xs\":4,\"nan\":1,\"k\":\"c, \\\"d\\\"\"}]\n",
            "{from}"
        );
        assert_eq!(
            answer("count(*) FILTER (WHERE flag) AS yes, count(*) FILTER (WHERE NOT flag) AS no, min(x) AS x"),
            "[{\"yes\":3,\"no\":1,\"x\":-2.0}]\n",
            "{from}"
        );
        let day = "count(*) FILTER (WHERE at >= '1970-01-02T00:00:00Z') AS late";
        assert_eq!(answer(day), "[{\"late\":3}]\n", "{from}");
        assert_eq!(answer("id, k").lines().count(), 1, "columns in another order than the file's: {from}");
    }
}

#[test]
fn objects_columns_of_one_name_and_refused_rows_are_read_as_elsewhere() {
    let scratch = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| {
        let path = scratch.path().join(name);
        std::fs::write(&path, text).expect("a file");
        path.display().to_string()
    };
    let nested = write(
        "n.jsonl",
        "{\"f\": {\"a\": 1, \"b\": {\"c\": \"x\"}}, \"l\": [1, 2]}\n{\"f\": {\"a\": 2}}\n{\"g\": true}\n",
    );
    assert_eq!(
        ask(&format!("SELECT sum(f['a']) AS a, max(f['b']['c']) AS c, max(l) AS l, count(g) AS g FROM '{nested}'"))
            .expect("rows"),
        "[{\"a\":3,\"c\":\"x\",\"l\":\"[1,2]\",\"g\":1}]\n"
    );
    let twice = write("t.csv", "x,x\n1,10\n2,20\n");
    assert_eq!(
        ask(&format!("SELECT sum(x) AS one, sum(\"x (2)\") AS other FROM '{twice}'")).expect("rows"),
        "[{\"one\":3,\"other\":30}]\n"
    );
    let ragged = write("r.csv", "a,b\n1,2\n3\n4,5\n");
    assert_eq!(ask(&format!("SELECT sum(a) AS a FROM '{ragged}'")).expect("rows"), "[{\"a\":5}]\n");
    let topics =
        write("two.jsonl", "{\"topic\": \"p\", \"value\": {\"a\": 1}}\n{\"topic\": \"q\", \"value\": {\"b\": 2}}\n");
    let refused = ask(&format!("SELECT * FROM '{topics}'")).expect_err("two topics");
    assert!(refused.to_string().ends_with("holds several topics: p, q"), "{refused}");
    assert!(refused.advice().is_some_and(|hint| hint.ends_with("two.jsonl#q'")), "{:?}", refused.advice());
    assert_eq!(ask(&format!("SELECT * FROM '{topics}#q'")).expect("rows"), "[{\"b\":2}]\n");
    let cut = scratch.path().join("cut.csv.gz");
    std::fs::write(&cut, [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 75]).expect("a file");
    let cut = ask(&format!("SELECT * FROM '{}'", cut.display())).expect_err("a file that was cut off");
    assert_eq!((cut.exit_code(), cut.to_string().contains("cannot read")), (2, true), "{cut}");
}
