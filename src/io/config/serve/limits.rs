//! `serve.limits`: how much one client may take, so that something is left for the others.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::super::problem::Problems;
use super::super::value::{At, Period, count, seconds};

/// How much clients may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientLimits {
    /// Requests of one client a second, over time; four times as many at once.
    pub requests_per_second: u32,
    /// Failed logins of one client a minute, over time, and as many at once.
    pub failed_logins_per_minute: u32,
    /// Open connections.
    pub connections: usize,
    /// Open connections of one client.
    pub connections_per_client: usize,
    /// How long a client may take for each step: the handshake, the head, the body, and to read on.
    pub patience: Duration,
}

impl Default for ClientLimits {
    fn default() -> Self {
        Self {
            requests_per_second: 100,
            failed_logins_per_minute: 10,
            connections: 256,
            connections_per_client: 64,
            patience: Duration::from_secs(10),
        }
    }
}

/// How much a client may take. A client is an IPv4 address, or the first 64 bits of an IPv6 address.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LimitsSection {
    /// Requests of one client a second, over time; four times as many at once. Beyond, the answer is 429. Probes of
    /// health are not counted.
    #[serde(default = "count::<100>")]
    requests_per_second: At<u64>,
    /// Failed logins of one client a minute. Beyond, its tokens are not looked at, and the answer is 429.
    #[serde(default = "count::<10>")]
    failed_logins_per_minute: At<u64>,
    /// Open connections. Where there are as many, the one that has waited longest for a request makes room.
    #[serde(default = "count::<256>")]
    connections: At<u64>,
    /// Open connections of one client; the `proxy` is not bound by it.
    #[serde(default = "count::<64>")]
    connections_per_client: At<u64>,
    /// How long a client may take for the handshake of TLS, for the head of a request (idle time before it included),
    /// for its body, and to read on.
    #[serde(default = "seconds::<10>")]
    patience: At<Period>,
}

impl LimitsSection {
    pub(super) fn resolve(&self, problems: &mut Problems) -> ClientLimits {
        let mut number = |key: &At<u64>, name: &str| {
            let fits = u32::try_from(key.value).ok().filter(|number| *number > 0);
            fits.unwrap_or_else(|| {
                problems.add(key.spot, format!("`{name}` is from 1 to {}", u32::MAX));
                1
            })
        };
        let limits = ClientLimits {
            requests_per_second: number(&self.requests_per_second, "requests_per_second"),
            failed_logins_per_minute: number(&self.failed_logins_per_minute, "failed_logins_per_minute"),
            connections: number(&self.connections, "connections") as usize,
            connections_per_client: number(&self.connections_per_client, "connections_per_client") as usize,
            patience: Duration::from_micros(self.patience.0.unsigned_abs()),
        };
        if limits.patience.is_zero() {
            problems.add(self.patience.spot, "no client is as quick as that").help("write a second or more");
        }
        limits
    }
}
