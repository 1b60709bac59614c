//! Guardrails: what a candidate must not be worse at than its margin, all of them under one error budget.
//!
//! `rail` says what a guardrail counts; `record` gathers the evidence of one, deflated by what `entities` and `noise`
//! know; `watch` keeps all of them, over all traffic and in segments; `last_look` is the one test at the end; `ruling`
//! says what it all calls for.

pub(crate) mod entities;
pub(crate) mod last_look;
pub(crate) mod noise;
pub(crate) mod rail;
pub(crate) mod record;
mod ruling;
pub(crate) mod watch;
