//! `serve.proxy`: whose headers are believed, and which roles the groups in them mean.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::Deserialize;

use super::super::problem::Problems;
use super::super::value::At;
use super::people::Power;

/// Whose headers are believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyConfig {
    /// Where it asks from; empty: from anywhere, with its certificate.
    pub addresses: Vec<Network>,
    /// A name in its client certificate; none: it needs none.
    pub certificate: Option<String>,
    /// Header with the user's name, in small letters.
    pub user_header: String,
    /// Header with the user's groups, in small letters.
    pub groups_header: String,
    /// Roles by group.
    pub groups: BTreeMap<String, Vec<Power>>,
}

impl ProxyConfig {
    /// Whether who asks from there, and shows a certificate with these names, is the proxy.
    #[must_use]
    pub fn is_it(&self, from: IpAddr, certificate: &[String]) -> bool {
        let (addresses, name) = (&self.addresses, &self.certificate);
        let is_there = addresses.is_empty() || addresses.iter().any(|network| network.holds(from));
        is_there && name.as_ref().is_none_or(|name| certificate.contains(name))
    }
}

/// Addresses that begin alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    first: IpAddr,
    bits: u8,
}

impl Network {
    /// Whether an address is one of these.
    #[must_use]
    pub fn holds(&self, address: IpAddr) -> bool {
        let shared = |ours: u128, theirs: u128, width: u8| {
            let free = u32::from(width - self.bits);
            ours.checked_shr(free) == theirs.checked_shr(free)
        };
        match (self.first, address.to_canonical()) {
            (IpAddr::V4(ours), IpAddr::V4(theirs)) => shared(u32::from(ours).into(), u32::from(theirs).into(), 32),
            (IpAddr::V6(ours), IpAddr::V6(theirs)) => shared(ours.into(), theirs.into(), 128),
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let network = address.parse::<IpAddr>().ok().and_then(|first| {
            let width = if first.is_ipv4() { 32 } else { 128 };
            let bits = bits.map_or(Some(width), |bits| bits.parse().ok().filter(|bits| *bits <= width))?;
            Some(Self { first, bits })
        });
        network.ok_or_else(|| format!("`{text}` is neither an IP address nor a network, such as 10.1.0.0/16"))
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.bits)
    }
}

/// The proxy in front, which says who asks. It must set both headers itself, and drop those that clients send.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ProxySection {
    /// Addresses or networks that it asks from, such as 10.1.0.0/16. Either these or `certificate`, or both.
    #[serde(default)]
    addresses: Vec<At<String>>,
    /// A name in its client certificate (common name, DNS, e-mail or URI). Needs `tls: { client_ca }`.
    certificate: Option<String>,
    /// Header with the user's name.
    #[serde(default = "user")]
    user_header: At<String>,
    /// Header with the user's groups, separated by commas.
    #[serde(default = "groups")]
    groups_header: At<String>,
    /// Roles by group. A user whose name stands in `approvers` has the roles there, too.
    #[serde(default)]
    groups: BTreeMap<String, Vec<Power>>,
}

fn user() -> At<String> {
    "X-Forwarded-User".to_owned().into()
}

fn groups() -> At<String> {
    "X-Forwarded-Groups".to_owned().into()
}

impl At<ProxySection> {
    pub(super) fn resolve(&self, problems: &mut Problems) -> ProxyConfig {
        if self.addresses.is_empty() && self.certificate.is_none() {
            problems
                .add(self.spot, "anybody could be the proxy, and say to be anybody")
                .help("write `addresses` or `certificate`");
        }
        let mut networks = Vec::new();
        for address in &self.addresses {
            match address.parse::<Network>() {
                Ok(network) if network.bits == 0 => {
                    let why = format!("`{}` is every address: anybody could say to be anybody", address.value);
                    problems.add(address.spot, why).help("name the proxy's own addresses");
                }
                Ok(network) => networks.push(network),
                Err(error) => {
                    problems.add(address.spot, error);
                }
            }
        }
        for header in [&self.user_header, &self.groups_header] {
            let is_token = |c: char| c.is_ascii_alphanumeric() || c == '-';
            if header.is_empty() || !header.chars().all(is_token) {
                problems
                    .add(header.spot, format!("`{}` cannot be a header", header.value))
                    .help("use letters, digits and hyphens, such as X-Forwarded-User");
            }
        }
        ProxyConfig {
            addresses: networks,
            certificate: self.certificate.clone(),
            user_header: self.user_header.to_lowercase(),
            groups_header: self.groups_header.to_lowercase(),
            groups: self.groups.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_holds_what_begins_like_it() {
        for (network, inside, outside) in [
            ("10.1.0.0/16", "10.1.255.1", "10.2.0.1"),
            ("10.1.2.3", "10.1.2.3", "10.1.2.4"),
            ("fd00::/8", "fdff::1", "fe80::1"),
            ("127.0.0.0/8", "::ffff:127.0.0.1", "::1"),
        ] {
            let network: Network = network.parse().expect("a network");
            assert!(network.holds(inside.parse().expect("an address")), "{network}");
            assert!(!network.holds(outside.parse().expect("an address")), "{network}");
        }
        for wrong in ["10.1.0.0/33", "::/129", "10.1", "proxy", ""] {
            assert!(wrong.parse::<Network>().is_err(), "{wrong}");
        }
    }
}
