//! Kinds of targets against the other side as tests play it: real status codes, conflicts, delays and lies.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::io::BufReader;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use haldane::act::{ObservedShare, Trouble};
use haldane::config;
use haldane::targets::{self, ActConfig, Subject, Target};
use openssl::ssl::{SslAcceptor, SslMethod};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::api::{self, Api, Asked, Document, Manner};
use crate::authority::Authority;

/// What a pipeline file with these targets says of the first of them.
pub(crate) fn target_of(act: &str, folder: &Path) -> ActConfig {
    let text = format!(
        "sources: {{ predictions: {{ topic: p, event_time: at, id: id, model: {{ constant: m }}, version: v, status: s }} }}\n\
         rollout: {{ name: fraud, baseline: v1 }}\nact:\n{act}"
    );
    config::parse(&text, "act.yaml", folder).unwrap_or_else(|error| panic!("{error}")).act.remove(0)
}

pub(crate) fn subject() -> Subject {
    let [rollout, model, candidate, baseline, decision] = ["fraud", "m", "v2", "v1", "b3:7"].map(str::to_owned);
    Subject { rollout, model, candidate, baseline, decision }
}

/// An API, and a target that is set there.
struct Scene {
    document: Arc<Mutex<Document>>,
    api: Api,
    target: Box<dyn Target>,
    _folder: TempDir,
}

impl Scene {
    fn set(preset: &str, with: &str, path: &str, value: Value) -> Self {
        let document = Document::new(path, value);
        let (api, folder) = (Api::of(&document), tempfile::tempdir().unwrap());
        fs::write(folder.path().join("token"), "geheim\n").unwrap();
        let act = format!(
            "- name: t\n  http: {{ preset: {preset}, with: {{ {with} }}, server: '{}', token_file: token }}\n",
            api.url()
        );
        let mut config = target_of(&act, folder.path());
        config.timeout = Duration::from_millis(500);
        let target = targets::open(&config).unwrap().unwrap();
        Self { document, api, target, _folder: folder }
    }

    fn share(&mut self) -> Option<f64> {
        self.target.look(&subject()).unwrap().share_pct
    }

    /// Looks and sets.
    fn go(&mut self, share_pct: f64) -> Result<(), Trouble> {
        let seen = self.target.look(&subject())?;
        self.target.set(&subject(), &seen, share_pct)
    }

    fn at(&self, pointer: &str) -> Value {
        self.document.lock().unwrap().value.pointer(pointer).cloned().unwrap_or_default()
    }
}

const KSERVE: &str = "/apis/serving.kserve.io/v1beta1/namespaces/ml/inferenceservices/fraud";

fn kserve() -> Scene {
    let value = json!({
        "metadata": { "annotations": { "haldane.io/candidate": "v2" } },
        "spec": { "predictor": { "canaryTrafficPercent": 25, "model": { "storageUri": "s3://models/v2" } } },
    });
    Scene::set("kserve", "namespace: ml, name: fraud", KSERVE, value)
}

#[test]
fn kserve_is_set_by_a_merge_patch_that_names_what_was_seen() {
    let mut scene = kserve();
    let seen = scene.target.look(&subject()).unwrap();
    assert_eq!((seen.share_pct, seen.version.as_deref(), seen.mark.as_str()), (Some(25.0), Some("v2"), "1"));
    scene.target.set(&subject(), &seen, 5.9).unwrap();
    assert_eq!((scene.share(), scene.at("/spec/predictor/model/storageUri")), (Some(5.0), json!("s3://models/v2")));
    let asked = scene.api.asked();
    let patch = asked.iter().find(|asked| asked.method == "PATCH").unwrap();
    let body =
        json!({ "metadata": { "resourceVersion": "1" }, "spec": { "predictor": { "canaryTrafficPercent": 5 } } });
    assert_eq!((patch.json(), patch.header("content-type")), (body, "application/merge-patch+json"));
    assert!(asked.iter().all(|asked| asked.header("authorization") == "Bearer geheim"));
    scene.document.lock().unwrap().value["spec"]["predictor"].as_object_mut().unwrap().remove("canaryTrafficPercent");
    assert_eq!(scene.share(), Some(100.0), "without a canary share all traffic is the newest revision's");
}

#[test]
fn a_list_of_canaries_is_set_by_name_whatever_its_order() {
    let value = json!({ "spec": { "canary": [
        { "predictor": { "name": "fraud-v3" }, "trafficPercent": 10 },
        { "predictor": { "name": "fraud-v2" }, "trafficPercent": 25 },
    ] } });
    let with = "namespace: ml, name: fraud, predictor: 'fraud-{candidate}'";
    let mut scene = Scene::set("kserve-standard", with, KSERVE, value);
    scene.go(0.0).unwrap();
    assert_eq!(
        (scene.at("/spec/canary/1/trafficPercent"), scene.at("/spec/canary/0/trafficPercent")),
        (json!(0), json!(10))
    );
    scene.document.lock().unwrap().value["spec"]["canary"] = json!([]);
    assert_eq!(scene.share(), None, "the candidate is not there");
}

#[test]
fn argo_rollouts_is_aborted_and_holds_no_other_share() {
    let value = json!({
        "spec": { "template": { "metadata": { "labels": { "version": "v2" } } } },
        "status": { "canary": { "weights": { "canary": { "weight": 20 }, "stable": { "weight": 80 } } } },
    });
    let path = "/apis/argoproj.io/v1alpha1/namespaces/ml/rollouts/fraud";
    let mut scene = Scene::set("argo-rollouts", "namespace: ml, name: fraud", path, value);
    assert!(matches!(scene.go(5.0), Err(Trouble::Unable(why)) if why.contains("only 0 %")));
    scene.go(0.0).unwrap();
    assert_eq!(scene.at("/status/abort"), json!(true));
    assert!(scene.api.asked().iter().any(|asked| asked.method == "PATCH" && asked.path == format!("{path}/status")));
    scene.document.lock().unwrap().value["status"] = json!({});
    assert!(matches!(scene.target.look(&subject()), Err(Trouble::Refused(why)) if why.contains("there is no weight")));
}

#[test]
fn routes_get_both_weights_at_once() {
    let routes = [
        (
            "httproute",
            "namespace: ml, name: fraud, rule: '0', candidate_backend: 'f-{candidate}', baseline_backend: 'f-{baseline}'",
            "/apis/gateway.networking.k8s.io/v1/namespaces/ml/httproutes/fraud",
            json!({ "spec": { "rules": [{ "backendRefs": [{ "name": "f-v1", "weight": 3 }, { "name": "f-v2", "weight": 1 }] }] } }),
            "/spec/rules/0/backendRefs",
        ),
        (
            "virtualservice",
            "namespace: ml, name: fraud, route: '0', candidate_subset: '{candidate}', baseline_subset: '{baseline}'",
            "/apis/networking.istio.io/v1/namespaces/ml/virtualservices/fraud",
            json!({ "spec": { "http": [{ "route": [
                { "destination": { "subset": "v1" }, "weight": 75 }, { "destination": { "subset": "v2" }, "weight": 25 },
            ] }] } }),
            "/spec/http/0/route",
        ),
    ];
    for (preset, with, path, value, at) in routes {
        let mut scene = Scene::set(preset, with, path, value);
        assert_eq!(scene.share(), Some(25.0), "{preset}");
        scene.go(5.0).unwrap();
        let weights = [0, 1].map(|index| scene.at(&format!("{at}/{index}/weight")));
        assert_eq!((weights, scene.share()), ([json!(95), json!(5)], Some(5.0)), "{preset}");
    }
}

/// A semantic patch of a percentage rollout.
fn semantic(value: &mut Value, asked: &Asked) -> u16 {
    if asked.header("content-type") != "application/json; domain-model=launchdarkly.semanticpatch" {
        return 400;
    }
    let weights = asked.json()["instructions"][0]["rolloutWeights"].clone();
    let sum: u64 = weights.as_object().unwrap().values().map(|weight| weight.as_u64().unwrap()).sum();
    if sum != 100_000 {
        return 400;
    }
    for (index, id) in ["id-stable", "id-candidate"].into_iter().enumerate() {
        value["environments"]["production"]["fallthrough"]["rollout"]["variations"][index]["weight"] =
            weights[id].clone();
    }
    let version = value["environments"]["production"]["version"].as_u64().unwrap();
    value["environments"]["production"]["version"] = (version + 1).into();
    200
}

#[test]
fn launchdarkly_is_set_by_a_semantic_patch() {
    let value = json!({ "environments": { "production": { "version": 7, "fallthrough": { "rollout": { "variations": [
        { "variation": 0, "weight": 75_000 }, { "variation": 1, "weight": 25_000 },
    ] } } } } });
    let with = "project: ml, flag: 'fraud-{candidate}', environment: production, candidate_index: '1', candidate_id: id-candidate, \
                baseline_index: '0', baseline_id: id-stable";
    let mut scene = Scene::set("launchdarkly", with, "/api/v2/flags/ml/fraud-v2", value);
    scene.document.lock().unwrap().change = semantic;
    // Its places do not name the candidate: the file says whose share it is.
    let seen = scene.target.look(&subject()).unwrap();
    assert_eq!((seen.share_pct, seen.mark.as_str()), (Some(25.0), "7"));
    scene.target.set(&subject(), &seen, 0.125).unwrap();
    assert_eq!(scene.share(), Some(0.125));
    assert!(scene.api.asked().iter().all(|asked| asked.header("authorization") == "geheim"));
}

#[test]
fn what_an_api_says_is_understood() {
    let mut scene = kserve();
    for status in [400, 401, 403, 404, 422] {
        scene.document.lock().unwrap().manner = Manner::Saying(status);
        let trouble = scene.target.look(&subject()).unwrap_err();
        assert!(matches!(&trouble, Trouble::Refused(why) if why.contains(&status.to_string())), "{trouble:?}");
        assert!(!trouble.why().contains("geheim"));
    }
    for status in [408, 429, 500, 502, 503, 504] {
        scene.document.lock().unwrap().manner = Manner::Saying(status);
        assert!(matches!(scene.target.look(&subject()), Err(Trouble::Away(_))), "{status}");
    }
    for status in [409, 412] {
        let seen = ObservedShare { version: None, share_pct: Some(25.0), grain_pct: 1.0, mark: "1".into() };
        scene.document.lock().unwrap().manner = Manner::Saying(status);
        assert_eq!(scene.target.set(&subject(), &seen, 0.0), Err(Trouble::Conflict), "{status}");
    }
    scene.document.lock().unwrap().manner = Manner::Silent;
    assert!(matches!(scene.target.look(&subject()), Err(Trouble::Away(why)) if why.contains("no answer within")));
    scene.document.lock().unwrap().manner = Manner::Contested;
    assert_eq!(scene.go(0.0), Err(Trouble::Conflict), "changed between the look and the change");
    scene.document.lock().unwrap().manner = Manner::Lying;
    assert_eq!((scene.go(0.0), scene.share()), (Ok(()), Some(25.0)));
}

#[test]
fn a_document_that_changed_after_it_was_seen_is_left_alone() {
    let mut scene = kserve();
    let seen = scene.target.look(&subject()).unwrap();
    scene.document.lock().unwrap().touch();
    assert_eq!(scene.target.set(&subject(), &seen, 0.0), Err(Trouble::Conflict));
    assert_eq!(scene.share(), Some(25.0));
}

#[test]
fn an_api_of_ones_own_is_data_too() {
    let document = Document::new("/weights/v2", json!({ "weight": 250 }));
    document.lock().unwrap().change = |value, asked| {
        if asked.method != "PUT" || asked.header("if-match").is_empty() {
            return 428;
        }
        value["weight"] = asked.json()["weight"].clone();
        200
    };
    let (api, folder) = (Api::of(&document), tempfile::tempdir().unwrap());
    let act = format!(
        "- name: own\n  http:\n    server: '{}'\n    look: {{ path: '/weights/{{candidate}}' }}\n    set: {{ method: PUT, path: \
         '/weights/{{candidate}}', headers: {{ If-Match: '{{mark}}' }}, body: {{ weight: '{{weight}}', by: '{{decision}}' }} }}\n    \
         share: {{ weight: /weight, scale: 1000 }}\n",
        api.url()
    );
    let mut target = targets::open(&target_of(&act, folder.path())).unwrap().unwrap();
    let seen = target.look(&subject()).unwrap();
    assert_eq!((seen.share_pct, seen.mark.as_str()), (Some(25.0), "\"1\""));
    target.set(&subject(), &seen, 5.0).unwrap();
    assert_eq!(document.lock().unwrap().value["weight"], json!(50));
    assert_eq!(api.asked().last().unwrap().header("if-match"), "\"1\"");
    drop(api);
}

#[test]
fn a_server_that_nobody_vouches_for_is_not_told_the_token() {
    let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
    authority.write(&folder.path().join("ca.pem"));
    fs::write(folder.path().join("token"), "geheim").unwrap();
    let pair = authority.issue("localhost", 1);
    let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls()).unwrap();
    acceptor.set_private_key(&pair.key).unwrap();
    acceptor.set_certificate(&pair.certificate).unwrap();
    let (acceptor, listener) = (acceptor.build(), TcpListener::bind("127.0.0.1:0").unwrap());
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let Ok(stream) = acceptor.accept(stream) else { continue };
            let mut reader = BufReader::new(stream);
            if let Some(asked) = api::read(&mut reader) {
                let body = json!({ "weight": 7, "token": asked.header("authorization") }).to_string();
                api::write(&mut reader.into_inner(), &(200, Vec::new(), body));
            }
        }
    });
    let look = |ca: &str, host: &str| {
        let act = format!(
            "- name: t\n  candidate: v2\n  http: {{ server: 'https://{host}:{}', token_file: token, {ca} headers: {{ Authorization: \
             '{{token}}' }}, look: {{ path: / }}, set: {{ path: / }}, share: {{ weight: /weight, version: /token }} }}\n",
            address.port()
        );
        targets::open(&target_of(&act, folder.path())).unwrap().unwrap().look(&subject())
    };
    for host in ["localhost", "127.0.0.1"] {
        assert_eq!(look("ca_file: ca.pem,", host).unwrap().version.as_deref(), Some("geheim"), "{host}");
    }
    let trouble = look("", "localhost").unwrap_err();
    assert!(matches!(&trouble, Trouble::Away(why) if why.contains("certificate")), "{trouble:?}");
}

/// What a role allows, by name alone: `verb group/resource`.
pub(crate) fn allowed_by(role: &Value) -> BTreeSet<String> {
    let mut allowed = BTreeSet::new();
    for rule in role["rules"].as_array().unwrap() {
        let verbs = rule["verbs"].as_array().unwrap().iter().map(|verb| verb.as_str().unwrap().to_owned());
        assert!(!rule["resourceNames"].as_array().unwrap().is_empty(), "by name alone");
        let what = format!("{}/{}", rule["apiGroups"][0].as_str().unwrap(), rule["resources"][0].as_str().unwrap());
        allowed.extend(verbs.map(|verb| format!("{verb} {what}")));
    }
    allowed
}

/// What presets ask of Kubernetes; all of them where none is named.
pub(crate) fn asked_by_presets(named: &[&str]) -> BTreeSet<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let presets = fs::read_to_string(root.join("src/io/config/act/presets.yaml")).unwrap();
    let presets: Value = serde_saphyr::from_str(&presets).unwrap();
    let mut asked = BTreeSet::new();
    for (name, preset) in presets.as_object().unwrap() {
        if !(named.is_empty() || named.contains(&name.as_str())) {
            continue;
        }
        for ask in ["look", "set", "zero"].iter().filter_map(|ask| preset["http"].get(ask)) {
            let path: Vec<&str> = ask["path"].as_str().unwrap().split('/').collect();
            // /apis/GROUP/VERSION/namespaces/{namespace}/RESOURCE/{name}, and perhaps /status
            let Some(["", "apis", group, _, "namespaces", _, resource, _, below @ ..]) = path.get(..) else {
                assert_ne!(preset["http"]["server"], "kubernetes", "{name}");
                continue;
            };
            let below = below.iter().fold(String::new(), |below, part| format!("{below}/{part}"));
            let verb = if ask["method"] == "PATCH" { "patch" } else { "get" };
            asked.insert(format!("{verb} {group}/{resource}{below}"));
        }
    }
    asked
}

#[test]
fn the_shipped_role_allows_what_presets_ask_for_and_no_more() {
    let manifest = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/act.yaml")).unwrap();
    let documents = manifest.split("\n---\n").map(|text| serde_saphyr::from_str::<Value>(text).unwrap());
    let role = documents.into_iter().find(|document| document["kind"] == "Role").unwrap();
    assert_eq!(asked_by_presets(&[]), allowed_by(&role));
}

fn git(folder: &Path, arguments: &[&str]) -> String {
    let mut git = Command::new("git");
    let who = ["-c", "user.name=ana", "-c", "user.email=ana@example.com", "-c", "init.defaultBranch=main"];
    let output = git.current_dir(folder).args(who).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

/// A bare repository with a file of values, a clone of somebody else, and a target.
struct Repository {
    bare: TempDir,
    clone: TempDir,
    target: Box<dyn Target>,
}

const VALUES: &str = "# who changes this by hand tells the others\ncanary:\n  version: v2\n  weight: 25 # percent\n";

impl Repository {
    fn set() -> Self {
        let (bare, clone) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        git(bare.path(), &["init", "--bare", "--quiet"]);
        git(clone.path(), &["init", "--quiet"]);
        git(clone.path(), &["remote", "add", "origin", bare.path().to_str().unwrap()]);
        let repository = Self {
            target: targets::open(&target_of(
                &format!(
                    "- name: deployments\n  git: {{ url: '{}', file: fraud/values.yaml, share: {{ weight: /canary/weight, version: \
                     /canary/version }} }}\n",
                    bare.path().display()
                ),
                bare.path(),
            ))
            .unwrap()
            .unwrap(),
            bare,
            clone,
        };
        repository.commit("fraud/values.yaml", VALUES);
        repository.commit("other.txt", "other\n");
        repository
    }

    /// Somebody else commits.
    fn commit(&self, file: &str, text: &str) {
        let path = self.clone.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        git(self.clone.path(), &["add", "."]);
        git(self.clone.path(), &["commit", "--quiet", "-m", "by hand"]);
        git(self.clone.path(), &["push", "--quiet", "origin", "HEAD:refs/heads/main"]);
    }

    fn show(&self, what: &str) -> String {
        git(self.bare.path(), &["show", what])
    }
}

#[test]
fn a_commit_changes_one_number_and_names_its_decision() {
    let mut repository = Repository::set();
    let seen = repository.target.look(&subject()).unwrap();
    assert_eq!((seen.share_pct, seen.version.as_deref()), (Some(25.0), Some("v2")));
    repository.target.set(&subject(), &seen, 0.0).unwrap();
    assert_eq!(repository.show("main:fraud/values.yaml") + "\n", VALUES.replace("25", "0"));
    assert_eq!(repository.show("main:other.txt"), "other");
    let log = git(repository.bare.path(), &["log", "-1", "--format=%an <%ae>%n%B", "main"]);
    assert_eq!(log.trim(), "haldane <haldane@localhost>\nSet v2 of fraud to 0 %\n\nHaldane-Decision: b3:7");
    assert_eq!(git(repository.bare.path(), &["rev-list", "--count", "main"]), "3", "history stays");
    assert_eq!(repository.target.look(&subject()).unwrap().share_pct, Some(0.0));
}

#[test]
fn a_branch_that_moved_since_it_was_seen_is_left_alone() {
    let mut repository = Repository::set();
    let seen = repository.target.look(&subject()).unwrap();
    repository.commit("other.txt", "more\n");
    assert_eq!(repository.target.set(&subject(), &seen, 0.0), Err(Trouble::Conflict));
    assert_eq!(repository.show("main:fraud/values.yaml") + "\n", VALUES);
}

#[test]
fn a_repository_that_forbids_a_push_or_is_away_says_why() {
    let mut repository = Repository::set();
    let hook = repository.bare.path().join("hooks/pre-receive");
    fs::create_dir_all(hook.parent().unwrap()).unwrap();
    fs::write(&hook, "#!/bin/sh\necho protected >&2\nexit 1\n").unwrap();
    fs::set_permissions(&hook, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let seen = repository.target.look(&subject()).unwrap();
    let trouble = repository.target.set(&subject(), &seen, 0.0).unwrap_err();
    assert!(matches!(&trouble, Trouble::Refused(why) if why.contains("declined")), "{trouble:?}");
    let away = repository.bare.path().to_owned();
    fs::rename(&away, away.with_extension("gone")).unwrap();
    let trouble = repository.target.look(&subject()).unwrap_err();
    fs::rename(away.with_extension("gone"), &away).unwrap();
    assert!(matches!(&trouble, Trouble::Away(_)), "{trouble:?}");
}
