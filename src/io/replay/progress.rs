//! A progress bar on standard error; nothing at all where that is not a terminal.

use indicatif::{ProgressBar, ProgressStyle};

/// How far a replay has come.
#[derive(Debug)]
pub struct ReplayProgress {
    bar: ProgressBar,
}

impl ReplayProgress {
    /// Starts at zero of `rows`; with `quiet` nothing is drawn.
    #[must_use]
    pub fn new(rows: u64, quiet: bool) -> Self {
        let bar = if quiet { ProgressBar::hidden() } else { ProgressBar::new(rows) };
        let style = ProgressStyle::with_template("{bar:40} {human_pos} of {human_len} rows, {per_sec}, {eta} left");
        bar.set_style(style.expect("the template is well-formed"));
        Self { bar }
    }

    /// More rows were read.
    pub fn add(&self, rows: usize) {
        self.bar.inc(rows as u64);
    }

    /// Says something above the bar, also where there is none.
    pub fn say(&self, text: &str) {
        self.bar.suspend(|| eprintln!("{text}"));
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
