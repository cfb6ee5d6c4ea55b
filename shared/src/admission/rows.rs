//! A ledger as rows of text, so that its object writes down only what changed.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::lease::IsolateId;
use super::ledger::Ledger;
use super::subject::{CounterId, Dimension, Measure, Subject};
use super::tier::Limits;

/// One row: a name that is unique within the ledger, and its content, or `None` for a row to delete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    pub name: String,
    pub text: Option<String>,
}

impl Ledger {
    /// What has changed since this was last called.
    pub fn take_changes(&mut self) -> Vec<Row> {
        let changed = std::mem::take(&mut self.changed);
        let counters = changed.counters.iter().map(|id| row(counter_name(id), self.counters.get(id)));
        let leases = changed.leases.iter().map(|id| row(format!("lease/{}", id.get()), self.leases.get(id)));
        let abuse = changed
            .abuse
            .iter()
            .map(|&subject| row(format!("abuse/{}", String::from(subject)), self.abuse.get(&subject)));
        counters.chain(leases).chain(abuse).collect()
    }

    /// The ledger that wrote these rows, and the names of those that it can't read. It goes on without them: a counter
    /// begins anew, and what an unreadable lease held counts as spent.
    #[must_use]
    pub fn restore<'r>(
        limits: Limits,
        rows: impl IntoIterator<Item = (&'r str, &'r str)>,
    ) -> (Self, Vec<&'r str>) {
        let mut ledger = Self::new(limits);
        let unreadable = rows
            .into_iter()
            .filter(|(name, text)| ledger.read_row(name, text).is_none())
            .map(|(name, _)| name)
            .collect();
        ledger.find_lost();
        (ledger, unreadable)
    }

    fn read_row(&mut self, name: &str, text: &str) -> Option<()> {
        let (kind, id) = name.split_once('/')?;
        match kind {
            "counter" => drop(self.counters.insert(counter_id(id)?, read(text)?)),
            "lease" => drop(self.leases.insert(IsolateId::from_random(id.parse().ok()?), read(text)?)),
            "abuse" => drop(self.abuse.insert(Subject::try_from(id.to_owned()).ok()?, read(text)?)),
            _ => return None,
        }
        Some(())
    }
}

fn row(name: String, content: Option<&impl Serialize>) -> Row {
    Row { name, text: content.and_then(|content| serde_json::to_string(content).ok()) }
}

fn read<T: DeserializeOwned>(text: &str) -> Option<T> {
    serde_json::from_str(text).ok()
}

fn counter_name(id: &CounterId) -> String {
    let CounterId { dimension, subject, measure } = *id;
    format!("counter/{}/{}/{}", dimension.name(), measure.name(), String::from(subject))
}

fn counter_id(name: &str) -> Option<CounterId> {
    let mut parts = name.splitn(3, '/');
    let (dimension, measure, subject) = (parts.next()?, parts.next()?, parts.next()?);
    Some(CounterId {
        dimension: Dimension::ALL.into_iter().find(|known| known.name() == dimension)?,
        measure: Measure::ALL.into_iter().find(|known| known.name() == measure)?,
        subject: Subject::try_from(subject.to_owned()).ok()?,
    })
}
