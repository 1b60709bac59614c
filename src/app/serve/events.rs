//! `GET /v1/events`: server-sent events, for pages that want to stay as fresh as the engine.
//!
//! `beat` says that the server is there, `change` that windows, rollouts or decisions are new, `health` that lag and
//! counts are, and `decision` tells one. Nothing is repeated after a break: a reader that comes back reads its page
//! again.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::stream::{self, Stream, StreamExt as _};
use serde_json::json;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::watch::Receiver;

use super::Shared;
use super::news::{Beat, READERS_MAX};
use super::problem::ErrorResponse;
use super::ui;
use crate::verdict::Decision;

/// The shortest time between two lots of events: a person sees no more.
const CALM: Duration = Duration::from_millis(250);

/// When there is nothing new for so long, a reader is told that the server is there: pages take silence for its end.
const BEAT: Duration = Duration::from_secs(5);

/// Decisions that are told one by one at a time; of more, the newest.
const TOLD_MAX: usize = 10;

/// One reader.
struct Subscriber {
    shared: Arc<Shared>,
    /// Held for as long as the reader listens.
    _seat: OwnedSemaphorePermit,
    beats: Receiver<Beat>,
    seen: Beat,
    /// Decisions since the start of the process that it knows of.
    decisions: u64,
}

pub(super) async fn events(
    State(shared): State<Arc<Shared>>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, ErrorResponse> {
    let Some((seat, beats)) = shared.news.subscribe() else {
        let error = format!("{READERS_MAX} readers are listening already");
        return Err(ErrorResponse::new(
            StatusCode::SERVICE_UNAVAILABLE,
            error,
            "close a page, or read again from time to time",
        ));
    };
    let (seen, decisions) = (*beats.borrow(), shared.read().decisions_total());
    let reader = Subscriber { shared, _seat: seat, beats, seen, decisions };
    let lots = stream::unfold(reader, |mut reader| async move {
        let lot = reader.next().await?;
        Some((stream::iter(lot.into_iter().map(Ok)), reader))
    });
    Ok(Sse::new(lots.flatten()).keep_alive(KeepAlive::new().interval(BEAT).event(Event::default().event("beat"))))
}

impl Subscriber {
    /// What is new, as soon as something is; `None` when the process ends or tokens were read again.
    async fn next(&mut self) -> Option<Vec<Event>> {
        tokio::time::sleep(CALM).await;
        let beat = *self.beats.wait_for(|beat| *beat != self.seen).await.ok()?;
        if beat.stopped || beat.logins != self.seen.logins {
            return None;
        }
        let mut events = self.decided();
        if beat.changes != self.seen.changes {
            events.push(Event::default().event("change").data(beat.changes.to_string()));
        }
        if beat.standings != self.seen.standings {
            events.push(Event::default().event("health").data(beat.standings.to_string()));
        }
        self.seen = beat;
        Some(events)
    }

    /// Decisions since the last look, in their order.
    fn decided(&mut self) -> Vec<Event> {
        let view = self.shared.read();
        let total = view.decisions_total();
        let count = usize::try_from(total - self.decisions).unwrap_or(TOLD_MAX).min(TOLD_MAX);
        self.decisions = total;
        let told = |decision: &Decision| json!({ "id": decision.id, "text": ui::sentence(decision) }).to_string();
        let mut events: Vec<Event> = view
            .decisions()
            .take(count)
            .map(|decision| Event::default().event("decision").data(told(decision)))
            .collect();
        events.reverse();
        events
    }
}
