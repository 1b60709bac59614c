//! The shipped unit, by systemd's own words, and what a service tells systemd.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::outage::Cluster;
use crate::service::{PATIENCE, Service, pipeline};

/// What `systemd-analyze security` may call a unit at most, in tenths; 100 is a service without any confinement.
const EXPOSURE_MAX: &str = "--threshold=20";

#[test]
fn systemd_finds_nothing_wrong_with_the_unit() {
    let unit = include_str!("../../deploy/haldane@.service");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("haldane@fraud.service");
    std::fs::write(
        &path,
        unit.replace("ExecStart=haldane ", concat!("ExecStart=", env!("CARGO_BIN_EXE_haldane"), " ")),
    )
    .unwrap();
    for arguments in [&["verify"][..], &["security", "--offline=true", EXPOSURE_MAX]] {
        let said = Command::new("systemd-analyze").args(arguments).arg(&path).output();
        let said = said.expect("the unit is read by systemd itself; install it: apt-get install systemd");
        let told = format!("{}{}", String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
        assert!(said.status.success(), "{arguments:?}: {told}");
        assert!(arguments[0] != "verify" || told.is_empty(), "{told}");
    }
}

/// The other end of the socket that systemd gives a service.
struct Manager(UnixDatagram);

impl Manager {
    fn at(path: &Path) -> Self {
        let socket = UnixDatagram::bind(path).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(socket)
    }

    fn hears(&self, wanted: &str) {
        let mut heard = Vec::new();
        let mut bytes = [0; 4096];
        loop {
            let n = self.0.recv(&mut bytes).unwrap_or_else(|error| panic!("no `{wanted}` ({error}): {heard:?}"));
            heard.push(String::from_utf8_lossy(&bytes[..n]).trim().to_owned());
            if heard.last().is_some_and(|said| said == wanted) {
                return;
            }
        }
    }
}

#[test]
fn a_service_tells_systemd_that_it_has_started_how_it_stands_that_it_lives_and_that_it_ends() {
    let cluster = Cluster::start();
    let folder = tempfile::tempdir().unwrap();
    let path = pipeline(folder.path(), "predictions", &cluster.kafka, "");
    let socket = folder.path().join("notify");
    let manager = Manager::at(&socket);
    let mut command = Command::new(env!("CARGO_BIN_EXE_haldane"));
    command.args(["run", "--listen", "127.0.0.1:0", "-c"]).arg(&path);
    let limit = Duration::from_secs(3).as_micros().to_string();
    command.env("NOTIFY_SOCKET", &socket).env("WATCHDOG_USEC", limit).env_remove("WATCHDOG_PID");
    cluster.mock.broker_down(-1).unwrap();
    let mut service = Service::of(command);
    manager.hears("READY=1");
    manager.hears("STATUS=no answer: kafka");
    manager.hears("WATCHDOG=1");
    cluster.mock.broker_up(-1).unwrap();
    manager.hears("STATUS=reading near the ends of the logs");
    manager.hears("WATCHDOG=1");
    service.signal("-TERM");
    manager.hears("STOPPING=1");
    assert!(service.child.wait().unwrap().success());
}
