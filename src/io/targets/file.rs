//! A file that holds the share: of a proxy, of feature flags, of anything that reads it anew.
//!
//! Another file is put into its place at once, so that no reader finds half of one.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::share::ShareConfig;
use super::{Subject, Target, Tried};
use crate::act::{ObservedShare, Trouble};

/// A file that holds the share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileConfig {
    /// Where it is.
    pub path: PathBuf,
    /// Where in it the share is.
    pub share: ShareConfig,
}

/// A file that holds the share.
pub(super) struct File {
    config: FileConfig,
}

impl File {
    pub(super) fn new(config: FileConfig) -> Self {
        Self { config }
    }

    fn text(&self) -> Tried<String> {
        let path = &self.config.path;
        fs::read_to_string(path).map_err(|error| trouble("read", path, &error))
    }
}

impl Target for File {
    fn look(&mut self, subject: &Subject) -> Tried<ObservedShare> {
        let text = self.text()?;
        let said = self.config.share.read(&text, &subject.words())?;
        Ok(self.config.share.seen(said, mark(&text)))
    }

    fn set(&mut self, subject: &Subject, from: &ObservedShare, share_pct: f64) -> Tried<()> {
        let text = self.text()?;
        if mark(&text) != from.mark {
            return Err(Trouble::Conflict);
        }
        let fresh = self.config.share.write(&text, &subject.words(), share_pct)?;
        replace(&self.config.path, &fresh).map_err(|error| trouble("write", &self.config.path, &error))
    }
}

fn mark(text: &str) -> String {
    blake3::hash(text.as_bytes()).to_hex().to_string()
}

fn trouble(what: &str, path: &Path, error: &std::io::Error) -> Trouble {
    let why = format!("cannot {what} {}: {error}", path.display());
    match error.kind() {
        std::io::ErrorKind::NotFound
        | std::io::ErrorKind::PermissionDenied
        | std::io::ErrorKind::ReadOnlyFilesystem
        | std::io::ErrorKind::InvalidData => Trouble::Refused(why),
        _ => Trouble::Away(why),
    }
}

/// Puts a text into the place of a file, with the same permissions: whole, and on the disk. Of a link, what it leads to
/// is replaced.
fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let path = fs::canonicalize(path)?;
    let folder = path.parent().unwrap_or(Path::new("/"));
    let mut fresh = tempfile::NamedTempFile::new_in(folder)?;
    fresh.write_all(text.as_bytes())?;
    fresh.as_file().set_permissions(fs::metadata(&path)?.permissions())?;
    fresh.as_file().sync_all()?;
    fresh.persist(&path)?;
    fs::File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn subject() -> Subject {
        let [rollout, model, candidate, baseline, decision] = ["r", "m", "v2", "v1", "b3:1"].map(str::to_owned);
        Subject { rollout, model, candidate, baseline, decision }
    }

    fn target(path: &Path) -> File {
        let place = |text: &str| text.parse().expect("a place");
        let share = ShareConfig {
            weight: place("/weights/{candidate}"),
            rest: Some(place("/weights/{baseline}")),
            version: None,
            scale: 100,
            absent_pct: None,
            is_keyed: true,
        };
        File::new(FileConfig { path: path.to_owned(), share })
    }

    #[test]
    fn a_file_is_replaced_whole_with_its_permissions_and_comments() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, link) = (folder.path().join("a.yaml"), folder.path().join("link.yaml"));
        fs::write(&path, "# who\nweights: { v1: 75, v2: 25 } # here\n").expect("a file");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("permissions");
        std::os::unix::fs::symlink(&path, &link).expect("a link");
        let mut file = target(&link);
        let seen = file.look(&subject()).expect("seen");
        assert_eq!(seen.share_pct, Some(25.0));
        file.set(&subject(), &seen, 5.0).expect("set");
        assert_eq!(fs::read_to_string(&path).expect("a file"), "# who\nweights: { v1: 95, v2: 5 } # here\n");
        assert_eq!(fs::metadata(&path).expect("a file").permissions().mode() & 0o777, 0o640);
        assert!(fs::symlink_metadata(&link).expect("a link").is_symlink());
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 2, "nothing is left behind");
    }

    #[test]
    fn a_file_that_changed_since_it_was_seen_is_left_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.yaml");
        let mut file = target(&path);
        assert!(matches!(file.look(&subject()), Err(Trouble::Refused(why)) if why.contains("cannot read")));
        fs::write(&path, "weights: { v1: 75, v2: 25 }\n").expect("a file");
        let seen = file.look(&subject()).expect("seen");
        fs::write(&path, "weights: { v1: 70, v2: 30 }\n").expect("a file");
        assert_eq!(file.set(&subject(), &seen, 5.0), Err(Trouble::Conflict));
        assert_eq!(fs::read_to_string(&path).expect("a file"), "weights: { v1: 70, v2: 30 }\n");
    }
}
