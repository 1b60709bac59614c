//! What is open to whom, in words, and what to be careful about.

use std::net::SocketAddr;

use crate::config::{Approver, MetricsReading, Power, Reading, Secret, ServeConfig};

/// Where the service answers, and whom.
pub(super) fn entries(serve: &ServeConfig) -> Vec<String> {
    let scheme = if serve.tls.is_some() { "https" } else { "http" };
    let reading = match serve.read {
        Reading::Open => "open to whoever reaches it",
        Reading::Token => "for those who have a role",
        Reading::Proxy => "for those who have a role, and whoever the proxy names",
    };
    let metrics = match serve.metrics {
        MetricsReading::Open => "open: /livez, /readyz, /metrics",
        MetricsReading::Read => "open: /livez, /readyz",
    };
    let mut lines = vec![
        format!("{scheme}://{}, reached from {}", serve.listen, reach(serve.listen)),
        format!("reading is {reading}; always {metrics}"),
    ];
    if serve.approvers.is_empty() && serve.proxy.is_none() {
        lines.push("nobody may act over HTTP".to_owned());
    }
    lines.extend(serve.approvers.iter().map(person));
    if let Some(proxy) = &serve.proxy {
        let addresses = proxy.addresses.iter().map(|network| format!("at {network}"));
        let certificate = proxy.certificate.iter().map(|name| format!("with the certificate {name}"));
        let which: Vec<String> = addresses.chain(certificate).collect();
        lines.push(format!("the proxy {} says in {} who asks", which.join(", "), proxy.user_header));
        lines.extend(proxy.groups.iter().map(|(group, roles)| format!("its group {group}: {}", names(roles))));
    }
    if let Some(address) = serve.postgres {
        let login = if serve.approvers.iter().any(|one| one.token.is_some()) { "by token" } else { "without a login" };
        let tls = if serve.tls.is_some() { ", over TLS only" } else { "" };
        lines.push(format!("postgresql://{address}, reached from {}, {login}{tls}", reach(address)));
    }
    lines
}

fn reach(address: SocketAddr) -> &'static str {
    if address.ip().is_loopback() { "this machine only" } else { "elsewhere" }
}

fn names(roles: &[Power]) -> String {
    roles.iter().map(|role| role.name()).collect::<Vec<_>>().join(", ")
}

fn person(Approver { name, token, certificate, roles }: &Approver) -> String {
    let token = token.as_ref().map(|token| match token {
        Secret::Env(name) => format!("the token in ${name}"),
        Secret::File(path) => format!("the token in {}", path.display()),
    });
    let certificate = certificate.as_ref().map(|name| format!("the certificate {name}"));
    let proofs: Vec<String> = token.into_iter().chain(certificate).collect();
    let proven = if proofs.is_empty() { "the proxy".to_owned() } else { proofs.join(" or ") };
    format!("{name}: {}, known by {proven}", names(roles))
}

/// What could be open to more people than was meant.
pub(super) fn cautions(serve: &ServeConfig) -> Vec<String> {
    let is_remote = !serve.listen.ip().is_loopback();
    let mut lines = Vec::new();
    if is_remote && serve.read == Reading::Open {
        lines.push(format!(
            "whoever reaches {} can read windows, rollouts, decisions and the store: write `serve: {{ read: token }}`, or see \
             that the network lets in only those who may",
            serve.listen
        ));
    }
    let sends_tokens = serve.approvers.iter().any(|approver| approver.token.is_some());
    let remote_postgres = serve.postgres.is_some_and(|address| !address.ip().is_loopback());
    if (is_remote || remote_postgres) && sends_tokens && serve.tls.is_none() {
        lines.push(
            "tokens and what is read cross the network in the clear: write `serve: { tls: … }`, or see that a proxy with TLS \
             is the only way in"
                .to_owned(),
        );
    }
    if let Some(proxy) = serve.proxy.as_ref().filter(|proxy| proxy.certificate.is_none()) {
        let here = proxy.addresses.iter().any(|network| network.holds([127, 0, 0, 1].into()));
        if here {
            lines.push(
                "every process on this machine can speak as the proxy, and say to be anybody: ask it for a certificate"
                    .to_owned(),
            );
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config;

    fn told(keys: &str) -> (String, String) {
        let source = "sources: { predictions: { topic: p, id: id, version: v, event_time: t, score: s } }";
        let text = format!("{source}\nstore: {{ path: s }}\nserve: {{ {keys} }}\n");
        let serve = config::parse(&text, "p.yaml", Path::new("/etc")).unwrap_or_else(|error| panic!("{error}")).serve;
        (entries(&serve).join("\n"), cautions(&serve).join("\n"))
    }

    #[test]
    fn on_this_machine_there_is_nothing_to_be_careful_about() {
        let (entries, cautions) = told("");
        assert_eq!(
            entries,
            "http://127.0.0.1:8088, reached from this machine only\nreading is open to whoever reaches it; always open: \
             /livez, /readyz, /metrics\nnobody may act over HTTP"
        );
        assert_eq!(cautions, "");
    }

    #[test]
    fn what_is_open_to_others_is_warned_of() {
        let person = "approvers: [{ name: ana, token_file: ana, roles: [approver] }]";
        let (entries, cautions) = told(&format!("listen: '0.0.0.0:8088', postgres: '0.0.0.0:5432', {person}"));
        assert!(entries.contains("ana: approver, known by the token in /etc/ana"), "{entries}");
        assert!(entries.contains("postgresql://0.0.0.0:5432, reached from elsewhere, by token"), "{entries}");
        assert!(cautions.contains("whoever reaches 0.0.0.0:8088 can read"), "{cautions}");
        assert!(cautions.contains("cross the network in the clear"), "{cautions}");
        let safe = format!("listen: '0.0.0.0:8088', read: token, tls: {{ cert: c, key: k }}, {person}");
        assert_eq!(told(&safe).1, "");
        let (entries, cautions) = told("read: proxy, proxy: { addresses: [127.0.0.0/8], groups: { sre: [operator] } }");
        assert!(entries.contains("the proxy at 127.0.0.0/8 says in x-forwarded-user who asks"), "{entries}");
        assert!(entries.contains("its group sre: operator"), "{entries}");
        assert!(cautions.contains("every process on this machine can speak as the proxy"), "{cautions}");
    }
}
