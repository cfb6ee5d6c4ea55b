//! The one table that a run prints, and its JSON.

use serde::Serialize;

/// One figure, with the aim it is held against.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Row {
    pub(crate) what: String,
    pub(crate) value: f64,
    pub(crate) unit: &'static str,
    pub(crate) aim: Option<Aim>,
}

#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Aim {
    AtLeast(f64),
    AtMost(f64),
}

impl Row {
    pub(crate) fn new(what: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self { what: what.into(), value, unit, aim: None }
    }

    pub(crate) fn at_least(mut self, aim: f64) -> Self {
        self.aim = Some(Aim::AtLeast(aim));
        self
    }

    pub(crate) fn at_most(mut self, aim: f64) -> Self {
        self.aim = Some(Aim::AtMost(aim));
        self
    }

    fn verdict(&self) -> String {
        match self.aim {
            None => String::new(),
            Some(Aim::AtLeast(aim)) => format!("≥ {aim} {}", met(self.value >= aim)),
            Some(Aim::AtMost(aim)) => format!("≤ {aim} {}", met(self.value <= aim)),
        }
    }
}

fn met(yes: bool) -> &'static str {
    if yes { "met" } else { "MISSED" }
}

/// The rows as a Markdown table.
pub(crate) fn markdown(rows: &[Row]) -> String {
    let mut table = String::from("| what | value | aim |\n|---|---:|---|\n");
    for row in rows {
        table.push_str(&format!("| {} | {:.3} {} | {} |\n", row.what, row.value, row.unit, row.verdict()));
    }
    table
}
