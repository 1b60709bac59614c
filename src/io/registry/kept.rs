//! What a registry said, in a folder: a file for each id, in a folder for each registry.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::decode::schema::{SchemaId, SchemaTexts};
use crate::format::Version;

/// Schemas of one registry.
pub(super) struct SchemaCache {
    folder: PathBuf,
}

/// A schema as it is kept.
#[derive(Serialize, Deserialize)]
struct CachedSchema {
    #[serde(default)]
    version: Version<1>,
    /// Those that it refers to, each before those that refer to it, and then itself.
    schemas: Vec<String>,
}

impl SchemaCache {
    pub(super) fn new(folder: &Path, url: &str) -> Self {
        let digest = blake3::hash(url.as_bytes()).to_hex();
        Self { folder: folder.join(&digest[..16]) }
    }

    fn path(&self, id: SchemaId) -> PathBuf {
        let name = match id {
            SchemaId::Number(id) => format!("{id}"),
            SchemaId::Global(id) => format!("global-{id}"),
            SchemaId::Content(id) => format!("content-{id}"),
            SchemaId::Uuid(id) => format!("{id:032x}"),
            SchemaId::Fingerprint(id) => format!("{id:016x}"),
        };
        self.folder.join(name).with_extension("json")
    }

    /// The schema of an id; none also where what is kept cannot be read: the registry knows it still.
    pub(super) fn read(&self, id: SchemaId) -> Option<SchemaTexts> {
        let file: CachedSchema = serde_json::from_slice(&std::fs::read(self.path(id)).ok()?).ok()?;
        Some(file.schemas.into())
    }

    /// Keeps a schema, whole or not at all. Without it the registry is asked again.
    pub(super) fn write(&self, id: SchemaId, texts: &SchemaTexts) {
        let path = self.path(id);
        if path.exists() {
            return;
        }
        let file = CachedSchema { version: Version, schemas: texts.to_vec() };
        let written = std::fs::create_dir_all(&self.folder).and_then(|()| {
            let mut part = tempfile::NamedTempFile::new_in(&self.folder)?;
            serde_json::to_writer(&mut part, &file)?;
            part.persist(&path).map(drop).map_err(|error| error.error)
        });
        if let Err(error) = written {
            tracing::warn!(path = %path.display(), %error, "a schema cannot be kept");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_found_again_of_its_own_registry_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let texts: SchemaTexts = ["\"int\"".to_owned(), "\"long\"".to_owned()].into();
        let kept = SchemaCache::new(folder.path(), "http://one");
        kept.write(SchemaId::Number(7), &texts);
        assert_eq!(kept.read(SchemaId::Number(7)), Some(texts.clone()));
        assert_eq!(kept.read(SchemaId::Global(7)), None);
        assert_eq!(SchemaCache::new(folder.path(), "http://other").read(SchemaId::Number(7)), None);
        std::fs::write(kept.path(SchemaId::Number(8)), "{\"version\":9,\"schemas\":[]}").expect("a file");
        assert_eq!(kept.read(SchemaId::Number(8)), None, "of a newer release");
    }
}
