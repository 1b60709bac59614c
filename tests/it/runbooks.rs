//! What to do is said of every alert and every reason, and shown where they lead.

use std::collections::BTreeSet;
use std::sync::Arc;

use haldane::name::Name as _;
use haldane::reason::ReasonCode;
use haldane::serve::{Server, Shared};
use serde_json::Value;

use crate::http::ask;

const PAGE: &str = include_str!("../../deploy/RUNBOOKS.md");
const RULES: &str = include_str!("../../deploy/prometheus-rules.yaml");

/// Sections by their names.
fn sections() -> Vec<(&'static str, &'static str)> {
    let section = |text: &'static str| (text.lines().next().unwrap(), text.split("\n## ").next().unwrap());
    PAGE.split("\n### ").skip(1).map(section).collect()
}

#[test]
fn every_alert_and_every_reason_has_a_section_and_no_section_is_left_over() {
    let rules: Value = serde_saphyr::from_str(RULES).unwrap();
    let mut wanted: BTreeSet<&str> = ReasonCode::ALL.iter().map(|code| code.name()).collect();
    for rule in rules["groups"][0]["rules"].as_array().unwrap() {
        let name = rule["alert"].as_str().unwrap();
        let link = format!("deploy/RUNBOOKS.md#{}", name.to_lowercase());
        assert_eq!(rule["annotations"]["runbook_url"], link.as_str(), "{name}");
        wanted.insert(name);
    }
    let named: Vec<&str> = sections().into_iter().map(|(name, _)| name).collect();
    assert_eq!(named.len(), wanted.len(), "a section stands there twice, or is missing");
    assert_eq!(named.into_iter().collect::<BTreeSet<_>>(), wanted);
}

#[test]
fn a_section_says_what_it_means_where_to_look_what_to_do_and_how_it_ends() {
    for (name, section) in sections() {
        let points: Vec<_> =
            section.lines().filter_map(|line| line.strip_prefix("- **")?.split(".**").next()).collect();
        assert_eq!(points, ["Means", "Look at", "Do", "Ends"], "{name}");
    }
}

#[test]
fn links_inside_the_page_lead_to_sections() {
    let anchors: BTreeSet<String> = sections().iter().map(|(name, _)| name.to_lowercase()).collect();
    let targets: Vec<_> = PAGE.split("](#").skip(1).filter_map(|rest| rest.split(')').next()).collect();
    assert!(targets.len() > 3);
    targets.iter().for_each(|target| assert!(anchors.contains(*target), "#{target}"));
}

#[test]
fn a_service_shows_each_section_under_its_name() {
    let server = Server::start("127.0.0.1:0", Arc::new(Shared::new())).unwrap();
    let show = |name: &str| ask(server.address(), "GET", &format!("/runbooks{name}"));
    assert_eq!(show("").text(), PAGE);
    for (name, section) in sections() {
        assert_eq!(show(&format!("/{name}")).text(), format!("# {}\n", section.trim_end()));
    }
    let unknown = show("/NOTHING");
    assert_eq!(unknown.status, 404);
    assert!(unknown.text().contains("there is no runbook for NOTHING"));
    server.shutdown();
}
