//! Integration tests, one binary: one module per file.

#[cfg(feature = "kafka")]
mod broker;
#[cfg(feature = "kafka")]
mod kafka;
