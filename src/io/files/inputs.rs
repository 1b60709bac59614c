//! What was named on a command line, as files that can be read as often as one likes.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::format::extension;
use super::stream::unreadable;
use crate::error::{Error, Result};

/// How standard input is named.
const STANDARD_INPUT: &str = "-";
/// Endings of files that are taken out of folders.
const ENDINGS: [&str; 12] =
    ["parquet", "pq", "arrow", "arrows", "feather", "ipc", "csv", "tsv", "tab", "jsonl", "ndjson", "json"];

/// Files, found and at hand. Pipes are kept in a temporary folder for as long as this lives.
#[derive(Debug, Default)]
pub struct InputFiles {
    paths: Vec<PathBuf>,
    kept: Option<TempDir>,
}

impl InputFiles {
    /// Finds what was named: files; folders, which stand for the files in them; patterns such as `day-*.csv`; pipes,
    /// and `-` for standard input. Files of a folder or pattern come in the order of their names.
    ///
    /// # Errors
    /// When a pattern or folder stands for no file, or a pipe cannot be read.
    pub fn find(named: &[PathBuf]) -> Result<Self> {
        let mut inputs = Self::default();
        for path in named {
            inputs.add(path)?;
        }
        Ok(inputs)
    }

    /// The files.
    #[must_use]
    pub fn paths(&self) -> &[PathBuf] {
        &self.paths
    }

    /// Whether one of them came out of a pipe, and goes when this does.
    #[must_use]
    pub fn are_kept(&self) -> bool {
        self.kept.is_some()
    }

    fn add(&mut self, path: &Path) -> Result<()> {
        if path == Path::new(STANDARD_INPUT) {
            return self.keep("standard-input", io::stdin().lock());
        }
        match fs::metadata(path) {
            Ok(found) if found.is_dir() => self.add_folder(path),
            Ok(found) if found.is_file() => {
                self.paths.push(path.to_owned());
                Ok(())
            }
            Ok(_) => {
                let name = path.to_string_lossy().trim_start_matches('/').replace('/', "-");
                self.keep(&name, File::open(path).map_err(|error| unreadable(path, error))?)
            }
            Err(error) => self.add_pattern(path, error),
        }
    }

    fn add_folder(&mut self, folder: &Path) -> Result<()> {
        let mut found = Vec::new();
        walk(folder, &mut found).map_err(|error| unreadable(folder, error))?;
        found.sort();
        if found.is_empty() {
            return Err(Error::user(format!("{} holds no file that can be read", folder.display()))
                .hint(format!("files of a folder are read when their names end in {}", ENDINGS.join(", "))));
        }
        self.paths.extend(found);
        Ok(())
    }

    fn add_pattern(&mut self, path: &Path, error: io::Error) -> Result<()> {
        let pattern = path.to_str().filter(|pattern| pattern.contains(['*', '?', '[']));
        let Some(pattern) = pattern else { return Err(unreadable(path, error)) };
        let visible = glob::MatchOptions { require_literal_leading_dot: true, ..glob::MatchOptions::new() };
        let matches = glob::glob_with(pattern, visible).map_err(|error| {
            Error::user(format!("{pattern} is no pattern of files")).because(error).hint("write it as in day-*.csv")
        })?;
        let files: Vec<PathBuf> = matches.filter_map(std::result::Result::ok).filter(|path| !path.is_dir()).collect();
        if files.is_empty() {
            return Err(Error::user(format!("no file fits {pattern}")).hint("check the folder and the pattern"));
        }
        files.iter().try_for_each(|file| self.add(file))
    }

    /// Writes down what can be read only once.
    fn keep(&mut self, name: &str, mut from: impl Read) -> Result<()> {
        let cannot = |error| {
            Error::external(format!("cannot keep what {name} gives"))
                .because(error)
                .hint("check the free space on the disk of temporary files, TMPDIR")
        };
        let folder = match self.kept.take() {
            Some(folder) => folder,
            None => tempfile::Builder::new().prefix("haldane-").tempdir().map_err(cannot)?,
        };
        let path = folder.path().join(name);
        self.kept = Some(folder);
        io::copy(&mut from, &mut File::create(&path).map_err(cannot)?).map_err(cannot)?;
        self.paths.push(path);
        Ok(())
    }
}

/// Whether a file's name ends as those of tables do.
#[must_use]
pub fn is_table(path: &Path) -> bool {
    ENDINGS.contains(&extension(path).as_str())
}

/// The files below a folder; what is hidden or begins with `_`, as marks of writers do, is none of them.
fn walk(folder: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let is_mark = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(['.', '_']));
        if path.is_dir() && !is_mark {
            walk(&path, found)?;
        } else if path.is_file() && !is_mark && is_table(&path) {
            found.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_and_patterns_stand_for_their_files_in_order() {
        let dir = tempfile::tempdir().expect("a folder");
        let at = |name: &str| dir.path().join(name);
        fs::create_dir_all(at("day=2/_temporary")).expect("a folder");
        for name in ["b.csv", "a.csv.gz", "day=2/c.parquet", "day=2/_temporary/d.csv", "_SUCCESS", "note.txt", ".e.csv"]
        {
            fs::write(at(name), "x").expect("a file");
        }
        let found = |named: &str| InputFiles::find(&[at(named)]).map(|inputs| inputs.paths().to_vec());
        let names = |named: &str| found(named).expect("files");
        assert_eq!(names(""), [at("a.csv.gz"), at("b.csv"), at("day=2/c.parquet")]);
        assert_eq!(names("*.csv*"), [at("a.csv.gz"), at("b.csv")]);
        assert_eq!(names("note.txt"), [at("note.txt")]);
        assert!(found("*.orc").expect_err("none").to_string().starts_with("no file fits"));
        assert!(found("none.csv").expect_err("none").to_string().starts_with("cannot read"));
        assert!(found("day=2/_temporary/x").is_err());
    }
}
