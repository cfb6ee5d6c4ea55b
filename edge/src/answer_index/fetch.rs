//! Gets a corpus's index: from the data centre where another isolate put it, else from an origin, as a change from the one
//! that is held if there is one. Always in the background.

use perigee_shared::answer_index::{
    DELTA_MEDIA_TYPE, ENTRY_BYTES, InvalidIndex, SNAPSHOT_MEDIA_TYPE, Snapshot,
};
use perigee_shared::header::INDEX_AGE_MS;
use perigee_shared::limits::ANSWER_INDEX_ENTRIES_MAX;
use web_sys::Response;

use super::{Index, Received};
use crate::Edge;
use crate::data_centre;
use crate::forward::Reply;
use crate::freshness::PlaceRef;
use crate::pass_on::Told;
use crate::visit::now_ms;

/// The largest snapshot, and what frames it.
const BYTES_MAX: usize = ANSWER_INDEX_ENTRIES_MAX * ENTRY_BYTES + 1_024;

/// What an origin is asked to send.
pub(crate) const ACCEPT: &str =
    concat!("application/vnd.perigee.answer-index", ", application/vnd.perigee.answer-index-delta");

/// Takes over what another isolate of this data centre fetched a moment ago. `false`: there is none so young.
pub(crate) async fn take_from_data_centre(edge: &Edge, place: PlaceRef<'_>) -> bool {
    let Some((etag, seen_ms)) = data_centre::get_index_name(place).await else { return false };
    if now_ms().abs_diff(seen_ms) >= edge.config.bounds.refresh_ms {
        return false;
    }
    let held = edge.indexes.borrow().of(place).filter(|held| held.snapshot.etag() == etag);
    let snapshot = match held {
        Some(held) => held.snapshot,
        None => {
            let Some(bytes) = data_centre::get_index(place, &etag).await else { return false };
            let received = edge.indexes.borrow_mut().receive(place, Snapshot::parse(bytes), seen_ms);
            complain(place, &received);
            return received.snapshot.is_some();
        }
    };
    edge.indexes.borrow_mut().put(place, Index { snapshot, seen_ms });
    true
}

/// Keeps what an origin answered to the question for an index, here and for the data centre.
pub(crate) async fn keep(edge: &Edge, place: PlaceRef<'_>, reply: Reply, told: &Told) {
    let held = edge.indexes.borrow().of(place);
    let age_ms = age_ms(&reply.response);
    // Its epoch was the latest one so long before the origin answered, and longer before we hear of it.
    let seen_ms = reply.sent_ms.saturating_sub(age_ms);
    let etag = match (reply.response.status(), held) {
        (304, Some(Index { snapshot, .. })) => {
            let etag = snapshot.etag();
            edge.indexes.borrow_mut().put(place, Index { snapshot, seen_ms });
            etag
        }
        (200, held) => {
            let Some(read) = read(reply, told, held.as_ref()).await else { return };
            let received = edge.indexes.borrow_mut().receive(place, read, seen_ms);
            complain(place, &received);
            let Some(snapshot) = received.snapshot else { return };
            let etag = snapshot.etag();
            data_centre::put_index(place, &etag, snapshot.as_bytes().to_vec()).await;
            etag
        }
        _ => return,
    };
    data_centre::put_index_name(place, &etag, seen_ms, edge.config.bounds).await;
}

async fn read(reply: Reply, told: &Told, held: Option<&Index>) -> Option<Result<Snapshot, InvalidIndex>> {
    let claimed = reply.response.headers().get("content-length").ok().flatten();
    if claimed.and_then(|length| length.parse::<usize>().ok()).is_some_and(|length| length > BYTES_MAX) {
        return Some(Err(InvalidIndex::TooMany));
    }
    let bytes = worker::Response::from(reply.response).bytes().await.ok()?;
    if told.is(DELTA_MEDIA_TYPE) {
        let base = held.ok_or(InvalidIndex::OtherBase);
        return Some(base.and_then(|held| held.snapshot.apply(&bytes)));
    }
    Some(if told.is(SNAPSHOT_MEDIA_TYPE) { Snapshot::parse(bytes) } else { Err(InvalidIndex::NotAnIndex) })
}

/// Says in the log what can't be used of a snapshot.
fn complain(place: PlaceRef<'_>, received: &Received) {
    if let Some((why, count)) = received.unusable {
        let PlaceRef { tenant, corpus } = place;
        let why = why.text();
        worker::console_warn!(
            "answer index of {tenant}/{corpus}: {why} ({count} such since this isolate started)"
        );
    }
}

/// How long before the origin answered the snapshot's epoch was the latest one; without word of it, too long.
fn age_ms(response: &Response) -> u64 {
    let header = response.headers().get(INDEX_AGE_MS).ok().flatten();
    header.and_then(|text| text.parse().ok()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_an_index_are_accepted() {
        assert_eq!(ACCEPT, format!("{SNAPSHOT_MEDIA_TYPE}, {DELTA_MEDIA_TYPE}"));
    }
}
