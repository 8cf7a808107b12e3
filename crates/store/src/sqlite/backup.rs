//! A copy of the database of one moment, while another process writes to it.

use std::{fs::File, path::Path};

use super::open::{DATABASE, OpenError, reader, sqlite_error};

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
