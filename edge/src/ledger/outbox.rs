//! Carries what a ledger has committed to the key-value store, where every data centre reads it. What can't be carried now is
//! carried later: the outbox is a table, and an alarm comes back to it.

use std::time::Duration;

use worker::{Delay, KvStore};

use super::Ledger;
use super::books::{Books, Failure};
use super::tables::{Value, number, to_number};
use crate::config::KEYS;
use crate::visit::now_ms;

/// The store takes no expiry that is nearer than a minute.
const EXPIRY_S_MIN: u64 = 61;

/// How long a change waits for another one to be carried, and how often it looks.
const PATIENCE: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(20);

const RETRY_MS: u64 = 5_000;

struct Entry {
    name: String,
    number: u64,
    text: Option<String>,
    expires_at_s: Option<u64>,
}

impl Ledger {
    /// Empties the outbox, or sees to it that it will be. One at a time, so that the store ends with the last word.
    pub(super) async fn publish(&self, books: &Books) -> Result<(), Failure> {
        let mut looks = PATIENCE.as_millis() / LOOK_EVERY.as_millis();
        while self.publishing.get() && looks > 0 {
            Delay::from(LOOK_EVERY).await;
            looks -= 1;
        }
        if self.publishing.get() {
            return Ok(());
        }
        self.publishing.set(true);
        let carried = self.carry(books).await;
        self.publishing.set(false);
        if let Err(error) = &carried {
            worker::console_error!("{}: the key-value store took no change: {error}", books.tenant);
        }
        self.set_alarm(books, carried.is_err()).await
    }

    async fn carry(&self, books: &Books) -> worker::Result<()> {
        let store = self.env.kv(KEYS)?;
        while let Some(entry) = books.first_in_outbox()? {
            put(&store, &entry).await?;
            let values = vec![entry.name.into(), number(entry.number)];
            books.tables.write("DELETE FROM outbox WHERE name = ? AND number = ?", values)?;
        }
        Ok(())
    }

    async fn set_alarm(&self, books: &Books, failed: bool) -> Result<(), Failure> {
        let now_ms = now_ms();
        let overlap_ms =
            books.end_overlaps(now_ms / 1_000)?.map(|at_s| (at_s * 1_000).saturating_sub(now_ms));
        let retry_ms = failed.then_some(RETRY_MS);
        if let Some(wait_ms) = [overlap_ms, retry_ms].into_iter().flatten().min() {
            self.state.storage().set_alarm(Duration::from_millis(wait_ms)).await?;
        }
        Ok(())
    }
}

impl Books {
    fn first_in_outbox(&self) -> worker::Result<Option<Entry>> {
        let query = "SELECT name, number, text, expires_at_s FROM outbox ORDER BY number LIMIT 1";
        let row = self.tables.rows(query, Vec::new())?.into_iter().next();
        Ok(row.and_then(|row| match row.as_slice() {
            [Value::String(name), number, text, expires_at_s] => Some(Entry {
                name: name.clone(),
                number: to_number(Some(number)),
                text: if let Value::String(text) = text { Some(text.clone()) } else { None },
                expires_at_s: Some(to_number(Some(expires_at_s))).filter(|at_s| *at_s > 0),
            }),
            _ => None,
        }))
    }
}

async fn put(store: &KvStore, entry: &Entry) -> worker::Result<()> {
    let Some(text) = &entry.text else {
        return Ok(store.delete(&entry.name).await?);
    };
    let put = store.put(&entry.name, text)?;
    // The record says itself when it ends; that the store forgets it then is tidiness.
    let put = match entry.expires_at_s {
        Some(at_s) => put.expiration(at_s.max(now_ms() / 1_000 + EXPIRY_S_MIN)),
        None => put,
    };
    Ok(put.execute().await?)
}
