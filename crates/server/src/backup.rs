//! A backup of the embedded storage: a folder with the database of one moment, the key, and a note about both.
//!
//! Not in it: the search index, which is made anew, and mails that became files.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use emcrm_app::restored::mark_as_backup;
use emcrm_store::Transaction;
use emcrm_store::sqlite::{DATABASE, OpenError, SqliteEngine, snapshot, write_beside};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::config::secret_key;

const NOTE: &str = "backup.json";
const FORMAT: &str = "emcrm-backup";
/// Raise it when an older program could not restore what is written.
const VERSION: u32 = 1;

#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    #[error("{folder} is there already. A backup is a new folder: choose another name, such as one with the date.", folder = .0.display())]
    Exists(PathBuf),
    #[error("{folder} is not empty: it holds {1}. A backup is restored into an empty folder: move the old one away, or choose another with APP_DATA_DIR.", folder = .0.display())]
    NotEmpty(PathBuf, String),
    #[error("{folder} is no backup of EMCRM: {1}.", folder = .0.display())]
    NoBackup(PathBuf, String),
    #[error("The backup {folder} is damaged: {1}. Nothing was restored.", folder = .0.display())]
    Damaged(PathBuf, String),
    #[error("The backup is of version {0}; this program reads version {VERSION}. Use a newer program.")]
    Newer(u32),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("{0}.")]
    Storage(String),
    #[error("{path} cannot be read or written: {1}", path = .0.display())]
    File(PathBuf, io::Error),
}

/// What stands in `backup.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    format: String,
    version: u32,
    /// The moment that the database is of; never later than the real one.
    pub at: String,
    /// Of the program that made it.
    pub program: String,
    pub bytes: u64,
    /// Of the database, in hexadecimal.
    sha256: String,
    /// Whether the key is in the backup. It is not where `APP_SECRET_KEY` gives it.
    pub key: bool,
}

fn file_error(path: &Path) -> impl FnOnce(io::Error) -> BackupError {
    let path = path.to_owned();
    move |error| BackupError::File(path, error)
}

/// Backs a data folder up into a new folder. Another process may serve from it meanwhile. The new folder is there whole or not at all. `entry` is written into
/// the data folder before anything is copied: without it there is no backup.
pub async fn backup(data: &Path, target: &Path, at: &str, entry: Option<&Transaction>) -> Result<Note, BackupError> {
    if target.exists() {
        return Err(BackupError::Exists(target.to_owned()));
    }
    let parent = target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(parent).map_err(file_error(parent))?;
    let mut builder = tempfile::Builder::new();
    builder.prefix(".emcrm-backup-");
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700));
    let stage = builder.tempdir_in(parent).map_err(file_error(parent))?;
    let folder = stage.path();
    if let Some(entry) = entry {
        write_beside(data, entry)?;
    }
    snapshot(data, folder)?;
    {
        // Opened as what it is: so it is known to open, to be whole, and it says itself that it is a backup.
        let engine = SqliteEngine::open(folder)?;
        mark_as_backup(&engine, at).await.map_err(|error| BackupError::Storage(error.to_string()))?;
        engine.integrity_check().await.map_err(|error| BackupError::Storage(error.to_string()))?;
    }
    for entry in fs::read_dir(folder).map_err(file_error(folder))? {
        let path = entry.map_err(file_error(folder))?.path();
        if path.file_name().is_some_and(|name| name != DATABASE) {
            fs::remove_file(&path).map_err(file_error(&path))?;
        }
    }
    let database = folder.join(DATABASE);
    own_only(&database)?;
    let key = data.join(secret_key::FILE);
    let has_key = key.is_file();
    if has_key {
        copy_new(&key, &folder.join(secret_key::FILE))?;
    }
    let (sha256, bytes) = sum(&database)?;
    let note =
        Note { format: FORMAT.to_owned(), version: VERSION, at: at.to_owned(), program: env!("CARGO_PKG_VERSION").to_owned(), bytes, sha256, key: has_key };
    let path = folder.join(NOTE);
    let text = serde_json::to_vec_pretty(&note).map_err(|error| BackupError::Storage(error.to_string()))?;
    new_file(&path).and_then(|mut file| file.write_all(&text).and_then(|()| file.sync_all())).map_err(file_error(&path))?;
    sync_folder(folder)?;
    // Refused when somebody else has made a folder with something in it meanwhile.
    fs::rename(folder, target).map_err(file_error(target))?;
    // It is not where it was, so nothing is left to be removed.
    let _ = stage.keep();
    sync_folder(parent)?;
    Ok(note)
}

/// Puts a backup into a data folder that is empty. The campaigns are held at the first start, or by the caller.
pub fn restore(source: &Path, data: &Path) -> Result<Note, BackupError> {
    let path = source.join(NOTE);
    let text = fs::read_to_string(&path).map_err(|error| BackupError::NoBackup(source.to_owned(), format!("{NOTE} cannot be read: {error}")))?;
    let note: Note = serde_json::from_str(&text).map_err(|error| BackupError::NoBackup(source.to_owned(), format!("{NOTE}: {error}")))?;
    if note.format != FORMAT {
        return Err(BackupError::NoBackup(source.to_owned(), format!("{NOTE} does not say so")));
    }
    if note.version > VERSION {
        return Err(BackupError::Newer(note.version));
    }
    let database = source.join(DATABASE);
    if sum(&database)? != (note.sha256.clone(), note.bytes) {
        return Err(BackupError::Damaged(source.to_owned(), format!("{DATABASE} is not what was written")));
    }
    let key = source.join(secret_key::FILE);
    if note.key && !key.is_file() {
        return Err(BackupError::Damaged(source.to_owned(), format!("{} is missing", secret_key::FILE)));
    }
    make_folder(data)?;
    for entry in fs::read_dir(data).map_err(file_error(data))? {
        let name = entry.map_err(file_error(data))?.file_name().to_string_lossy().into_owned();
        // Settings may lie there, and a mounted disk brings its own.
        if !name.starts_with('.') && name != "lost+found" {
            return Err(BackupError::NotEmpty(data.to_owned(), name));
        }
    }
    if note.key {
        copy_new(&key, &data.join(secret_key::FILE))?;
    }
    // The database last, and in one step: with it the folder is one that can be started from.
    let mut copy = tempfile::NamedTempFile::new_in(data).map_err(file_error(data))?;
    let target = data.join(DATABASE);
    let mut from = File::open(&database).map_err(file_error(&database))?;
    io::copy(&mut from, copy.as_file_mut()).and_then(|_| copy.as_file().sync_all()).map_err(file_error(&target))?;
    copy.persist_noclobber(&target).map_err(|error| BackupError::File(target.clone(), error.error))?;
    sync_folder(data)?;
    Ok(note)
}

fn make_folder(folder: &Path) -> Result<(), BackupError> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder).map_err(file_error(folder))
}

/// Readable by its owner only, and not there before.
fn new_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn copy_new(from: &Path, to: &Path) -> Result<(), BackupError> {
    let bytes = fs::read(from).map_err(file_error(from))?;
    new_file(to).and_then(|mut file| file.write_all(&bytes).and_then(|()| file.sync_all())).map_err(file_error(to))
}

fn own_only(path: &Path) -> Result<(), BackupError> {
    #[cfg(unix)]
    {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        fs::set_permissions(path, mode).map_err(file_error(path))?;
    }
    Ok(())
}

fn sync_folder(folder: &Path) -> Result<(), BackupError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(file_error(folder))
}

/// SHA-256 in hexadecimal, and the number of bytes.
fn sum(path: &Path) -> Result<(String, u64), BackupError> {
    use std::fmt::Write as _;
    let mut file = File::open(path).map_err(file_error(path))?;
    let (mut hash, mut bytes, mut buffer) = (Sha256::new(), 0, vec![0; 128 * 1024]);
    loop {
        let n = file.read(&mut buffer).map_err(file_error(path))?;
        let Some(part) = buffer.get(..n).filter(|part| !part.is_empty()) else { break };
        hash.update(part);
        bytes += n as u64;
    }
    let hex = hash.finalize().iter().fold(String::new(), |mut text, byte| {
        // Writing into a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    });
    Ok((hex, bytes))
}
