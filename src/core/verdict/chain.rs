//! The chain of decisions: whether a log of them is whole and unchanged.
//!
//! Every decision names the seal (BLAKE3 digest) of the body of the one before it in its sequence, so a change of any
//! byte shows at the next decision, and one left out or slipped in shows as well; the last one is vouched for by the
//! seal in the rollout's state. (The linking of time stamps: Haber and Stornetta 1991, section 5.1.) What it does not
//! prove is who wrote the log: whoever can rewrite both the whole log and the state can make a new chain.

use std::collections::{BTreeMap, BTreeSet};

use super::decision::{Decision, seal};
use super::rollout::RolloutState;

/// Which sequence: rollout, model, candidate.
pub type Sequence = (String, String, String);

/// What a log of decisions was found to be.
#[derive(Debug, Default)]
pub struct Chain {
    /// Sealed bodies by sequence and number.
    links: BTreeMap<Sequence, BTreeMap<u64, Link>>,
    flaws: Vec<ChainBreak>,
    repeats: u64,
}

#[derive(Debug)]
struct Link {
    previous: String,
    seal: String,
}

/// One place at which a log is not what was decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainBreak {
    /// The sequence; `None` for a body that cannot be read.
    pub of: Option<Sequence>,
    /// What is wrong, in words.
    pub text: String,
}

impl Chain {
    /// Takes the next body of a log; bodies may come in any order and more than once.
    pub fn add(&mut self, body: &[u8]) {
        let decision = match serde_json::from_slice::<Decision>(body) {
            Ok(decision) => decision,
            Err(error) => return self.flaw(None, format!("a body is no decision: {error}")),
        };
        let genuine = decision.is_genuine();
        let of = (decision.rollout, decision.model, decision.candidate);
        if !genuine {
            self.flaw(Some(of.clone()), format!("decision {} does not say what its id stands for", decision.sequence));
        }
        let link = Link { previous: decision.previous, seal: seal(body) };
        match self.links.entry(of.clone()).or_default().get(&decision.sequence) {
            Some(known) if known.seal == link.seal => self.repeats += 1,
            Some(_) => self.flaw(Some(of), format!("there are two different decisions {}", decision.sequence)),
            None => drop(self.links.entry(of).or_default().insert(decision.sequence, link)),
        }
    }

    /// Holds the end of every sequence against the seal in its state.
    pub fn end(&mut self, states: &[RolloutState]) {
        let key = |state: &RolloutState| (state.rollout.clone(), state.model.clone(), state.candidate.clone());
        let states: BTreeMap<Sequence, &RolloutState> = states.iter().map(|state| (key(state), state)).collect();
        let keys: BTreeSet<Sequence> = self.links.keys().chain(states.keys()).cloned().collect();
        for of in keys {
            let last = self.links.get(&of).and_then(BTreeMap::last_key_value);
            if let Some(text) = unvouched(last, states.get(&of).copied()) {
                self.flaw(Some(of), text);
            }
        }
    }

    /// Everything that is wrong, the links between decisions included.
    #[must_use]
    pub fn flaws(&self) -> Vec<ChainBreak> {
        let broken = self.links.iter().flat_map(|(of, links)| {
            let pairs = links.iter().zip(links.iter().skip(1));
            let first = links.iter().next().and_then(|(number, link)| unfounded(*number, link));
            let between = pairs.filter_map(|((number, link), next)| break_after(*number, link, next));
            first.into_iter().chain(between).map(|text| ChainBreak { of: Some(of.clone()), text })
        });
        self.flaws.iter().cloned().chain(broken).collect()
    }

    /// Different decisions.
    #[must_use]
    pub fn decisions(&self) -> usize {
        self.links.values().map(BTreeMap::len).sum()
    }

    /// Sequences, each with its first and its last number.
    pub fn sequences(&self) -> impl Iterator<Item = (&Sequence, u64, u64)> {
        self.links.iter().filter_map(|(of, links)| Some((of, *links.keys().next()?, *links.keys().next_back()?)))
    }

    /// Bodies that were there more than once, without a difference: deliveries that were repeated.
    #[must_use]
    pub fn repeats(&self) -> u64 {
        self.repeats
    }

    fn flaw(&mut self, of: Option<Sequence>, text: String) {
        self.flaws.push(ChainBreak { of, text });
    }
}

/// What is wrong between the last decision of a log and the state after it.
fn unvouched(last: Option<(&u64, &Link)>, state: Option<&RolloutState>) -> Option<String> {
    match (last, state) {
        (Some((number, link)), Some(state)) if *number == state.sequence => (link.seal != state.seal)
            .then(|| format!("decision {number} is not the one that the rollout's state vouches for")),
        (Some((number, _)), Some(state)) => {
            Some(format!("the log ends with decision {number}, the rollout's state with {}", state.sequence))
        }
        (Some(_), None) => Some("there is no state of such a rollout".to_owned()),
        (None, Some(state)) => {
            (state.sequence > 0).then(|| format!("the log has none of its {} decisions", state.sequence))
        }
        (None, None) => None,
    }
}

/// A sequence begins with number 1, which has nothing before it; a log that begins later was cut by its retention.
fn unfounded(number: u64, link: &Link) -> Option<String> {
    (number == 1 && !link.previous.is_empty()).then(|| "decision 1 names one before it".to_owned())
}

fn break_after(number: u64, link: &Link, (next_number, next): (&u64, &Link)) -> Option<String> {
    if number + 1 != *next_number {
        return Some(match next_number - number {
            2 => format!("decision {} is missing", number + 1),
            _ => format!("decisions {} to {} are missing", number + 1, next_number - 1),
        });
    }
    (next.previous != link.seal)
        .then(|| format!("decision {next_number} names another decision {number} than the one in the log"))
}
