//! Consumer groups: who is a member, who has which partitions, and whose commits are taken.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use haldane::error::{Error, Result};
use haldane::event::{Micros, SECOND};
use haldane::kafka::ports::Rebalance;

use crate::broker::World;
use crate::ports::SETTINGS;

/// A process that has not been heard of for so long is no member any more.
const SESSION: Micros = 8 * SECOND;
/// How late a member hears of what became of its group at most.
const HEARTBEAT: Micros = 2 * SECOND;

/// One client in a group.
#[derive(Debug)]
pub(crate) struct Membership {
    pub(crate) consumer: u64,
    process: usize,
    topics: Vec<String>,
    heard_at: Micros,
    /// Whether it waits for an assignment, and holds nothing.
    ready: bool,
}

/// A group.
#[derive(Debug, Default)]
pub(crate) struct Group {
    pub(crate) generation: u64,
    pub(crate) members: Vec<Membership>,
    rebalancing: bool,
}

/// A client of a process, as the brokers know it.
#[derive(Debug, Default)]
pub(crate) struct Client {
    pub(crate) process: usize,
    pub(crate) group: String,
    pub(crate) subscribed: Vec<String>,
    pub(crate) generation: u64,
    pub(crate) lost: bool,
    /// Since when its commits are refused: it is no member any more.
    pub(crate) refused_at: Option<Micros>,
    /// Changes that it will hear of, and when.
    changes: VecDeque<(Micros, Rebalance)>,
    /// Whether a change was taken and is not answered yet.
    asked: Option<bool>,
    /// By topic and partition: the next offset.
    pub(crate) positions: BTreeMap<(String, u32), i64>,
}

impl World {
    pub(crate) fn client(&mut self, process: usize, group: &str) -> u64 {
        self.next_client += 1;
        let client = Client { process, group: group.to_owned(), ..Client::default() };
        self.clients.insert(self.next_client, client);
        self.next_client
    }

    pub(crate) fn subscribe(&mut self, consumer: u64, topics: &[&str]) {
        let topics: Vec<String> = topics.iter().map(|&topic| topic.to_owned()).collect();
        let client = self.clients.get_mut(&consumer).expect("it was made");
        client.subscribed.clone_from(&topics);
        let process = client.process;
        let group = self.groups.entry(client.group.clone()).or_default();
        group.members.push(Membership { consumer, process, topics, heard_at: self.now, ready: true });
        group.members.sort_by_key(|member| member.consumer);
        let name = self.clients[&consumer].group.clone();
        self.begin_rebalance(&name);
    }

    /// The partitions of a topic have changed.
    pub(crate) fn share_out_anew(&mut self, topic: &str) {
        let reads = |group: &Group| group.members.iter().any(|member| member.topics.iter().any(|one| one == topic));
        let names: Vec<String> =
            self.groups.iter().filter(|(_, group)| reads(group)).map(|(name, _)| name.clone()).collect();
        names.iter().for_each(|name| self.begin_rebalance(name));
    }

    /// A group is shared out anew: members hear of it with their next heartbeat. One that was killed never does, and
    /// the others wait until it is missed.
    fn begin_rebalance(&mut self, name: &str) {
        let group = self.groups.get_mut(name).expect("it is there");
        group.rebalancing = true;
        for member in &mut group.members {
            let Some(client) = self.clients.get_mut(&member.consumer) else { continue };
            let told = client.changes.iter().any(|(_, change)| matches!(change, Rebalance::Revoked));
            if member.ready || told || client.asked == Some(false) {
                continue;
            }
            let at = self.now + self.rng.between(0, HEARTBEAT);
            client.changes.push_back((at, Rebalance::Revoked));
        }
    }

    pub(crate) fn tend_groups(&mut self) {
        let names: Vec<String> = self.groups.keys().cloned().collect();
        for name in names {
            let (now, processes) = (self.now, self.processes.clone());
            let group = self.groups.get_mut(&name).expect("it is there");
            for member in &mut group.members {
                let standing = processes[member.process];
                if standing.alive && !standing.frozen && self.clients.contains_key(&member.consumer) {
                    member.heard_at = now;
                }
            }
            let missed: Vec<u64> = group
                .members
                .iter()
                .filter(|member| now - member.heard_at > SESSION)
                .map(|member| member.consumer)
                .collect();
            for consumer in missed {
                self.remove(&name, consumer);
            }
            self.end_rebalance(&name);
        }
    }

    /// A member is no member any more; it may be there still, and hear of it later.
    pub(crate) fn remove(&mut self, name: &str, consumer: u64) {
        let Some(group) = self.groups.get_mut(name) else { return };
        let before = group.members.len();
        group.members.retain(|member| member.consumer != consumer);
        if group.members.len() == before {
            return;
        }
        group.generation += 1;
        self.note(|| format!("group {name} misses client {consumer}"));
        self.begin_rebalance(name);
    }

    fn end_rebalance(&mut self, name: &str) {
        let group = self.groups.get_mut(name).expect("it is there");
        if !group.rebalancing || group.members.is_empty() || !group.members.iter().all(|member| member.ready) {
            return;
        }
        group.rebalancing = false;
        group.generation += 1;
        let generation = group.generation;
        let members: Vec<(u64, Vec<String>)> = group
            .members
            .iter_mut()
            .map(|member| {
                member.ready = false;
                (member.consumer, member.topics.clone())
            })
            .collect();
        let mut own: BTreeMap<u64, Vec<(String, u32)>> = members.iter().map(|(id, _)| (*id, Vec::new())).collect();
        let topics: BTreeSet<String> = members.iter().flat_map(|(_, topics)| topics.clone()).collect();
        for topic in topics {
            let count = self.topics.get(&topic).map_or(0, Vec::len);
            let takers: Vec<u64> =
                members.iter().filter(|(_, topics)| topics.contains(&topic)).map(|(id, _)| *id).collect();
            let (each, more) = (count / takers.len(), count % takers.len());
            let mut next = 0;
            for (index, taker) in takers.into_iter().enumerate() {
                let n = each + usize::from(index < more);
                let range = (next..next + n).map(|lane| (topic.clone(), u32::try_from(lane).expect("few")));
                own.get_mut(&taker).expect("a member").extend(range);
                next += n;
            }
        }
        for (consumer, partitions) in own {
            self.note(|| format!("group {name} generation {generation}: client {consumer} has {partitions:?}"));
            let Some(client) = self.clients.get_mut(&consumer) else { continue };
            client.generation = generation;
            client.changes.push_back((self.now, Rebalance::Assigned(partitions)));
        }
    }

    /// Whether a client that joined is a member still.
    fn is_member(&self, consumer: u64) -> bool {
        let client = &self.clients[&consumer];
        self.groups.get(&client.group).is_some_and(|group| group.members.iter().any(|one| one.consumer == consumer))
    }

    /// A process wakes up: its clients hear soon that they are members no more.
    pub(crate) fn wake(&mut self, process: usize) {
        self.processes[process].frozen = false;
        let own = self.clients.iter().filter(|(_, client)| client.process == process).map(|(&id, _)| id);
        for consumer in own.collect::<Vec<_>>() {
            let joined = self.clients.get(&consumer).is_some_and(|client| !client.subscribed.is_empty());
            if joined && !self.is_member(consumer) {
                let at = self.now + self.rng.between(0, HEARTBEAT);
                let client = self.clients.get_mut(&consumer).expect("it is there");
                client.lost = true;
                client.changes.clear();
                client.changes.push_back((at, Rebalance::Revoked));
            }
        }
    }

    pub(crate) fn change(&mut self, consumer: u64) -> Option<Rebalance> {
        let now = self.now;
        let client = self.clients.get_mut(&consumer)?;
        if client.asked.is_some() || client.changes.front().is_none_or(|(at, _)| *at > now) {
            return None;
        }
        let (_, change) = client.changes.pop_front()?;
        client.asked = Some(matches!(change, Rebalance::Assigned(_)));
        Some(change)
    }

    /// An answer to a change: after one that took everything away, the client asks for a new share.
    pub(crate) fn answer(&mut self, consumer: u64) {
        let Some(client) = self.clients.get_mut(&consumer) else { return };
        if client.asked.take() != Some(false) {
            return;
        }
        client.lost = false;
        let (name, topics) = (client.group.clone(), client.subscribed.clone());
        let group = self.groups.get_mut(&name).expect("it is there");
        if let Some(member) = group.members.iter_mut().find(|member| member.consumer == consumer) {
            member.ready = true;
        } else {
            let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
            self.subscribe(consumer, &topics);
        }
    }

    /// Takes a commit of a client, or refuses it.
    pub(crate) fn let_commit(&mut self, consumer: u64) -> Result<()> {
        let answer = self.may_commit(consumer);
        if let Some(client) = self.clients.get_mut(&consumer) {
            client.refused_at = answer.is_err().then(|| client.refused_at.unwrap_or(self.now));
        }
        answer
    }

    /// Notes when a process publishes though the brokers have told it that its work is another one's.
    pub(crate) fn hear(&mut self, process: usize, topic: &str, key: Option<&[u8]>) {
        let own = &SETTINGS.topics;
        let is_alive = key.is_some_and(|key| key.starts_with(b"@"));
        let is_result = [&own.control, &own.state].iter().any(|name| *name == topic) && !is_alive;
        // Whoever does all of the work asks for this alone; a judge hears of it with its next heartbeat.
        let patience = |client: &Client| match client.group.rsplit('.').next() {
            Some("all") => Some(0),
            Some("judge") => Some(HEARTBEAT + SECOND),
            _ => None,
        };
        let refused = |client: &Client| {
            let since = client.refused_at.filter(|_| client.process == process);
            since.zip(patience(client)).is_some_and(|(since, patience)| self.now - since >= patience)
        };
        if is_result && self.flaws.is_empty() && self.clients.values().any(refused) {
            self.flaws.push(format!("process {process} goes on with {topic}, and its commit was refused"));
        }
    }

    /// Whether the brokers take a commit of a client.
    fn may_commit(&self, consumer: u64) -> Result<()> {
        let client = &self.clients[&consumer];
        let members = self.groups.get(&client.group).map_or(0, |group| group.members.len());
        if client.subscribed.is_empty() {
            return if members == 0 { Ok(()) } else { Err(refused()) };
        }
        let generation = self.groups[&client.group].generation;
        if self.is_member(consumer) && generation == client.generation { Ok(()) } else { Err(refused()) }
    }
}

fn refused() -> Error {
    Error::external("cannot commit offsets: no member of this generation")
}
