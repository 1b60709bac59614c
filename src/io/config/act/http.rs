//! An API over HTTP that holds the share, known ones by name.

use std::collections::BTreeMap;
use std::path::Path;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::super::address;
use super::super::problem::{Problems, Spot, suggestion};
use super::super::secret::SecretSource;
use super::super::value::At;
use super::share::{PlaceText, ShareSection};
use crate::targets::{HttpCall, HttpConfig, Placeholders, ServerAddress};

/// Known APIs.
const PRESETS: &str = include_str!("presets.yaml");

/// Answers that say that somebody else has changed it.
const CONFLICTS: [u16; 2] = [409, 412];

/// An API over HTTP that holds the share.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct HttpSection {
    /// A known API: `kserve`, `kserve-standard`, `argo-rollouts`, `httproute`, `virtualservice` or `launchdarkly`. Keys
    /// beside it take the place of what it says.
    preset: Option<At<String>>,
    /// Words for paths, bodies and places, such as `namespace`. The words {candidate}, {baseline}, {model} and
    /// {rollout} may stand in them.
    #[serde(default)]
    with: BTreeMap<String, String>,
    /// The server, https://…, or the word `kubernetes`: that of the cluster that this process runs in, with the token
    /// and the authority of its pod.
    server: Option<At<String>>,
    /// Environment variable with what proves who asks: the word {token} in headers.
    token_env: Option<String>,
    /// File with it; read anew for each request.
    token_file: Option<String>,
    /// File with authorities beside the system's (PEM), relative to this file.
    ca_file: Option<String>,
    /// Headers of every request.
    headers: Option<BTreeMap<String, String>>,
    /// The request whose answer says the share.
    look: Option<AskSection>,
    /// The request that sets it. Words: `{weight}` and `{rest}`, `{weight_at}` and `{rest_at}` (their JSON pointers),
    /// `{mark}` and `{decision}`.
    set: Option<AskSection>,
    /// The request that sets it to nothing, where that is another one. Without `set` nothing else can be set.
    zero: Option<AskSection>,
    /// Where the answer says what names its state, for {mark}. Default: its `ETag`.
    mark: Option<PlaceText>,
    /// Where the answer says the share.
    share: Option<At<ShareSection>>,
    /// Status codes that say that somebody else has changed it. Default: 409 and 412.
    conflicts: Option<Vec<u16>>,
}

/// A request.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct AskSection {
    /// Method.
    #[serde(default = "get")]
    method: String,
    /// Path on the server, with its query.
    path: String,
    /// Headers of this request.
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// Body, as JSON. A text that is {weight} or {rest} and nothing else becomes a number.
    body: Option<Value>,
}

fn get() -> String {
    "GET".to_owned()
}

/// A known API.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Preset {
    /// Words that must be said.
    needs: Vec<String>,
    http: HttpSection,
}

fn presets() -> BTreeMap<String, Preset> {
    serde_saphyr::from_str(PRESETS).expect("the presets can be read")
}

impl HttpSection {
    pub(super) fn resolve(
        &self,
        spot: Spot,
        names_candidate: bool,
        base: &Path,
        problems: &mut Problems,
    ) -> Option<HttpConfig> {
        let Some(preset) = &self.preset else { return self.config(spot, names_candidate, base, problems) };
        let known = presets();
        let Some(Preset { needs, http }) = known.get(preset.as_str()) else {
            let names: Vec<&str> = known.keys().map(String::as_str).collect();
            problems
                .add(preset.spot, format!("there is no preset `{}`", preset.value))
                .help(suggestion(preset.as_str(), &names));
            return None;
        };
        let missing: Vec<&str> =
            needs.iter().map(String::as_str).filter(|word| !self.with.contains_key(*word)).collect();
        if !missing.is_empty() {
            problems
                .add(preset.spot, format!("`{}` needs {}", preset.value, missing.join(", ")))
                .help(format!("write `with: {{ {}: … }}`", missing.join(": …, ")));
            return None;
        }
        self.over(http).config(spot, names_candidate, base, problems)
    }

    /// What is said here, and the rest from a preset.
    fn over(&self, preset: &Self) -> Self {
        let said = self.clone();
        Self {
            preset: None,
            with: said.with,
            server: said.server.or_else(|| preset.server.clone()),
            token_env: said.token_env,
            token_file: said.token_file,
            ca_file: said.ca_file,
            headers: said.headers.or_else(|| preset.headers.clone()),
            look: said.look.or_else(|| preset.look.clone()),
            set: said.set.or_else(|| preset.set.clone()),
            zero: said.zero.or_else(|| preset.zero.clone()),
            mark: said.mark.or_else(|| preset.mark.clone()),
            share: said.share.or_else(|| preset.share.clone()),
            conflicts: said.conflicts.or_else(|| preset.conflicts.clone()),
        }
    }

    fn config(&self, spot: Spot, names_candidate: bool, base: &Path, problems: &mut Problems) -> Option<HttpConfig> {
        let (Some(server), Some(look), Some(share)) = (&self.server, &self.look, &self.share) else {
            problems.add(spot, "it does not say how to look").help("write `server`, `look` and `share`, or a `preset`");
            return None;
        };
        if self.set.is_none() && self.zero.is_none() {
            problems.add(spot, "it does not say how to set the share").help("write `set`, or `zero`");
            return None;
        }
        let places = SecretSource { key: "token", env: self.token_env.as_ref(), file: self.token_file.as_ref() };
        let token = places.secret(spot, base, problems);
        let server = place_of(server, token.is_some(), problems)?;
        let pairs = |map: &BTreeMap<String, String>| map.iter().map(|(a, b)| (a.clone(), b.clone())).collect();
        let ask = |ask: &AskSection| HttpCall {
            method: ask.method.clone(),
            path: ask.path.clone(),
            headers: pairs(&ask.headers),
            body: ask.body.clone(),
        };
        let words = self.with.iter().fold(Placeholders::default(), |words, (name, text)| words.with(name, text));
        let is_known = names_candidate || words.fill(&look.path).contains("{candidate}");
        Some(HttpConfig {
            server,
            token,
            ca: self.ca_file.as_ref().map(|file| base.join(file)),
            with: pairs(&self.with),
            headers: self.headers.as_ref().map(pairs).unwrap_or_default(),
            look: ask(look),
            set: self.set.as_ref().map(ask),
            zero: self.zero.as_ref().map(ask),
            share: share.resolve(is_known, &self.with, problems)?,
            mark: self.mark.as_ref().map(|place| place.0.clone()),
            conflicts: self.conflicts.clone().unwrap_or(CONFLICTS.to_vec()),
        })
    }
}

/// Which server is meant. A token must not be read on its way.
fn place_of(server: &At<String>, with_token: bool, problems: &mut Problems) -> Option<ServerAddress> {
    if server.as_str() == "kubernetes" {
        return Some(ServerAddress::Kubernetes);
    }
    address::check(server, with_token.then_some("a token"), problems).then(|| ServerAddress::Url(server.value.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_is_whole_and_listed() {
        let section = schemars::schema_for!(HttpSection).to_value();
        let said = section["properties"]["preset"]["description"].as_str().expect("a description").to_owned();
        for (name, Preset { needs, http }) in presets() {
            assert!(said.contains(&format!("`{name}`")), "{name} is not in the description");
            let with = needs.iter().map(|word| (word.clone(), format!("{{candidate}}-{word}"))).collect();
            let mut problems = Problems::default();
            let whole = HttpSection { with, ..http }.config(Spot::default(), false, Path::new(""), &mut problems);
            assert!(whole.is_some(), "{name}: {:?}", problems.into_result("presets", ""));
        }
    }
}
