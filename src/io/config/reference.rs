//! Reference profiles as files: readable JSON, one line per column, named by the BLAKE3 digest of its bytes.
//!
//! The name of a profile is `b3:` and what `b3sum FILE` prints, so that anybody can check it.

use std::io;
use std::path::Path;

use serde::Serialize;

use crate::baseline::builder::FORMAT;
use crate::error::{Error, Result};
use crate::plan::Reference;
use crate::summary::{Profile, Traffic};

/// Reads a profile.
pub fn load(path: &Path) -> Result<Reference> {
    let bytes = std::fs::read(path).map_err(|error| {
        Error::user(format!("cannot read the reference {}", path.display()))
            .because(error)
            .hint("make it with `haldane baseline build`")
    })?;
    let damaged = |why: String| {
        Error::user(format!("{} is not a reference profile", path.display()))
            .because(why)
            .hint("make a new one with `haldane baseline build`")
    };
    let profile: Profile = serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
    if profile.format != FORMAT {
        return Err(damaged(format!("its format is {}, this haldane reads {FORMAT}", profile.format)));
    }
    if let Some(name) = miscounted(&profile) {
        return Err(damaged(format!("the counts of `{name}` do not fit its bins")));
    }
    Ok(Reference { id: id_of(&bytes), profile })
}

/// A profile under the name that it would have as a file.
#[must_use]
pub fn named(profile: Profile) -> Reference {
    Reference { id: id_of(&encode(&profile)), profile }
}

/// Writes a profile and returns its name.
pub fn save(profile: &Profile, path: &Path) -> Result<String> {
    let bytes = encode(profile);
    let cannot = |error: io::Error| {
        Error::external(format!("cannot write the reference {}", path.display()))
            .because(error)
            .hint("check that the folder exists and may be written")
    };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(cannot)?;
    }
    std::fs::write(path, &bytes).map_err(cannot)?;
    Ok(id_of(&bytes))
}

/// The bytes of a profile's file; equal profiles have equal bytes.
#[must_use]
pub fn encode(profile: &Profile) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, LineLayout::default());
    profile.serialize(&mut serializer).expect("a profile always encodes");
    bytes.push(b'\n');
    bytes
}

fn id_of(bytes: &[u8]) -> String {
    format!("b3:{}", blake3::hash(bytes).to_hex())
}

/// The first column whose counts do not fit its bins.
fn miscounted(profile: &Profile) -> Option<&str> {
    let mut all = profile.segments.iter().map(|(_, traffic)| traffic).chain([&profile.all]);
    all.find_map(|traffic| miscounted_in(profile, traffic))
}

fn miscounted_in<'a>(profile: &'a Profile, traffic: &Traffic) -> Option<&'a str> {
    let bins_of = |place: usize| traffic.numeric.get(place).map(|histogram| histogram.counts.len());
    let names_of = |place: usize| traffic.categorical.get(place).map(|category| category.known.len());
    let numeric = profile.numeric.iter().enumerate();
    let numeric = numeric.filter(|(place, column)| bins_of(*place) != Some(column.edges.len() + 1));
    let categorical = profile.categorical.iter().enumerate();
    let categorical = categorical
        .filter(|(place, column)| names_of(*place) != Some(column.known.len() + usize::from(column.rare.is_some())));
    numeric.map(|(_, column)| column.name.as_str()).chain(categorical.map(|(_, column)| column.name.as_str())).next()
}

/// JSON with line breaks down to this depth.
const DEPTH_MAX: usize = 2;

/// A JSON layout between one line for all and one line per number.
#[derive(Debug, Default)]
struct LineLayout {
    depth: usize,
}

impl LineLayout {
    fn open<W: io::Write + ?Sized>(&mut self, writer: &mut W, bracket: &[u8]) -> io::Result<()> {
        self.depth += 1;
        writer.write_all(bracket)
    }

    fn next<W: io::Write + ?Sized>(&self, writer: &mut W, first: bool) -> io::Result<()> {
        writer.write_all(if first { b"" } else { b"," })?;
        self.line(writer)
    }

    fn close<W: io::Write + ?Sized>(&mut self, writer: &mut W, bracket: &[u8]) -> io::Result<()> {
        if self.depth <= DEPTH_MAX {
            self.depth -= 1;
            self.line(writer)?;
        } else {
            self.depth -= 1;
        }
        writer.write_all(bracket)
    }

    fn line<W: io::Write + ?Sized>(&self, writer: &mut W) -> io::Result<()> {
        if self.depth > DEPTH_MAX {
            return Ok(());
        }
        writer.write_all(b"\n")?;
        (0..self.depth).try_for_each(|_| writer.write_all(b" "))
    }
}

impl serde_json::ser::Formatter for LineLayout {
    fn begin_array<W: io::Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.open(writer, b"[")
    }

    fn end_array<W: io::Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.close(writer, b"]")
    }

    fn begin_array_value<W: io::Write + ?Sized>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.next(writer, first)
    }

    fn begin_object<W: io::Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.open(writer, b"{")
    }

    fn end_object<W: io::Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.close(writer, b"}")
    }

    fn begin_object_key<W: io::Write + ?Sized>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.next(writer, first)
    }
}
