//! A disk: where the engine puts what memory has no room for.
//!
//! Files have no name: they are gone with the process, however that ends, because what is in them comes from the log
//! again. What was complete first is put there first and taken away first, so a file is emptied as a whole, and its
//! room is free again.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::error::{Error, Result};
use crate::summary::Spill;

/// Bytes of one file, about.
const FILE_BYTES: u64 = 64 << 20;

/// Files in one folder.
#[derive(Debug)]
pub struct Disk {
    folder: PathBuf,
    file_bytes: u64,
    files: Mutex<SpillFiles>,
}

#[derive(Debug, Default)]
struct SpillFiles {
    /// By their number; places count on from one to the next.
    parts: BTreeMap<u64, SpillFile>,
    next: u64,
    /// Whether it was said that the disk is full.
    is_full: bool,
}

/// One file.
#[derive(Debug)]
struct SpillFile {
    file: File,
    written: u64,
    wanted: u64,
}

impl Disk {
    /// Files in a folder, which is made when it is not there.
    ///
    /// # Errors
    /// When nothing can be written there.
    pub fn open(folder: &Path) -> Result<Self> {
        let failed = |error| {
            Error::user(format!("cannot write what does not fit into memory to {}", folder.display()))
                .because(error)
                .hint("name a folder with room in `spill`")
        };
        std::fs::create_dir_all(folder).map_err(failed)?;
        tempfile::tempfile_in(folder).map_err(failed)?;
        Ok(Self { folder: folder.to_owned(), file_bytes: FILE_BYTES, files: Mutex::default() })
    }

    /// How many bytes there are, wanted or not.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.lock().parts.values().map(|part| part.written).sum()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, SpillFiles> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, files: &mut SpillFiles, bytes: &[u8]) -> io::Result<u64> {
        let number = match files.parts.last_key_value() {
            Some((&number, part)) if part.written + bytes.len() as u64 <= self.file_bytes => number,
            _ => {
                let part = SpillFile { file: tempfile::tempfile_in(&self.folder)?, written: 0, wanted: 0 };
                let number = files.next;
                // Something longer than a file has one of its own, and the places after it.
                files.next += 1 + bytes.len() as u64 / self.file_bytes;
                files.parts.insert(number, part);
                number
            }
        };
        let part = files.parts.get_mut(&number).expect("found or made above");
        part.file.write_all_at(bytes, part.written)?;
        let at = number * self.file_bytes + part.written;
        part.written += bytes.len() as u64;
        part.wanted += bytes.len() as u64;
        Ok(at)
    }

    /// The number of the file that a place is in.
    fn number(files: &SpillFiles, at: u64, file_bytes: u64) -> u64 {
        let upto = files.parts.range(..=at / file_bytes).next_back();
        *upto.expect("a place that was given out").0
    }
}

impl Spill for Disk {
    fn put(&self, bytes: &[u8]) -> Option<u64> {
        let mut files = self.lock();
        match self.write(&mut files, bytes) {
            Ok(at) => Some(at),
            Err(error) => {
                if !std::mem::replace(&mut files.is_full, true) {
                    let folder = self.folder.display();
                    tracing::error!(%error, %folder, "what does not fit into `memory` stays there: it cannot be written");
                }
                None
            }
        }
    }

    /// Ends the process when a disk gives back nothing: the log holds all of it, and a restart reads it again.
    fn get(&self, at: u64, len: usize) -> Vec<u8> {
        let files = self.lock();
        let number = Self::number(&files, at, self.file_bytes);
        let mut bytes = vec![0; len];
        let read = files.parts[&number].file.read_exact_at(&mut bytes, at - number * self.file_bytes);
        read.unwrap_or_else(|error| panic!("what was put into {} cannot be read: {error}", self.folder.display()));
        bytes
    }

    fn free(&self, at: u64, len: usize) {
        let mut files = self.lock();
        let number = Self::number(&files, at, self.file_bytes);
        let part = files.parts.get_mut(&number).expect("found above");
        part.wanted -= len as u64;
        if part.wanted == 0 {
            files.parts.remove(&number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_comes_back_and_its_room_is_given_back() {
        let folder = tempfile::tempdir().expect("a folder");
        let disk = Disk { file_bytes: 100, ..Disk::open(folder.path()).expect("a disk") };
        let of = |i: u8| vec![i; 30 + usize::from(i) * 13];
        let places: Vec<u64> = (0..20).map(|i| disk.put(&of(i)).expect("room")).collect();
        for (i, &at) in (0..).zip(&places) {
            assert_eq!(disk.get(at, of(i).len()), of(i));
            assert_eq!(disk.get(at + 7, 11), &of(i)[7..18], "a part");
        }
        let full = disk.bytes();
        for (i, &at) in (0..).zip(&places).take(10) {
            disk.free(at, of(i).len());
        }
        assert!(disk.bytes() < full - 800, "{} of {full}, and 885 are not wanted", disk.bytes());
        assert_eq!(disk.get(places[15], of(15).len()), of(15));
        (10..).zip(&places[10..]).for_each(|(i, &at)| disk.free(at, of(i).len()));
        assert_eq!((disk.bytes(), std::fs::read_dir(folder.path()).expect("a folder").count()), (0, 0));
    }
}
