//! What a thread asks of the allocator, counted, so that tests can hold it against a bound.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::panic::{set_hook, take_hook};
use std::sync::Once;

/// The system's allocator, and what each thread has had of it.
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
    static MOST: Cell<isize> = const { Cell::new(0) };
    static CALLS: Cell<u64> = const { Cell::new(0) };
    static IS_MEASURED: Cell<bool> = const { Cell::new(false) };
}

/// What a thread took meanwhile.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Taken {
    /// The most bytes at once, beyond those that it held before.
    pub(crate) bytes: usize,
    /// How often it asked.
    pub(crate) calls: u64,
}

/// Does something, and says what this thread took for it. A panic inside, which may be caught there, is told without
/// its stack: the names of functions would take more memory than all else.
pub(crate) fn measured<T>(run: impl FnOnce() -> T) -> (T, Taken) {
    static QUIET: Once = Once::new();
    QUIET.call_once(|| {
        let usual = take_hook();
        set_hook(Box::new(move |panic| if IS_MEASURED.get() { eprintln!("{panic}") } else { usual(panic) }));
    });
    IS_MEASURED.set(true);
    let (before, calls) = (HELD.get(), CALLS.get());
    MOST.set(before);
    let done = run();
    IS_MEASURED.set(false);
    (done, Taken { bytes: (MOST.get() - before) as usize, calls: CALLS.get() - calls })
}

fn take(bytes: usize) {
    HELD.set(HELD.get() + bytes as isize);
    MOST.set(MOST.get().max(HELD.get()));
    CALLS.set(CALLS.get() + 1);
}

fn give(bytes: usize) {
    HELD.set(HELD.get() - bytes as isize);
}

#[expect(unsafe_code, reason = "there is no safe way to stand between a program and its allocator")]
// SAFETY: every call is handed on as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        take(layout.size());
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        take(layout.size());
        // SAFETY: as the caller promises.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        give(layout.size());
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        take(size);
        give(layout.size());
        // SAFETY: as the caller promises.
        unsafe { System.realloc(at, layout, size) }
    }
}
