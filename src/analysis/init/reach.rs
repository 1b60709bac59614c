//! The `kafka` section of a pipeline that is made of topics: the way on which they were reached.

use std::fmt::Write as _;

use super::scalar::scalar;
use crate::config::{KafkaConfig, Protocol, Secret, Security};

/// The section; where passwords are, but none of them.
pub(super) fn section(cluster: &KafkaConfig) -> String {
    let mut text = format!("\nkafka:\n  brokers: {}\n", scalar(&cluster.brokers));
    let lines = security(&cluster.security);
    if !lines.is_empty() {
        text += "  security:\n";
    }
    for (key, value) in lines {
        let _ = writeln!(text, "    {key}: {}", scalar(&value));
    }
    if !cluster.librdkafka.is_empty() {
        text += "  librdkafka:\n";
    }
    for (key, value) in &cluster.librdkafka {
        let _ = writeln!(text, "    {key}: {}", scalar(value));
    }
    text
}

fn security(security: &Security) -> Vec<(&'static str, String)> {
    let path = |path: &Option<std::path::PathBuf>| path.as_ref().map(|path| path.display().to_string());
    let password = match &security.password {
        Some(Secret::Env(name)) => ("password_env", Some(name.clone())),
        Some(Secret::File(file)) => ("password_file", path(&Some(file.clone()))),
        None => ("password_env", None),
    };
    let protocol = (security.protocol != Protocol::default()).then(|| security.protocol.name().to_owned());
    let all = [
        ("protocol", protocol),
        ("mechanism", security.mechanism.map(|mechanism| mechanism.name().to_owned())),
        ("username", security.username.clone()),
        password,
        ("ca", path(&security.ca)),
        ("certificate", path(&security.certificate)),
        ("key", path(&security.key)),
    ];
    all.into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config;

    #[test]
    fn a_section_is_read_as_it_was() {
        let read = |text: &str| config::cluster(text, "login.yaml", Path::new("/etc/haldane")).expect("a section");
        for text in [
            "kafka: { brokers: \"b:9092\" }",
            "kafka:\n  brokers: b:9092,c:9092\n  security:\n    protocol: sasl_ssl\n    mechanism: SCRAM-SHA-512\n    username: \"yes\"\n    password_env: SECRET\n    ca: ca.pem\n  librdkafka:\n    socket.timeout.ms: \"9000\"\n",
            "kafka:\n  brokers: b:9092\n  security: { protocol: ssl, certificate: a.pem, key: /b.pem }\nsources: {}",
            "kafka:\n  brokers: b:9092\n  security: { protocol: sasl_plaintext, mechanism: PLAIN, username: u, password_file: p }",
        ] {
            let cluster = read(text);
            assert_eq!(read(&section(&cluster)), cluster, "{}", section(&cluster));
        }
    }
}
