//! The memory of the process is nobody else's: it holds passwords and what tokens were made into.

/// Leaves memory out of core dumps, and keeps other processes of the same user from reading it.
pub fn keep_memory_private() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, setrlimit};

        let none = Rlimit { current: Some(0), maximum: Some(0) };
        if let Err(error) = setrlimit(Resource::Core, none) {
            tracing::warn!(%error, "core dumps cannot be switched off: they would hold passwords");
        }
    }
    // A limit does not bind a program that the kernel hands dumps to; this does.
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{DumpableBehavior, set_dumpable_behavior};

        if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
            tracing::warn!(%error, "memory can be read by other processes of this user");
        }
    }
}
