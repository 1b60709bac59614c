//! The `registry` section: where schemas of records are known.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;

use super::address;
use super::problem::{Problems, Spot};
use super::secret::{Secret, SecretSource};
use super::value::At;
use crate::plan::Frame;
use crate::registry::ids_of;

/// Where schemas of records are known. Paths are absolute or relative to the working directory.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RegistryConfig {
    /// A schema registry.
    pub url: Option<String>,
    /// User name, with a password.
    pub username: Option<String>,
    /// Where the password is.
    pub password: Option<Secret>,
    /// Where the token is that is shown in place of name and password.
    pub token: Option<Secret>,
    /// File with authorities beside the system's (PEM).
    pub ca: Option<PathBuf>,
    /// Folder in which what the registry said is kept.
    pub cache: Option<PathBuf>,
    /// Schemas in files.
    pub schemas: SchemaFiles,
}

/// Schemas in files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SchemaFiles {
    /// By their ids.
    Named(BTreeMap<String, PathBuf>),
    /// All in a folder; the names of the files are their ids.
    Folder(PathBuf),
}

impl Default for SchemaFiles {
    fn default() -> Self {
        Self::Named(BTreeMap::new())
    }
}

/// Where schemas of records are known.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RegistrySection {
    /// A registry that is asked as Confluent's is: `https://host:8081`, of Apicurio `https://host/apis/ccompat/v7`. Its
    /// own interface, `https://host/apis/registry/v2`, knows `apicurio8` and Apicurio's headers. While it does not
    /// answer, records wait that need a schema which is not known yet, and nothing is lost. A schema that it does not
    /// have makes a record a refused one.
    pub(crate) url: Option<At<String>>,
    /// What names the schema of a record: `auto`, `confluent`, `header`, `apicurio8` or `glue`.
    #[serde(default)]
    pub(crate) frame: Frame,
    /// User name.
    pub(crate) username: Option<At<String>>,
    /// Environment variable with the password.
    pub(crate) password_env: Option<String>,
    /// File with the password. Instead of `password_env`.
    pub(crate) password_file: Option<String>,
    /// Environment variable with a token, which is sent as a bearer's.
    pub(crate) token_env: Option<String>,
    /// File with a token; read anew for each request. Instead of `token_env`.
    pub(crate) token_file: Option<String>,
    /// File with authorities beside the system's (PEM), relative to this file.
    pub(crate) ca: Option<String>,
    /// Folder, relative to this file, in which schemas are kept for ever: an id never changes its schema. Whoever reads
    /// the log again needs no registry then.
    pub(crate) cache: Option<String>,
    /// Schemas in files, relative to this file: a mapping of number or UUID to file, or a folder of files `42.avsc`,
    /// `7.proto`, `7b5f0c1e-….avsc`. Those of Avro's single objects are found by what they say, whatever their name;
    /// one of Protobuf that imports others is a set of descriptors.
    pub(crate) schemas: Option<At<SchemasSection>>,
}

/// Schemas in files.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum SchemasSection {
    /// A folder.
    Folder(String),
    /// By their ids.
    Named(BTreeMap<String, String>),
}

impl RegistrySection {
    /// What the section means for a pipeline whose file lies in `base`.
    pub(crate) fn resolve(&self, base: &Path, problems: &mut Problems) -> RegistryConfig {
        self.check(problems);
        let spot = self.url.as_ref().map_or_else(Spot::default, |url| url.spot);
        let mut secret = |key, env: &Option<String>, file: &Option<String>| {
            SecretSource { key, env: env.as_ref(), file: file.as_ref() }.secret(spot, base, problems)
        };
        let password = secret("password", &self.password_env, &self.password_file);
        let token = secret("token", &self.token_env, &self.token_file);
        let path = |name: &Option<String>| name.as_ref().map(|name| base.join(name));
        let named = |(id, file): (&String, &String)| (id.clone(), base.join(file));
        let schemas = self.schemas.as_ref().map(|schemas| match &schemas.value {
            SchemasSection::Folder(folder) => SchemaFiles::Folder(base.join(folder)),
            SchemasSection::Named(files) => SchemaFiles::Named(files.iter().map(named).collect()),
        });
        RegistryConfig {
            url: self.url.as_ref().map(|url| url.trim_end_matches('/').to_owned()),
            username: self.username.as_ref().map(|name| name.value.clone()),
            password,
            token,
            ca: path(&self.ca),
            cache: path(&self.cache),
            schemas: schemas.unwrap_or_default(),
        }
    }

    fn check(&self, problems: &mut Problems) {
        let of_password = self.password_env.as_ref().or(self.password_file.as_ref()).map(|_| "the password");
        let of_token = self.token_env.as_ref().or(self.token_file.as_ref()).map(|_| "the token");
        if let Some(url) = &self.url {
            address::check(url, of_token.or(of_password), problems);
        }
        if let Some(name) = &self.username
            && self.password_env.is_none()
            && self.password_file.is_none()
        {
            problems.add(name.spot, "a user without a password").help("add `password_env` or `password_file`");
        }
        let Some(At { value: SchemasSection::Named(files), spot }) = &self.schemas else { return };
        if let Some(id) = files.keys().find(|id| ids_of(id).is_empty()) {
            problems
                .add(*spot, format!("`{id}` is no id of a schema"))
                .help("write its number, its UUID, or its fingerprint in sixteen hexadecimal digits");
        }
    }
}
