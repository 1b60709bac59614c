//! What a thread asks of the allocator, counted, so that tests can hold it against a bound.

use std::cell::Cell;
use std::panic::{set_hook, take_hook};
use std::sync::Once;

use crate::counting::Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting { take, give };

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
