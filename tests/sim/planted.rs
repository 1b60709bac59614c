//! Bugs on purpose: each a decorator around one of the service's ports, so that nothing of it is in the service. The
//! checker must find every one of them.

use haldane::kafka::ports::Cluster;

/// A bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bug {
    /// The store acknowledges what it loses.
    FlushLost,
}

impl Bug {
    /// The way to the brokers, with the bug around it.
    pub(crate) fn around(_bug: Option<Self>, way: Box<dyn Cluster>) -> Box<dyn Cluster> {
        way
    }
}
