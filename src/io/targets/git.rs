//! A file in a git repository, for those whose deployments follow one.
//!
//! The repository is reached through the program `git`, with whatever login that has. There is no working tree: a
//! commit is put on top of the branch as it was seen, and a branch that has moved since refuses it.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use super::exec::{ProgramOutput, ended, last_line, run};
use super::share::ShareConfig;
use super::words::Placeholders;
use super::{Subject, Target, Tried};
use crate::act::{ObservedShare, Trouble};
use crate::error::{Error, Result};

/// A file in a git repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitConfig {
    /// The repository, as `git fetch` takes it.
    pub url: String,
    /// The branch that deployments follow.
    pub branch: String,
    /// The file in it.
    pub file: String,
    /// Name and mail address of the author of commits.
    pub author: (String, String),
    /// A folder for objects of the repository; `None` for one that goes with the process.
    pub folder: Option<PathBuf>,
    /// Where in the file the share is.
    pub share: ShareConfig,
}

/// A file in a git repository.
pub(super) struct Git {
    config: GitConfig,
    timeout: Duration,
    /// A bare repository with what was fetched.
    objects: PathBuf,
    /// Goes with the process.
    _temporary: Option<tempfile::TempDir>,
}

impl Git {
    pub(super) fn open(config: GitConfig, timeout: Duration) -> Result<Self> {
        let made = || tempfile::tempdir();
        let temporary = config.folder.is_none().then(made).transpose();
        let temporary = temporary.map_err(|error| Error::external("cannot make a temporary folder").because(error))?;
        let objects = config.folder.clone().or_else(|| temporary.as_ref().map(|made| made.path().to_owned()));
        let objects = objects.expect("a folder of either kind");
        let git = Self { config, timeout, objects, _temporary: temporary };
        let mut init = Command::new("git");
        init.args(["init", "--bare", "--quiet"]).arg(&git.objects);
        run(init, timeout).map_err(|trouble| {
            Error::user(format!("cannot make a git repository in {}", git.objects.display()))
                .because(trouble.why().to_owned())
                .hint("install `git`, and check `folder`")
        })?;
        Ok(git)
    }

    fn git<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Tried<String> {
        run(self.command(arguments), self.timeout)
    }

    fn command<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Command {
        let (name, address) = &self.config.author;
        let mut git = Command::new("git");
        git.arg("--git-dir").arg(&self.objects).args(arguments);
        git.env("GIT_TERMINAL_PROMPT", "0")
            .env("LC_ALL", "C")
            .env("GIT_INDEX_FILE", self.objects.join("haldane.index"));
        for who in ["AUTHOR", "COMMITTER"] {
            git.env(format!("GIT_{who}_NAME"), name).env(format!("GIT_{who}_EMAIL"), address);
        }
        git
    }

    /// The newest commit of the branch, and the file in it.
    fn fetch(&self, words: &Placeholders) -> Tried<(String, String)> {
        let branch = format!("refs/heads/{}", self.config.branch);
        self.git(["fetch", "--quiet", "--depth=1", "--no-tags", &self.config.url, &branch])
            .map_err(|trouble| Trouble::Away(trouble.why().to_owned()))?;
        let commit = self.git(["rev-parse", "FETCH_HEAD"])?.trim().to_owned();
        let text = self.git(["cat-file", "blob", &format!("{commit}:{}", words.fill(&self.config.file))])?;
        Ok((commit, text))
    }

    /// A commit that changes the file alone, on top of the one that was seen.
    fn commit(&self, parent: &str, text: &str, words: &Placeholders, message: &str) -> Tried<String> {
        let file = words.fill(&self.config.file);
        let mode = self.git(["ls-tree", parent, "--", &file])?;
        let mode = mode.split_whitespace().next().unwrap_or("100644").to_owned();
        let blob = self.store(text)?;
        self.git(["read-tree", parent])?;
        self.git(["update-index", "--add", "--cacheinfo", &format!("{mode},{blob},{file}")])?;
        let tree = self.git(["write-tree"])?;
        let commit = self.git(["commit-tree", tree.trim(), "-p", parent, "-m", message])?;
        Ok(commit.trim().to_owned())
    }

    fn store(&self, text: &str) -> Tried<String> {
        let file = self.objects.join("haldane.blob");
        std::fs::write(&file, text)
            .map_err(|error| Trouble::Away(format!("cannot write {}: {error}", file.display())))?;
        let stored =
            self.git([OsStr::new("hash-object"), OsStr::new("-w"), OsStr::new("--no-filters"), file.as_os_str()])?;
        Ok(stored.trim().to_owned())
    }
}

impl Target for Git {
    fn look(&mut self, subject: &Subject) -> Tried<ObservedShare> {
        let words = subject.words();
        let (commit, text) = self.fetch(&words)?;
        let said = self.config.share.read(&text, &words)?;
        Ok(self.config.share.seen(said, commit))
    }

    fn set(&mut self, subject: &Subject, from: &ObservedShare, share_pct: f64) -> Tried<()> {
        let words = subject.words();
        let (commit, text) = self.fetch(&words)?;
        if commit != from.mark {
            return Err(Trouble::Conflict);
        }
        let fresh = self.config.share.write(&text, &words, share_pct)?;
        let Subject { rollout, candidate, decision, .. } = subject;
        let message = format!("Set {candidate} of {rollout} to {share_pct} %\n\nHaldane-Decision: {decision}");
        let commit = self.commit(&commit, &fresh, &words, &message)?;
        let to = format!("{commit}:refs/heads/{}", self.config.branch);
        let push =
            ended(self.command(["push", "--porcelain", "--quiet", self.config.url.as_str(), &to]), self.timeout)?;
        if push.status.success() { Ok(()) } else { Err(refused(&push)) }
    }
}

/// Why a push did not work: the branch has moved, the other side forbids it, or it cannot be reached.
fn refused(push: &ProgramOutput) -> Trouble {
    let verdict = push.said.lines().find_map(|line| line.strip_prefix('!'));
    match verdict.map(|line| line.replace('\t', " ")) {
        Some(line) if line.contains("[rejected]") || line.contains("cannot lock ref") => Trouble::Conflict,
        Some(line) => Trouble::Refused(format!("git push:{line}")),
        None => Trouble::Away(format!("git push: {}", last_line(&push.complaint))),
    }
}
