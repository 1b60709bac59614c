//! The window that is open, as it stands: what it is worth to look at it again.
//!
//! Panes that are complete are added up once, open ones where they stand, and where nothing was counted since the last
//! look there is nothing to see. What is measured of it is measured by whoever has time, on a thread of its own.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::event::Micros;
use crate::judge::history::EarlierWindows;
use crate::judge::measure::{Measure, Span};
use crate::judge::store::PaneStore;
use crate::metric::Metric;
use crate::metric::row::WindowRow;
use crate::metric::view::{self, Baselines};
use crate::plan::{Baseline, Plan};
use crate::scan::groups::Groups;
use crate::scan::{GroupKey, Open};
use crate::summary::{Sealed, Traffic};

/// The open window as it stood, with all that it takes to measure it.
#[derive(Debug)]
pub struct Look {
    pub(super) plan: Arc<Plan>,
    pub(super) metrics: Vec<&'static dyn Metric>,
    pub(super) reference: Option<Arc<BTreeMap<String, Traffic>>>,
    pub(super) before: EarlierWindows,
    pub(super) span: Span,
    pub(super) groups: Groups<Traffic>,
}

impl Look {
    /// The window's rows: provisional, never decided on. None when nothing is open.
    #[must_use]
    pub fn rows(self) -> Vec<WindowRow> {
        let Self { plan, metrics, reference, before, span, groups } = self;
        let views = view::roll_up(&plan, &groups);
        let earlier = |baseline: &Baseline| before.get(&plan, baseline);
        let baselines = Baselines { reference: reference.as_deref(), earlier: &earlier };
        Measure { plan: &plan, metrics: &metrics, span, revision: 0 }.traffic(&views, &baselines)
    }
}

/// The last look.
#[derive(Debug, Default)]
pub(crate) struct Early {
    seen: Option<LookBasis>,
    /// What the complete panes of the window add up to, by group.
    complete: Vec<(GroupKey, Sealed<Traffic>)>,
}

/// What a look rested on.
#[derive(Debug, PartialEq)]
struct LookBasis {
    span: Span,
    /// State of the store.
    complete: u64,
    /// By lane, source and pane: how often it was counted into.
    open: Vec<(u32, u16, Micros, u64)>,
}

impl Early {
    /// What the window is made of, unless that is what it was at the last look.
    pub(crate) fn groups(
        &mut self,
        plan: &Plan,
        store: &PaneStore,
        span: Span,
        open: &[Open<'_>],
    ) -> Option<Groups<Traffic>> {
        let open = || open.iter().filter(|open| open.pane >= span.start);
        let mut stands: Vec<_> = open().map(|open| (open.lane, open.source, open.pane, open.changes)).collect();
        stands.dedup();
        let now = LookBasis { span, complete: store.changes(), open: stands };
        if self.seen.as_ref() == Some(&now) {
            return None;
        }
        if self.seen.as_ref().is_none_or(|seen| (seen.span, seen.complete) != (now.span, now.complete)) {
            let groups = store.traffic(plan, span.start, span.end);
            self.complete = groups.iter().map(|(key, traffic)| (key.clone(), Sealed::new(traffic))).collect();
        }
        self.seen = Some(now);
        let mut groups: Groups<Traffic> = Groups::new();
        for (key, sealed) in &self.complete {
            let slot = groups.slot(key, plan);
            sealed.add_to(groups.cell(slot));
        }
        for open in open() {
            let slot = groups.slot(open.group, plan);
            open.traffic.add_to(groups.cell(slot));
        }
        Some(groups)
    }

    /// Nothing is open: whether that is new.
    pub(crate) fn nothing(&mut self) -> bool {
        self.complete = Vec::new();
        self.seen.take().is_some()
    }

    /// How many bytes are kept, about.
    pub(crate) fn bytes(&self) -> usize {
        self.complete.iter().map(|(key, sealed)| key.bytes() + sealed.bytes()).sum()
    }
}
