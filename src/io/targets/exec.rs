//! Two programs of one's own: one says the share, one sets it.
//!
//! Both are told in their environment what is meant, never in their arguments: a version's name is no shell.

use std::io::Read as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

use super::{Subject, Target, Tried};
use crate::act::{ObservedShare, Trouble};
use crate::kafka::clock::now;

/// Two programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecConfig {
    /// Prints the candidate's share in percent; on a second line, if it knows it, the version whose share that is.
    pub look: Vec<String>,
    /// Sets the share. `HALDANE_FROM` is what `look` printed.
    pub set: Vec<String>,
    /// Variables beside those of the decision.
    pub env: Vec<(String, String)>,
}

/// Exit codes of programs that say more than yes or no (sysexits of BSD).
const CANNOT: i32 = 65;
const TRY_AGAIN: i32 = 75;
/// The share has changed in between.
const CHANGED: i32 = 73;

/// The most that is read of what a program prints.
const PRINTED_MAX: u64 = 65_536;

/// How often a program is asked whether it has ended.
const EVERY: Duration = Duration::from_millis(10);

/// Two programs.
pub(super) struct Exec {
    config: ExecConfig,
    timeout: Duration,
}

impl Exec {
    pub(super) fn new(config: ExecConfig, timeout: Duration) -> Self {
        Self { config, timeout }
    }

    fn run(&self, command: &[String], subject: &Subject, more: &[(&str, &str)]) -> Tried<String> {
        let mut program = Command::new(command.first().map_or("", String::as_str));
        program.args(&command[1..]).envs(self.config.env.iter().cloned());
        program
            .env("HALDANE_ROLLOUT", &subject.rollout)
            .env("HALDANE_MODEL", &subject.model)
            .env("HALDANE_CANDIDATE", &subject.candidate)
            .env("HALDANE_BASELINE", &subject.baseline)
            .env("HALDANE_DECISION", &subject.decision)
            .envs(more.iter().copied());
        run(program, self.timeout)
    }
}

impl Target for Exec {
    fn look(&mut self, subject: &Subject) -> Tried<ObservedShare> {
        let printed = self.run(&self.config.look, subject, &[])?;
        let mut lines = printed.lines().map(str::trim);
        let share = lines.next().unwrap_or_default();
        let share_pct = share.parse::<f64>().ok().filter(|share| (0.0..=100.0).contains(share));
        let Some(share_pct) = share_pct else {
            return Err(Trouble::Refused(format!("{} printed `{share}`, which is no share", self.config.look[0])));
        };
        let version = lines.next().filter(|version| !version.is_empty()).map(str::to_owned);
        Ok(ObservedShare { version, share_pct: Some(share_pct), grain_pct: 1e-6, mark: printed })
    }

    fn set(&mut self, subject: &Subject, from: &ObservedShare, share_pct: f64) -> Tried<()> {
        let share = share_pct.to_string();
        self.run(&self.config.set, subject, &[("HALDANE_SHARE_PCT", &share), ("HALDANE_FROM", from.mark.trim())])?;
        Ok(())
    }
}

/// What a program prints, once it has ended well.
///
/// # Errors
/// When it cannot be started, takes too long, or ends otherwise: then what it says of that.
pub(crate) fn run(program: Command, timeout: Duration) -> Tried<String> {
    let name = program.get_program().to_string_lossy().into_owned();
    let ProgramOutput { status, said, complaint } = ended(program, timeout)?;
    if status.success() {
        return Ok(said);
    }
    let how = status.code().map_or_else(|| "by a signal".to_owned(), |code| format!("with {code}"));
    let why = format!("{name} ended {how}: {}", last_line(&complaint));
    Err(match status.code() {
        Some(CHANGED) => Trouble::Conflict,
        Some(CANNOT) => Trouble::Unable(why),
        Some(TRY_AGAIN) | None => Trouble::Away(why),
        Some(_) => Trouble::Refused(why),
    })
}

/// How a program ended, and what it printed.
pub(super) struct ProgramOutput {
    pub(super) status: ExitStatus,
    pub(super) said: String,
    pub(super) complaint: String,
}

/// Waits for a program to end.
///
/// # Errors
/// When it cannot be started, or takes too long.
pub(super) fn ended(mut program: Command, timeout: Duration) -> Tried<ProgramOutput> {
    let name = program.get_program().to_string_lossy().into_owned();
    program.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = program.spawn().map_err(|error| Trouble::Refused(format!("cannot start {name}: {error}")))?;
    let said = reading(child.stdout.take());
    let complaint = reading(child.stderr.take());
    let Some(status) = wait(&mut child, timeout) else {
        return Err(Trouble::Away(format!("{name} did not end within {} s", timeout.as_secs_f64())));
    };
    let read = |reading: JoinHandle<String>| reading.join().unwrap_or_default();
    Ok(ProgramOutput { status, said: read(said), complaint: read(complaint) })
}

pub(super) fn last_line(text: &str) -> &str {
    text.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or("it does not say why")
}

/// Reads beside the program, so that it never waits for room.
fn reading(from: Option<impl std::io::Read + Send + 'static>) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let (mut text, mut from) = (Vec::new(), from);
        if let Some(from) = &mut from {
            // What was read so far says more than that reading failed.
            let _ = from.by_ref().take(PRINTED_MAX).read_to_end(&mut text);
            let _ = std::io::copy(from, &mut std::io::sink());
        }
        String::from_utf8_lossy(&text).into_owned()
    })
}

/// `None` when it took too long, and was ended.
fn wait(child: &mut Child, timeout: Duration) -> Option<ExitStatus> {
    let deadline = now() + timeout;
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status),
            Ok(None) if now() < deadline => std::thread::park_timeout(EVERY),
            _ => {
                // It may have ended meanwhile.
                let _ = child.kill();
                let _ = child.wait();
                return None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject() -> Subject {
        let [rollout, model, candidate, baseline, decision] = ["r", "m", "v2; rm", "v1", "b3:1"].map(str::to_owned);
        Subject { rollout, model, candidate, baseline, decision }
    }

    fn exec(look: &str, set: &str) -> Exec {
        let shell = |script: &str| ["sh", "-c", script].map(str::to_owned).to_vec();
        Exec::new(ExecConfig { look: shell(look), set: shell(set), env: Vec::new() }, Duration::from_secs(20))
    }

    #[test]
    fn programs_are_told_in_their_environment_and_say_shares() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("share").display().to_string();
        std::fs::write(&file, "25\n").expect("a file");
        let look = format!("cat {file}; echo \"$HALDANE_CANDIDATE\"");
        let mut exec = exec(&look, &format!("[ \"$HALDANE_DECISION\" = b3:1 ] && echo $HALDANE_SHARE_PCT > {file}"));
        let seen = exec.look(&subject()).expect("seen");
        assert_eq!((seen.share_pct, seen.version.as_deref()), (Some(25.0), Some("v2; rm")));
        exec.set(&subject(), &seen, 5.0).expect("set");
        assert_eq!(exec.look(&subject()).expect("seen").share_pct, Some(5.0));
    }

    #[test]
    fn exit_codes_say_what_became_of_it() {
        let seen = ObservedShare { version: None, share_pct: Some(25.0), grain_pct: 1.0, mark: String::new() };
        let set = |script: &str| exec("", script).set(&subject(), &seen, 0.0).expect_err("trouble");
        assert_eq!(set("exit 73"), Trouble::Conflict);
        assert!(matches!(set("exit 65"), Trouble::Unable(_)) && matches!(set("exit 75"), Trouble::Away(_)));
        assert_eq!(set("echo no such flag >&2; exit 1"), Trouble::Refused("sh ended with 1: no such flag".into()));
        assert!(
            matches!(exec("echo many", "").look(&subject()), Err(Trouble::Refused(why)) if why.contains("no share"))
        );
        let mut slow = exec("exec sleep 600", "");
        slow.timeout = Duration::from_millis(50);
        assert!(matches!(slow.look(&subject()), Err(Trouble::Away(why)) if why.contains("did not end")));
    }
}
