//! The role `act`: carries decisions out, and judges nothing.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use super::probe::Probe;
use super::stop_on_signal;
use super::systemd::Notifier;
use crate::config::{KafkaConfig, Pipeline, Role};
use crate::error::{Error, Result};
use crate::serve::{Board, Server, Shared, Tls};
use crate::targets::{ActConfig, Adapters, TargetKind};

/// The targets of a pipeline file, all or those of these names.
pub(in crate::cli) fn chosen<'a>(pipeline: &'a Pipeline, path: &Path, only: &[String]) -> Result<Vec<&'a ActConfig>> {
    let names: Vec<&str> = pipeline.act.iter().map(|one| one.terms.adapter.as_str()).collect();
    if names.is_empty() {
        return Err(Error::user(format!("{} does not say where decisions are carried out", path.display()))
            .hint("add a section `act:`; see pipelines/fraud.yaml"));
    }
    if let Some(unknown) = only.iter().find(|name| !names.contains(&name.as_str())) {
        return Err(
            Error::user(format!("there is no target `{unknown}`")).hint(format!("the file names {}", names.join(", ")))
        );
    }
    let is_chosen = |one: &&ActConfig| only.is_empty() || only.contains(&one.terms.adapter);
    Ok(pipeline.act.iter().filter(is_chosen).collect())
}

/// Shows what these targets do, beside whatever else the process shows.
pub(super) fn board(shared: &Arc<Shared>, chosen: &[&ActConfig]) -> Board {
    let tells = |one: &ActConfig| matches!(one.kind, TargetKind::Notify(_));
    Board::new(Arc::clone(shared), chosen.iter().map(|one| (one.terms.adapter.as_str(), tells(one))))
}

/// Carries decisions out until it is told to stop; with an address, health and metrics are there.
pub(in crate::cli) fn serve(
    pipeline: &Pipeline,
    kafka: &KafkaConfig,
    chosen: &[&ActConfig],
    address: Option<SocketAddr>,
) -> Result<()> {
    let stop = stop_on_signal()?;
    let shared = Arc::new(Shared::new());
    shared.follow(&pipeline.plan);
    shared.telemetry().runs_as(Role::Act.name());
    let board = board(&shared, chosen);
    let server = address.map(|address| listen(address, pipeline, &shared)).transpose()?;
    let probe = Probe::start(kafka, &shared)?;
    let _notifier = Notifier::start(&shared, &stop)?;
    let ended = Adapters { chosen, plan: &pipeline.plan, kafka, watch: &board }.on(&stop);
    drop(probe);
    if let Some(server) = server {
        server.shutdown();
    }
    ended
}

fn listen(address: SocketAddr, pipeline: &Pipeline, shared: &Arc<Shared>) -> Result<Server> {
    shared.protect(pipeline.serve.tls.as_ref().map(Tls::open).transpose()?, pipeline.serve.limits);
    Server::start_probes(address, Arc::clone(shared))
}
