//! `haldane demo`: a whole rollout on this machine.

use std::io::Write;

use clap::Args;

use crate::demo::{self, DemoOptions};
use crate::error::Result;

/// Show a whole rollout on this machine: generated traffic, an injected regression, decisions as they fall.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  haldane demo
  haldane demo --keep
  haldane demo --seed 7 --listen 127.0.0.1:8088")]
pub struct DemoArgs {
    /// What the traffic is made from; equal seeds give equal decisions.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Address of the HTTP server; port 0 takes a free one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    pub listen: String,
    /// Go on serving the dashboard when the traffic is over, with a login that may act, until Ctrl-C.
    #[arg(long)]
    pub keep: bool,
}

/// Runs the command.
pub fn run(args: &DemoArgs, out: &mut dyn Write) -> Result<()> {
    demo::run(&DemoOptions { seed: args.seed, listen: args.listen.clone(), keep: args.keep }, out)
}
