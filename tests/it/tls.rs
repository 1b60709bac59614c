//! HTTP over TLS, asked by the real curl: certificates, clients' certificates, and their renewal.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use haldane::kafka::clock::now;
use haldane::serve::Tls;
use openssl::ssl::{SslConnector, SslMethod, SslVerifyMode, SslVersion};
use openssl::symm::Cipher;
use serde_json::json;

use crate::authority::{Authority, put};
use crate::entrance::{serve_config, stage};
use crate::service::PATIENCE;
use crate::stage::{CANDIDATE, Stage};

const TLS: &str = "  tls: { cert: server.crt, key: server.key }\n";

/// Status and body that curl has got; status 0 where there was no connection.
fn curl(stage: &Stage, scheme: &str, path: &str, arguments: &[&str]) -> (u16, String) {
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--noproxy", "*", "--max-time", "60", "--write-out", "\n%{http_code}"]).args(arguments);
    let output = curl.arg(format!("{scheme}://localhost:{}{path}", stage.server.address().port())).output();
    let output = output.unwrap_or_else(|error| panic!("cannot run curl: {error}"));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let (body, status) = said.rsplit_once('\n').unwrap();
    (status.parse().unwrap(), body.to_owned())
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn https_is_spoken_with_the_certificate_and_nothing_else_is() {
    let folder = tempfile::tempdir().unwrap();
    let (authority, ca) = (Authority::new(), folder.path().join("ca.pem"));
    authority.write(&ca);
    authority.issue("haldane", 30).write(folder.path(), "server");
    let stage = stage(folder.path(), TLS);
    assert_eq!(curl(&stage, "https", "/livez", &["--cacert", text(&ca)]).0, 200);
    assert_eq!(curl(&stage, "https", "/livez", &[]).0, 0, "an authority that nobody trusts");
    let (status, said) = curl(&stage, "http", "/livez", &[]);
    assert!(status == 400 && said.contains("this port speaks TLS"), "{status} {said}");
    serde_json::from_str::<serde_json::Value>(&said).unwrap();
    let login = [
        "--cacert",
        text(&ca),
        "--data",
        "token=x",
        "--header",
        &format!("Origin: https://localhost:{}", stage.server.address().port()),
    ];
    assert_eq!(curl(&stage, "https", "/ui/login", &login).0, 401, "pages of ours are known by their host");
}

#[test]
fn old_protocols_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    Authority::new().issue("haldane", 30).write(folder.path(), "server");
    let stage = stage(folder.path(), TLS);
    let agrees = |newest: SslVersion| {
        let mut connector = SslConnector::builder(SslMethod::tls()).unwrap();
        connector.set_verify(SslVerifyMode::NONE);
        connector.set_max_proto_version(Some(newest)).unwrap();
        let stream = TcpStream::connect(stage.server.address()).unwrap();
        connector.build().connect("localhost", stream).is_ok()
    };
    assert_eq!([SslVersion::TLS1_1, SslVersion::TLS1_2, SslVersion::TLS1_3].map(agrees), [false, true, true]);
}

#[test]
fn a_clients_certificate_says_who_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let (ours, theirs, ca) = (Authority::new(), Authority::new(), folder.path().join("ca.pem"));
    ours.write(&ca);
    ours.issue("haldane", 30).write(folder.path(), "server");
    for (authority, name) in [(&ours, "argo"), (&ours, "somebody"), (&ours, "gateway"), (&theirs, "forged")] {
        let known_as = if name == "forged" { "argo" } else { name };
        authority.issue(known_as, 30).write(folder.path(), name);
    }
    let keys = "  tls: { cert: server.crt, key: server.key, client_ca: ca.pem }\n  read: token\n  \
                approvers: [{ name: rollouts, certificate: argo, roles: [operator] }]\n  \
                proxy: { certificate: gateway, groups: { sre: [operator] } }\n";
    let stage = stage(folder.path(), keys);
    stage.until_pending();
    let as_client = |name: &str, path: &str, more: &[&str]| {
        let file = |end: &str| folder.path().join(format!("{name}.{end}"));
        let (cert, key) = (file("crt"), file("key"));
        let arguments = ["--cacert", text(&ca), "--cert", text(&cert), "--key", text(&key)];
        curl(&stage, "https", path, &[&arguments, more].concat())
    };
    assert_eq!(curl(&stage, "https", "/livez", &["--cacert", text(&ca)]).0, 200, "probes show none");
    assert_eq!(curl(&stage, "https", "/v1/rollouts", &["--cacert", text(&ca)]).0, 401);
    assert_eq!(as_client("argo", "/v1/rollouts", &[]).0, 200);
    assert_eq!(as_client("somebody", "/v1/rollouts", &[]).0, 401, "known to nobody");
    assert_eq!(as_client("forged", "/livez", &[]).0, 0, "of another authority");
    let body = json!({ "rollout": "world", "model": "m", "candidate": CANDIDATE, "kind": "hold", "reason": "a test" });
    let post = ["--json", &body.to_string()];
    let (status, said) = as_client("argo", "/v1/commands", &post);
    assert!(status == 200 && said.contains("\"actor\":\"rollouts\""), "{status} {said}");
    let from_a_page = [&post[..], &["--header", "Origin: https://evil.example"]].concat();
    assert_eq!(as_client("argo", "/v1/commands", &from_a_page).0, 403, "a browser was led to send it");
    let eve = ["--header", "X-Forwarded-User: eve", "--header", "X-Forwarded-Groups: sre"];
    assert_eq!(as_client("somebody", "/v1/rollouts", &eve).0, 401, "not the proxy");
    assert_eq!(as_client("gateway", "/v1/rollouts", &eve).0, 200);
    let (status, said) = as_client("gateway", "/v1/commands", &[&eve[..], &post].concat());
    assert!(status == 200 && said.contains("\"actor\":\"eve\""), "{status} {said}");
}

/// The digest of the certificate that is shown there.
fn shown(address: SocketAddr) -> Vec<u8> {
    let mut connector = SslConnector::builder(SslMethod::tls()).unwrap();
    connector.set_verify(SslVerifyMode::NONE);
    let stream = connector.build().connect("localhost", TcpStream::connect(address).unwrap()).unwrap();
    stream.ssl().peer_certificate().unwrap().to_der().unwrap()
}

#[test]
fn a_certificate_that_is_replaced_is_shown_without_a_restart_and_a_wrong_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let [first, second, third] = ["a", "b", "c"].map(|name| authority.issue(name, 30));
    first.write(folder.path(), "server");
    let stage = stage(folder.path(), &format!("{TLS}  limits: {{ requests_per_second: 10000 }}\n"));
    let address = stage.server.address();
    let until = |der: Vec<u8>| {
        let deadline = now() + PATIENCE;
        while shown(address) != der {
            assert!(now() < deadline, "the certificate is not shown");
        }
    };
    until(first.certificate.to_der().unwrap());
    second.write(folder.path(), "server");
    until(second.certificate.to_der().unwrap());
    // Of another pair: it is not used, and the service goes on with what it has until the key is there, too.
    put(&folder.path().join("server.crt"), &third.certificate.to_pem().unwrap());
    assert_eq!(shown(address), second.certificate.to_der().unwrap());
    third.write(folder.path(), "server");
    until(third.certificate.to_der().unwrap());
    let metrics = stage.shared.telemetry().render().unwrap();
    assert!(metrics.contains("haldane_certificate_expiry_timestamp_seconds"), "{metrics}");
}

#[test]
fn files_that_cannot_be_used_are_named_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let [pair, other] = ["haldane", "other"].map(|name| authority.issue(name, 30));
    pair.write(folder.path(), "server");
    other.write(folder.path(), "other");
    let (key, file) = (folder.path().join("server.key"), |name: &str| folder.path().join(name));
    put(&file("nothing.pem"), b"nothing\n");
    let locked = pair.key.private_key_to_pem_pkcs8_passphrase(Cipher::aes_256_cbc(), b"open sesame").unwrap();
    put(&file("locked.key"), &locked);
    let said = |keys: &str| {
        let config = serve_config(folder.path(), &format!("  tls: {{ {keys} }}\n")).tls.unwrap();
        let error = Tls::open(&config).unwrap_err();
        (error.to_string(), error.advice().unwrap_or_default().to_owned())
    };
    for (keys, problem, advice) in [
        ("cert: server.crt, key: gone.key", "cannot read", "check `serve.tls.key`"),
        ("cert: nothing.pem, key: server.key", "holds no certificate", "`serve.tls.cert` is a PEM file"),
        ("cert: server.crt, key: server.crt", "holds no private key", "PEM file without a password"),
        ("cert: server.crt, key: locked.key", "is locked with a password", "PEM file without a password"),
        ("cert: server.crt, key: other.key", "is not that of the certificate", "the two files of one pair"),
        ("cert: server.crt, key: server.key, client_ca: nothing.pem", "holds no certificate", "client_ca"),
    ] {
        let (error, hint) = said(keys);
        assert!(error.contains(problem) && hint.contains(advice), "{keys}: {error}\n{hint}");
    }
    for (mode, is_open) in [(0o600, false), (0o400, false), (0o640, true), (0o604, true), (0o644, true)] {
        fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
        let config = serve_config(folder.path(), TLS).tls.unwrap();
        let error = Tls::open(&config).err().map(|error| error.to_string());
        // Root's own may be read by the group of the service.
        let expected = is_open && !(mode == 0o640 && is_root(&key));
        assert_eq!(error.is_some(), expected, "{mode:o}: {error:?}");
        assert!(error.is_none_or(|error| error.contains("others on this machine may use the key")));
    }
}

fn is_root(path: &Path) -> bool {
    std::os::unix::fs::MetadataExt::uid(&fs::metadata(path).unwrap()) == 0
}
