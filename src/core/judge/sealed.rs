//! Partials as they are kept: as small as what is in them.

use std::sync::Arc;

use crate::event::Micros;
use crate::plan::Plan;
use crate::scan::frame::DeclaredShare;
use crate::scan::groups::Cell;
use crate::scan::{Body, GroupKey, Inputs, Intake, Partial};
use crate::summary::{PairLosses, Pairs, Quality, Seal, Sealed, Spill, Traffic};

/// What a partial has counted.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum SealedContent {
    Traffic(Sealed<Traffic>),
    InTime(Sealed<Quality>),
    Late(Sealed<Quality>),
    Corrected(Sealed<Quality>),
    Exposure(DeclaredShare, Inputs),
    Intake(Intake),
    Pairs(Box<Pairs>),
    PairsInTime(PairLosses),
    PairsLate(PairLosses),
}

impl SealedContent {
    pub(crate) fn new(body: &Body, inputs: Inputs) -> Self {
        match body {
            Body::Traffic(traffic) => Self::Traffic(Sealed::new(traffic)),
            Body::QualityInTime(quality) => Self::InTime(Sealed::new(quality)),
            Body::QualityLate(quality) => Self::Late(Sealed::new(quality)),
            Body::QualityCorrected(quality) => Self::Corrected(Sealed::new(quality)),
            Body::Exposure(share) => Self::Exposure(*share, inputs),
            Body::Intake(intake) => Self::Intake(*intake),
            Body::Pairs(pairs) => Self::Pairs(Box::new(*pairs)),
            Body::PairsInTime(losses) => Self::PairsInTime(losses.clone()),
            Body::PairsLate(losses) => Self::PairsLate(losses.clone()),
        }
    }

    fn open(&self, plan: &Plan) -> Body {
        match self {
            Self::Traffic(sealed) => Body::Traffic(opened(plan, sealed)),
            Self::InTime(sealed) => Body::QualityInTime(opened(plan, sealed)),
            Self::Late(sealed) => Body::QualityLate(opened(plan, sealed)),
            Self::Corrected(sealed) => Body::QualityCorrected(opened(plan, sealed)),
            Self::Exposure(share, _) => Body::Exposure(*share),
            Self::Intake(intake) => Body::Intake(*intake),
            Self::Pairs(pairs) => Body::Pairs(**pairs),
            Self::PairsInTime(losses) => Body::PairsInTime(losses.clone()),
            Self::PairsLate(losses) => Body::PairsLate(losses.clone()),
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Traffic(sealed) => sealed.bytes(),
            Self::InTime(sealed) | Self::Late(sealed) | Self::Corrected(sealed) => sealed.bytes(),
            Self::Pairs(_) => size_of::<Pairs>(),
            Self::PairsInTime(losses) | Self::PairsLate(losses) => losses.bytes(),
            Self::Exposure(..) | Self::Intake(_) => 0,
        }
    }

    pub(crate) fn put_away(&mut self, spill: &Arc<dyn Spill>) -> usize {
        match self {
            Self::Traffic(sealed) => sealed.put_away(spill),
            Self::InTime(sealed) | Self::Late(sealed) | Self::Corrected(sealed) => sealed.put_away(spill),
            Self::Exposure(..) | Self::Intake(_) | Self::Pairs(_) | Self::PairsInTime(_) | Self::PairsLate(_) => 0,
        }
    }
}

fn opened<T: Cell + Seal>(plan: &Plan, sealed: &Sealed<T>) -> T {
    let mut open = T::new(plan);
    sealed.add_to(&mut open);
    open
}

/// A partial on its way to whoever keeps panes: many may wait there at once.
#[derive(Debug, Clone)]
pub struct SealedPartial {
    /// Source partition.
    pub lane: u32,
    /// Index of the source in the plan.
    pub source: u16,
    /// Start of the pane.
    pub pane: Micros,
    /// What was counted.
    pub group: GroupKey,
    /// Which part of the pane it is; see [`Body::part`].
    pub part: u8,
    upto: i64,
    inputs: Inputs,
    counted: SealedContent,
}

impl SealedPartial {
    /// Seals a partial.
    #[must_use]
    pub fn new(partial: &Partial) -> Self {
        let Partial { lane, source, pane, ref group, upto, ref body, inputs } = *partial;
        let (group, part, counted) = (group.clone(), body.part(), SealedContent::new(body, inputs));
        Self { lane, source, pane, group, part, upto, inputs, counted }
    }

    /// How many bytes it takes, about.
    #[must_use]
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.group.bytes() + self.counted.bytes()
    }

    /// What it was made of, to the last bit, given the same plan.
    #[must_use]
    pub fn open(&self, plan: &Plan) -> Partial {
        let Self { lane, source, pane, ref group, upto, inputs, ref counted, .. } = *self;
        Partial { lane, source, pane, group: group.clone(), upto, body: counted.open(plan), inputs }
    }
}
