//! Who may come in, as the `serve` section says.

use std::time::Duration;

use super::*;

fn serve(keys: &str) -> ServeConfig {
    load(&with(&format!("store: {{ path: s }}\nserve: {{ {keys} }}\n"))).serve
}

/// The first problem with these keys, and what is said to do.
fn wrong(keys: &str) -> String {
    let text = with(&format!("store: {{ path: s }}\nserve: {{ {keys} }}\n"));
    parse(&text, "p.yaml", Path::new("")).map(|_| ()).expect_err("the file is wrong").to_string()
}

const ANA: &str = "approvers: [{ name: ana, token_env: ANA, roles: [viewer] }]";

#[test]
fn everything_has_a_default_and_is_open_on_this_machine_alone() {
    let serve = load(SMALL).serve;
    assert!(serve.listen.ip().is_loopback() && serve.tls.is_none() && serve.proxy.is_none());
    assert_eq!(
        (serve.read, serve.metrics, serve.limits),
        (Reading::Open, MetricsReading::Open, ClientLimits::default())
    );
}

#[test]
fn what_is_said_is_meant() {
    let said = serve(
        "listen: '0.0.0.0:1', tls: { cert: a.crt, key: a.key, client_ca: ca.pem }, read: proxy, metrics: read, \
         approvers: [{ name: ana, certificate: ana.example, roles: [read, operate, admin] }, { name: oli, roles: [approver] }], \
         proxy: { addresses: [10.0.0.0/8, '::1'], certificate: gate.example, user_header: X-User, groups: { a: [admin] } }, \
         limits: { requests_per_second: 5, patience: 2s }",
    );
    assert_eq!(said.tls.unwrap().client_ca.as_deref(), Some(Path::new("ca.pem")));
    assert_eq!((said.read, said.metrics), (Reading::Proxy, MetricsReading::Read));
    assert_eq!(said.approvers[0].roles, [Power::Viewer, Power::Operator, Power::Admin]);
    assert_eq!((said.approvers[1].token.is_none(), said.approvers[1].certificate.is_none()), (true, true));
    let proxy = said.proxy.unwrap();
    assert_eq!((proxy.user_header.as_str(), proxy.groups_header.as_str()), ("x-user", "x-forwarded-groups"));
    assert_eq!(proxy.addresses[0].to_string(), "10.0.0.0/8");
    assert_eq!((said.limits.requests_per_second, said.limits.patience), (5, Duration::from_secs(2)));
    assert_eq!(said.limits.connections, ClientLimits::default().connections);
}

#[test]
fn what_would_let_in_anybody_or_nobody_is_refused() {
    for (keys, problem) in [
        ("read: token", "nobody could read: there are no `approvers`"),
        ("read: proxy", "nobody says who asks: there is no `proxy`"),
        ("proxy: {}", "anybody could be the proxy, and say to be anybody"),
        ("proxy: { addresses: [0.0.0.0/0] }", "`0.0.0.0/0` is every address"),
        ("proxy: { addresses: [gate] }", "`gate` is neither an IP address nor a network"),
        ("proxy: { addresses: [10.0.0.1], user_header: 'X User' }", "`X User` cannot be a header"),
        ("proxy: { certificate: gate }", "no proxy shows a certificate"),
        ("approvers: [{ name: ana, certificate: ana, roles: [viewer] }]", "no client shows a certificate"),
        ("approvers: [{ name: ana, roles: [viewer] }]", "the token has no place"),
        (
            "tls: { cert: c, key: k, client_ca: a }, proxy: { certificate: x }, \
             approvers: [{ name: ana, certificate: x, roles: [viewer] }]",
            "the certificate `x` is the proxy's, which speaks for others",
        ),
        (
            "tls: { cert: c, key: k, client_ca: a }, approvers: [{ name: ana, certificate: x, roles: [viewer] }, \
             { name: oli, certificate: x, roles: [viewer] }]",
            "ana has the same certificate",
        ),
        ("limits: { requests_per_second: 0 }", "`requests_per_second` is from 1"),
        ("limits: { patience: 0s }", "no client is as quick as that"),
        (
            "read: proxy, proxy: { addresses: [10.0.0.1] }, postgres: '127.0.0.1:5432'",
            "anybody on this machine could query the store, and `read` is not open",
        ),
        ("tls: { cert: c }", "key"),
    ] {
        assert!(wrong(keys).contains(problem), "{keys}: {}", wrong(keys));
    }
    assert_eq!(serve(&format!("read: token, postgres: '127.0.0.1:5432', {ANA}")).read, Reading::Token);
}

#[test]
fn a_secret_that_stands_in_the_file_is_not_shown_with_its_mistake() {
    for keys in
        ["approvers: [{ name: ana, token: geheim, roles: [viewer] }]", "tls: { cert: c, key: k, password: geheim }"]
    {
        let error = wrong(keys);
        assert!(!error.contains("geheim") && error.contains("unknown key"), "{error}");
    }
}
