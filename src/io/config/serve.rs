//! The `serve` section: where the service listens, who may read and act over it, and how much a client may take.

mod limits;
mod people;
mod proxy;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use limits::LimitsSection;
use people::ApproverSection;
use proxy::ProxySection;

pub use limits::ClientLimits;
pub use people::{Approver, Power};
pub use proxy::{Network, ProxyConfig};

use super::problem::Problems;
use super::value::{At, by_default};

/// The HTTP server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServeConfig {
    /// Address and port to listen on.
    pub listen: SocketAddr,
    /// With what connections are encrypted; none: not at all.
    pub tls: Option<TlsConfig>,
    /// Who may read.
    pub read: Reading,
    /// Who may read the metrics page.
    pub metrics: MetricsReading,
    /// Who may act over HTTP; nobody: it can only be read.
    pub approvers: Vec<Approver>,
    /// Who is believed when it says who asks.
    pub proxy: Option<ProxyConfig>,
    /// How much a client may take.
    pub limits: ClientLimits,
    /// Address and port where clients of PostgreSQL are answered.
    pub postgres: Option<SocketAddr>,
}

impl Default for ServeConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8088)),
            tls: None,
            read: Reading::default(),
            metrics: MetricsReading::default(),
            approvers: Vec::new(),
            proxy: None,
            limits: ClientLimits::default(),
            postgres: None,
        }
    }
}

/// With what connections are encrypted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsConfig {
    /// File with the certificate and those between it and its authority (PEM).
    pub cert: PathBuf,
    /// File with its private key (PEM).
    pub key: PathBuf,
    /// File with the authorities of clients' certificates (PEM); none: clients are not asked for one.
    pub client_ca: Option<PathBuf>,
}

/// Who may read what the service shows. `/livez` and `/readyz` are open to everybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reading {
    /// Whoever reaches the port.
    #[default]
    Open,
    /// Whoever has a role: by a token, a certificate, or a group that the proxy names.
    Token,
    /// These, and whoever the proxy names, with or without a role.
    Proxy,
}

/// Who may read the metrics page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MetricsReading {
    /// Whoever reaches the port.
    #[default]
    Open,
    /// Who may read the rest.
    Read,
}

/// The HTTP server: health, Prometheus metrics, current windows and rollouts, a dashboard.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ServeSection {
    /// Address and port to listen on.
    #[serde(default = "localhost")]
    listen: At<String>,
    /// Certificate and key: HTTP and PostgreSQL are encrypted then, and nothing else is answered. Default: no
    /// encryption.
    tls: Option<TlsSection>,
    /// Who may read windows, rollouts, decisions and the store: `open` (whoever reaches the port), `token` (whoever has
    /// a role) or `proxy` (these, and whoever the proxy names).
    #[serde(default)]
    read: At<Reading>,
    /// Who may read `/metrics`: `open` (whoever reaches the port), or `read` (who may read the rest).
    #[serde(default)]
    metrics: MetricsReading,
    /// Who may act over HTTP, from the dashboard or with `POST /v1/commands`. Default: nobody.
    #[serde(default)]
    approvers: Vec<At<ApproverSection>>,
    /// The proxy in front, which says who asks. Default: nobody is believed.
    proxy: Option<At<ProxySection>>,
    /// How much a client may take.
    #[serde(default = "by_default::<LimitsSection>")]
    limits: LimitsSection,
    /// Address and port where clients of PostgreSQL (psql, Grafana) may query the store, such as 127.0.0.1:5432. With
    /// `approvers`, they log in with a name and its token (SCRAM-SHA-256); without, only from this machine. With `tls`,
    /// over TLS alone. Needs a `store` section, and a build with the feature `pg`. Default: nowhere.
    pub(crate) postgres: Option<At<String>>,
}

/// Certificate and key of the service. File paths are relative to this file. Files that change are read again.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct TlsSection {
    /// File with the certificate, then those between it and its authority (PEM).
    cert: String,
    /// File with its private key (PEM), which nobody else on the machine may read.
    key: String,
    /// File with the authorities whose clients' certificates count (PEM). A client may show one; what it may do then,
    /// `approvers` and `proxy` say. Default: clients are not asked for one.
    client_ca: Option<String>,
}

fn localhost() -> At<String> {
    "127.0.0.1:8088".to_owned().into()
}

impl ServeSection {
    /// What the section means for a pipeline whose file lies in `base`.
    pub(crate) fn resolve(&self, base: &Path, problems: &mut Problems) -> ServeConfig {
        let listen = address(&self.listen, problems).unwrap_or(ServeConfig::default().listen);
        let tls = self.tls.as_ref().map(|tls| TlsConfig {
            cert: base.join(&tls.cert),
            key: base.join(&tls.key),
            client_ca: tls.client_ca.as_ref().map(|file| base.join(file)),
        });
        let proxy = self.proxy.as_ref().map(|proxy| proxy.resolve(problems));
        let serve = ServeConfig {
            listen,
            tls,
            read: self.read.value,
            metrics: self.metrics,
            approvers: people::resolve(&self.approvers, proxy.is_some(), base, problems),
            proxy,
            limits: self.limits.resolve(problems),
            postgres: self.postgres.as_ref().and_then(|listen| address(listen, problems)),
        };
        self.check(&serve, problems);
        serve
    }

    /// What must fit together.
    fn check(&self, serve: &ServeConfig, problems: &mut Problems) {
        let shows_certificates = serve.tls.as_ref().is_some_and(|tls| tls.client_ca.is_some());
        for (section, approver) in self.approvers.iter().zip(&serve.approvers) {
            let Some(name) = &approver.certificate else { continue };
            if !shows_certificates {
                problems.add(section.spot, "no client shows a certificate").help("add `tls: { client_ca: … }`");
            }
            if serve.proxy.as_ref().is_some_and(|proxy| proxy.certificate.as_ref() == Some(name)) {
                problems
                    .add(section.spot, format!("the certificate `{name}` is the proxy's, which speaks for others"))
                    .help("give the proxy a certificate of its own");
            }
        }
        if let (Some(section), Some(ProxyConfig { certificate: Some(_), .. })) = (&self.proxy, &serve.proxy)
            && !shows_certificates
        {
            problems.add(section.spot, "no proxy shows a certificate").help("add `tls: { client_ca: … }`");
        }
        match serve.read {
            Reading::Proxy if serve.proxy.is_none() => {
                let why = "nobody says who asks: there is no `proxy`";
                problems.add(self.read.spot, why).help("add `proxy: { addresses: […] }`, or write `read: token`");
            }
            Reading::Token if serve.proxy.is_none() && serve.approvers.is_empty() => {
                let why = "nobody could read: there are no `approvers`";
                problems.add(self.read.spot, why).help("name `approvers`, whose tokens let them in");
            }
            _ => {}
        }
        self.check_postgres(serve, problems);
    }

    fn check_postgres(&self, serve: &ServeConfig, problems: &mut Problems) {
        let (Some(listen), Some(address)) = (&self.postgres, serve.postgres) else { return };
        if serve.approvers.iter().any(|approver| approver.token.is_some()) {
            return;
        }
        let help = "name `approvers`, who log in with their tokens, or listen on 127.0.0.1";
        if !address.ip().is_loopback() {
            problems.add(listen.spot, "anybody could query the store from elsewhere").help(help);
        } else if serve.read != Reading::Open {
            problems
                .add(listen.spot, "anybody on this machine could query the store, and `read` is not open")
                .help("name `approvers`, who log in with their tokens");
        }
    }
}

fn address(listen: &At<String>, problems: &mut Problems) -> Option<SocketAddr> {
    let address = listen.parse().ok();
    if address.is_none() {
        problems
            .add(listen.spot, format!("`{}` is not an address to listen on", listen.value))
            .help("write an IP address and a port, such as 127.0.0.1:8088 or 0.0.0.0:8088");
    }
    address
}
