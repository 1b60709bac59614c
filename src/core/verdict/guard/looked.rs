//! Shares that are looked up: between which times a share is known to have stood.
//!
//! A look shows what stands when it is made. A change came some time between the look before and the one that shows it,
//! and routers follow later still. So a share stands from the second look in a row that shows it to the last one, and
//! only if no two of them are so far apart that a change and its undoing may lie in between. A window counts once looks
//! show that one share stood in all of it; those that end after the last look known wait for the next, and are dropped
//! where it shows another share, or does not come.
//!
//! **State**: a few counts: windows that are shorter than looks are far apart wait, and count, as one.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::event::Micros;
use crate::infer::two_sample::Arm;
use crate::scan::frame::DeclaredShare;
use crate::verdict::judged::ShareLooks;

/// Looks that agree, and windows that wait for more of them.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct LookedShares {
    agreeing: Option<AgreeingLooks>,
    waiting: VecDeque<UnsureWindow>,
}

/// Looks in a row that show one share.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct AgreeingLooks {
    share: f64,
    /// The second of them, if there is one.
    from: Option<Micros>,
    /// The last of them.
    upto: Micros,
}

/// Requests of windows of which it is not known yet which share they should have.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct UnsureWindow {
    pub(crate) start: Micros,
    pub(crate) end: Micros,
    /// Requests of all versions, and the candidate's.
    pub(crate) arm: Arm,
}

impl LookedShares {
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Lets a window wait; with those before it, while they are no longer together than two looks are apart.
    pub(crate) fn wait(&mut self, window: UnsureWindow, holds: Micros) {
        match self.waiting.back_mut().filter(|last| window.end - last.start <= holds / 2) {
            Some(last) => (last.end, last.arm) = (window.end, last.arm.plus(window.arm)),
            None => self.waiting.push_back(window),
        }
    }

    /// What is known now, with the share that stood.
    pub(crate) fn take(&mut self, looks: &ShareLooks) -> Vec<(UnsureWindow, f64)> {
        let mut known = Vec::new();
        let last = self.agreeing.map_or(Micros::MIN, |agreeing| agreeing.upto);
        for look in looks.seen.iter().filter(|look| look.at > last) {
            self.see(look, looks.holds);
            known.extend(self.known());
        }
        self.agreeing = self.agreeing.filter(|agreeing| looks.until - agreeing.upto <= looks.holds);
        let from = self.agreeing.and_then(|agreeing| agreeing.from).unwrap_or(looks.until);
        self.waiting.retain(|window| window.start >= from);
        known
    }

    fn see(&mut self, look: &DeclaredShare, holds: Micros) {
        let agreeing =
            self.agreeing.filter(|known| known.share.total_cmp(&look.share).is_eq() && look.at - known.upto <= holds);
        let from = agreeing.map(|known| known.from.unwrap_or(look.at));
        self.agreeing = Some(AgreeingLooks { share: look.share, from, upto: look.at });
    }

    /// Windows in all of which the share stood that looks agree on.
    fn known(&mut self) -> Vec<(UnsureWindow, f64)> {
        let Some(AgreeingLooks { share, from: Some(from), upto }) = self.agreeing else { return Vec::new() };
        let stood = |window: &UnsureWindow| from <= window.start && window.end <= upto;
        let (known, waiting): (Vec<UnsureWindow>, Vec<UnsureWindow>) = self.waiting.drain(..).partition(stood);
        self.waiting = waiting.into();
        known.into_iter().map(|window| (window, share)).collect()
    }
}
