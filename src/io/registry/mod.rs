//! Schemas of records: what a registry or files say of an id, kept in memory and on disk for as long as there is room.
//! An id never changes its schema.

mod file;
mod kept;
mod rest;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

pub use self::file::text_of;
use self::kept::SchemaCache;
use self::rest::Rest;
use crate::config::{RegistryConfig, SchemaFiles};
use crate::decode::avro::fingerprint;
use crate::decode::schema::{SchemaId, SchemaTexts};
use crate::error::{Error, Result};
use crate::kafka::clock::now;
use crate::kafka::ports::{SchemaLookup, Schemas, Unknown};

/// A registry that did not answer is asked again after so long, or after so many times as long as it was waited for:
/// what needs no schema is read meanwhile.
const RETRY_AFTER: Duration = Duration::from_secs(1);
const RETRY_TIMES: u32 = 5;
/// Whoever waited has gone elsewhere when nobody has asked for so long.
const WAITING_MAX: Duration = Duration::from_mins(1);

/// Where schemas are known.
pub struct Registry {
    rest: Option<Rest>,
    kept: Option<SchemaCache>,
    known: Mutex<BTreeMap<SchemaId, SchemaTexts>>,
    away: Mutex<Option<Outage>>,
}

/// Since when nobody answers.
struct Outage {
    since: Instant,
    ask_again_at: Instant,
    why: String,
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").field("rest", &self.rest).finish_non_exhaustive()
    }
}

impl Registry {
    /// Reads the files, and asks nobody yet.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn open(config: &RegistryConfig) -> Result<Self> {
        let mut known = BTreeMap::new();
        for (id, path) in files(&config.schemas)? {
            let text = text_of(&path).map_err(|error| unreadable(&path, error))?;
            let own = fingerprint(&text).map(SchemaId::Fingerprint);
            let texts: SchemaTexts = [text].into();
            known.extend(ids_of(&id).into_iter().chain(own).map(|id| (id, Arc::clone(&texts))));
        }
        let rest = config.url.as_ref().map(|url| Rest::open(url, config)).transpose()?;
        let kept = config.url.as_ref().zip(config.cache.as_ref()).map(|(url, folder)| SchemaCache::new(folder, url));
        Ok(Self { rest, kept, known: Mutex::new(known), away: Mutex::default() })
    }

    /// Whether the registry answers, and where it is; none where there are only files.
    #[must_use]
    pub fn greet(&self) -> Option<std::result::Result<String, String>> {
        self.rest.as_ref().map(Rest::greet)
    }

    /// Asks the registry, unless it did not answer a moment ago.
    fn ask(&self, rest: &Rest, id: SchemaId) -> SchemaLookup {
        if let Some(away) = lock(&self.away).as_ref().filter(|away| now() < away.ask_again_at) {
            return SchemaLookup::Away(away.why.clone());
        }
        let asked_at = now();
        let found = rest.find(id);
        let mut away = lock(&self.away);
        match &found {
            SchemaLookup::Away(why) => {
                let ask_again_at = now() + RETRY_AFTER.max(now().saturating_duration_since(asked_at) * RETRY_TIMES);
                if away.is_none() {
                    tracing::warn!(%id, "records wait for a schema: {why}");
                }
                let since = away.as_ref().map_or(asked_at, |away| away.since);
                *away = Some(Outage { since, ask_again_at, why: why.clone() });
            }
            _ => {
                if let Some(away) = away.take() {
                    let seconds = now().saturating_duration_since(away.since).as_secs();
                    tracing::info!("the schema registry answers again, after {seconds} s");
                }
            }
        }
        found
    }
}

/// Where the schemas of a pipeline are known, looked for once a record names one: whoever reads files may need none.
#[must_use]
pub fn lazily(config: Option<&RegistryConfig>) -> Arc<dyn Schemas> {
    config.map_or_else(
        || Arc::new(Unknown) as Arc<dyn Schemas>,
        |config| Arc::new(Lazily { config: config.clone(), opened: OnceLock::new() }),
    )
}

/// A registry that nobody has asked yet.
#[derive(Debug)]
struct Lazily {
    config: RegistryConfig,
    opened: OnceLock<std::result::Result<Registry, String>>,
}

impl Schemas for Lazily {
    fn find(&self, id: SchemaId) -> SchemaLookup {
        match self.opened.get_or_init(|| Registry::open(&self.config).map_err(|error| error.to_string())) {
            Ok(registry) => registry.find(id),
            Err(why) => SchemaLookup::Away(why.clone()),
        }
    }
}

impl Schemas for Registry {
    fn find(&self, id: SchemaId) -> SchemaLookup {
        if let Some(texts) = lock(&self.known).get(&id) {
            return SchemaLookup::Here(Arc::clone(texts));
        }
        let kept = self.kept.as_ref().and_then(|kept| kept.read(id));
        let found = match (kept, &self.rest) {
            (Some(texts), _) => SchemaLookup::Here(texts),
            (None, Some(rest)) => self.ask(rest, id),
            (None, None) => SchemaLookup::Missing,
        };
        if let SchemaLookup::Here(texts) = &found {
            lock(&self.known).insert(id, Arc::clone(texts));
            self.kept.iter().for_each(|kept| kept.write(id, texts));
        }
        found
    }

    fn answers(&self) -> Option<bool> {
        let waits = |away: &Outage| now() < away.ask_again_at + WAITING_MAX;
        self.rest.as_ref().map(|_| !lock(&self.away).as_ref().is_some_and(waits))
    }
}

/// Whoever panicked has changed nothing by halves.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a schema is called in pipeline files and names of files: a number may be one of each kind.
#[must_use]
pub fn ids_of(name: &str) -> Vec<SchemaId> {
    let hex: String = name.chars().filter(|c| *c != '-').collect();
    let is_hex = hex.chars().all(|c| c.is_ascii_hexdigit());
    match hex.len() {
        16 if is_hex && hex == name => u64::from_str_radix(&hex, 16).map(SchemaId::Fingerprint).into_iter().collect(),
        32 if is_hex => u128::from_str_radix(&hex, 16).map(SchemaId::Uuid).into_iter().collect(),
        _ => {
            let number = name.parse().map(SchemaId::Number).into_iter();
            let long = name.parse().into_iter().flat_map(|id| [SchemaId::Global(id), SchemaId::Content(id)]);
            number.chain(long).collect()
        }
    }
}

/// The ids and paths of schemas in files.
fn files(schemas: &SchemaFiles) -> Result<Vec<(String, PathBuf)>> {
    let folder = match schemas {
        SchemaFiles::Named(files) => return Ok(files.iter().map(|(id, path)| (id.clone(), path.clone())).collect()),
        SchemaFiles::Folder(folder) => folder,
    };
    let listed = std::fs::read_dir(folder).and_then(Iterator::collect::<std::io::Result<Vec<_>>>);
    let mut paths: Vec<PathBuf> =
        listed.map_err(|error| unreadable(folder, error))?.into_iter().map(|entry| entry.path()).collect();
    paths.retain(|path| path.is_file());
    paths.sort();
    let name = |path: &PathBuf| path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    Ok(paths.into_iter().map(|path| (name(&path), path)).collect())
}

fn unreadable(path: &Path, error: std::io::Error) -> Error {
    Error::user(format!("cannot read the schema {}", path.display())).because(error).hint("check `registry.schemas`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemas_in_a_folder_are_known_by_their_names_and_by_what_they_say() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("42.avsc"), "\"int\"").expect("a file");
        std::fs::write(folder.path().join("7b5f0c1e-2a34-4d8a-9f10-0123456789ab.avsc"), "\"null\"").expect("a file");
        let schemas = SchemaFiles::Folder(folder.path().to_owned());
        let registry = Registry::open(&RegistryConfig { schemas, ..RegistryConfig::default() }).expect("files");
        let int = SchemaLookup::Here(["\"int\"".to_owned()].into());
        for id in [SchemaId::Number(42), SchemaId::Global(42), SchemaId::Fingerprint(8_247_732_601_305_521_295)] {
            assert_eq!(registry.find(id), int);
        }
        let uuid = SchemaId::Uuid(0x7b5f_0c1e_2a34_4d8a_9f10_0123_4567_89ab);
        assert_eq!(registry.find(uuid), SchemaLookup::Here(["\"null\"".to_owned()].into()));
        assert_eq!(registry.find(SchemaId::Number(43)), SchemaLookup::Missing);
        assert_eq!((ids_of("orders").len(), ids_of("00000000000000ab")), (0, vec![SchemaId::Fingerprint(0xab)]));
    }
}
