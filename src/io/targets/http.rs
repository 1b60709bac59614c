//! An API over HTTP that holds the share: one request to look, one to set.
//!
//! All that differs from one API to another is data ([`HttpConfig`]): `presets.yaml` has that of known ones.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use super::client::{Client, HttpRequest, HttpResponse};
use super::place::Locator;
use super::share::ShareConfig;
use super::words::Placeholders;
use super::{Subject, Target, Tried};
use crate::act::{ObservedShare, Trouble};
use crate::config::Secret;
use crate::error::{Error, Result};

/// An API that holds the share.
#[derive(Debug, Clone, PartialEq)]
pub struct HttpConfig {
    /// Which server.
    pub server: ServerAddress,
    /// What proves who asks: the word `{token}` in headers. It is read anew each time.
    pub token: Option<Secret>,
    /// Authorities beside the system's.
    pub ca: Option<PathBuf>,
    /// Words beside those of the decision.
    pub with: Vec<(String, String)>,
    /// Headers of every request.
    pub headers: Vec<(String, String)>,
    /// Shows the share.
    pub look: HttpCall,
    /// Sets the share; `None` where only some shares can be set.
    pub set: Option<HttpCall>,
    /// Sets it to nothing, where that is another request.
    pub zero: Option<HttpCall>,
    /// Where the answer to `look` says the share.
    pub share: ShareConfig,
    /// Where the answer says what names its state; `None`: in its `ETag`.
    pub mark: Option<Locator>,
    /// Answers that say that somebody else has changed it.
    pub conflicts: Vec<u16>,
}

/// Which server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerAddress {
    /// That of a URL.
    Url(String),
    /// The API of the Kubernetes cluster that this process runs in.
    Kubernetes,
}

/// A request.
#[derive(Debug, Clone, PartialEq)]
pub struct HttpCall {
    /// Method.
    pub method: String,
    /// Path on the server, with words.
    pub path: String,
    /// Headers of this request.
    pub headers: Vec<(String, String)>,
    /// Body, with words.
    pub body: Option<Value>,
}

/// Where a pod finds what it needs to ask the API of its cluster.
const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// An API that holds the share.
pub(super) struct Http {
    config: HttpConfig,
    url: String,
    token: Option<Secret>,
    client: Client,
}

impl Http {
    pub(super) fn open(config: &HttpConfig, timeout: Duration) -> Result<Self> {
        let (mut token, mut ca) = (config.token.clone(), config.ca.clone());
        let url = match &config.server {
            ServerAddress::Url(url) => url.trim_end_matches('/').to_owned(),
            ServerAddress::Kubernetes => {
                token = token.or_else(|| Some(Secret::File(format!("{ACCOUNT}/token").into())));
                ca = ca.or_else(|| Some(format!("{ACCOUNT}/ca.crt").into()));
                cluster()?
            }
        };
        let client = Client::open(ca.as_deref(), timeout)?;
        Ok(Self { config: config.clone(), url, token, client })
    }

    fn words(&self, subject: &Subject) -> Placeholders {
        let own = subject.words();
        self.config.with.iter().fold(own.clone(), |words, (name, text)| words.with(name, own.fill(text)))
    }

    fn ask(&self, ask: &HttpCall, words: &Placeholders) -> Tried<HttpResponse> {
        let secret = self.token.as_ref().map(|token| token.read("the token", "token")).transpose();
        let secret = secret.map_err(|error| Trouble::Refused(error.to_string()))?;
        let with_token = words.clone().with("token", secret.as_ref().map_or("", |secret| secret.expose()));
        let headers = self.config.headers.iter().chain(&ask.headers);
        let headers = headers.map(|(name, value)| (name.clone(), with_token.fill(value))).collect();
        let body = ask.body.as_ref().map(|body| words.fill_json(body).to_string().into_bytes()).unwrap_or_default();
        let url = format!("{}{}", self.url, words.fill_url(&ask.path));
        let question = HttpRequest { method: ask.method.clone(), url, headers, body };
        let answer = self.client.ask(&question).map_err(Trouble::Away)?;
        match answer.status {
            200..=299 => Ok(answer),
            status if self.config.conflicts.contains(&status) => Err(Trouble::Conflict),
            status => {
                let said: String =
                    answer.body.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(300).collect();
                let why = format!("{} {} answers {status}: {said}", question.method, question.url);
                let passing = matches!(status, 408 | 425 | 429 | 500..);
                Err(if passing { Trouble::Away(why) } else { Trouble::Refused(why) })
            }
        }
    }

    /// What the target shows, and the state's name.
    fn show(&self, words: &Placeholders) -> Tried<(HttpResponse, String)> {
        let answer = self.ask(&self.config.look, words)?;
        let mark = match &self.config.mark {
            Some(place) => place.filled(words).find(&answer.body).map_err(Trouble::Refused)?.map(|found| found.value),
            None => answer.etag.clone(),
        };
        Ok((answer, mark.unwrap_or_default()))
    }
}

impl Target for Http {
    fn look(&mut self, subject: &Subject) -> Tried<ObservedShare> {
        let words = self.words(subject);
        let (answer, mark) = self.show(&words)?;
        let said = self.config.share.read(&answer.body, &words)?;
        Ok(self.config.share.seen(said, mark))
    }

    fn set(&mut self, subject: &Subject, from: &ObservedShare, share_pct: f64) -> Tried<()> {
        let zero = self.config.zero.as_ref().filter(|_| share_pct <= 0.0);
        let Some(ask) = zero.or(self.config.set.as_ref()) else {
            return Err(Trouble::Unable(format!("it cannot hold a share of {share_pct} %, only 0 %")));
        };
        let words = self.words(subject);
        // Where the weights stand now: places in a list may have moved.
        let (answer, mark) = self.show(&words)?;
        if mark != from.mark {
            return Err(Trouble::Conflict);
        }
        let said = self.config.share.read(&answer.body, &words)?;
        let (weight, rest) = self.config.share.weights(share_pct);
        let pointer =
            |found: &Option<super::place::LocatedValue>| found.as_ref().map_or("", |found| &found.pointer).to_owned();
        let words = words
            .with("mark", mark)
            .with("weight", weight.to_string())
            .with("rest", rest.to_string())
            .with("weight_at", pointer(&said.weight))
            .with("rest_at", pointer(&said.rest));
        self.ask(ask, &words).map(drop)
    }
}

/// Where the API of this pod's cluster is.
fn cluster() -> Result<String> {
    let of = |name: &str| {
        std::env::var(name).map_err(|_| {
            Error::user("this process runs in no Kubernetes cluster")
                .because(format!("${name} is not set"))
                .hint("write `server: https://…`, `token_file` and `ca_file`, or run it in a pod")
        })
    };
    let (host, port) = (of("KUBERNETES_SERVICE_HOST")?, of("KUBERNETES_SERVICE_PORT")?);
    let host = if host.contains(':') { format!("[{host}]") } else { host };
    Ok(format!("https://{host}:{port}"))
}
