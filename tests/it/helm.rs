//! The Helm chart, rendered by Helm itself: what it makes is what Kubernetes takes, and holds what the shipped files
//! hold.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

use crate::act_targets::{allowed_by, asked_by_presets};
use crate::prose::fault;
use crate::sql::python_with;

const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/helm/haldane");

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// A program of Kubernetes' world, built from its module when it is not there yet.
fn program(name: &str, module: &str, version: &str) -> PathBuf {
    static BUILDING: Mutex<()> = Mutex::new(());
    let _one_at_a_time = BUILDING.lock().unwrap_or_else(PoisonError::into_inner);
    let cache = std::env::var_os("HALDANE_CACHE").map(PathBuf::from);
    let cache = cache.or_else(|| std::env::home_dir().map(|home| home.join(".cache/haldane")));
    let folder = cache.expect("set HALDANE_CACHE to a folder for programs").join(format!("{name}-{version}"));
    let program = folder.join(name);
    if !program.exists() {
        let built = Command::new("go").args(["install", &format!("{module}@{version}")]).env("GOBIN", &folder).output();
        let built = built.unwrap_or_else(|_| panic!("{name} renders what is shipped, and is built by Go: install Go"));
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    }
    program
}

fn helm() -> PathBuf {
    program("helm", "helm.sh/helm/v3/cmd/helm", "v3.19.5")
}

fn render(arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(helm()).args(["template", "fraud", CHART]).args(arguments).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() { Ok(String::from_utf8(output.stdout).unwrap()) } else { Err(told) }
}

/// What the chart makes of values that are shipped with it.
fn rendered(values: &str) -> String {
    render(&["-f", &format!("{CHART}/ci/{values}-values.yaml")]).unwrap_or_else(|error| panic!("{values}: {error}"))
}

fn documents(text: &str) -> Vec<Value> {
    text.split("\n---\n")
        .map(|text| serde_saphyr::from_str(text).unwrap())
        .filter(|one: &Value| !one.is_null())
        .collect()
}

fn of_kind<'d>(all: &'d [Value], kind: &str) -> Vec<&'d Value> {
    all.iter().filter(|one| one["kind"] == kind).collect()
}

/// Holds manifests against the schemas of Kubernetes; it knows nothing of what operators add.
const STRICT: &str = r#"
import sys, yaml, kubernetes_validate
known = 0
for document in yaml.safe_load_all(sys.stdin):
    if document and "coreos.com" not in document["apiVersion"]:
        kubernetes_validate.validate(document, "1.33", strict=True)
        known += 1
print(known)
"#;

#[test]
fn kubernetes_takes_what_the_chart_makes() {
    let packages = ["kubernetes-validate==1.37.0", "pyyaml==6.0.3"];
    let python = python_with("python-kubernetes", &packages).unwrap();
    for (values, kinds) in [("all", 12), ("apart", 4)] {
        let folder = tempfile::tempdir().unwrap();
        let manifest = folder.path().join("manifest.yaml");
        fs::write(&manifest, rendered(values)).unwrap();
        let strict = Command::new(&python).args(["-c", STRICT]).stdin(fs::File::open(&manifest).unwrap()).output();
        let strict = strict.unwrap();
        assert!(strict.status.success(), "{values}: {}", String::from_utf8_lossy(&strict.stderr));
        assert_eq!(String::from_utf8_lossy(&strict.stdout).trim(), kinds.to_string(), "{values}");
    }
}

#[test]
fn pipelines_commands_and_users_are_those_of_this_release() {
    let user =
        read("deploy/Dockerfile").lines().find_map(|line| line.strip_prefix("USER ").map(str::to_owned)).unwrap();
    for (values, parts) in [("all", &["act", "run"][..]), ("apart", &["judge", "scan"])] {
        let all = documents(&rendered(values));
        let pipeline = of_kind(&all, "ConfigMap").into_iter().find_map(|one| one["data"]["pipeline.yaml"].as_str());
        haldane::config::parse(pipeline.unwrap(), "pipeline.yaml", Path::new("/nowhere")).unwrap();
        let mut told = BTreeSet::new();
        for deployment in of_kind(&all, "Deployment") {
            let pod = &deployment["spec"]["template"]["spec"];
            let container = &pod["containers"][0];
            let words = container["args"].as_array().unwrap().iter().map(|word| word.as_str().unwrap().to_owned());
            let words: Vec<String> = std::iter::once("haldane".to_owned()).chain(words).collect();
            assert_eq!(fault(&words, true), None);
            assert_eq!(container["image"], format!("haldane:{}", env!("CARGO_PKG_VERSION")));
            let runs_as = pod["securityContext"]["runAsUser"].to_string();
            assert_eq!(user, format!("{runs_as}:{runs_as}"), "the image and the chart name one user");
            told.insert(deployment["metadata"]["labels"]["app.kubernetes.io/component"].as_str().unwrap().to_owned());
        }
        assert!(told.iter().eq(parts), "{told:?}");
    }
    let chart: Value = serde_saphyr::from_str(&read("deploy/helm/haldane/Chart.yaml")).unwrap();
    assert_eq!((&chart["version"], &chart["appVersion"]), (&json!(env!("CARGO_PKG_VERSION")), &chart["version"]));
}

#[test]
fn whoever_acts_may_do_what_its_presets_ask_for_by_name() {
    let all = documents(&rendered("all"));
    let roles = of_kind(&all, "Role");
    let allows = |role: &Value| (role["metadata"]["namespace"].clone(), role["rules"][0]["resourceNames"].clone());
    let named: Vec<_> = roles.iter().map(|role| allows(role)).collect();
    assert_eq!(named, [(json!("shop"), json!(["fraud"])), (json!("models"), json!(["fraud"]))]);
    let presets = ["kserve", "kserve-standard", "argo-rollouts", "httproute", "virtualservice"];
    for preset in presets {
        let target = format!(
            "pipeline.act[0].name=one,pipeline.act[0].http.preset={preset},pipeline.act[0].http.with.namespace=n,\
             pipeline.act[0].http.with.name=m"
        );
        let values = format!("{CHART}/ci/apart-values.yaml");
        let text = render(&["-f", &values, "--set", "act.enabled=true", "--set", &target]).unwrap();
        let all = documents(&text);
        let [role] = of_kind(&all, "Role")[..] else { panic!("{preset}: one role") };
        assert_eq!(allowed_by(role), asked_by_presets(&[preset]), "{preset}");
    }
}

#[test]
fn alerts_and_dashboard_are_the_shipped_ones() {
    let all = documents(&rendered("all"));
    let rules: Value = serde_saphyr::from_str(&read("deploy/prometheus-rules.yaml")).unwrap();
    assert_eq!(of_kind(&all, "PrometheusRule")[0]["spec"], rules);
    let ours = "https://wiki.example/haldane";
    let moved = render(&["-f", &format!("{CHART}/ci/all-values.yaml"), "--set", &format!("rules.runbooks={ours}")]);
    assert!(moved.unwrap().contains(&format!("runbook_url: {ours}#haldanedown")));
    let shown = of_kind(&all, "ConfigMap").into_iter().find_map(|one| one["data"]["haldane.json"].as_str()).unwrap();
    assert_eq!(
        serde_json::from_str::<Value>(shown).unwrap(),
        serde_json::from_str::<Value>(&read("deploy/grafana-dashboard.json")).unwrap()
    );
}

#[test]
fn values_are_checked_with_the_pipeline_in_them() {
    let path = format!("{CHART}/values.schema.json");
    let mut values: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    let mut pipeline: Value = serde_json::from_str(&read("schemas/pipeline.schema.json")).unwrap();
    let said = values.clone();
    values["$defs"] = pipeline.as_object_mut().unwrap().remove("$defs").unwrap();
    pipeline.as_object_mut().unwrap().remove("$schema");
    values["properties"]["pipeline"] = pipeline;
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, serde_json::to_string_pretty(&values).unwrap() + "\n").unwrap();
    } else {
        assert!(said == values, "the schema of pipelines is another one: run with UPDATE=1");
    }
    let all = format!("{CHART}/ci/all-values.yaml");
    for (wrong, place) in [
        ("pipeline.windows.sizes=5m", "'/pipeline/windows': additional properties 'sizes' not allowed"),
        ("role=both", "'/role'"),
        ("pipeline.serve.listen=127.0.0.1:8088", "pipeline.serve.listen must be an address that the pod has"),
        ("pipeline.serve=null", "pipeline.serve.listen must be an address that the pod has"),
        ("act.enable=true", "'/act': additional properties 'enable' not allowed"),
    ] {
        let told = render(&["-f", &all, "--set", wrong]).unwrap_err();
        assert!(told.contains(place), "{wrong}: {told}");
    }
}

#[test]
fn the_base_for_overlays_is_the_shipped_manifest_with_the_image_of_this_release() {
    let kustomize = program("kustomize", "sigs.k8s.io/kustomize/kustomize/v5", "v5.7.1");
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy");
    let output = Command::new(kustomize).args(["build", folder]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let built = documents(&String::from_utf8(output.stdout).unwrap());
    // Kubernetes reads YAML 1.1, where a number that begins with 0 is octal.
    let shipped = documents(&read("deploy/kubernetes.yaml").replace("0440", "288"));
    for one in &shipped {
        assert!(built.contains(one), "{} is changed", one["kind"]);
    }
    let image = &of_kind(&built, "Deployment")[0]["spec"]["template"]["spec"]["containers"][0]["image"];
    assert_eq!((built.len(), image), (shipped.len(), &json!(format!("haldane:{}", env!("CARGO_PKG_VERSION")))));
}
