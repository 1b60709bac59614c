//! The window that is open, as it stands: what it is worth to look at it again.
//!
//! Panes that are complete are added up once, open ones where they stand and some groups at a time, so that nobody is
//! kept from counting for long; where nothing was counted since the last look there is nothing to see. What is measured
//! of it is measured by whoever has time, on a thread of its own.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::event::Micros;
use crate::judge::history::EarlierWindows;
use crate::judge::measure::{Span, WindowMeasurement};
use crate::judge::store::PaneStore;
use crate::metric::Metric;
use crate::metric::row::WindowRow;
use crate::metric::view::{self, Baselines};
use crate::plan::{Baseline, Plan};
use crate::scan::groups::Groups;
use crate::scan::{GroupKey, Open};
use crate::summary::{Sealed, Traffic};
use crate::trust::WindowTrust;

/// The open window as it stood, with all that it takes to measure it.
#[derive(Debug)]
pub struct OpenWindow {
    pub(super) plan: Arc<Plan>,
    pub(super) metrics: Vec<&'static dyn Metric>,
    pub(super) reference: Option<Arc<BTreeMap<String, Traffic>>>,
    pub(super) before: EarlierWindows,
    pub(super) span: Span,
    pub(super) sums: WindowSums,
}

/// What a window is made of.
#[derive(Debug)]
pub(crate) struct WindowSums {
    /// What its complete panes add up to.
    complete: Arc<CompletePanes>,
    /// What its open ones do.
    open: Groups<Traffic>,
}

impl WindowSums {
    pub(crate) fn nothing() -> Self {
        Self { complete: Arc::default(), open: Groups::new() }
    }
}

/// Complete panes of a window, added up by group.
type CompletePanes = Vec<(GroupKey, Sealed<Traffic>)>;

/// What has come of a step of a look.
#[derive(Debug)]
pub enum LookStep<T = OpenWindow> {
    /// Nothing was counted since the last look.
    Unchanged,
    /// There is more to add up.
    Unfinished,
    /// All is added up.
    Done(Box<T>),
}

impl<T> LookStep<T> {
    /// The look, if all is added up.
    #[must_use]
    pub fn look(self) -> Option<T> {
        if let Self::Done(look) = self { Some(*look) } else { None }
    }

    /// Makes something else of it.
    pub(crate) fn map<U>(self, of: impl FnOnce(T) -> U) -> LookStep<U> {
        match self {
            Self::Unchanged => LookStep::Unchanged,
            Self::Unfinished => LookStep::Unfinished,
            Self::Done(look) => LookStep::Done(Box::new(of(*look))),
        }
    }
}

impl OpenWindow {
    /// The window's rows: provisional, never decided on. None when nothing is open.
    #[must_use]
    pub fn rows(self) -> Vec<WindowRow> {
        let Self { plan, metrics, reference, before, span, sums: WindowSums { complete, open: mut groups } } = self;
        for (key, sealed) in complete.iter() {
            let slot = groups.slot(key, &plan);
            sealed.add_to(groups.cell(slot));
        }
        let views = view::roll_up(&plan, &groups);
        let earlier = |baseline: &Baseline| before.get(&plan, baseline);
        let baselines = Baselines { reference: reference.as_deref(), earlier: &earlier };
        // An open window's records are not all there to be told of.
        let trust = WindowTrust::default();
        WindowMeasurement { plan: &plan, metrics: &metrics, span, revision: 0, trust: &trust }
            .traffic(&views, &baselines)
    }
}

/// The last look, and the one that is being taken.
#[derive(Debug, Default)]
pub(crate) struct Early {
    seen: Option<LookBasis>,
    /// What the complete panes of the window add up to, and of which state of the store.
    complete: Arc<CompletePanes>,
    complete_of: Option<(Span, u64)>,
    adding: Option<Adding>,
}

/// A look that is being taken.
#[derive(Debug)]
struct Adding {
    basis: LookBasis,
    /// The group of an open pane that was added last.
    last: Option<OpenPlace>,
    open: Groups<Traffic>,
}

/// Lane, source, pane and group, in the order in which open panes are looked at.
type OpenPlace = (u32, u16, Micros, GroupKey);

/// What a look rests on.
#[derive(Debug, PartialEq)]
struct LookBasis {
    span: Span,
    /// State of the store.
    complete: u64,
    open: Vec<OpenPane>,
}

/// An open pane.
#[derive(Debug, Clone, Copy, PartialEq)]
struct OpenPane {
    place: (u32, u16, Micros),
    /// How many of its groups were folded into others.
    folded: usize,
    /// How often it was counted into.
    changes: u64,
}

impl LookBasis {
    fn of<'a>(span: Span, complete: u64, open: impl Iterator<Item = &'a Open<'a>>) -> Self {
        let pane = |open: &Open<'_>| OpenPane {
            place: (open.lane, open.source, open.pane),
            folded: open.folded,
            changes: open.changes,
        };
        let mut open: Vec<OpenPane> = open.map(pane).collect();
        open.dedup();
        Self { span, complete, open }
    }

    /// Whether what was added up of the one is a part of the other: the same panes, of the same groups.
    fn goes_on_as(&self, now: &Self) -> bool {
        let panes = |basis: &Self| basis.open.iter().map(|pane| (pane.place, pane.folded)).collect::<Vec<_>>();
        (self.span, self.complete) == (now.span, now.complete) && panes(self) == panes(now)
    }
}

impl Early {
    /// Adds up so many more groups of open panes, or begins with that: what the window is made of, once all are, unless
    /// that is what it was at the last look.
    pub(crate) fn step(
        &mut self,
        plan: &Plan,
        store: &PaneStore,
        span: Span,
        open: &[Open<'_>],
        groups: usize,
    ) -> LookStep<WindowSums> {
        let open = || open.iter().filter(|open| open.pane >= span.start);
        let basis = LookBasis::of(span, store.changes(), open());
        if self.adding.as_ref().is_none_or(|adding| !adding.basis.goes_on_as(&basis)) {
            if self.seen.as_ref() == Some(&basis) {
                return LookStep::Unchanged;
            }
            self.add_up_complete(plan, store, span);
            self.adding = Some(Adding { basis, last: None, open: Groups::new() });
        }
        let Some(adding) = &mut self.adding else { return LookStep::Unchanged };
        let is_left = |open: &&Open<'_>| {
            let last = adding.last.as_ref().map(|(lane, source, pane, group)| (*lane, *source, *pane, group));
            last.is_none_or(|last| last < (open.lane, open.source, open.pane, open.group))
        };
        let mut left = open().filter(is_left);
        let mut last = None;
        for open in left.by_ref().take(groups) {
            let slot = adding.open.slot(open.group, plan);
            open.traffic.add_to(adding.open.cell(slot));
            last = Some(open);
        }
        if left.next().is_some() {
            let place = |open: &Open<'_>| (open.lane, open.source, open.pane, open.group.clone());
            adding.last = last.map(place).or(adding.last.take());
            return LookStep::Unfinished;
        }
        let Some(Adding { basis, open, .. }) = self.adding.take() else { return LookStep::Unchanged };
        self.seen = Some(basis);
        LookStep::Done(Box::new(WindowSums { complete: Arc::clone(&self.complete), open }))
    }

    /// Adds up the complete panes of a window, unless that was done.
    fn add_up_complete(&mut self, plan: &Plan, store: &PaneStore, span: Span) {
        let of = Some((span, store.changes()));
        if self.complete_of != of {
            let groups = store.traffic(plan, span.start, span.end);
            self.complete = Arc::new(groups.iter().map(|(key, traffic)| (key.clone(), Sealed::new(traffic))).collect());
            self.complete_of = of;
        }
    }

    /// Nothing is open: whether that is new.
    pub(crate) fn nothing(&mut self) -> bool {
        std::mem::take(self).seen.is_some()
    }

    /// How many bytes are kept, about.
    pub(crate) fn bytes(&self) -> usize {
        self.complete.iter().map(|(key, sealed)| key.bytes() + sealed.bytes()).sum()
    }
}
