//! Registries as they are asked over HTTP: Confluent's interface, which Karapace, Redpanda and Apicurio have too, and
//! Apicurio's own.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use serde::Deserialize;

use crate::config::RegistryConfig;
use crate::decode::schema::{SchemaId, hyphened};
use crate::error::Result;
use crate::kafka::ports::SchemaLookup;
use crate::targets::client::{Client, HttpRequest, HttpResponse};
use crate::targets::escaped;

/// How long an answer may take. A thread that reads waits for it, and is taken for dead after half a minute.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The most schemas that one may refer to, on the way.
const REFERENCES_MAX: usize = 256;
/// No such schema, as Confluent's registry says.
const NO_SCHEMA: i64 = 40_403;

/// A registry.
pub(super) struct Rest {
    url: String,
    config: RegistryConfig,
    client: Client,
}

impl fmt::Debug for Rest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Rest").field(&self.url).finish()
    }
}

/// A schema as registries tell it.
#[derive(Deserialize)]
struct SchemaResponse {
    schema: String,
    #[serde(default)]
    references: Vec<SchemaReference>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
struct SchemaReference {
    subject: String,
    version: i64,
}

/// What a registry says when it has no schema.
#[derive(Deserialize)]
struct RegistryError {
    error_code: i64,
}

impl Rest {
    pub(super) fn open(url: &str, config: &RegistryConfig) -> Result<Self> {
        let client = Client::open(config.ca.as_deref(), TIMEOUT)?;
        Ok(Self { url: url.to_owned(), config: config.clone(), client })
    }

    /// Asks for the schema of an id, and for those that it refers to.
    pub(super) fn find(&self, id: SchemaId) -> SchemaLookup {
        let Some(path) = self.path(id) else { return SchemaLookup::Missing };
        match self.gather(&path) {
            Ok(Some(texts)) => SchemaLookup::Here(texts.into()),
            Ok(None) => SchemaLookup::Missing,
            Err(why) => SchemaLookup::Away(why),
        }
    }

    /// Asks for something that every registry has.
    pub(super) fn greet(&self) -> std::result::Result<String, String> {
        let path = if self.is_apicurio() { "system/info" } else { "schemas/types" };
        match self.ask(path)?.status {
            200 => Ok(format!("{} answers", self.url)),
            status => Err(format!("GET {}/{path}: status {status}", self.url)),
        }
    }

    /// Whether it is Apicurio's own interface.
    fn is_apicurio(&self) -> bool {
        self.url.contains("/apis/registry/")
    }

    /// Where the schema of an id is; none where registries do not know such ids.
    fn path(&self, id: SchemaId) -> Option<String> {
        match id {
            SchemaId::Content(id) if self.is_apicurio() => Some(format!("ids/contentIds/{id}")),
            SchemaId::Global(id) if self.is_apicurio() => Some(format!("ids/globalIds/{id}")),
            SchemaId::Number(id) if self.is_apicurio() => Some(format!("ids/globalIds/{id}")),
            SchemaId::Number(id) => Some(format!("schemas/ids/{id}")),
            SchemaId::Global(id) | SchemaId::Content(id) => Some(format!("schemas/ids/{id}")),
            SchemaId::Uuid(id) if !self.is_apicurio() => Some(format!("schemas/guids/{}", hyphened(id))),
            SchemaId::Uuid(_) | SchemaId::Fingerprint(_) => None,
        }
    }

    /// The texts of a schema, those that it refers to before it; none where there is none.
    fn gather(&self, path: &str) -> std::result::Result<Option<Vec<String>>, String> {
        let Some(told) = self.schema(path)? else { return Ok(None) };
        let (mut texts, mut asked) = (Vec::new(), BTreeSet::new());
        let is_whole = self.refer(&told.references, &mut texts, &mut asked)?;
        texts.push(told.schema);
        Ok(is_whole.then_some(texts))
    }

    /// Adds the schemas that one refers to, each after its own; whether all are there.
    fn refer(
        &self,
        references: &[SchemaReference],
        texts: &mut Vec<String>,
        asked: &mut BTreeSet<SchemaReference>,
    ) -> std::result::Result<bool, String> {
        for reference in references {
            if !asked.insert(reference.clone()) {
                continue;
            }
            if asked.len() > REFERENCES_MAX {
                return Ok(false);
            }
            let path = format!("subjects/{}/versions/{}", escaped(&reference.subject), reference.version);
            let Some(told) = self.schema(&path)? else { return Ok(false) };
            if !self.refer(&told.references, texts, asked)? {
                return Ok(false);
            }
            texts.push(told.schema);
        }
        Ok(true)
    }

    /// What is under a path; none where the registry says that there is no such schema, or no such version of one.
    fn schema(&self, path: &str) -> std::result::Result<Option<SchemaResponse>, String> {
        let answer = self.ask(path)?;
        let unclear = |why: String| format!("GET {}/{path}: {why}", self.url);
        match answer.status {
            // Apicurio answers with the schema itself.
            200 if self.is_apicurio() => Ok(Some(SchemaResponse { schema: answer.body, references: Vec::new() })),
            200 => serde_json::from_str(&answer.body)
                .map(Some)
                .map_err(|error| unclear(format!("the answer is no schema: {error}"))),
            404 if self.says_no(&answer, path) => Ok(None),
            status => Err(unclear(format!("status {status}"))),
        }
    }

    /// Whether a registry says that it has no such schema. Anything else that answers with 404 is none.
    fn says_no(&self, answer: &HttpResponse, path: &str) -> bool {
        let code = serde_json::from_str(&answer.body).map(|refusal: RegistryError| refusal.error_code);
        let is_reference = path.starts_with("subjects/");
        code.is_ok_and(|code| code == NO_SCHEMA || is_reference || self.is_apicurio())
    }

    fn ask(&self, path: &str) -> std::result::Result<HttpResponse, String> {
        let mut headers =
            vec![("accept".to_owned(), "application/vnd.schemaregistry.v1+json, application/json".to_owned())];
        headers.extend(self.login()?.map(|login| ("authorization".to_owned(), login)));
        let url = format!("{}/{path}", self.url);
        self.client.ask(&HttpRequest { method: "GET".to_owned(), url, headers, body: Vec::new() })
    }

    /// What says who asks. Secrets are read each time: they may have been changed.
    fn login(&self) -> std::result::Result<Option<String>, String> {
        let RegistryConfig { username, password, token, .. } = &self.config;
        if let Some(token) = token {
            let token = token.read("the token of the registry", "registry.token").map_err(|error| error.to_string())?;
            return Ok(Some(format!("Bearer {}", token.expose())));
        }
        let (Some(name), Some(password)) = (username, password) else { return Ok(None) };
        let password = password.read("the password of the registry", "registry.password");
        let password = password.map_err(|error| error.to_string())?;
        let pair = format!("{name}:{}", password.expose());
        Ok(Some(format!("Basic {}", openssl::base64::encode_block(pair.as_bytes()))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_asked_for_where_the_registry_has_them() {
        let rest = |url: &str| Rest::open(url, &RegistryConfig::default()).expect("a client");
        let confluent = rest("http://host");
        let apicurio = rest("http://host/apis/registry/v2");
        for (id, path, own) in [
            (SchemaId::Number(42), Some("schemas/ids/42"), Some("ids/globalIds/42")),
            (SchemaId::Global(7), Some("schemas/ids/7"), Some("ids/globalIds/7")),
            (SchemaId::Content(7), Some("schemas/ids/7"), Some("ids/contentIds/7")),
            (SchemaId::Uuid(1), Some("schemas/guids/00000000-0000-0000-0000-000000000001"), None),
            (SchemaId::Fingerprint(7), None, None),
        ] {
            assert_eq!((confluent.path(id).as_deref(), apicurio.path(id).as_deref()), (path, own), "{id}");
        }
    }
}
