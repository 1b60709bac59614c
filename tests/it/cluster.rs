//! One scheduler and two executors, each a process of its own: what they answer together is what one machine answers
//! alone.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use crate::sql;
use crate::store::{haldane, pipeline};

/// A process that ends with the test.
struct Process(Child);

impl Process {
    fn start(arguments: &[&str], variables: &[(&str, String)], log: Stdio) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_haldane"));
        command.arg("cluster").args(arguments).env("HALDANE_LOG", "warn,ballista_executor=info");
        command.envs(variables.iter().cloned());
        Self(command.stdout(Stdio::piped()).stderr(log).spawn().unwrap())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

fn scheduler() -> (Process, String) {
    let mut process = Process::start(&["scheduler", "--listen", "127.0.0.1:0"], &[], Stdio::inherit());
    let mut line = String::new();
    BufReader::new(process.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    (process, line.trim().rsplit(' ').next().unwrap().to_owned())
}

/// An executor that keeps its results in `work` and tells `log` what it does.
fn executor(scheduler: &str, work: &Path, variables: &[(&str, String)], log: &Sender<String>) -> Process {
    let free = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let [listen, control] = free.each_ref().map(|listener| listener.local_addr().unwrap());
    drop(free);
    std::fs::create_dir(work).unwrap();
    let (listen, control, work) = (listen.to_string(), control.port().to_string(), work.to_str().unwrap());
    let addresses = ["executor", "--scheduler", scheduler, "--listen", &listen, "--control", &control];
    let arguments = [addresses.as_slice(), &["--threads", "1", "--work", work]].concat();
    let mut process = Process::start(&arguments, variables, Stdio::piped());
    let lines = BufReader::new(process.0.stderr.take().unwrap()).lines().map_while(Result::ok);
    let log = log.clone();
    std::thread::spawn(move || lines.for_each(|line| drop(log.send(line))));
    process
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
    let _executors = work.each_ref().map(|work| executor(&address, work, &[], &channel().0));

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
    // Work is handed out in turn, so sooner or later both have some.
    let both = (0..200).any(|_| {
        asked(&queries[0], &["--cluster", &address]);
        work.iter().all(|work| has_worked(work))
    });
    assert!(both, "one executor did everything");
}

/// A scheduler and two executors, of which it is known what they do.
struct Cluster {
    address: String,
    log: Receiver<String>,
    _processes: [Process; 3],
    _scratch: tempfile::TempDir,
}

impl Cluster {
    /// With these variables for the executors.
    fn start(variables: &[(&str, String)]) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let (scheduler, address) = scheduler();
        let (sender, log) = channel();
        let [one, other] = ["a", "b"].map(|name| executor(&address, &scratch.path().join(name), variables, &sender));
        Self { address, log, _processes: [scheduler, one, other], _scratch: scratch }
    }

    /// Waits for the next line with these words.
    fn until(&self, words: &str) {
        loop {
            let line = self.log.recv_timeout(Duration::from_mins(1));
            if line.unwrap_or_else(|_| panic!("nobody said `{words}`")).contains(words) {
                return;
            }
        }
    }

    /// A command line that asks it something.
    fn question<'a>(&'a self, time: &'a str, query: &'a str) -> [&'a str; 8] {
        ["sql", "--store", sql::fraud().to_str().unwrap(), "--cluster", &self.address, "--time", time, query]
    }

    /// Waits until the work that was begun is broken off, and checks that there is room for the next query.
    fn until_free(&self) {
        self.until("Task has been aborted");
        let counted = haldane(&self.question("1m", "SELECT count(*) > 0 AS some FROM windows")).unwrap();
        assert_eq!(counted, "some\ntrue\n");
    }
}

const ENDLESS: &str = "SELECT count(*) FROM windows a, windows b, windows c WHERE sin(a.n) + cos(b.n) * tan(c.n) = 9";

#[test]
fn work_that_takes_too_long_is_called_off() {
    let cluster = Cluster::start(&[]);
    let error = haldane(&cluster.question("5s", ENDLESS)).unwrap_err();
    assert_eq!(error.to_string(), "the query took longer than 5 s and was stopped");
    cluster.until_free();
}

#[test]
fn the_work_of_an_interrupted_client_is_called_off() {
    let cluster = Cluster::start(&[]);
    let mut client = Command::new(env!("CARGO_BIN_EXE_haldane"));
    let mut client = client.args(cluster.question("1h", ENDLESS)).stderr(Stdio::piped()).spawn().unwrap();
    // The first stage reads, and is over soon; the second joins.
    cluster.until("/1.0/");
    assert!(Command::new("kill").args(["-INT", &client.id().to_string()]).status().unwrap().success());
    cluster.until_free();
    let mut said = String::new();
    client.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(!client.wait().unwrap().success() && said.contains("error: the query was interrupted\n"), "{said}");
}

#[cfg(feature = "s3")]
#[test]
fn executors_read_a_bucket_as_a_directory() {
    use crate::bucket::{Server, replay};

    let server = Server::start();
    server.ask("PUT", "/kept", "");
    replay(&server, "s3://kept/a/fraud");
    let cluster = Cluster::start(&server.variables());
    let query = "SELECT version, metric, count(*) AS n, max(value) AS value FROM windows WHERE segment = '' GROUP BY 1, 2 ORDER BY 1, 2";
    let alone = haldane(&["sql", "--store", sql::fraud().to_str().unwrap(), query]).unwrap();
    assert!(alone.lines().count() > 10, "{alone}");
    let together = ["sql", "--store", "s3://kept/a/fraud", "--cluster", &cluster.address, query];
    assert_eq!(server.said(&together), alone);
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
    assert_eq!(ask("SELECT * FROM range(1, 2)"), "range is not known on a cluster");
}
