//! What was asked of a bench on the command line.

use std::str::FromStr;

/// Whether this is `cargo bench`; `cargo test --benches` only wants to see that the program runs.
pub(crate) fn is_measuring() -> bool {
    has("--bench")
}

/// Whether a flag was given.
pub(crate) fn has(flag: &str) -> bool {
    std::env::args().any(|argument| argument == flag)
}

/// What follows an option.
pub(crate) fn option<T: FromStr>(name: &str) -> Option<T> {
    let value = std::env::args().skip_while(|argument| argument != name).nth(1)?;
    Some(value.parse().unwrap_or_else(|_| panic!("{name} cannot be {value}")))
}
