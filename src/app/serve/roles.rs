//! `GET /v1/access`: who may do what here, for those who answer for it.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::access::Person;
use super::entrance::Caller;
use super::problem::ErrorResponse;
use super::{Shared, Tls};

pub(super) async fn get(State(shared): State<Arc<Shared>>, caller: Caller) -> Result<Json<Value>, ErrorResponse> {
    let Some(known) = &caller.known else { return Err(caller.unknown(&shared)) };
    if !known.is_admin() {
        let error = format!("{} may not see who may do what ({})", known.name, known.powers());
        return Err(ErrorResponse::new(StatusCode::FORBIDDEN, error, "this is for the role admin"));
    }
    let access = shared.access_now();
    let config = access.config();
    let person = |person: &Person| {
        json!({
            "name": person.name,
            "roles": person.powers,
            "tokens": person.tokens.len(),
            "certificate": person.certificate,
        })
    };
    let proxy = config.proxy.as_ref().map(|proxy| {
        let addresses: Vec<String> = proxy.addresses.iter().map(ToString::to_string).collect();
        json!({ "addresses": addresses, "certificate": proxy.certificate, "groups": proxy.groups })
    });
    Ok(Json(json!({
        "you": known.name,
        "read": config.read,
        "metrics": config.metrics,
        "people": access.people().iter().map(person).collect::<Vec<_>>(),
        "proxy": proxy,
        "certificate_expires_at": shared.tls().map(Tls::expires_at),
    })))
}
