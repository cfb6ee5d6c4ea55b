//! A worker's call to a tenant's ledger, bounded in time.

use std::time::Duration;

use futures::future::{Either, select};
use perigee_shared::id::TenantId;
use perigee_shared::problem::Problem;
use serde::Serialize;
use serde::de::DeserializeOwned;
use worker::{Delay, Env, Method, Request, RequestInit};

use super::protocol::{Command, Envelope};
use crate::config::LEDGER;

/// The ledger can't be reached, or did not answer in time; or it failed.
#[derive(Debug)]
pub(crate) struct Unreachable;

/// Sends a command. The inner result is the ledger's own.
///
/// # Errors
/// There is no answer within the time.
pub(crate) async fn call<T: DeserializeOwned>(
    env: &Env,
    tenant: &TenantId,
    command: Command,
    within_ms: u64,
) -> Result<Result<T, Problem>, Unreachable> {
    let envelope = Envelope { tenant: tenant.clone(), command };
    let answered = Box::pin(send(env, tenant, &envelope));
    let answered = match select(answered, Delay::from(Duration::from_millis(within_ms))).await {
        Either::Left((answered, _)) => answered,
        Either::Right(((), _)) => Err(worker::Error::RustError(format!("no answer within {within_ms} ms"))),
    };
    answered.map_err(|error| {
        worker::console_warn!("the ledger of {tenant} can't be reached: {error}");
        Unreachable
    })
}

async fn send<T: DeserializeOwned>(
    env: &Env,
    tenant: &TenantId,
    envelope: &impl Serialize,
) -> worker::Result<Result<T, Problem>> {
    let stub = env.durable_object(LEDGER)?.get_by_name(tenant.as_str())?;
    let mut init = RequestInit::new();
    init.with_method(Method::Post).with_body(Some(serde_json::to_string(envelope)?.into()));
    // The address means nothing: an object has only one.
    let request = Request::new_with_init("https://ledger.invalid/", &init)?;
    let mut response = stub.fetch_with_request(request).await?;
    let body = response.bytes().await?;
    Ok(match response.status_code() {
        200 => Ok(serde_json::from_slice(&body)?),
        _ => Err(serde_json::from_slice(&body)?),
    })
}
