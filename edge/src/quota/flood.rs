//! The platform's own rate limit, in front of everything that costs something: a coarse guard for each data centre and client
//! network. What it lets through is counted exactly behind it.

use perigee_shared::admission::NetworkPrefix;
use perigee_shared::problem::{Problem, ProblemKind};

use crate::Edge;
use crate::config::FLOOD_GUARD;
use crate::visit::Visit;

/// The guard's periods are 10 or 60 seconds; after the shorter one another try makes sense.
const RETRY_AFTER_S: u32 = 10;

/// # Errors
/// 429 when this network floods this data centre.
pub(crate) async fn flood_guard(edge: &Edge, visit: &Visit) -> Result<(), Problem> {
    if !edge.has_flood_guard {
        return Ok(());
    }
    let Some(address) = visit.client_address(&edge.config) else { return Ok(()) };
    // One host of IPv6 has as many addresses as it likes.
    let network = address.parse::<NetworkPrefix>().map_or(address, |prefix| prefix.to_string());
    let Ok(guard) = visit.env.rate_limiter(FLOOD_GUARD) else { return Ok(()) };
    match guard.limit(network).await {
        Ok(outcome) if !outcome.success => {
            let detail = "too many requests from this network at this data centre";
            Err(Problem::new(ProblemKind::RateLimited, detail).with_retry_after_s(RETRY_AFTER_S))
        }
        Ok(_) => Ok(()),
        Err(error) => {
            worker::console_warn!("{}: the flood guard failed: {error}", visit.trace.request_id);
            Ok(())
        }
    }
}
