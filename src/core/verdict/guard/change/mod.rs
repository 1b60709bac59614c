//! Whether anything has changed between two versions: a family of sensors, one alarm.
//!
//! `sensor` says what is looked at; `reading`, `moved` and `labels` how a window is read; `detector` gathers the
//! evidence of all sensors; `naming` says what it calls for, and which sensors stand out.

pub(crate) mod detector;
pub(crate) mod labels;
pub(crate) mod moved;
mod naming;
pub(crate) mod reading;
pub(crate) mod sensor;
