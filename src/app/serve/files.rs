//! Files that may change while the service runs: certificates, keys, tokens.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// What a file looked like, so that it is known when it has changed; links are followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FileStamp {
    path: PathBuf,
    /// Its inode, size and time of change; `None` where it cannot be seen.
    looks: Option<(u64, u64, SystemTime)>,
}

impl FileStamp {
    pub(super) fn of(path: impl AsRef<Path>) -> Self {
        let path = path.as_ref().to_owned();
        let looks = std::fs::metadata(&path)
            .ok()
            .map(|file| (inode(&file), file.len(), file.modified().unwrap_or(SystemTime::UNIX_EPOCH)));
        Self { path, looks }
    }
}

/// Whether everybody on this machine may read a file.
#[cfg(unix)]
#[must_use]
pub fn is_readable_by_others(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;

    std::fs::metadata(path).is_ok_and(|file| file.mode() & 0o004 != 0)
}

/// Whether everybody on this machine may read a file: who that is, is not asked here.
#[cfg(not(unix))]
#[must_use]
pub fn is_readable_by_others(_: &Path) -> bool {
    false
}

#[cfg(unix)]
fn inode(file: &std::fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(file)
}

#[cfg(not(unix))]
fn inode(_: &std::fs::Metadata) -> u64 {
    0
}
