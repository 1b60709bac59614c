//! haldane decides, version against version, whether a model canary in production is worse.
//!
//! Events come in as columns ([`batch`]), are counted per version, segment and pane by a scan of each source partition
//! ([`scan`]), merged into windows and compared by a judge ([`judge`], [`metric`]), and turned into decisions
//! ([`verdict`]). All of that is pure: it knows no clock, no file and no network, and [`engine::Engine`] runs it in one
//! process. ARCHITECTURE.md tells the life of one event.
//!
//! Six crates, each of which knows only those above it in this list; this one gives them one name.

#[cfg(feature = "query")]
pub use haldane_analysis::query;
pub use haldane_analysis::{audit, detect, init, report};
pub use haldane_app::{cli, demo, serve, telemetry};
pub use haldane_core::{
    act, baseline, batch, engine, error, event, format, infer, judge, kernel, metric, name, plan, reason, scan, sim,
    summary, time, trust, verdict,
};
pub use haldane_formats as decode;
pub use haldane_io::{config, disk, files, kafka, output, registry, replay, store, targets};
