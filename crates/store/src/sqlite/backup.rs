//! A copy of the database of one moment, while another process writes to it; and the note of it there.

use std::{fs::File, path::Path};

use rusqlite::{Connection, OpenFlags};

use super::{
    lately::Lately,
    open::{DATABASE, OpenError, prepare_writer, reader, sqlite_error, version_of},
    writer::commit,
};
use crate::{
    engine::{EngineError, Guard, Transaction},
    rules::Rule,
};

/// Copies the database of a data folder, as it is at one moment, into a data folder that is made for it or has none yet. Another process may have the
/// source open and write: a reader of SQLite's log sees one moment and stops nobody. The log of the source cannot start anew meanwhile, so it
/// grows by what is written. Blocks until the copy is on the disk.
pub fn snapshot(source: &Path, target: &Path) -> Result<(), OpenError> {
    let path = source.join(DATABASE);
    if !path.is_file() {
        return Err(OpenError::Folder { path: source.to_owned(), reason: format!("there is no {DATABASE} in it") });
    }
    let copy = target.join(DATABASE);
    super::open::make_folder(target)?;
    let connection = reader(&path).map_err(|error| sqlite_error(&path, &error))?;
    let name = copy.to_str().ok_or_else(|| OpenError::Folder { path: target.to_owned(), reason: "its name is not valid text".to_owned() })?;
    connection.execute("VACUUM INTO ?1", [name]).map_err(|error| sqlite_error(&copy, &error))?;
    let synced = File::open(&copy).and_then(|file| file.sync_all());
    synced.map_err(|error| OpenError::Folder { path: copy, reason: error.to_string() })
}

/// Commits one small transaction to the database of a data folder that another process may have open: SQLite lets one write after the other, each waits up to
/// five seconds for the other. For a note of what is about to be copied, and nothing else: what the other process holds in memory is
/// not told, so an item that is there already is refused. Blocks until the disk has it.
pub fn write_beside(folder: &Path, transaction: &Transaction) -> Result<(), OpenError> {
    let path = folder.join(DATABASE);
    if !path.is_file() {
        return Err(OpenError::Folder { path: folder.to_owned(), reason: format!("there is no {DATABASE} in it") });
    }
    // A file of a newer version, or of another program, stays as it is.
    version_of(&path)?;
    let failed = |error: rusqlite::Error| sqlite_error(&path, &error);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(&path, flags).map_err(failed)?;
    if connection.is_readonly("main").map_err(failed)? {
        return Err(OpenError::ReadOnly { path });
    }
    prepare_writer(&connection).map_err(failed)?;
    let failed = |reason: String| OpenError::Failed { path: path.clone(), reason };
    let mut transaction = transaction.clone();
    for op in &mut transaction.ops {
        op.guards.push((Guard::Absent, Rule::IdTaken));
    }
    match commit(&mut connection, std::iter::once(&transaction), &mut Lately::default(), |_| ()) {
        Ok(outcomes) => outcomes.into_iter().try_for_each(|outcome| outcome.map_err(|error| failed(error.to_string()))),
        Err(EngineError::Full) => Err(OpenError::Full { path: path.clone() }),
        Err(error) => Err(failed(error.to_string())),
    }
}
