//! The system's allocator, and whoever wants to know what is asked of it.

use std::alloc::{GlobalAlloc, Layout, System};

/// Calls these with the bytes that are taken and given back. They must not allocate.
pub(crate) struct Counting {
    pub(crate) take: fn(usize),
    pub(crate) give: fn(usize),
}

#[expect(unsafe_code, reason = "there is no safe way to stand between a program and its allocator")]
// SAFETY: every call is handed on as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        (self.take)(layout.size());
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        (self.take)(layout.size());
        // SAFETY: as the caller promises.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        (self.give)(layout.size());
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        (self.take)(size);
        (self.give)(layout.size());
        // SAFETY: as the caller promises.
        unsafe { System.realloc(at, layout, size) }
    }
}
