//! `schema` of a source: what records of Protobuf are that do not say it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;

use super::problem::{Problems, Spot};
use super::value::At;
use crate::decode::protobuf::{check, imports};
use crate::plan::MessageSchema;
use crate::registry::text_of;

/// The most files that one may import, on the way.
const FILES_MAX: usize = 256;
/// Files that every schema knows what they say.
const KNOWN: &str = "google/protobuf/";

/// What records of Protobuf are that do not say it.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SchemaSection {
    /// File with the schema, relative to this file: a `.proto`, whose imports are looked for beside it and in the
    /// folders above, or a set of descriptors as `protoc --include_imports --descriptor_set_out` and `buf build` make
    /// it. With it records have no frame. Default: records name their schema, which `registry` knows.
    pub(crate) file: Option<At<String>>,
    /// The name of the message, with or without its package. Default: the only one in the file, or what records say.
    pub(crate) message: Option<At<String>>,
}

impl SchemaSection {
    /// What the section means for a pipeline whose file lies in `base`.
    pub(super) fn resolve(&self, base: &Path, problems: &mut Problems) -> MessageSchema {
        let message = self.message.as_ref().map(|name| name.value.clone());
        let Some(file) = &self.file else { return MessageSchema { texts: Vec::new(), message } };
        let mut files = Files::default();
        let read = files.read(&base.join(&file.value)).map_err(|why| (file.spot, why));
        let spot = self.message.as_ref().map_or(file.spot, |name| name.spot);
        let read = read.and_then(|()| check(&files.texts, message.as_deref()).map_err(|why| (spot, why)));
        if let Err((spot, why)) = read {
            wrong(spot, &file.value, &why, problems);
        }
        MessageSchema { texts: files.texts, message }
    }
}

fn wrong(spot: Spot, file: &str, why: &str, problems: &mut Problems) {
    problems.add(spot, format!("`{file}` does not say what records are: {why}")).help(
        "name a .proto or a set of descriptors, and with `message` one of its messages; \
         `protoc --include_imports --descriptor_set_out=FILE` puts all that it needs into one file",
    );
}

/// Schemas in files, each behind those that it imports.
#[derive(Default)]
struct Files {
    texts: Vec<String>,
    seen: BTreeSet<PathBuf>,
}

impl Files {
    fn read(&mut self, path: &Path) -> Result<(), String> {
        if !self.seen.insert(path.to_owned()) {
            return Ok(());
        }
        if self.seen.len() > FILES_MAX {
            return Err(format!("more than {FILES_MAX} files"));
        }
        let text = text_of(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let names = imports(&text).map_err(|why| format!("{}: {why}", path.display()))?;
        for name in names.iter().filter(|name| !name.starts_with(KNOWN)) {
            let places = path.ancestors().skip(1).map(|folder| folder.join(name));
            let found = places.into_iter().find(|place| place.is_file());
            self.read(&found.ok_or_else(|| format!("it imports {name}, which is not there"))?)?;
        }
        self.texts.push(text);
        Ok(())
    }
}
