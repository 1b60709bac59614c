//! All instances are gone for long: nothing is decided and nothing is permitted meanwhile.

use std::time::Duration;

use haldane::error::Result;
use haldane::event::{Micros, SECOND};
use haldane::kafka::clock::{now, wall_clock};
use haldane::kafka::connection::{Connection, Errors, REQUEST_TIMEOUT};
use rdkafka::consumer::{BaseConsumer, Consumer as _};

use crate::campaign::{Campaign, PATIENCE};
use crate::crew::{Crew, LATENESS, LEASE, PERMIT, SIZE};
use crate::http::try_ask;
use crate::load::STEADY;

/// The exit code of `haldane gate` where there is no verdict.
const NO_VERDICT: Option<i32> = Some(3);

/// How many words were heard, and the last of each kind.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    /// Questions asked while nobody was there.
    asked: usize,
    /// The last answer then.
    last: String,
    /// Answers of instances that had come back, by their word.
    back: std::collections::BTreeMap<String, usize>,
    /// How long it took until judgements came in time again.
    recovery: Vec<Micros>,
    /// What is not as it should be.
    pub(crate) flaws: Vec<String>,
}

impl Heard {
    pub(crate) fn tell(&self, gap: Duration) -> String {
        let seconds: Vec<f64> = self.recovery.iter().map(|span| *span as f64 / 1e6).collect();
        format!(
            "all instances were gone for {} s: `haldane gate` was asked {} times and permitted nothing, the last time: {}\n\
             after they were back, /v1/verdict said {:?}, and judgements came in time again after {seconds:.1?} s",
            gap.as_secs(),
            self.asked,
            self.last,
            self.back
        )
    }
}

/// Ends of the topics of decisions.
fn ends(campaign: &Campaign) -> Result<Vec<i64>> {
    let end = |crew: &Crew| {
        let connection = Connection::open(&crew.kafka)?;
        let reader: BaseConsumer<Errors> = connection.reader("ends")?;
        let known = reader.fetch_watermarks(&crew.kafka.topics.control, 0, REQUEST_TIMEOUT);
        Ok(known.map_or(-1, |(_, end)| end))
    };
    campaign.crews.iter().map(end).collect()
}

/// Kills all instances, waits, starts them again, and waits until judgements come in time.
pub(crate) fn gap(campaign: &mut Campaign, length: Duration) -> Result<Heard> {
    let mut heard = Heard::default();
    await_permission(campaign, &mut heard)?;
    let slots = campaign.crews.each_ref().map(Crew::working);
    for (crew, slots) in campaign.crews.iter_mut().zip(&slots) {
        slots.iter().for_each(|&slot| crew.kill(slot, None));
    }
    let killed_at = now();
    let before = ends(campaign)?;
    let every = (length / 20).max(Duration::from_secs(2));
    let mut asked_at = killed_at;
    while killed_at.elapsed() < length {
        campaign.step()?;
        if killed_at.elapsed() < LEASE + Duration::from_secs(1) || asked_at.elapsed() < every {
            continue;
        }
        asked_at = now();
        for crew in &campaign.crews {
            let (code, said) = crew.gate(STEADY);
            heard.asked += 1;
            if code != NO_VERDICT {
                heard.flaws.push(format!("the gate of {} says {code:?}: {said}", crew.kafka.group));
            }
            said.lines().next().unwrap_or_default().clone_into(&mut heard.last);
        }
    }
    if ends(campaign)? != before {
        heard.flaws.push("something was decided while nobody was there".to_owned());
    }
    let back_at = wall_clock();
    for (crew, slots) in campaign.crews.iter_mut().zip(&slots) {
        slots.iter().for_each(|&slot| crew.start(slot));
    }
    come_back(campaign, &mut heard)?;
    heard.recovery = campaign.views.iter().map(|view| view.newest_came() - back_at).collect();
    Ok(heard)
}

/// Waits until the steady candidate may have more traffic, so that there is something to lose.
fn await_permission(campaign: &mut Campaign, heard: &mut Heard) -> Result<()> {
    let deadline = now() + PATIENCE;
    loop {
        let answers = campaign.crews.each_ref().map(|crew| crew.gate(STEADY));
        if answers.iter().all(|(code, _)| *code == Some(0)) {
            return Ok(());
        }
        if now() > deadline {
            heard.flaws.push(format!("the steady candidate is permitted nothing: {answers:?}"));
            return Ok(());
        }
        campaign.step()?;
    }
}

/// Nobody who has come back permits anything before it has judged what is new.
fn come_back(campaign: &mut Campaign, heard: &mut Heard) -> Result<()> {
    let deadline = now() + PATIENCE;
    while !campaign.views.iter().all(|view| view.is_current()) {
        if now() > deadline {
            heard.flaws.push("judgements do not come in time again".to_owned());
            return Ok(());
        }
        campaign.step()?;
        for (crew, view) in campaign.crews.iter().zip(&campaign.views) {
            for service in crew.services() {
                let question = format!("/v1/verdict?candidate={STEADY}");
                let Ok(answer) = try_ask(service.address(), "GET", &question) else { continue };
                let word = answer.json()["verdict"].as_str().unwrap_or("none").to_owned();
                // A second for the way from the topic to here.
                let oldest = wall_clock() - PERMIT * SIZE - LATENESS - SECOND;
                if word == "PASS" && view.newest() < oldest {
                    heard.flaws.push(format!("permitted while it was behind: {}", answer.text()));
                }
                *heard.back.entry(word).or_default() += 1;
            }
        }
    }
    Ok(())
}
