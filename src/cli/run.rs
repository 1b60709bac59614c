//! `haldane run`: the service.

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

use crate::config::Role;
use crate::error::{Error, Result};

/// Run the service: read Kafka, judge windows, publish decisions.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  haldane run -c pipelines/flights.yaml
  haldane run -c pipelines/flights.yaml --role scan
  haldane run -c pipelines/flights.yaml --until-end")]
pub struct RunArgs {
    /// Pipeline file.
    #[arg(short, long, value_name = "FILE")]
    pub config: PathBuf,
    /// Which part of the work this process does; default: what the file says.
    #[arg(long, value_enum)]
    pub role: Option<Role>,
    /// Read up to the present ends of the topics, and stop there.
    #[arg(long)]
    pub until_end: bool,
    /// Address of the HTTP server; default: what the file says.
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<SocketAddr>,
}

/// Runs the command.
pub fn run(args: &RunArgs, _out: &mut dyn Write) -> Result<()> {
    Err(Error::internal(format!("the service for {} is not part of this build", args.config.display())))
}
