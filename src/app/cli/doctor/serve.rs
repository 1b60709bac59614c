//! What lets people and clients in: certificate, key and tokens.

use std::path::Path;

use super::Observation;
use crate::config::{Pipeline, Secret};
use crate::event::{Micros, SECOND};
use crate::kafka::clock::wall_clock;
use crate::serve::{Access, Tls, is_readable_by_others};

const DAY: Micros = 86_400 * SECOND;

/// A certificate that ends sooner should have been replaced.
const DAYS_LEFT_MIN: i64 = 14;

pub(super) fn examine(pipeline: &Pipeline) -> Vec<Observation> {
    let serve = &pipeline.serve;
    let mut seen = Vec::new();
    if let Some(tls) = &serve.tls {
        seen.push(match Tls::open(tls) {
            Ok(tls) => certificate((tls.expires_at() * SECOND - wall_clock()).div_euclid(DAY)),
            Err(error) => Observation::of("tls", Err(error)),
        });
    }
    if !serve.approvers.is_empty() {
        let answer = Access::open(serve).map(|_| format!("all {} can be told apart", serve.approvers.len()));
        seen.push(Observation::of("approvers", answer));
    }
    let tokens = serve.approvers.iter().filter_map(|approver| approver.token.as_ref());
    let password = pipeline.kafka.as_ref().and_then(|kafka| kafka.security.password.as_ref());
    let files = tokens.chain(password).filter_map(Secret::file);
    seen.extend(files.filter(|file| is_readable_by_others(file)).map(loose));
    seen
}

fn certificate(days: i64) -> Observation {
    let advice = "replace the two files that `serve.tls` names; they are read again without a restart";
    match days {
        ..0 => Observation::wrong("tls", format!("the certificate ended {} days ago", -days), advice),
        0..DAYS_LEFT_MIN => Observation::doubtful("tls", format!("the certificate ends in {days} days"), advice),
        _ => Observation::fine("tls", format!("certificate and key fit; {days} days are left")),
    }
}

fn loose(file: &Path) -> Observation {
    let path = file.display();
    Observation::doubtful(
        "secrets",
        format!("everybody on this machine may read {path}"),
        format!("chmod 0600 {path}; of a Kubernetes secret write `defaultMode: 0440`"),
    )
}
