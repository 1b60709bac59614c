//! Where decisions are carried out, in words.

use crate::event::SECOND;
use crate::targets::{ActConfig, ServerAddress, TargetKind};

/// A line for each target.
pub(super) fn targets(act: &[ActConfig]) -> Vec<String> {
    act.iter().map(target).collect()
}

fn target(ActConfig { terms, kind, exposure, .. }: &ActConfig) -> String {
    let name = &terms.adapter;
    let place = match kind {
        TargetKind::File(file) => format!("the file {}", file.path.display()),
        TargetKind::Http(api) => match &api.server {
            ServerAddress::Url(url) => format!("{url}{}", api.look.path),
            ServerAddress::Kubernetes => format!("the API of its Kubernetes cluster, {}", api.look.path),
        },
        TargetKind::Exec(exec) => format!("the programs {} and {}", exec.look.join(" "), exec.set.join(" ")),
        TargetKind::Git(git) => format!("{} on branch {} of {}", git.file, git.branch, git.url),
        TargetKind::Notify(webhook) => {
            let severity = webhook.at.names().0;
            return format!("{name}: {} is told of decisions of severity {severity} and above", webhook.whom());
        }
    };
    let does =
        if terms.raise { "lowers the share, and raises it when that is permitted" } else { "lowers the share only" };
    let about = terms.candidate.as_ref().map_or_else(String::new, |candidate| format!(" of {candidate}"));
    let declares = if *exposure { "; the share that it shows counts as declared" } else { "" };
    format!("{name}: {does}{about}, in {place}; looks every {} s{declares}", terms.every / SECOND)
}
