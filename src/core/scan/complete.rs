//! What a step of a scan has completed, on its way to the judge.
//!
//! A partial has a place for every bin, and what it is made of takes as much room as what is in it. At the end of a log
//! the labels of all panes of the horizon are complete at once. So partials are made one at a time, as they are taken.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::event::Micros;
use crate::plan::Plan;
use crate::scan::frame::{Body, DeclaredShare, GroupKey, Inputs, Partial};
use crate::scan::intake::Intake;
use crate::scan::labelled::LabelledRows;
use crate::scan::open::OpenTraffic;
use crate::summary::{PairLosses, Pairs};

/// Partials that are complete, in their order; each is made when it is taken.
#[derive(Debug)]
pub struct Complete {
    plan: Arc<Plan>,
    parts: VecDeque<PartialPart>,
}

/// What a partial is made of.
#[derive(Debug)]
pub(crate) struct PartialPart {
    pub(crate) lane: u32,
    pub(crate) source: u16,
    pub(crate) pane: Micros,
    pub(crate) group: Arc<GroupKey>,
    pub(crate) upto: i64,
    pub(crate) inputs: Inputs,
    pub(crate) content: PaneContent,
}

/// What was counted, as it was kept until now.
#[derive(Debug)]
pub(crate) enum PaneContent {
    Traffic(Box<OpenTraffic>),
    InTime(LabelledRows),
    Late(LabelledRows),
    Corrected(LabelledRows),
    Exposure(DeclaredShare),
    Intake(Intake),
    Pairs(Pairs),
    PairsInTime(PairLosses),
    PairsLate(PairLosses),
}

impl Complete {
    /// So many parts, in their order.
    pub(crate) fn new(plan: &Arc<Plan>, parts: VecDeque<PartialPart>) -> Self {
        Self { plan: Arc::clone(plan), parts }
    }

    /// Whether nothing is complete.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Adds what a later step has completed.
    pub fn append(&mut self, mut later: Self) {
        self.parts.append(&mut later.parts);
    }

    /// How many bytes it takes, about.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.parts.iter().map(|part| size_of::<PartialPart>() + part.content.bytes()).sum()
    }
}

impl Iterator for Complete {
    type Item = Partial;

    fn next(&mut self) -> Option<Partial> {
        let PartialPart { lane, source, pane, group, upto, inputs, content } = self.parts.pop_front()?;
        let (group, body) = (Arc::unwrap_or_clone(group), content.into_body(&self.plan));
        Some(Partial { lane, source, pane, group, upto, body, inputs })
    }
}

impl PaneContent {
    fn into_body(self, plan: &Plan) -> Body {
        let open = |gathered: &LabelledRows| gathered.open(plan.quality.as_ref().expect("labels imply a quality plan"));
        match self {
            Self::Traffic(traffic) => Body::Traffic(traffic.close()),
            Self::InTime(gathered) => Body::QualityInTime(open(&gathered)),
            Self::Late(gathered) => Body::QualityLate(open(&gathered)),
            Self::Corrected(gathered) => Body::QualityCorrected(open(&gathered)),
            Self::Exposure(share) => Body::Exposure(share),
            Self::Intake(intake) => Body::Intake(intake),
            Self::Pairs(pairs) => Body::Pairs(pairs),
            Self::PairsInTime(losses) => Body::PairsInTime(losses),
            Self::PairsLate(losses) => Body::PairsLate(losses),
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Traffic(traffic) => traffic.bytes(),
            Self::InTime(gathered) | Self::Late(gathered) | Self::Corrected(gathered) => gathered.bytes(),
            Self::PairsInTime(losses) | Self::PairsLate(losses) => losses.bytes(),
            Self::Exposure(_) | Self::Intake(_) | Self::Pairs(_) => 0,
        }
    }
}
