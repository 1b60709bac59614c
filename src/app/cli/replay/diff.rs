//! `haldane replay --diff`: one log under two pipelines.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use super::{ReplayArgs, ReplayFiles};
use crate::cli::losses::{gate, warn};
use crate::cli::print;
use crate::config;
use crate::engine::Engine;
use crate::error::{Error, Fault, Result};
use crate::output::{DecisionTimeline, Diff, Losses, PredictionCounts};
use crate::plan::Plan;
use crate::replay::{Replay, ReplayProgress, ReplayStep};

/// Reads the files once for each pipeline, since each may read other columns and cut time in its own way.
pub(super) fn run(args: &ReplayArgs, given: &ReplayFiles, other: &Path, out: &mut dyn Write) -> Result<()> {
    let pipelines = [config::load(&args.config)?, config::load(other)?];
    let plans = pipelines.each_ref().map(|pipeline| Arc::clone(&pipeline.plan));
    let paths = [args.config.as_path(), other];
    // Both are opened before either is read, so that files which do not fit are told at once.
    let open = |side: usize| given.open(&pipelines[side], args).map_err(|error| unfit(&error, paths[side]));
    let files = [open(0)?, open(1)?];
    let progress = ReplayProgress::new(files.iter().map(Replay::rows).sum(), args.quiet);
    let (mut courses, mut tally) =
        ([DecisionTimeline::default(), DecisionTimeline::default()], PredictionCounts::default());
    let mut losses = [Losses::default(), Losses::default()];
    for (side, files) in files.into_iter().enumerate() {
        let tally = (side == 0).then_some(&mut tally);
        courses[side] = course(&plans[side], files, tally, &mut losses[side], &progress)?;
    }
    progress.finish();
    let diff = Diff::new(&courses[0], &courses[1], &tally);
    args.decisions.as_deref().map_or(Ok(()), |path| diff.write(path))?;
    let names = paths.map(|path| path.display().to_string());
    for (path, losses) in paths.iter().zip(&losses) {
        warn(losses, &format!("with {}: ", path.display()), &progress);
    }
    if !args.quiet {
        print(out, &diff.render([&names[0], &names[1]]))?;
    }
    losses.iter().try_for_each(|losses| gate(losses, args.fail_on))
}

/// Says which of the two pipelines the files do not fit.
fn unfit(error: &Error, pipeline: &Path) -> Error {
    let message = format!("with {}: {error}", pipeline.display());
    let said = if error.fault() == Fault::External { Error::external(message) } else { Error::user(message) };
    said.hint(error.advice().unwrap_or("both pipelines must be able to read these files"))
}

/// What a pipeline decides; the traffic is counted on the way.
fn course(
    plan: &Arc<Plan>,
    mut files: Replay,
    mut tally: Option<&mut PredictionCounts>,
    losses: &mut Losses,
    progress: &ReplayProgress,
) -> Result<DecisionTimeline> {
    files.warnings().iter().for_each(|warning| losses.note(warning));
    let mut engine = Engine::new(Arc::clone(plan), files.lanes());
    let mut course = DecisionTimeline::default();
    for step in &mut files {
        let effects = match step? {
            ReplayStep::Batch(batch) => {
                progress.add(batch.len());
                tally.iter_mut().for_each(|tally| tally.add(&batch));
                engine.step(&batch)
            }
            ReplayStep::Refused(refused) => {
                progress.add(refused.len());
                losses.refuse_all(&refused);
                continue;
            }
            ReplayStep::End { source, lane, next_offset } => engine.progress(lane, source, next_offset, true, true),
        };
        course.add(&effects, plan.time.lateness);
    }
    losses.pass_over(files.passed_over());
    engine.counts().into_values().for_each(|counts| losses.count(counts));
    Ok(course)
}
