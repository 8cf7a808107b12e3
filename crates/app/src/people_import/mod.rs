//! People from a file, onto an event's list too where one is chosen: read, look at it first, import as a task, take it back as a whole.
//!
//! | file | holds |
//! |---|---|
//! | `read` | encodings, delimiters, rows |
//! | `columns` | which column is which field, and what a row says |
//! | `plan` | what each row would do |
//! | `run` | the tasks: doing it, taking it back |
//! | `about` | what is kept about one person, for an export and an erasure |
//!
//! The rows are stored in pieces, so that any process can go on with the work; before a piece is applied, what it will do and what was there
//! before is stored too. So a restart repeats nothing twice, and an import can be taken back whole. All of it expires after [`KEPT_SECONDS`].

mod about;
mod columns;
mod plan;
mod read;
mod run;

/// What turns a file's bytes into drafts, for the fuzz targets.
#[cfg(fuzzing)]
pub(crate) mod reading {
    pub use super::columns::{draft_of, fields_of, guess};
    pub use super::read::{Sheet, sheet};
}

use emcrm_model::{EventId, FieldErrors, Role};
use emcrm_store::engine::EXPIRES;
use emcrm_store::{Guard, IndexName, Item, Key, Query, Queue, Rule, Table, TransactError, Transaction, keys};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub(crate) use about::{ImportPlace, Whom};
pub use columns::{FIELDS, Mapping};
pub use plan::{Checked, RowFault};
pub(crate) use read::Lines;
pub use read::{FILE_MAX, ROWS_MAX, Row, decode};

use crate::audit::Deed;
use crate::{App, AppError, Call};

/// Rows of a piece.
const ROWS_AT_ONCE: usize = 50;
/// How long an import can be looked at and taken back.
pub const KEPT_SECONDS: i64 = 30 * 24 * 3_600;
/// Imports that are listed.
const LISTED: u32 = 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ImportState {
    /// Read, and nothing done yet.
    Uploaded,
    Running,
    Done,
    Undoing,
    Undone,
}

/// Rows by what became of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ImportCounts {
    pub created: u64,
    pub changed: u64,
    pub same: u64,
    pub faulty: u64,
    /// Put on the event's list.
    pub registered: u64,
    /// On it before.
    pub already: u64,
    /// Imported, and the last place was taken by somebody else meanwhile, or the event was deleted.
    pub unplaced: u64,
}

impl ImportCounts {
    pub fn rows(&self) -> u64 {
        self.created + self.changed + self.same + self.faulty
    }
}

/// What became of people when an import was taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct UndoCounts {
    pub deleted: u64,
    pub restored: u64,
    /// Somebody changed or used them since.
    pub kept: u64,
    /// Taken off the event's list.
    pub unregistered: u64,
}

/// One import. Stored shape.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PeopleImport {
    pub id: String,
    /// Name of the file.
    pub name: String,
    pub state: ImportState,
    pub encoding: String,
    pub delimiter: String,
    pub header: Vec<String>,
    pub mapping: Mapping,
    /// Whose list the people are put on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<EventId>,
    pub rows: u64,
    pub pieces: u32,
    /// Pieces that are done; when it is taken back, pieces that are left.
    pub next: u32,
    #[serde(default)]
    pub counts: ImportCounts,
    #[serde(default)]
    pub undone: UndoCounts,
    pub created_at: String,
    #[serde(default)]
    pub by: String,
    #[serde(rename = "expiresAt")]
    expires_at: i64,
}

impl PeopleImport {
    /// How the audit trail calls it.
    pub fn object(&self) -> String {
        format!("import#{}", self.id)
    }

    /// Its task's calls: of the product itself, and the trail says for which import. Who began it stands in an entry of its own.
    fn call(&self) -> Call {
        Call { request_id: self.object(), ..Call::system() }
    }

    fn item(&self) -> Result<Item, AppError> {
        let Ok(Value::Object(mut attrs)) = serde_json::to_value(self) else { return Err(AppError::Internal("an import cannot be written".to_owned())) };
        attrs.insert("type".to_owned(), keys::TYPE_PEOPLE_IMPORT.into());
        Ok(Item { key: keys::people_import(&self.id), attrs })
    }

    fn of(item: Item) -> Result<Self, AppError> {
        serde_json::from_value(Value::Object(item.attrs)).map_err(|error| AppError::Internal(format!("an import: {error}")))
    }

    /// Moves on, if it still is where it was seen.
    fn put_over(&self, tx: &mut Transaction, seen: &Self) -> Result<(), AppError> {
        let state = serde_json::to_value(seen.state).unwrap_or_default();
        let as_seen = Guard::Equals("state".to_owned(), state).and(Guard::equals("next", seen.next));
        tx.put(Table::Main, self.item()?).when(as_seen).or(Rule::Changed);
        Ok(())
    }
}

impl App {
    /// Reads a file and keeps its rows, for an event's list where one is given. Faults of the file as a whole come out here.
    pub async fn people_import_upload(&self, call: &Call, name: &str, bytes: Vec<u8>, event: Option<EventId>) -> Result<PeopleImport, AppError> {
        call.require(Role::Editor)?;
        if let Some(event) = &event
            && self.store.events.get(event).await?.is_none()
        {
            return Err(AppError::EventUnknown);
        }
        if bytes.len() > FILE_MAX {
            return Err(FieldErrors::one("file", "value_error", format!("a file has at most {} MB", FILE_MAX / 1024 / 1024)).into());
        }
        let sheet = tokio::task::spawn_blocking(move || read::sheet(&bytes)).await.map_err(|error| AppError::Internal(error.to_string()))??;
        let import = PeopleImport {
            id: self.ids.ordered().to_string(),
            name: name.chars().filter(|letter| !letter.is_control()).take(200).collect(),
            state: ImportState::Uploaded,
            encoding: sheet.encoding.to_owned(),
            delimiter: sheet.delimiter.to_string(),
            mapping: columns::guess(&sheet.header),
            header: sheet.header,
            event,
            rows: sheet.rows,
            pieces: sheet.pieces.len() as u32,
            next: 0,
            counts: ImportCounts::default(),
            undone: UndoCounts::default(),
            created_at: self.stamp(),
            by: call.actor.name().to_owned(),
            expires_at: self.now().as_second() + KEPT_SECONDS,
        };
        for (n, piece) in (0..).zip(sheet.pieces) {
            let mut tx = Transaction::new();
            tx.put(Table::Main, piece_of(&import, keys::people_import_rows(&import.id, n), &piece)?);
            self.transact(tx).await?;
        }
        // Last, so that what is there is whole.
        let mut tx = Transaction::new();
        tx.put(Table::Main, import.item()?);
        self.audit_note(&mut tx, call, Deed::new("import.uploaded", import.object()).with(format!("{} rows", import.rows)));
        self.transact(tx).await?;
        Ok(import)
    }

    pub async fn people_import_get(&self, call: &Call, id: &str) -> Result<PeopleImport, AppError> {
        call.require(Role::Viewer)?;
        let unknown = AppError::NothingThere("There is no such import, or it is older than 30 days");
        let Some(item) = self.store.engine.get(Table::Main, &keys::people_import(id)).await? else { return Err(unknown) };
        let import = PeopleImport::of(item)?;
        if import.expires_at <= self.now().as_second() { Err(unknown) } else { Ok(import) }
    }

    /// Newest first.
    pub async fn people_import_list(&self, call: &Call) -> Result<Vec<PeopleImport>, AppError> {
        call.require(Role::Viewer)?;
        let query = Query::index(Table::Main, IndexName::Type, keys::TYPE_PEOPLE_IMPORT).backward().limit(LISTED);
        self.store.engine.query(query).await?.items.into_iter().map(PeopleImport::of).collect()
    }

    /// Begins the import with this mapping.
    pub async fn people_import_start(&self, call: &Call, id: &str, mapping: Mapping) -> Result<PeopleImport, AppError> {
        call.require(Role::Editor)?;
        columns::check(&mapping)?;
        let change = |import: PeopleImport| PeopleImport { state: ImportState::Running, mapping, ..import };
        self.import_move(call, id, ImportState::Uploaded, "people_import", "import.started", change).await
    }

    /// Begins to take the import back.
    pub async fn people_import_undo(&self, call: &Call, id: &str) -> Result<PeopleImport, AppError> {
        call.require(Role::Editor)?;
        let change = |import: PeopleImport| PeopleImport { state: ImportState::Undoing, ..import };
        self.import_move(call, id, ImportState::Done, "people_import_undo", "import.undone", change).await
    }

    /// To another state, with the task that does it. Where it is in that state already, nothing happens: somebody pressed twice.
    async fn import_move(
        &self,
        call: &Call,
        id: &str,
        from: ImportState,
        task: &str,
        what: &'static str,
        change: impl FnOnce(PeopleImport) -> PeopleImport,
    ) -> Result<PeopleImport, AppError> {
        let seen = self.people_import_get(call, id).await?;
        if seen.state != from {
            return Ok(seen);
        }
        let moved = change(seen.clone());
        let mut tx = Transaction::new();
        moved.put_over(&mut tx, &seen)?;
        self.store.tasks.put(&mut tx, Queue::Default, id, task, json!({ "import": id }), self.now_ms());
        self.audit_note(&mut tx, call, Deed::new(what, moved.object()));
        match self.transact(tx).await {
            Ok(()) => Ok(moved),
            Err(TransactError::Engine(error)) => Err(error.into()),
            Err(TransactError::Refused(_)) => self.people_import_get(call, id).await,
        }
    }
}

/// A piece of an import, which expires with it.
fn piece_of<T: Serialize>(import: &PeopleImport, key: Key, content: &T) -> Result<Item, AppError> {
    let text = serde_json::to_string(content).map_err(|error| AppError::Internal(error.to_string()))?;
    let attrs = [("content".to_owned(), Value::from(text)), (EXPIRES.to_owned(), Value::from(import.expires_at))].into_iter().collect();
    Ok(Item { key, attrs })
}
