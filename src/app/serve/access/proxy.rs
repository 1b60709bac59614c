//! Whom the proxy in front names. Its headers are believed from itself alone; from anybody else they are read past.

use std::net::IpAddr;

use axum::http::HeaderMap;

use super::person::Proof;
use super::{Access, Identity};
use crate::serve::entrance::Peer;

/// Where a chain of proxies notes who asked whom, the last one at the end.
const FORWARDED_FOR: &str = "x-forwarded-for";

/// The longest name: it stands in decisions.
const NAME_CHARS_MAX: usize = 128;

impl Access {
    /// Whether a connection is the proxy's.
    fn is_proxy(&self, peer: &Peer) -> bool {
        self.config.proxy.as_ref().is_some_and(|proxy| proxy.is_it(peer.address, &peer.certificate))
    }

    /// Whether connections from there may be the proxy's, which asks for many.
    pub(in crate::serve) fn is_proxy_address(&self, address: IpAddr) -> bool {
        let proxy = self.config.proxy.as_ref();
        proxy.is_some_and(|proxy| proxy.addresses.iter().any(|network| network.holds(address)))
    }

    /// The user whom the proxy names.
    pub(super) fn named_by_proxy(&self, peer: &Peer, headers: &HeaderMap) -> Option<Identity> {
        let proxy = self.config.proxy.as_ref().filter(|_| self.is_proxy(peer))?;
        let name = only(headers, &proxy.user_header).map(str::trim).filter(|name| !name.is_empty())?;
        if name.chars().count() > NAME_CHARS_MAX {
            return None;
        }
        let groups = only(headers, &proxy.groups_header).unwrap_or_default().split(',').map(str::trim);
        let by_group = groups.filter_map(|group| proxy.groups.get(group)).flatten();
        let by_name = self.people.iter().filter(|person| person.name == name).flat_map(|person| &person.powers);
        let mut powers: Vec<_> = by_group.chain(by_name).copied().collect();
        powers.sort_unstable();
        powers.dedup();
        Some(Identity { name: name.to_owned(), powers, proof: Proof::Proxy })
    }

    /// The address that asks: behind the proxy, that of the last one that is not the proxy itself.
    pub(in crate::serve) fn address_of(&self, peer: &Peer, headers: &HeaderMap) -> IpAddr {
        if !self.is_proxy(peer) {
            return peer.address;
        }
        let noted = headers.get_all(FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok());
        let addresses: Vec<IpAddr> =
            noted.flat_map(|line| line.split(',')).filter_map(|text| text.trim().parse().ok()).collect();
        let asks = addresses.into_iter().rev().find(|address| !self.is_proxy_address(*address));
        asks.unwrap_or(peer.address)
    }
}

/// The one value of a header; where there are several, somebody else has added to what the proxy says.
fn only<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    if values.next().is_some() {
        tracing::warn!(header = name, "the proxy passes on a header that clients send: it is not believed");
        return None;
    }
    value.to_str().ok()
}
