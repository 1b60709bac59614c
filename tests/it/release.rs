//! How releases are made and installed: the installer against made-up releases, and the workflow by what it says.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::prose::fault;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const KINDS: [&str; 3] = ["x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu", "aarch64-apple-darwin"];

fn read(name: &str) -> String {
    fs::read_to_string(Path::new(ROOT).join(name)).unwrap()
}

/// Runs a program, which must succeed; what it prints.
fn run(program: &str, arguments: &[&str], folder: &Path) -> String {
    let output = Command::new(program).args(arguments).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A folder with a release's files, and a home to install into.
struct Release {
    folder: TempDir,
    home: TempDir,
}

impl Release {
    /// Releases of these versions, in which the program is a script that names its version.
    fn of(versions: &[&str]) -> Self {
        let release = Self { folder: tempfile::tempdir().unwrap(), home: tempfile::tempdir().unwrap() };
        let folder = release.folder.path();
        for name in versions.iter().flat_map(|version| KINDS.map(|kind| format!("haldane-{version}-{kind}"))) {
            let inside = folder.join(&name);
            fs::create_dir(&inside).unwrap();
            let version = name.split('-').nth(1).unwrap();
            fs::write(inside.join("haldane"), format!("#!/bin/sh\necho haldane {version}\n")).unwrap();
            fs::set_permissions(inside.join("haldane"), fs::Permissions::from_mode(0o755)).unwrap();
            run("tar", &["-czf", &format!("{name}.tar.gz"), &name], folder);
            fs::remove_dir_all(inside).unwrap();
        }
        let names: Vec<String> = release.archives();
        let sums = run("sha256sum", &names.iter().map(String::as_str).collect::<Vec<_>>(), folder);
        fs::write(folder.join("SHA256SUMS"), sums).unwrap();
        release
    }

    fn archives(&self) -> Vec<String> {
        let all = fs::read_dir(self.folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
        all.map(|name| name.into_string().unwrap()).filter(|name| name.ends_with(".tar.gz")).collect()
    }

    fn from(&self) -> &str {
        self.folder.path().to_str().unwrap()
    }

    fn program(&self) -> PathBuf {
        self.home.path().join(".local/bin/haldane")
    }

    /// Whether the installer succeeds, and what it says.
    fn install(&self, arguments: &[&str]) -> (bool, String) {
        let mut sh = Command::new("sh");
        sh.arg(Path::new(ROOT).join("deploy/install.sh")).args(arguments).env("HOME", self.home.path());
        let output = sh.output().unwrap();
        let said = [output.stdout, output.stderr].map(|said| String::from_utf8(said).unwrap()).concat();
        (output.status.success(), said)
    }

    /// Fails with these words, and has put nothing into its place.
    fn refuses(&self, arguments: &[&str], why: &str) {
        let (done, said) = self.install(arguments);
        assert!(!done && said.contains(why), "{arguments:?}: {said}");
        assert!(!self.program().exists(), "{why}: nothing is installed");
    }
}

/// Serves the files of a folder on loopback, for as long as the test lasts.
fn serve(folder: PathBuf) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
            let asked = lines.next().unwrap_or_default();
            lines.take_while(|line| !line.is_empty()).for_each(drop);
            let name = asked.split(' ').nth(1).unwrap_or_default().trim_start_matches('/').to_owned();
            let (status, body) =
                fs::read(folder.join(name)).map_or(("404 Not Found", Vec::new()), |body| ("200 OK", body));
            let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
        }
    });
    address
}

#[test]
fn the_installer_installs_what_its_checksum_names_without_root() {
    let release = Release::of(&["0.1.0"]);
    let (done, said) = release.install(&["--from", release.from()]);
    assert!(done && said.starts_with("haldane 0.1.0 is installed as "), "{said}");
    assert!(said.contains("add it to your path"), "{said}");
    assert_eq!(run(release.program().to_str().unwrap(), &[], Path::new("/")), "haldane 0.1.0\n");
    // A newer one takes its place.
    let newer = Release { home: release.home, ..Release::of(&["0.2.0", "0.3.0"]) };
    let address = serve(newer.folder.path().to_owned());
    let (done, said) = newer.install(&["--from", &format!("http://{address}/"), "--version", "0.2.0"]);
    assert!(done, "{said}");
    assert_eq!(run(newer.program().to_str().unwrap(), &[], Path::new("/")), "haldane 0.2.0\n");
    assert_eq!(fs::read_dir(newer.program().parent().unwrap()).unwrap().count(), 1, "nothing else is left");
}

#[test]
fn the_installer_says_why_it_does_nothing() {
    let release = Release::of(&["0.1.0", "0.2.0"]);
    let from = release.from();
    release.refuses(&[], "say with --from where the release's files are");
    release.refuses(&["--from", from], "names several versions: choose one with --version");
    release.refuses(&["--from", from, "--version", "9.9.9"], "names no archive of version 9.9.9 for ");
    release.refuses(&["--from", "http://releases.example/v1"], "is not encrypted: use https");
    release.refuses(&["--from", "/nowhere"], "there is no SHA256SUMS in /nowhere");
    release.refuses(&["--into", "/tmp"], "unknown argument --into");
    let address = serve(release.home.path().to_owned());
    release.refuses(&["--from", &format!("http://{address}")], "cannot fetch ");
    // One byte is another one.
    for name in release.archives() {
        let path = release.folder.path().join(name);
        let mut bytes = fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(path, bytes).unwrap();
    }
    release.refuses(&["--from", from, "--version", "0.1.0"], "is another one: nothing was installed");
}

#[test]
fn scripts_are_such_that_the_plainest_shell_reads_them() {
    run("sh", &["-n", "deploy/install.sh"], Path::new(ROOT));
    if Command::new("shellcheck").arg("--version").output().is_ok() {
        run("shellcheck", &["deploy/install.sh", ".ci/run"], Path::new(ROOT));
    }
}

fn workflow() -> Value {
    serde_saphyr::from_str(&read(".github/workflows/release.yml")).unwrap()
}

/// Scripts of all steps.
fn scripts(workflow: &Value) -> Vec<String> {
    let jobs = workflow["jobs"].as_object().unwrap().values();
    let steps = jobs.flat_map(|job| job["steps"].as_array().unwrap());
    steps.filter_map(|step| step["run"].as_str()).map(str::to_owned).collect()
}

#[test]
fn the_workflow_of_releases_runs_what_there_is_and_may_do_no_more_than_it_must() {
    let workflow = workflow();
    let jobs = workflow["jobs"].as_object().unwrap();
    assert_eq!(workflow["permissions"], serde_json::json!({ "contents": "read" }));
    let may_write = jobs.iter().filter(|(_, job)| job.get("permissions").is_some()).map(|(name, _)| name.as_str());
    assert!(may_write.eq(["publish"]), "nothing else writes");
    for (job, before) in [("build", "check"), ("publish", "build")] {
        assert_eq!(jobs[job]["needs"], before);
    }
    let all = scripts(&workflow);
    for script in &all {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), script).unwrap();
        run("bash", &["-n", file.path().to_str().unwrap()], Path::new(ROOT));
        let ours = script.lines().filter_map(|line| line.trim().strip_prefix("target/release/haldane "));
        for line in ours {
            let words = line.split(" >").next().unwrap().split(' ').map(|word| word.trim_matches('"').to_owned());
            let words: Vec<String> = std::iter::once("haldane".to_owned()).chain(words).collect();
            assert_eq!(fault(&words, true), None);
        }
    }
    let all = all.join("\n");
    assert!(Path::new(ROOT).join(".ci/run").exists() && all.contains(".ci/run"));
    for tool in ["cargo deb ", "cargo generate-rpm ", "cargo cyclonedx ", "sha256sum ", "gh release create "] {
        assert!(all.contains(tool), "{tool}");
    }
    let manifest = read("Cargo.toml");
    let features = workflow["env"]["FEATURES"].as_str().unwrap();
    features.split(',').for_each(|feature| assert!(manifest.contains(&format!("\n{feature} = [")), "{feature}"));
    let version = all.lines().find(|line| line.contains("sed -n")).unwrap().trim().strip_prefix("version=").unwrap();
    let said = run("bash", &["-c", &format!("echo {version}")], Path::new(ROOT));
    assert_eq!(said.trim(), env!("CARGO_PKG_VERSION"), "the tag is held against the version");
}

#[test]
fn archives_have_one_name_wherever_they_are_named() {
    let workflow = workflow();
    let built = workflow["jobs"]["build"]["strategy"]["matrix"]["include"].as_array().unwrap();
    let built: Vec<&str> = built.iter().map(|one| one["target"].as_str().unwrap()).collect();
    assert_eq!(built, KINDS);
    let installer = read("deploy/install.sh");
    KINDS.iter().for_each(|kind| assert!(installer.contains(&format!("kind={kind} ;;")), "{kind}"));
    let all = scripts(&workflow).join("\n");
    assert!(all.contains("name=\"haldane-${GITHUB_REF_NAME#v}-$TARGET\""), "{all}");
    assert!(installer.contains("haldane-$version-$kind.tar.gz"));
    let manifest = read("Cargo.toml");
    assert!(manifest.contains("/v{ version }/haldane-{ version }-{ target }.tar.gz\""));
    assert!(manifest.contains("bin-dir = \"haldane-{ version }-{ target }/{ bin }{ binary-ext }\""));
    // A release's installer knows where its files are.
    assert!(all.contains(r#"sed "s|^from=\"\"\$|from=\"$from\"|" deploy/install.sh"#), "{all}");
    assert!(installer.contains("\nfrom=\"\"\n"));
}
