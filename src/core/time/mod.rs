//! Event time: pane arithmetic and the clock of one stream. Readable alone; no other module does arithmetic on times.

pub mod clock;
pub mod pane;
mod producers;

pub use clock::Clock;
