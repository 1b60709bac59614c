//! One scheduler and two executors, each a process of its own: what they answer together is what one machine answers alone.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::sql;
use crate::store::{haldane, pipeline};

/// A process that ends with the test.
struct Process(Child);

impl Process {
    fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_haldane"));
        Self(command.arg("cluster").args(arguments).stdout(Stdio::piped()).spawn().unwrap())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

fn scheduler() -> (Process, String) {
    let mut process = Process::start(&["scheduler", "--listen", "127.0.0.1:0"]);
    let mut line = String::new();
    BufReader::new(process.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    (process, line.trim().rsplit(' ').next().unwrap().to_owned())
}

/// An executor that keeps its results in `work`.
fn executor(scheduler: &str, work: &Path) -> Process {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    std::fs::create_dir(work).unwrap();
    let work = work.to_str().unwrap();
    Process::start(&["executor", "--scheduler", scheduler, "--listen", &free, "--threads", "1", "--work", work])
}

/// Whether any result was made there.
fn has_worked(work: &Path) -> bool {
    std::fs::read_dir(work).unwrap().next().is_some()
}

#[test]
fn two_executors_answer_as_one_machine_does_to_the_last_bit() {
    let scratch = tempfile::tempdir().unwrap();
    let (_scheduler, address) = scheduler();
    let work = ["a", "b"].map(|name| scratch.path().join(name));
    let _executors = work.each_ref().map(|work| executor(&address, work));

    let sides = "hist_merge(histogram) FILTER (WHERE version <> '2024.1'), hist_merge(histogram) FILTER (WHERE version = '2024.1')";
    let of_panes = |metric: &str| {
        format!(
            "SELECT \"column\", {metric}({sides}) AS it FROM panes WHERE part = 'traffic' AND kind = 'numeric' GROUP BY 1 ORDER BY 1"
        )
    };
    let (predictions, outcomes) = (pipeline("data/fraud.predictions.parquet"), pipeline("data/fraud.outcomes.parquet"));
    let queries = [
        of_panes("psi"),
        of_panes("ks"),
        of_panes("hellinger"),
        "SELECT version, latency_quantile(hist_merge(latency), 0.99) AS it FROM panes WHERE kind = 'latency' GROUP BY 1 ORDER BY 1".to_owned(),
        "SELECT date, metric, count(*) AS n, max(value) AS it FROM windows GROUP BY 1, 2 ORDER BY 1, 2".to_owned(),
        format!("SELECT drift_psi(amount, model_version <> '2024.1') AS it, drift_ks(amount, model_version <> '2024.1') AS ks FROM '{}'", predictions.display()),
        format!(
            "SELECT model_version, ece(p.probability, CASE WHEN o.is_fraud THEN 1.0 ELSE 0.0 END) AS it FROM '{}' p JOIN '{}' o
             ON p.transaction_id = o.transaction_id WHERE p.probability IS NOT NULL GROUP BY 1 ORDER BY 1",
            predictions.display(),
            outcomes.display()
        ),
    ];
    let asked = |query: &str, cluster: &[&str]| {
        let store = ["sql", "--store", sql::fraud().to_str().unwrap(), "--format", "json"];
        haldane(&[store.as_slice(), cluster, [query].as_slice()].concat())
            .unwrap_or_else(|error| panic!("{error}\n{query}"))
    };
    for query in &queries {
        let alone = asked(query, &[]);
        let mut values = alone.split("\"it\":").skip(1);
        assert!(values.any(|value| value.starts_with(|c: char| c.is_ascii_digit())), "{alone}");
        assert_eq!(asked(query, &["--cluster", &address]), alone, "{query}");
    }
    // Whoever is free first takes the next piece of work, so sooner or later both have.
    let both = (0..200).any(|_| {
        asked(&queries[0], &["--cluster", &address]);
        work.iter().all(|work| has_worked(work))
    });
    assert!(both, "one executor did everything");
}

#[test]
fn no_cluster_and_a_wrong_query_are_told() {
    let store = sql::fraud().to_str().unwrap();
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let ask = |query: &str| haldane(&["sql", "--store", store, "--cluster", &nobody, query]).unwrap_err().to_string();
    let error = ask("SELECT count(*) FROM windows");
    assert!(error.to_lowercase().contains("connect"), "{error}");
    assert!(ask("SELECT * FROM widows").contains("there is no table `widows`"));
    assert!(ask("DROP TABLE windows").contains("DROP is refused"));
}
