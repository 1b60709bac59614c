//! What is asked of the allocator, counted: what the engine tells of itself is held against it.

use std::sync::atomic::{AtomicUsize, Ordering};

static HELD: AtomicUsize = AtomicUsize::new(0);

/// How many bytes are in use.
pub(crate) fn held() -> usize {
    HELD.load(Ordering::Relaxed)
}

/// So many bytes were handed out.
pub(crate) fn take(bytes: usize) {
    HELD.fetch_add(bytes, Ordering::Relaxed);
}

/// So many bytes were given back.
pub(crate) fn give(bytes: usize) {
    HELD.fetch_sub(bytes, Ordering::Relaxed);
}
