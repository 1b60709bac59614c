//! Who is believed to be whom, and who is not.

use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::config::{ProxyConfig, Secret};
use crate::verdict::CommandName;

fn access() -> Access {
    let people = [("ana", Power::Approver), ("oli", Power::Operator), ("vic", Power::Viewer), ("ada", Power::Admin)];
    let with = |access: Access, (name, power)| access.with(name, &[power], &format!("token-of-{name}-token"));
    people.into_iter().try_fold(Access::default(), with).expect("tokens")
}

fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        let name: header::HeaderName = name.parse().expect("a name");
        headers.append(name, value.parse().expect("a value"));
    }
    headers
}

fn peer(address: &str, certificate: &[&str]) -> Peer {
    let certificate: Vec<String> = certificate.iter().map(|name| (*name).to_owned()).collect();
    Peer { address: address.parse().expect("an address"), is_encrypted: false, certificate: Arc::from(certificate) }
}

fn who(access: &Access, peer: &Peer, pairs: &[(&str, &str)]) -> Option<(String, Proof)> {
    match access.who(peer, &headers(pairs), true) {
        Claim::Known(known) => Some((known.name, known.proof)),
        Claim::Nothing | Claim::Wrong => None,
    }
}

/// What [`who`] says of somebody who is known.
#[expect(clippy::unnecessary_wraps, reason = "it is compared with what may be nothing")]
fn is(name: &str, proof: Proof) -> Option<(String, Proof)> {
    Some((name.to_owned(), proof))
}

#[test]
fn a_token_says_who_it_is() {
    let (access, elsewhere) = (access(), peer("192.0.2.1", &[]));
    for scheme in ["Bearer", "bearer"] {
        let sent = format!("{scheme} token-of-oli-token");
        assert_eq!(who(&access, &elsewhere, &[("authorization", &sent)]), is("oli", Proof::Token));
    }
    for wrong in ["Bearer token-of-eve-token", "Basic token-of-oli-token", "token-of-oli-token", "Bearer "] {
        assert_eq!(who(&access, &elsewhere, &[("authorization", wrong)]), None, "{wrong}");
    }
    let wrong = access.who(&elsewhere, &headers(&[("authorization", "Bearer token-of-eve-token")]), true);
    assert!(matches!(wrong, Claim::Wrong), "it counts as a failed login");
    let unread = access.who(&elsewhere, &headers(&[("authorization", "Bearer token-of-oli-token")]), false);
    assert!(matches!(unread, Claim::Nothing), "tokens of a client that guesses are not looked at");
}

#[test]
fn a_session_ends_and_cannot_be_forged() {
    let access = access();
    let session = access.session("token-of-ana-token", 1_000).expect("known");
    let who = |session: &str, now_s| {
        let headers = headers(&[("cookie", &format!("other=1; haldane_session={session}"))]);
        access.by_cookie_at(&headers, now_s).map(|known| known.name)
    };
    assert_eq!(who(&session, 999), Some("ana".to_owned()));
    assert_eq!(who(&session, 1_000), None);
    let seal = session.rsplit('.').next().expect("a seal");
    for forged in [format!("1.1000.{seal}"), format!("0.9999.{seal}"), "0.9999.".to_owned(), "x".to_owned()] {
        assert_eq!(who(&forged, 0), None, "{forged}");
    }
    assert_eq!(access.session("token-of-eve-token", 1_000), None);
}

#[test]
fn everybody_may_do_what_their_roles_say() {
    let access = access();
    let may = |name: &str, command| access.by_token(&format!("token-of-{name}-token")).expect("known").may(command);
    let allowed = |command| ["ana", "oli", "vic", "ada"].map(|name| may(name, command));
    assert_eq!(allowed(CommandName::Approve), [true, false, false, true]);
    assert_eq!(allowed(CommandName::Hold), [true, true, false, true]);
    assert_eq!(allowed(CommandName::ForceRollback), [false, true, false, true]);
}

#[test]
fn a_cookie_counts_only_from_our_own_pages() {
    let from = |origin: &str| headers(&[("host", "haldane:8088"), ("origin", origin)]);
    assert!(is_of_our_page(&from("http://haldane:8088")));
    for other in ["http://haldane:8089", "https://evil.example", "null", ""] {
        assert!(!is_of_our_page(&from(other)), "{other}");
    }
    assert!(!is_of_our_page(&headers(&[("host", "haldane:8088")])));
}

fn behind(addresses: &[&str], certificate: Option<&str>) -> Access {
    let proxy = ProxyConfig {
        addresses: addresses.iter().map(|text| text.parse().expect("a network")).collect(),
        certificate: certificate.map(str::to_owned),
        user_header: "x-forwarded-user".to_owned(),
        groups_header: "x-forwarded-groups".to_owned(),
        groups: [("sre".to_owned(), vec![Power::Operator])].into(),
    };
    let mut access = access();
    access.config.proxy = Some(proxy);
    access
}

const EVE: [(&str, &str); 2] = [("x-forwarded-user", "eve"), ("x-forwarded-groups", "sre")];

#[test]
fn headers_are_believed_from_the_proxy_alone() {
    for (access, proxy, others) in [
        (behind(&["10.1.0.0/16"], None), peer("10.1.2.3", &[]), vec![peer("10.2.0.1", &[]), peer("127.0.0.1", &[])]),
        (
            behind(&[], Some("proxy.example")),
            peer("192.0.2.1", &["other", "proxy.example"]),
            vec![peer("192.0.2.1", &[]), peer("192.0.2.1", &["proxy.example.evil"])],
        ),
        (
            behind(&["10.1.0.0/16"], Some("proxy.example")),
            peer("10.1.2.3", &["proxy.example"]),
            vec![peer("10.1.2.3", &[]), peer("192.0.2.1", &["proxy.example"])],
        ),
    ] {
        assert_eq!(who(&access, &proxy, &EVE), is("eve", Proof::Proxy));
        others.iter().for_each(|other| assert_eq!(who(&access, other, &EVE), None, "{other:?}"));
    }
    let nobody = access();
    assert_eq!(who(&nobody, &peer("127.0.0.1", &[]), &EVE), None, "without a proxy nobody is");
}

#[test]
fn roles_come_from_groups_and_from_the_pipeline_and_from_nothing_else() {
    let (access, proxy) = (behind(&["10.0.0.0/8"], None), peer("10.0.0.1", &[]));
    let powers = |pairs: &[(&str, &str)]| match access.who(&proxy, &headers(pairs), true) {
        Claim::Known(known) => known.powers(),
        other => panic!("{other:?}"),
    };
    assert_eq!(powers(&EVE), "operator");
    assert_eq!(powers(&[("x-forwarded-user", "eve")]), "no role");
    assert_eq!(powers(&[("x-forwarded-user", "ana"), ("x-forwarded-groups", "dev, sre")]), "approver, operator");
    let twice = [EVE[0], ("x-forwarded-groups", "dev"), EVE[1]];
    assert_eq!(powers(&twice), "no role", "a client has added a line of its own");
}

#[test]
fn a_name_that_a_client_slips_in_beside_the_proxys_counts_for_nothing() {
    let (access, proxy) = (behind(&["10.0.0.0/8"], None), peer("10.0.0.1", &[]));
    let long = "e".repeat(129);
    for pairs in [
        vec![("x-forwarded-user", "ana"), EVE[0], EVE[1]],
        vec![("x-forwarded-user", "")],
        vec![("x-forwarded-user", long.as_str())],
    ] {
        assert_eq!(who(&access, &proxy, &pairs), None, "{pairs:?}");
    }
    let both = [EVE[0], ("authorization", "Bearer token-of-ana-token")];
    assert_eq!(who(&access, &proxy, &both), is("eve", Proof::Proxy), "the proxy says who asks");
}

#[test]
fn certificates_say_who_it_is_but_for_the_proxys() {
    let mut access = behind(&[], Some("proxy.example"));
    access.people[1].certificate = Some("argo.example".to_owned());
    assert_eq!(who(&access, &peer("192.0.2.1", &["argo.example"]), &[]), is("oli", Proof::Certificate));
    assert_eq!(who(&access, &peer("192.0.2.1", &["proxy.example"]), &[]), None);
    assert_eq!(who(&access, &peer("192.0.2.1", &["example"]), &[]), None);
}

#[test]
fn behind_the_proxy_the_one_who_asks_is_the_last_that_is_no_proxy() {
    let access = behind(&["10.0.0.0/8"], None);
    let asks = |from: &str, noted: &str| {
        access.address_of(&peer(from, &[]), &headers(&[("x-forwarded-for", noted)])).to_string()
    };
    assert_eq!(asks("10.0.0.1", "1.1.1.1, 192.0.2.7, 10.0.0.9"), "192.0.2.7");
    assert_eq!(asks("10.0.0.1", "nonsense"), "10.0.0.1");
    assert_eq!(asks("192.0.2.1", "1.1.1.1"), "192.0.2.1", "others may write what they like");
}

#[test]
fn reading_is_open_or_for_those_who_are_known() {
    let mut access = behind(&["10.0.0.0/8"], None);
    let known =
        |pairs: &[(&str, &str)], access: &Access| match access.who(&peer("10.0.0.1", &[]), &headers(pairs), true) {
            Claim::Known(known) => Some(known),
            Claim::Nothing | Claim::Wrong => None,
        };
    let callers = [known(&[], &access), known(&EVE[..1], &access), known(&EVE, &access)];
    for (read, may) in [
        (Reading::Open, [true, true, true]),
        (Reading::Token, [false, false, true]),
        (Reading::Proxy, [false, true, true]),
    ] {
        access.config.read = read;
        assert_eq!([0, 1, 2].map(|i: usize| access.may_read(callers[i].as_ref())), may, "{read:?}");
    }
}

fn approver(name: &str, path: &Path) -> Approver {
    Approver { name: name.to_owned(), token: Some(Secret::File(path.to_owned())), certificate: None, roles: vec![] }
}

#[test]
fn a_token_that_says_nothing_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("token");
    let open = |names: &[&str]| {
        let approvers = names.iter().map(|name| approver(name, &path)).collect();
        Access::open(&ServeConfig { approvers, ..ServeConfig::default() })
    };
    for (token, problem) in [
        ("brief", "shorter than 16"),
        ("", "shorter than 16"),
        ("long enough but with spaces", "holds a space"),
        ("tökentökentökentöken", "beyond ASCII"),
    ] {
        std::fs::write(&path, token).expect("a file");
        let error = open(&["ana"]).expect_err("no token").to_string();
        assert!(error.contains(problem) && (token.is_empty() || !error.contains(token)), "{error}");
    }
    std::fs::write(&path, "long-enough-for-anybody").expect("a file");
    assert_eq!(open(&["ana", "oli"]).expect_err("one for two").to_string(), "oli and ana have the same token");
}

#[test]
fn tokens_are_renewed_one_beside_the_other_and_end_with_their_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("token");
    let put = |text: &str| {
        let fresh = folder.path().join("fresh");
        std::fs::write(&fresh, text).expect("a file");
        std::fs::rename(fresh, &path).expect("a file");
    };
    put("the-first-token-of-ana\n");
    let config = ServeConfig { approvers: vec![approver("ana", &path)], ..ServeConfig::default() };
    let first = Access::open(&config).expect("a token");
    let session = first.session("the-first-token-of-ana", 1_000).expect("a session");
    assert!(first.renewed().is_none(), "nothing has changed");

    put("the-first-token-of-ana\nthe-second-token-of-ana\n");
    let both = first.renewed().expect("a change");
    for token in ["the-first-token-of-ana", "the-second-token-of-ana"] {
        assert!(both.by_token(token).is_some(), "{token}");
    }
    put("the-second-token-of-ana\n");
    let second = both.renewed().expect("a change");
    assert!(second.by_token("the-first-token-of-ana").is_none());
    let cookie = headers(&[("cookie", &format!("haldane_session={session}"))]);
    assert!(both.by_cookie_at(&cookie, 0).is_some() && second.by_cookie_at(&cookie, 0).is_none());

    std::fs::remove_file(&path).expect("a file");
    let none = second.renewed().expect("a change");
    assert!(none.by_token("the-second-token-of-ana").is_none(), "a token ends with its file");
    put("the-third-token-of-ana\n");
    assert!(none.renewed().expect("a change").by_token("the-third-token-of-ana").is_some());
}

#[test]
fn nothing_of_a_token_is_shown() {
    let shown = format!("{:?}", access());
    assert!(shown.contains("ana") && !shown.contains("token-of-"), "{shown}");
}
