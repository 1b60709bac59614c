//! Addresses of servers, and what may go there.

use super::problem::Problems;
use super::value::At;

/// Names of this machine for itself.
const HERE: [&str; 3] = ["127.0.0.1", "localhost", "[::1]"];

/// Whether an address is one, and what nobody else may read, if anything is named, would not go there in the clear.
/// Else the problem is told.
pub(super) fn check(url: &At<String>, secret: Option<&str>, problems: &mut Problems) -> bool {
    let plain = url.strip_prefix("http://");
    if plain.is_none() && !url.starts_with("https://") {
        problems.add(url.spot, "it is no URL").help("write https://…");
        return false;
    }
    let Some(secret) = secret.filter(|_| plain.is_some_and(|rest| !is_here(rest))) else { return true };
    problems.add(url.spot, format!("{secret} would go over the network in the clear")).help("write https://…");
    false
}

/// Whether what follows the scheme of an address is on this machine.
pub(super) fn is_here(rest: &str) -> bool {
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    let after = |here: &str| host.strip_prefix(here).is_some_and(|port| port.is_empty() || port.starts_with(':'));
    HERE.into_iter().any(after)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_begins_like_this_machine_is_another() {
        for here in ["127.0.0.1", "localhost:8080/a", "[::1]:1?b", "u:p@localhost/"] {
            assert!(is_here(here), "{here}");
        }
        for elsewhere in ["localhost.example", "127.0.0.1.example:80", "localhost@example", "example/localhost", ""] {
            assert!(!is_here(elsewhere), "{elsewhere}");
        }
    }
}
