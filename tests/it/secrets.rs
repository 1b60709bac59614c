//! Secrets that the real program knows, and everything that it says: none is in any of it.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, Output};

use haldane::config::KafkaConfig;

use crate::authority::{Authority, put};
use crate::broker::{Broker, PASSWORD};
use crate::dashboard::send;
use crate::kafka::settings;
use crate::service::{self, Service};

const TOKEN: &str = "vics-token-4f1d9c";
const WRONG_PASSWORD: &str = "wrong-battery-staple";
const IN_THE_FILE: &str = "hunter2-in-the-file";
const BUCKET_KEY: &str = "bucket-key-0a7b3d";

/// Everything that was said, with where it comes from.
#[derive(Default)]
struct Said(Vec<(String, String)>);

impl Said {
    fn add(&mut self, by: &str, text: impl Into<String>) {
        self.0.push((by.to_owned(), text.into()));
    }

    fn output(&mut self, by: &str, output: &Output) {
        self.add(by, String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()));
    }

    /// That no secret is in it, as it is or as a client encodes it.
    fn holds_none_of(&self, secrets: &[&str]) {
        for (by, text) in &self.0 {
            for secret in secrets {
                let at = text.find(secret);
                let around = at.map(|at| &text[text.floor_char_boundary(at.saturating_sub(200))..at]);
                assert!(at.is_none(), "{by} tells a secret after: {around:?}");
            }
        }
    }

    fn says(&self, by: &str, what: &str) {
        let of: Vec<&str> = self.0.iter().filter(|(who, _)| who == by).map(|(_, text)| text.as_str()).collect();
        assert!(of.iter().any(|text| text.contains(what)), "{by} does not say {what:?}: {of:#?}");
    }
}

fn haldane(folder: &Path, password: &str, arguments: &[&str]) -> Output {
    let mut haldane = Command::new(env!("CARGO_BIN_EXE_haldane"));
    haldane.args(arguments).current_dir(folder);
    // A service that traces the client waits for it; the others are done within seconds.
    let log = if arguments[0] == "run" { "info" } else { "trace" };
    with_secrets(&mut haldane, password).env("HALDANE_LOG", log).output().unwrap()
}

/// Gives a program its secrets, and has it say as much as it can.
fn with_secrets<'a>(command: &'a mut Command, password: &str) -> &'a mut Command {
    command
        .env("KAFKA_PASSWORD", password)
        .env("VIC_TOKEN", TOKEN)
        .env("HALDANE_LOG", "trace")
        .env("RUST_BACKTRACE", "full");
    command.env("AWS_ACCESS_KEY_ID", "somebody").env("AWS_SECRET_ACCESS_KEY", BUCKET_KEY)
}

/// A pipeline that logs in with a password, with other keys after it.
fn pipeline(folder: &Path, kafka: &KafkaConfig, login: &str, more: &str) -> String {
    let path = service::pipeline(folder, "predictions", kafka, more);
    let text = fs::read_to_string(&path).unwrap();
    let security = "security: { protocol: sasl_plaintext, mechanism: PLAIN, username: haldane, password_env: KAFKA_PASSWORD }, \
                    librdkafka: { debug: all }";
    let secured = text.replace(
        &format!("kafka: {{ brokers: '{}'", kafka.brokers),
        &format!("kafka: {{ {security}, brokers: '{login}'"),
    );
    assert_ne!(secured, text);
    fs::write(&path, secured).unwrap();
    path.to_str().unwrap().to_owned()
}

const SERVE: &str = "serve:
  read: token
  tls: { cert: server.crt, key: server.key }
  approvers: [{ name: vic, token_env: VIC_TOKEN, roles: [viewer] }]
";

#[test]
fn no_output_of_a_program_that_fails_in_many_ways_holds_a_secret() {
    let broker = Broker::shared();
    let Some(login) = &broker.login else { return };
    let (folder, kafka) = (tempfile::tempdir().unwrap(), settings(broker));
    Authority::new().issue("haldane", 30).write(folder.path(), "server");
    let key = fs::read_to_string(folder.path().join("server.key")).unwrap();
    let key = key.lines().nth(1).unwrap();
    let mut said = Said::default();
    let file = pipeline(folder.path(), &kafka, login, SERVE);
    for command in ["check", "doctor", "rollouts", "run"] {
        said.output("wrong password", &haldane(folder.path(), WRONG_PASSWORD, &[command, "-c", &file]));
    }
    said.says("wrong password", "refuses the login of user `haldane`");
    for command in ["check", "doctor"] {
        said.output("sound", &haldane(folder.path(), PASSWORD, &[command, "-c", &file]));
    }
    said.says("sound", "certificate and key fit");
    said.says("sound", "known by the token in $VIC_TOKEN");
    let cert = fs::read(folder.path().join("server.crt")).unwrap();
    put(&folder.path().join("server.crt"), key.as_bytes());
    said.output("no certificate", &haldane(folder.path(), PASSWORD, &["run", "-c", &file]));
    said.says("no certificate", "holds no certificate");
    put(&folder.path().join("server.crt"), &cert);
    for (mistake, problem) in [
        (
            format!("serve: {{ approvers: [{{ name: vic, token: {IN_THE_FILE}, roles: [viewer] }}] }}\n"),
            "unknown key `token`",
        ),
        (format!("store: {{ path: s, password: {IN_THE_FILE} }}\n"), "unknown key `password`"),
        (format!("passwrd: '{IN_THE_FILE}\n"), "error"),
    ] {
        let file = pipeline(folder.path(), &kafka, login, &mistake);
        said.output(problem, &haldane(folder.path(), PASSWORD, &["check", "-c", &file]));
        said.says(problem, problem);
    }
    #[cfg(feature = "s3")]
    {
        let store = "store: { path: 's3://nowhere/folder' }\n";
        let file = pipeline(folder.path(), &kafka, login, store);
        let mut doctor = Command::new(env!("CARGO_BIN_EXE_haldane"));
        doctor
            .args(["doctor", "-c", &file])
            .env("HALDANE_LOG", "trace")
            .env("AWS_ENDPOINT", "http://127.0.0.1:1")
            .env("AWS_REGION", "us-east-1");
        said.output("bucket", &with_secrets(&mut doctor, PASSWORD).output().unwrap());
        said.says("bucket", "store");
    }
    said.holds_none_of(&[PASSWORD, WRONG_PASSWORD, TOKEN, BUCKET_KEY, IN_THE_FILE, key]);
}

#[test]
fn what_a_running_service_shows_and_dumps_holds_no_secret() {
    let broker = Broker::shared();
    let Some(login) = &broker.login else { return };
    let (folder, mut kafka) = (tempfile::tempdir().unwrap(), settings(broker));
    let topic = broker.topic("predictions", 1);
    kafka.brokers.clone_from(&broker.bootstrap);
    let open = "serve: { approvers: [{ name: vic, token_env: VIC_TOKEN, roles: [admin] }] }\n";
    let file = pipeline(folder.path(), &kafka, login, open);
    let text = fs::read_to_string(&file).unwrap().replace("topic: predictions", &format!("topic: {topic}"));
    fs::write(&file, text).unwrap();
    // The shell would let a core be dumped.
    let mut command = Command::new("sh");
    let program = env!("CARGO_BIN_EXE_haldane");
    command.args([
        "-c",
        &format!("ulimit -c unlimited; export HALDANE_LOG=trace; exec {program} run --listen 127.0.0.1:0 -c {file}"),
    ]);
    with_secrets(&mut command, PASSWORD);
    let mut service = Service::of(command);
    let (address, mut said) = (service.address(), Said::default());
    service.says("reading begins");
    let bearer = [("Authorization", &format!("Bearer {TOKEN}")[..]), ("Accept", "text/html")];
    for path in ["/metrics", "/v1/access", "/v1/rollouts", "/ui", "/ui/health", "/nothing", "/livez", "/readyz"] {
        said.add(path, send(address, "GET", path, &bearer[..1], "").body);
        said.add(path, send(address, "GET", path, &bearer, "").body);
    }
    said.says("/v1/access", "\"vic\"");
    let form = [("Origin", "http://haldane"), ("Content-Type", "application/x-www-form-urlencoded")];
    for token in [TOKEN, "vics-token-4f1d9"] {
        said.add("login", send(address, "POST", "/ui/login", &form, &format!("token={token}")).body);
    }
    let body = format!("{{\"rollout\": \"world\", \"kind\": \"hold\", \"token\": \"{TOKEN}\"}}");
    let json = [bearer[0], ("Content-Type", "application/json")];
    said.add("command", send(address, "POST", "/v1/commands", &json, &body).body);
    service.signal("-ABRT");
    let ended = service.ended();
    assert_eq!((ended.signal(), ended.core_dumped()), (Some(6), false), "no core is dumped");
    said.add("log", service.lines().join("\n"));
    said.says("log", "starting");
    said.holds_none_of(&[PASSWORD, TOKEN, BUCKET_KEY]);
}
