//! The table of budgets, filled with what was measured.

use std::fmt::Write as _;

use crate::children::tell;

/// One line of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    pub what: String,
    pub budget: String,
    pub measured: String,
    /// None where nothing was measured.
    pub met: Option<bool>,
    pub how: String,
}

impl Row {
    pub fn new(what: &str, budget: &str, met: bool, measured: String, how: &str) -> Self {
        Self { what: what.to_owned(), budget: budget.to_owned(), measured, met: Some(met), how: how.to_owned() }
    }
    /// What was measured without a number that it must reach.
    pub fn told(what: &str, measured: String, how: &str) -> Self {
        Self { what: what.to_owned(), budget: "measured".to_owned(), measured, met: None, how: how.to_owned() }
    }
    pub fn not_measured(what: &str, why: &str) -> Self {
        Self { what: what.to_owned(), budget: String::new(), measured: "not measured".to_owned(), met: None, how: why.to_owned() }
    }
}

/// Rows in the order they were measured; each is told at once, and all again as a table.
#[derive(Default)]
pub struct Report(Vec<Row>);

impl Report {
    pub fn add(&mut self, row: Row) {
        let mark = match row.met {
            Some(true) => "met",
            Some(false) => "MISSED",
            None => "",
        };
        tell(&format!("{:52} {:>44}   budget {} {mark}", row.what, row.measured, row.budget));
        self.0.push(row);
    }

    pub fn markdown(&self) -> String {
        let mut out = String::from("| what | budget | measured | met | how |\n|---|---|---|---|---|\n");
        for Row { what, budget, measured, met, how } in &self.0 {
            let met = met.map_or("", |met| if met { "yes" } else { "**no**" });
            let _ = writeln!(out, "| {what} | {budget} | {measured} | {met} | {how} |");
        }
        out
    }

    pub fn missed(&self) -> usize {
        self.0.iter().filter(|row| row.met == Some(false)).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missed_budget_stands_out_and_is_counted() {
        let mut report = Report::default();
        report.add(Row::new("a", "< 1", true, "0".to_owned(), "x"));
        report.add(Row::new("b", "< 1", false, "2".to_owned(), "y"));
        report.add(Row::told("c", "3".to_owned(), "z"));
        assert_eq!(report.missed(), 1);
        assert!(report.markdown().contains("| b | < 1 | 2 | **no** | y |"));
    }
}
