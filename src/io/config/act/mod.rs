//! The `act` section: where decisions are carried out, and whom they are told.

mod http;
mod notify;
mod share;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use self::http::HttpSection;
use self::notify::NotifySection;
use self::share::ShareSection;
use super::problem::{Problems, Spot};
use super::value::{At, Period, seconds};
use crate::act::AdapterTerms;
use crate::event::{Micros, SECOND};
use crate::targets::{ActConfig, ExecConfig, FileConfig, GitConfig, TargetKind};

/// One place where `haldane act` carries decisions out, or one where it tells them: a name, and one of `file`, `http`,
/// `exec`, `git` and `notify`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ActSection {
    /// Its name in acknowledgements: letters, digits, dots, dashes and underscores. Unique.
    name: At<String>,
    /// The only model that it acts for. Default: every model of the rollout.
    model: Option<String>,
    /// The only candidate that it acts for, where the target holds the share of one version and does not say of which.
    /// Default: every candidate.
    candidate: Option<String>,
    /// Whether it carries out permissions, too: then the share rises by itself. Default: it lowers shares only.
    #[serde(default)]
    raise: bool,
    /// How often it looks whether what is in force is still so, and sets it again where somebody has put it back.
    #[serde(default = "seconds::<60>")]
    every: At<Period>,
    /// How long one look or one setting may take.
    #[serde(default = "seconds::<10>")]
    timeout: At<Period>,
    /// Whether the share that it shows is the one that was declared: then each look is written to
    /// `kafka.exposures_topic`, and windows are held against it. One target of a pipeline at most; instead of
    /// `sources.exposures`.
    #[serde(default = "no")]
    exposure: At<bool>,
    /// A file that holds the share, such as that of a proxy or of feature flags. It is replaced at once.
    file: Option<FileSection>,
    /// An API over HTTP that holds the share: a known one by `preset`, or any by `look` and `set`.
    http: Option<Box<At<HttpSection>>>,
    /// Two programs: one says the share, one sets it.
    exec: Option<At<ExecSection>>,
    /// A file in a git repository that deployments follow. Each change is a commit.
    git: Option<GitSection>,
    /// Who is told of decisions: a webhook or people. Nobody acts on it.
    notify: Option<At<NotifySection>>,
}

/// A file that holds the share.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct FileSection {
    /// Where it is, relative to this file.
    path: String,
    /// Where in it the share is.
    share: At<ShareSection>,
}

/// Two programs. They are told in the variables `HALDANE_ROLLOUT`, `HALDANE_MODEL`, `HALDANE_CANDIDATE`,
/// `HALDANE_BASELINE` and `HALDANE_DECISION`. Exit codes: 0 done; 65 there is no such share; 73 somebody else has
/// changed it; 75 try again; any other it says no.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ExecSection {
    /// Program and arguments. It prints the candidate's share in percent, and on a second line, if it knows it, the
    /// version whose share that is.
    look: Vec<String>,
    /// Program and arguments. It sets the share `HALDANE_SHARE_PCT`; `HALDANE_FROM` is what `look` printed.
    set: Vec<String>,
    /// More variables.
    #[serde(default)]
    env: BTreeMap<String, String>,
}

/// A file in a git repository. The program `git` reaches it, with whatever login that has.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct GitSection {
    /// The repository, as `git fetch` takes it.
    url: String,
    /// The branch that deployments follow.
    #[serde(default = "main")]
    branch: String,
    /// The file in it; `{candidate}` and the like may stand in its name.
    file: String,
    /// Name of the author of commits.
    #[serde(default = "haldane")]
    author: String,
    /// Mail address of the author of commits.
    #[serde(default = "nobody")]
    email: String,
    /// A folder for what was fetched, relative to this file. Default: one that goes with the process.
    folder: Option<String>,
    /// Where in the file the share is.
    share: At<ShareSection>,
}

fn no() -> At<bool> {
    false.into()
}

fn main() -> String {
    "main".to_owned()
}

fn haldane() -> String {
    "haldane".to_owned()
}

fn nobody() -> String {
    "haldane@localhost".to_owned()
}

/// What the sections mean; only those without a problem are given.
pub(super) fn resolve(sections: &[At<ActSection>], base: &Path, problems: &mut Problems) -> Vec<ActConfig> {
    let mut names = BTreeSet::new();
    let mut actors = Vec::new();
    for section in sections {
        let name = section.name.as_str();
        let plain = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
        if name.is_empty() || !name.chars().all(plain) {
            problems
                .add(section.name.spot, format!("`{name}` cannot be a name here"))
                .help("use letters, digits, dots, dashes and underscores");
        } else if !names.insert(name.to_owned()) {
            problems.add(section.name.spot, format!("the name `{name}` stands here twice"));
        }
        for (key, period) in [("every", &section.every), ("timeout", &section.timeout)] {
            if period.value.0 < SECOND {
                problems.add(period.spot, format!("`{key}` is one second at least"));
            }
        }
        actors.extend(section.kind(section.spot, base, problems).map(|kind| section.config(kind)));
    }
    actors
}

/// The target whose share counts as declared: where that is said, and how often it is looked at.
pub(super) fn exposure(sections: &[At<ActSection>], problems: &mut Problems) -> Option<(Spot, Micros)> {
    let mut those = sections.iter().filter(|section| section.exposure.value);
    let first = those.next()?;
    for other in those {
        problems
            .add(other.exposure.spot, format!("`{}` says what share is declared, too", first.name.value))
            .help("keep `exposure: true` at the one target that splits the traffic of this rollout");
    }
    if first.notify.is_some() {
        problems
            .add(first.exposure.spot, "a target that only tells people has no share")
            .help("say `exposure: true` at the target that splits the traffic");
    }
    Some((first.exposure.spot, first.every.value.0))
}

impl ActSection {
    fn config(&self, kind: TargetKind) -> ActConfig {
        let terms = AdapterTerms {
            adapter: self.name.value.clone(),
            raise: self.raise,
            every: self.every.value.0,
            model: self.model.clone(),
            candidate: self.candidate.clone(),
        };
        let timeout = Duration::from_micros(self.timeout.value.0.unsigned_abs());
        ActConfig { terms, timeout, exposure: self.exposure.value, kind }
    }

    fn kind(&self, spot: Spot, base: &Path, problems: &mut Problems) -> Option<TargetKind> {
        let mut kinds: Vec<Option<TargetKind>> = Vec::new();
        if let Some(FileSection { path, share }) = &self.file {
            let share = share.resolve(self.candidate.is_some(), &BTreeMap::new(), problems);
            kinds.push(share.map(|share| TargetKind::File(FileConfig { path: base.join(path), share })));
        }
        if let Some(http) = &self.http {
            let http = http.value.resolve(http.spot, self.candidate.is_some(), base, problems);
            kinds.push(http.map(|http| TargetKind::Http(Box::new(http))));
        }
        kinds.extend(self.exec.as_ref().map(|exec| exec.resolve(exec.spot, problems)));
        kinds.extend(self.git.as_ref().map(|git| git.resolve(self.candidate.is_some(), base, problems)));
        kinds.extend(self.notify.as_ref().map(|notify| notify.resolve(notify.spot, base, problems)));
        if kinds.len() != 1 {
            problems
                .add(spot, format!("`{}` is {} kinds of targets", self.name.value, kinds.len()))
                .help("write exactly one of `file`, `http`, `exec`, `git` and `notify`");
            return None;
        }
        kinds.pop().flatten()
    }
}

impl ExecSection {
    fn resolve(&self, spot: Spot, problems: &mut Problems) -> Option<TargetKind> {
        if self.look.is_empty() || self.set.is_empty() {
            problems.add(spot, "a program is missing").help("write `look: [program, argument]` and `set: [program]`");
            return None;
        }
        let env = self.env.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        Some(TargetKind::Exec(ExecConfig { look: self.look.clone(), set: self.set.clone(), env }))
    }
}

impl GitSection {
    fn resolve(&self, names_candidate: bool, base: &Path, problems: &mut Problems) -> Option<TargetKind> {
        let keyed = names_candidate || self.file.contains("{candidate}");
        Some(TargetKind::Git(GitConfig {
            url: self.url.clone(),
            branch: self.branch.clone(),
            file: self.file.clone(),
            author: (self.author.clone(), self.email.clone()),
            folder: self.folder.as_ref().map(|folder| base.join(folder)),
            share: self.share.resolve(keyed, &BTreeMap::new(), problems)?,
        }))
    }
}
