//! A cached answer at the origin, over HTTP.

use std::time::Duration;

use anyhow::Result;
use perigee_shared::header::TENANT;

use crate::load;
use crate::origin::{self, Served, question};
use crate::table::Row;

const TIME: Duration = Duration::from_secs(5);
const CONNECTIONS: usize = 8;
const QUESTION: &str = "How is an answer kept in a cache?";

pub(crate) async fn measure(served: &Served) -> Result<Vec<Row>> {
    let address = served.origin.address();
    let authorization = format!("Bearer {}", origin::OPERATOR_TOKEN);
    let headers = [("Authorization", authorization.as_str()), (TENANT, origin::TENANT)];
    let request = load::post(address, origin::CHAT, &headers, &question(QUESTION));
    // Answers it once, and warms up.
    load::run(address, &request, 1, TIME / 5).await?;
    let alone = load::run(address, &request, 1, TIME).await?;
    let many = load::run(address, &request, CONNECTIONS, TIME).await?;
    Ok(vec![
        Row::new("cached answer at the origin, one at a time, p50", alone.percentile_ms(0.5), "ms"),
        Row::new("cached answer at the origin, one at a time, p99", alone.percentile_ms(0.99), "ms"),
        Row::new("cached answer at the origin, 8 connections", many.requests_per_s, "requests/s"),
    ])
}
