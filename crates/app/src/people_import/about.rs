//! What imports keep about one person: found for an export, blanked for an erasure.
//!
//! A row is somebody's when the import added or changed the person by it, or, where it changed nobody, when its address is theirs. Theirs in another column
//! makes it not their row: that cell alone is emptied. Rows stay in their places, so an import
//! that is not done yet leaves a blank one out, and one that is taken back finds nothing to bring back.

use std::collections::BTreeSet;

use emcrm_model::{EmailAddress, User, UserId};
use emcrm_store::{Guard, IndexName, Item, Query, Rule, Table, Transaction, keys, unchanged};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::plan::{Step, content_of};
use super::{PeopleImport, Row};
use crate::app::{ATTEMPTS, back_off};
use crate::freeze::moved;
use crate::{App, AppError};

/// Pieces that one step of an erasure looks at, of at most 150 KB of rows each.
const PIECES: u32 = 40;

/// Whom rows are looked for.
#[derive(Debug, Clone)]
pub(crate) struct Whom {
    pub(crate) id: UserId,
    /// Normalised.
    pub(crate) addresses: BTreeSet<String>,
}

/// Where a look through all imports goes on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ImportPlace {
    /// Id of the last import that was looked through; empty at the beginning.
    after: String,
    /// The piece of the next one that comes next.
    piece: u32,
}

/// A piece of an import with the items that it was read from.
struct Piece {
    /// The column with the address.
    email: Option<usize>,
    rows: Vec<Row>,
    rows_item: Option<Item>,
    steps: Vec<Step>,
    steps_item: Option<Item>,
}

impl Whom {
    fn has(&self, text: &str) -> bool {
        text.contains('@') && self.addresses.contains(EmailAddress::from(text.to_owned()).normalised())
    }

    /// An address of theirs stands among other words.
    fn is_in(&self, text: &str) -> bool {
        let between = |letter: char| letter.is_whitespace() || "<>()[],;:\"'|".contains(letter);
        text.contains('@') && text.split(between).any(|word| self.has(word.trim_end_matches('.')))
    }

    /// Whether a row is theirs, by what it does and by its address.
    fn is_of(&self, step: Option<&Step>, address: Option<&str>) -> bool {
        match step {
            // Whoever had the address then, it is about that person.
            Some(Step::Change { before, .. }) => before.id == self.id,
            Some(Step::Create { id, body }) => *id == self.id || address_of(body).is_some_and(|email| self.has(email)),
            Some(Step::Same | Step::Faulty) | None => address.is_some_and(|address| self.has(address)),
        }
    }

    /// Addresses that they had when a file was imported.
    fn learn(&mut self, step: &Step) {
        let (before, body): (Option<&User>, &Value) = match step {
            Step::Create { id, body } if *id == self.id => (None, body),
            Step::Change { before, body } if before.id == self.id => (Some(before.as_ref()), body),
            _ => return,
        };
        let texts = address_of(body).into_iter().chain(before.map(|before| before.email.as_str()));
        let addresses: Vec<String> = texts.map(|text| EmailAddress::from(text.to_owned()).normalised().to_owned()).collect();
        self.addresses.extend(addresses);
    }
}

fn address_of(body: &Value) -> Option<&str> {
    body.get("email").and_then(Value::as_str)
}

impl Piece {
    /// The address of a row; with no column for it, any cell that is one of theirs.
    fn address(&self, at: usize, whom: &Whom) -> Option<&str> {
        let Row(_, cells) = self.rows.get(at)?;
        match self.email {
            Some(column) => cells.get(column).map(String::as_str),
            None => cells.iter().map(String::as_str).find(|cell| whom.has(cell)),
        }
    }

    /// Places of rows that are theirs.
    fn of(&self, whom: &Whom) -> BTreeSet<usize> {
        (0..self.rows.len().max(self.steps.len())).filter(|at| whom.is_of(self.steps.get(*at), self.address(*at, whom))).collect()
    }

    /// The rows without theirs, and without their addresses in the rows of others.
    fn rows_without(&self, theirs: &BTreeSet<usize>, whom: &Whom) -> Vec<Row> {
        let mut rows = self.rows.clone();
        for (at, Row(_, cells)) in rows.iter_mut().enumerate() {
            if theirs.contains(&at) {
                cells.clear();
            }
            // The address of a row that is not theirs is somebody's who has it now.
            let others = cells.iter_mut().enumerate().filter(|(column, cell)| Some(*column) != self.email && whom.is_in(cell));
            others.for_each(|(_, cell)| cell.clear());
        }
        rows
    }

    /// The steps without theirs. `done`: the piece was applied, so whom it added is still counted among those who are gone when it is taken back.
    fn steps_without(&self, theirs: &BTreeSet<usize>, done: bool) -> Vec<Step> {
        let without = |(at, step): (usize, &Step)| match step {
            step if !theirs.contains(&at) => step.clone(),
            Step::Create { id, .. } if done => Step::Create { id: id.clone(), body: json!({}) },
            Step::Same => Step::Same,
            _ => Step::Faulty,
        };
        self.steps.iter().enumerate().map(without).collect()
    }
}

impl App {
    /// Rows of imports that are kept which are about somebody, each with what it did.
    pub(crate) async fn imports_about(&self, whom: &Whom) -> Result<Vec<Value>, AppError> {
        let mut about = Vec::new();
        let mut after = String::new();
        while let Some(import) = self.import_after(&after).await? {
            for n in 0..import.pieces {
                let piece = self.import_piece(&import, n).await?;
                for at in piece.of(whom) {
                    // What an erasure has blanked says nothing.
                    let Some(Row(line, cells)) = piece.rows.get(at).filter(|row| !row.1.is_empty()) else { continue };
                    let step = piece.steps.get(at).map(serde_json::to_value).transpose().unwrap_or_default();
                    about.push(json!({ "import": import.id, "file": import.name, "line": line, "columns": import.header, "cells": cells, "step": step }));
                }
            }
            after = import.id;
        }
        Ok(about)
    }

    /// Takes somebody out of imports that are kept, some pieces at a time; none when all were looked through. Learns addresses on the way.
    pub(crate) async fn imports_blank(&self, whom: &mut Whom, from: ImportPlace) -> Result<Option<ImportPlace>, AppError> {
        let ImportPlace { mut after, mut piece } = from;
        let mut left = PIECES;
        while let Some(import) = self.import_after(&after).await? {
            while piece < import.pieces {
                if left == 0 {
                    return Ok(Some(ImportPlace { after, piece }));
                }
                self.import_piece_blank(&import, piece, whom).await?;
                piece += 1;
                left -= 1;
            }
            after = import.id;
            piece = 0;
        }
        Ok(None)
    }

    /// The import that comes next in the list, as it is now.
    async fn import_after(&self, id: &str) -> Result<Option<PeopleImport>, AppError> {
        let mut after = (!id.is_empty()).then(|| keys::people_import(id));
        loop {
            let query = Query::index(Table::Main, IndexName::Type, keys::TYPE_PEOPLE_IMPORT).limit(1).after(after);
            let Some(listed) = self.store.engine.query(query).await?.items.pop() else { return Ok(None) };
            if let Some(item) = self.store.engine.get(Table::Main, &listed.key).await? {
                return PeopleImport::of(item).map(Some);
            }
            // It has expired, and the index does not know yet.
            after = Some(listed.key);
        }
    }

    async fn import_piece(&self, import: &PeopleImport, n: u32) -> Result<Piece, AppError> {
        let wanted = [keys::people_import_rows(&import.id, n), keys::people_import_steps(&import.id, n)];
        let mut found = self.store.engine.get_many(Table::Main, &wanted).await?.into_iter();
        let (rows_item, steps_item) = (found.next().flatten(), found.next().flatten());
        Ok(Piece {
            email: import.mapping.iter().position(|field| field.as_deref() == Some("email")),
            rows: rows_item.as_ref().map(content_of).transpose()?.unwrap_or_default(),
            rows_item,
            steps: steps_item.as_ref().map(content_of).transpose()?.unwrap_or_default(),
            steps_item,
        })
    }

    async fn import_piece_blank(&self, import: &PeopleImport, n: u32, whom: &mut Whom) -> Result<(), AppError> {
        for attempt in 0..ATTEMPTS {
            back_off(attempt).await;
            let piece = self.import_piece(import, n).await?;
            for step in &piece.steps {
                whom.learn(step);
            }
            let theirs = piece.of(whom);
            let (rows, steps) = (piece.rows_without(&theirs, whom), piece.steps_without(&theirs, n < import.next));
            let mut tx = Transaction::new();
            if let Some(item) = piece.rows_item.as_ref().filter(|_| rows != piece.rows) {
                content_replace(&mut tx, item, &rows)?;
            }
            if let Some(item) = piece.steps_item.as_ref().filter(|_| steps != piece.steps) {
                content_replace(&mut tx, item, &steps)?;
            }
            // Refused: somebody else who is in the same piece is being erased, too.
            if tx.is_empty() || moved(self.transact(tx).await)? {
                return Ok(());
            }
        }
        Err(AppError::Contended)
    }
}

/// Writes the content of a piece anew, if it is as it was read.
fn content_replace<T: Serialize>(tx: &mut Transaction, item: &Item, content: &T) -> Result<(), AppError> {
    let text = serde_json::to_string(content).map_err(|error| AppError::Internal(error.to_string()))?;
    let as_read = Guard::Present.and(unchanged(item, "blanked"));
    tx.update(Table::Main, item.key.clone()).when(as_read).or(Rule::Changed).set("content", text).add("blanked", 1);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ann() -> Whom {
        Whom { id: "ann".to_owned().into(), addresses: ["ann@example.org".to_owned()].into() }
    }

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn an_address_is_found_whole_and_not_as_a_part_of_another() {
        let whom = ann();
        for theirs in ["ann@example.org", " ANN@Example.org "] {
            assert!(whom.has(theirs), "{theirs}");
        }
        for told in ["Ann <ann@example.org>", "ask (Ann@example.org).", "mailto:ann@example.org"] {
            assert!(whom.is_in(told) && !whom.has(told), "{told}");
        }
        for other in ["joann@example.org", "ann@example.org.uk", "ann", ""] {
            assert!(!whom.is_in(other), "{other}");
        }
    }

    #[test]
    fn what_others_have_stays_in_its_place() {
        let rows = vec![
            Row(2, texts(&["Ann", "ann@example.org"])),
            Row(3, texts(&["Ben", "ben@example.org", "friend of ann@example.org"])),
            Row(4, texts(&["Ann", "old@example.org"])),
            // Ann is whom Cem reports to, and Dan has an address that was hers.
            Row(5, texts(&["Cem", "cem@example.org", "ann@example.org"])),
            Row(6, texts(&["Dan", "old@example.org"])),
        ];
        let create = |id: &str, email: &str| Step::Create { id: id.to_owned().into(), body: json!({ "email": email }) };
        let dan: User = serde_json::from_value(json!({ "id": "dan", "firstName": "Dan", "lastName": "D", "email": "old@example.org" })).unwrap();
        let change = Step::Change { before: Box::new(dan), body: json!({ "email": "old@example.org" }) };
        let steps = vec![create("x", "ann@example.org"), create("ben", "ben@example.org"), create("ann", "old@example.org"), Step::Same, change];
        let piece = Piece { email: Some(1), rows: rows.clone(), rows_item: None, steps: steps.clone(), steps_item: None };
        let mut whom = ann();
        whom.learn(&steps[2]);
        assert!(whom.has("old@example.org") && !whom.has("ben@example.org"));
        let theirs = piece.of(&whom);
        assert_eq!(theirs, [0, 2].into());
        let left = piece.rows_without(&theirs, &whom);
        let expected =
            [Row(2, vec![]), Row(3, texts(&["Ben", "ben@example.org", ""])), Row(4, vec![]), Row(5, texts(&["Cem", "cem@example.org", ""])), rows[4].clone()];
        assert_eq!(left, expected);
        assert_eq!(piece.steps_without(&theirs, false), [Step::Faulty, steps[1].clone(), Step::Faulty, Step::Same, steps[4].clone()]);
        let blank = |id: &str| Step::Create { id: id.to_owned().into(), body: json!({}) };
        assert_eq!(piece.steps_without(&theirs, true), [blank("x"), steps[1].clone(), blank("ann"), Step::Same, steps[4].clone()]);
        // Nobody has said which column it is: whatever holds the address is hers.
        let unread = Piece { email: None, rows, rows_item: None, steps: Vec::new(), steps_item: None };
        assert_eq!(unread.of(&ann()), [0, 3].into());
    }
}
