//! Logging in to a real broker with tokens: signed ones, which the broker checks with a public key, and which expire.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use haldane::kafka::clock::{now, wall_clock};
use haldane::kafka::connection::Connection;
use haldane::kafka::producer::Producer;
use rdkafka::producer::BaseRecord;

use crate::api::{Answered, Api, Asked};
use crate::broker::{Broker, TokenLogin};
use crate::kafka::settings;
use crate::service::{self, PATIENCE, Service};

/// How long a token lives, in seconds: much shorter than the test, and brokers cut off whoever brings no new one.
const LIFE: i64 = 8;

/// How long after a prediction the next one comes.
const STEADILY: Duration = Duration::from_millis(20);

/// A pipeline that logs in with tokens.
fn pipeline(folder: &Path, login: &TokenLogin, predictions: &str, oauth: &str) -> PathBuf {
    let kafka = settings(Broker::shared());
    let path = service::pipeline(folder, predictions, &kafka, "");
    let security = format!("security: {{ protocol: sasl_plaintext, mechanism: OAUTHBEARER, oauth: {oauth} }}");
    let text = fs::read_to_string(&path).unwrap();
    let plain = format!("kafka: {{ brokers: '{}'", kafka.brokers);
    assert!(text.contains(&plain));
    fs::write(&path, text.replace(&plain, &format!("kafka: {{ {security}, brokers: '{}'", login.address))).unwrap();
    path
}

/// What `haldane doctor` says of a login.
fn examined(path: &Path) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_haldane")).args(["doctor", "-c"]).arg(path).output().unwrap();
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

/// An authorization server that knows one client.
fn server(tokens: impl Fn() -> String + Send + 'static) -> Api {
    Api::start(move |asked: &Asked| -> Answered {
        let known = asked.header("authorization") == "Basic aGFsZGFuZTpzJTJGZWNyZXQ="; // haldane:s%2Fecret
        let asks = asked.body == b"grant_type=client_credentials&scope=kafka%20read";
        if known && asks && asked.method == "POST" {
            return Some((
                200,
                vec![],
                format!(r#"{{"access_token":"{}","token_type":"bearer","expires_in":{LIFE}}}"#, tokens()),
            ));
        }
        Some((401, vec![], r#"{"error":"invalid_client"}"#.to_owned()))
    })
}

#[test]
fn a_service_brings_new_tokens_before_the_old_ones_expire() {
    let broker = Broker::shared();
    let Some(login) = &broker.token else { return };
    let folder = tempfile::tempdir().unwrap();
    let api = server(|| login.token("haldane", LIFE));
    fs::write(folder.path().join("secret"), "s/ecret\n").unwrap();
    let predictions = broker.topic("oauth", 1);
    let oauth =
        format!("{{ url: '{}/token', client_id: haldane, client_secret_file: secret, scope: kafka read }}", api.url());
    let path = pipeline(folder.path(), login, &predictions, &oauth);
    let service = Service::start(&path, &[]);
    service.says("reading begins");
    let producer = Producer::open(&Connection::open(&settings(broker)).unwrap()).unwrap();
    let (deadline, mut sent) = (now() + PATIENCE, 0);
    // The first token has expired when it is asked for the fourth.
    while api.asked().len() < 4 {
        assert!(now() < deadline, "asked {} times", api.asked().len());
        let at = wall_clock();
        let event = format!(r#"{{"id":"{sent}","model":"m","version":"v1","score":0.5,"status":200,"at":{at}}}"#);
        producer.send(BaseRecord::to(&predictions).key(b"".as_slice()).payload(event.as_bytes())).unwrap();
        producer.settle().unwrap();
        sent += 1;
        std::thread::park_timeout(STEADILY);
    }
    service.await_read(sent);
    let log = service.lines().join("\n");
    assert!(!log.contains("SASL") && !log.contains("no new token"), "{log}");
    fs::write(folder.path().join("secret"), "wrong").unwrap();
    let said = examined(&path);
    assert!(said.contains("answers 401: {\"error\":\"invalid_client\"}"), "{said}");
}

#[test]
fn tokens_come_from_programs_and_files_and_wrong_ones_are_refused() {
    let broker = Broker::shared();
    let Some(login) = &broker.token else { return };
    let folder = tempfile::tempdir().unwrap();
    let predictions = broker.topic("oauth", 1);
    let (file, good) = (folder.path().join("token"), login.token("haldane", 60));
    for oauth in ["{ file: token }".to_owned(), format!("{{ command: [cat, '{}'] }}", file.display())] {
        let path = pipeline(folder.path(), login, &predictions, &oauth);
        fs::write(&file, &good).unwrap();
        let said = examined(&path);
        assert!(said.contains("answers") && !said.contains("refuses"), "{said}");
        // Signed by nobody.
        fs::write(&file, good.rsplit_once('.').unwrap().0.to_owned() + ".c2ln").unwrap();
        let said = examined(&path);
        assert!(said.contains("refuses the token"), "{said}");
        assert!(said.contains("check `kafka.security.oauth`") && !said.contains(&good[..40]), "{said}");
        fs::remove_file(&file).unwrap();
        let said = examined(&path);
        assert!(said.contains("oauth.file") || said.contains("oauth.command"), "{said}");
    }
}
