//! How often a client may ask, and how often it may be wrong about who it is.
//!
//! Each client has a budget that fills up by itself. What is remembered is bounded: where too many clients are known,
//! those whose budget is full again are forgotten, and strangers share one budget.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::config::ClientLimits;
use crate::kafka::clock::now;

/// The most clients that are known apart.
const CLIENTS_MAX: usize = 4_096;

/// So many seconds' worth of requests may come at once: a page of the dashboard and what it loads.
const BURST_S: f64 = 4.0;

/// Whom a budget is of: an IPv4 address, or the network of an IPv6 address, of which one client has any number.
pub(super) fn client_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from(u128::from(address) >> 64 << 64)),
        IpAddr::V4(address) => IpAddr::V4(address),
    }
}

/// The budgets of all clients.
#[derive(Debug)]
pub(super) struct Throttle {
    requests: Mutex<Budgets>,
    mistakes: Mutex<Budgets>,
}

impl Throttle {
    pub(super) fn new(limits: &ClientLimits) -> Self {
        let (requests, mistakes) = (f64::from(limits.requests_per_second), f64::from(limits.failed_logins_per_minute));
        Self {
            requests: Mutex::new(Budgets::new(requests * BURST_S, requests)),
            mistakes: Mutex::new(Budgets::new(mistakes, mistakes / 60.0)),
        }
    }

    /// Counts a request; tells how long to wait where there have been too many.
    pub(super) fn ask(&self, client: IpAddr) -> Result<(), Duration> {
        with(&self.requests, |budgets| budgets.take(client, now()))
    }

    /// Counts a login that failed.
    pub(super) fn mistaken(&self, client: IpAddr) {
        // What it comes to shows with the next login.
        let _ = with(&self.mistakes, |budgets| budgets.take(client, now()));
    }

    /// Whether a client may try to log in; how long to wait where it may not.
    pub(super) fn may_log_in(&self, client: IpAddr) -> Result<(), Duration> {
        with(&self.mistakes, |budgets| budgets.look(client, now()))
    }
}

/// A panic elsewhere leaves the table whole: it is changed by single calls only.
fn with<T>(budgets: &Mutex<Budgets>, act: impl FnOnce(&mut Budgets) -> T) -> T {
    act(&mut budgets.lock().unwrap_or_else(PoisonError::into_inner))
}

/// What clients have left of one thing.
#[derive(Debug)]
struct Budgets {
    rate: RefillRate,
    of: BTreeMap<Option<IpAddr>, TokenBucket>,
}

/// The most that a budget holds, and how quickly it fills.
#[derive(Debug, Clone, Copy)]
struct RefillRate {
    most: f64,
    per_second: f64,
}

/// What was left, and when.
#[derive(Debug, Clone, Copy)]
struct TokenBucket {
    left: f64,
    at: Instant,
}

impl TokenBucket {
    fn left(&self, rate: RefillRate, at: Instant) -> f64 {
        (self.left + at.saturating_duration_since(self.at).as_secs_f64() * rate.per_second).min(rate.most)
    }
}

impl Budgets {
    fn new(most: f64, per_second: f64) -> Self {
        Self { rate: RefillRate { most, per_second }, of: BTreeMap::new() }
    }

    /// Whose budget counts, and what is left of it; strangers have one together where there is no room.
    fn left(&mut self, client: IpAddr, at: Instant) -> (Option<IpAddr>, f64) {
        let rate = self.rate;
        let is_known = self.of.contains_key(&Some(client));
        if !is_known && self.of.len() >= CLIENTS_MAX {
            self.of.retain(|_, budget| budget.left(rate, at) < rate.most);
        }
        let whose = (is_known || self.of.len() < CLIENTS_MAX).then_some(client);
        (whose, self.of.get(&whose).map_or(rate.most, |budget| budget.left(rate, at)))
    }

    fn look(&mut self, client: IpAddr, at: Instant) -> Result<(), Duration> {
        let (_, left) = self.left(client, at);
        self.wait_for(left)
    }

    fn take(&mut self, client: IpAddr, at: Instant) -> Result<(), Duration> {
        let (whose, left) = self.left(client, at);
        self.wait_for(left)?;
        self.of.insert(whose, TokenBucket { left: left - 1.0, at });
        Ok(())
    }

    /// How long it takes until there is enough for one.
    fn wait_for(&self, left: f64) -> Result<(), Duration> {
        if left >= 1.0 { Ok(()) } else { Err(Duration::from_secs_f64((1.0 - left) / self.rate.per_second)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(number: u32) -> IpAddr {
        IpAddr::from(number.to_be_bytes())
    }

    #[test]
    fn a_budget_is_used_up_and_fills_again() {
        let (mut budgets, start) = (Budgets::new(3.0, 0.5), now());
        let taken = |budgets: &mut Budgets, client, after_s| budgets.take(client, start + Duration::from_secs(after_s));
        for _ in 0..3 {
            taken(&mut budgets, client(1), 0).expect("there is something left");
        }
        assert_eq!(taken(&mut budgets, client(1), 0), Err(Duration::from_secs(2)));
        taken(&mut budgets, client(2), 0).expect("another client's is its own");
        assert_eq!(taken(&mut budgets, client(1), 1), Err(Duration::from_secs(1)));
        taken(&mut budgets, client(1), 2).expect("one more");
        assert!(taken(&mut budgets, client(1), 2).is_err());
    }

    #[test]
    fn strangers_share_where_there_is_no_room_and_the_quiet_are_forgotten() {
        let (mut budgets, start) = (Budgets::new(1.0, 1.0), now());
        let many = u32::try_from(CLIENTS_MAX).expect("a number");
        (0..many).for_each(|number| budgets.take(client(number), start).expect("their first"));
        budgets.take(client(many), start).expect("the first stranger");
        assert!(budgets.take(client(many + 1), start).is_err(), "the second has the same budget");
        assert!(budgets.of.len() <= CLIENTS_MAX + 1);
        let later = start + Duration::from_secs(2);
        budgets.take(client(many + 1), later).expect("room again");
        assert!(budgets.of.len() <= 2, "{}", budgets.of.len());
    }

    #[test]
    fn a_client_cannot_multiply_by_its_addresses() {
        let client = |text: &str| client_of(text.parse().expect("an address"));
        assert_eq!(client("2001:db8::1"), client("2001:db8::ffff:1"));
        assert_ne!(client("2001:db8::1"), client("2001:db8:0:1::1"));
        assert_eq!(client("::ffff:10.0.0.1"), client("10.0.0.1"));
        assert_ne!(client("10.0.0.1"), client("10.0.0.2"));
    }
}
