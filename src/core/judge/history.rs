//! Windows that were judged: how often, how many events of each view they had, and what later windows are compared
//! with.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::event::Micros;
use crate::judge::measure::Span;
use crate::judge::thirds::ScoreThirds;
use crate::metric::row::ALL_VERSIONS;
use crate::metric::view::{ViewKey, Views};
use crate::plan::{Baseline, Plan, WindowKind};
use crate::scan::groups::Cell;
use crate::summary::{Sealed, Spill, Traffic};
use crate::trust::WindowTrust;

/// Events of one view.
#[derive(Debug, Clone, Copy)]
struct Events {
    scored: u64,
    requests: u64,
}

/// A window that was judged and is not forgotten yet.
#[derive(Debug, Default)]
pub(crate) struct Done {
    pub(crate) traffic_revisions: u32,
    pub(crate) quality_revisions: u32,
    /// Whether something has come since its labels were judged that they are to be judged again for.
    pub(crate) is_owed_quality: bool,
    /// How far its traffic is trusted.
    pub(crate) trust: WindowTrust,
    events: Vec<(Arc<ViewKey>, Events)>,
    /// The newest part of its predictions by score.
    pub(crate) thirds: Vec<(Arc<ViewKey>, ScoreThirds)>,
    /// Kept only when some baseline looks back.
    views: SealedViews,
}

/// Views of a window, sealed; whoever compares with them keeps them as well.
type SealedViews = Arc<Vec<(Arc<ViewKey>, Sealed<Traffic>)>>;

impl Done {
    /// How many predictions of each view could have a label.
    pub(crate) fn scored(&self) -> impl Iterator<Item = (&ViewKey, u64)> {
        self.events.iter().map(|(key, events)| (&**key, events.scored))
    }

    /// Share of a model's predictions that a version answered, percent.
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
    pub(crate) fn share_pct(&self, model: &str, version: &str) -> f64 {
        let requests = |version: &str| {
            let key = ViewKey { model: model.to_owned(), version: version.to_owned(), segment: String::new() };
            let found = self.events.binary_search_by(|(known, _)| (**known).cmp(&key));
            found.map_or(0, |at| self.events[at].1.requests) as f64
        };
        requests(version) / requests(ALL_VERSIONS).max(1.0) * 100.0
    }

    fn bytes(&self) -> usize {
        let views = self.views.iter().map(|(_, sealed)| sealed.bytes()).sum::<usize>();
        let counts = size_of_val(&*self.events) + size_of_val(&*self.thirds);
        size_of::<(Span, Self)>() + counts + size_of_val(&**self.views) + views
    }
}

/// The windows that are not forgotten yet.
#[derive(Debug, Default)]
pub(crate) struct WindowHistory {
    windows: BTreeMap<Span, Done>,
    /// Keys of their views, each once.
    keys: BTreeSet<Arc<ViewKey>>,
}

impl WindowHistory {
    /// What is known of a window.
    pub(crate) fn get(&self, span: Span) -> Option<&Done> {
        self.windows.get(&span)
    }

    /// The same, to be changed.
    pub(crate) fn get_mut(&mut self, span: Span) -> Option<&mut Done> {
        self.windows.get_mut(&span)
    }

    /// Windows that hold a pane; none of them starts before `from`.
    pub(crate) fn with(&self, pane: Micros, from: Micros) -> impl Iterator<Item = (&Span, &Done)> {
        let first = Span { start: from, end: Micros::MIN };
        let last = Span { start: pane, end: Micros::MAX };
        self.windows.range(first..=last).filter(move |(span, _)| pane < span.end)
    }

    /// Notes that a window's traffic was judged.
    pub(crate) fn judged(&mut self, plan: &Plan, span: Span, trust: WindowTrust, views: &Views<Traffic>) {
        let looks_back = plan.furthest_back().is_some();
        let keys: Vec<Arc<ViewKey>> = views.keys().map(|key| self.interned(key)).collect();
        let of = |traffic: &Traffic| Events { scored: traffic.rates.scored, requests: traffic.served() };
        let done = self.windows.entry(span).or_default();
        done.traffic_revisions += 1;
        done.trust = trust;
        done.events = keys.iter().cloned().zip(views.values().map(of)).collect();
        if looks_back {
            done.views = Arc::new(keys.into_iter().zip(views.values().map(Sealed::new)).collect());
        }
    }

    /// Notes the newest part of a judged window's predictions by score.
    pub(crate) fn split(&mut self, span: Span, thirds: Vec<(ViewKey, ScoreThirds)>) {
        let thirds = thirds.into_iter().map(|(key, thirds)| (self.interned(&key), thirds)).collect();
        if let Some(done) = self.windows.get_mut(&span) {
            done.thirds = thirds;
        }
    }

    fn interned(&mut self, key: &ViewKey) -> Arc<ViewKey> {
        if let Some(known) = self.keys.get(key) {
            return Arc::clone(known);
        }
        let key = Arc::new(key.clone());
        self.keys.insert(Arc::clone(&key));
        key
    }

    /// What a window's baselines that look back mean.
    pub(crate) fn before(&self, plan: &Plan, span: Span) -> EarlierWindows {
        let of = |baseline: &Baseline| {
            let back = plan.back(baseline)?;
            let WindowKind::Sliding { size, slide } = plan.time.window else { return None };
            let (start, end) = plan.time.window_before(span.end, size, slide, back);
            let done = self.windows.get(&Span { start, end })?;
            Some(Earlier { baseline: baseline.clone(), views: Arc::clone(&done.views), opened: OnceCell::new() })
        };
        EarlierWindows(plan.baselines.iter().filter_map(of).collect())
    }

    /// Forgets windows that ended by one time, and what is compared with those that began before another.
    pub(crate) fn release(&mut self, done_before: Micros, views_before: Micros) {
        self.windows.retain(|span, _| span.end > done_before);
        for (_, done) in self.windows.range_mut(..Span { start: views_before, end: Micros::MIN }) {
            done.views = SealedViews::default();
        }
        self.keys.retain(|key| Arc::strong_count(key) > 1);
    }

    /// Moves windows that later ones are compared with to disk, as
    /// [`Store::put_away`](crate::judge::store::Store::put_away) does panes.
    pub(crate) fn put_away(&mut self, spill: &Arc<dyn Spill>, wanted: usize) -> usize {
        let mut gained = 0;
        // Views that a comparison under way uses as well are left where they are.
        for (_, sealed) in self.windows.values_mut().filter_map(|done| Arc::get_mut(&mut done.views)).flatten() {
            if gained >= wanted {
                break;
            }
            gained += sealed.put_away(spill);
        }
        gained
    }

    /// How many bytes are kept, about.
    pub(crate) fn bytes(&self) -> usize {
        self.windows.values().map(Done::bytes).sum::<usize>() + self.keys.iter().map(|key| key.bytes()).sum::<usize>()
    }
}

/// Earlier windows that a window is compared with, each opened at its first use.
#[derive(Debug)]
pub(crate) struct EarlierWindows(Vec<Earlier>);

#[derive(Debug)]
struct Earlier {
    baseline: Baseline,
    views: SealedViews,
    opened: OnceCell<Views<Traffic>>,
}

impl EarlierWindows {
    /// The window that a baseline means, when it is still known.
    pub(crate) fn get(&self, plan: &Plan, baseline: &Baseline) -> Option<&Views<Traffic>> {
        let earlier = self.0.iter().find(|earlier| earlier.baseline == *baseline)?;
        Some(earlier.opened.get_or_init(|| {
            let open = |(key, sealed): &(Arc<ViewKey>, Sealed<Traffic>)| {
                let mut traffic = <Traffic as Cell>::new(plan);
                sealed.add_to(&mut traffic);
                (ViewKey::clone(key), traffic)
            };
            earlier.views.iter().map(open).collect()
        }))
    }
}
