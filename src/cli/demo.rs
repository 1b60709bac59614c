//! `haldane demo`: a whole rollout on this machine.

use std::io::Write;

use clap::Args;

use crate::error::{Error, Result};

/// Show a whole rollout on this machine: generated traffic, an injected regression, decisions as they fall.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  haldane demo
  haldane demo --seed 7 --seconds 30")]
pub struct DemoArgs {
    /// What the traffic is made from; equal seeds give equal decisions.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// How long it takes.
    #[arg(long, value_name = "N", default_value_t = 60)]
    pub seconds: u32,
}

/// Runs the command.
pub fn run(args: &DemoArgs, _out: &mut dyn Write) -> Result<()> {
    Err(Error::internal(format!("the demo (seed {}) is not part of this build", args.seed)))
}
