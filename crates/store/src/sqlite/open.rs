//! Opening the data folder: one process at a time, only our own file, and nothing changed before that is known.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read as _, Seek as _, Write as _},
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension as _};

use super::schema::{APPLICATION_ID, SCHEMA_VERSION, migrate};

/// Name of the database in a data folder.
pub const DATABASE: &str = "emcrm.db";
/// How long a connection waits for another one's lock.
pub const BUSY_PATIENCE: Duration = Duration::from_secs(5);
const LOCK: &str = "emcrm.lock";

/// Why the data folder could not be opened. Each reads as a sentence for the person who starts the program.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("the data folder {} cannot be used: {reason}", path.display())]
    Folder { path: PathBuf, reason: String },
    #[error("the data folder {} is in use by another process{}", path.display(), holder(*pid))]
    InUse { path: PathBuf, pid: Option<u32> },
    #[error("{} cannot be written, because it or its folder is read-only for this user", path.display())]
    ReadOnly { path: PathBuf },
    #[error("the disk that holds {} is full", path.display())]
    Full { path: PathBuf },
    #[error("{} was written by a newer version (layout {found}, this version knows {supported}); use that version", path.display())]
    Newer { path: PathBuf, found: i32, supported: i32 },
    #[error("{} is damaged or not a database of this program: {reason}. It was left as it is", path.display())]
    Corrupt { path: PathBuf, reason: String },
    #[error("{} cannot be opened: {reason}", path.display())]
    Failed { path: PathBuf, reason: String },
}

fn holder(pid: Option<u32>) -> String {
    pid.map(|pid| format!(" (process {pid})")).unwrap_or_default()
}

/// The opened folder. The lock lives as long as the file is open; a killed process gives it back.
pub struct Opened {
    pub writer: Connection,
    pub path: PathBuf,
    pub lock: File,
}

pub fn open(folder: &Path) -> Result<Opened, OpenError> {
    make_folder(folder)?;
    let lock = take_lock(folder)?;
    let path = folder.join(DATABASE);
    let found = version_of(&path)?;
    let failed = |error: rusqlite::Error| sqlite_error(&path, &error);

    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut writer = Connection::open_with_flags(&path, flags).map_err(failed)?;
    if writer.is_readonly("main").map_err(failed)? {
        return Err(OpenError::ReadOnly { path });
    }
    prepare_writer(&writer).map_err(failed)?;
    if found < SCHEMA_VERSION {
        migrate(&mut writer, found).map_err(failed)?;
    }
    Ok(Opened { writer, path, lock })
}

/// A connection for reads only.
pub fn reader(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_PATIENCE)?;
    // 2 MB of pages. No memory map: mapped pages count as resident, and a fault of the disk would be a signal.
    connection.execute_batch("PRAGMA cache_size = -2000; PRAGMA mmap_size = 0;")?;
    Ok(connection)
}

pub fn prepare_writer(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY_PATIENCE)?;
    // FULL: each commit is synced. 8 MB of pages. The log is copied back by the writer itself and gives disk back beyond 64 MB.
    connection.execute_batch(
        "PRAGMA journal_mode = WAL;
         PRAGMA synchronous = FULL;
         PRAGMA cache_size = -8000;
         PRAGMA mmap_size = 0;
         PRAGMA cell_size_check = ON;
         PRAGMA wal_autocheckpoint = 0;
         PRAGMA journal_size_limit = 67108864;",
    )
}

pub fn make_folder(folder: &Path) -> Result<(), OpenError> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder).map_err(|error| io_error(folder, &error))
}

fn take_lock(folder: &Path) -> Result<File, OpenError> {
    let failed = |error: io::Error| io_error(folder, &error);
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    let mut file = options.open(folder.join(LOCK)).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            let _ = file.read_to_string(&mut text);
            return Err(OpenError::InUse { path: folder.to_owned(), pid: text.trim().parse().ok() });
        }
        Err(TryLockError::Error(error)) => return Err(failed(error)),
    }
    file.set_len(0).map_err(failed)?;
    file.rewind().map_err(failed)?;
    writeln!(file, "{}", std::process::id()).map_err(failed)?;
    Ok(file)
}

/// The layout of the file, 0 if there is none yet. Reads only, so that a file that is refused stays as it is.
pub fn version_of(path: &Path) -> Result<i32, OpenError> {
    let corrupt = |reason: &str| OpenError::Corrupt { path: path.to_owned(), reason: reason.to_owned() };
    let mut start = Vec::new();
    let size = match File::open(path) {
        Ok(file) => {
            let size = file.metadata().map_err(|error| io_error(path, &error))?.len();
            file.take(100).read_to_end(&mut start).map_err(|error| io_error(path, &error))?;
            size
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(io_error(path, &error)),
    };
    if start.is_empty() {
        return Ok(0);
    }
    let Some(stated) = stated_size(&start) else {
        return Err(corrupt("it does not start like a SQLite database"));
    };
    // With a log beside it the file may be behind what it says; without one it is complete.
    let log = fs::metadata(path.with_extension("db-wal")).map_or(0, |log| log.len());
    if log == 0 && size < stated {
        return Err(corrupt("its end is missing"));
    }
    let failed = |error: rusqlite::Error| sqlite_error(path, &error);
    let connection = reader(path).map_err(failed)?;
    let pragma = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i32>(0)).map_err(failed);
    let (application, version) = (pragma("application_id")?, pragma("user_version")?);
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(failed)?;
    match (application, version) {
        // Made, but the process ended before the tables were.
        (0, 0) if tables == 0 => Ok(0),
        (APPLICATION_ID, found) if found > SCHEMA_VERSION => Err(OpenError::Newer { path: path.to_owned(), found, supported: SCHEMA_VERSION }),
        (APPLICATION_ID, found) if found > 0 => {
            // A small read of both tables; damage deeper down is found by the full check.
            for table in ["main_items", "email_items"] {
                let first = format!("SELECT pk, sk, type, email, slug, item FROM {table} LIMIT 1");
                connection.query_row(&first, [], |_| Ok(())).optional().map_err(failed)?;
            }
            Ok(found)
        }
        _ => Err(corrupt("another program wrote it")),
    }
}

/// Bytes that the header of a SQLite file says it has (SQLite, "Database File Format", 1.3); none when it is no such header.
fn stated_size(header: &[u8]) -> Option<u64> {
    let rest = header.strip_prefix(b"SQLite format 3\0")?;
    let page_size = u16::from_be_bytes(rest.get(..2)?.try_into().ok()?);
    let pages = u32::from_be_bytes(rest.get(12..16)?.try_into().ok()?);
    // 1 stands for 65,536.
    let page_size = if page_size == 1 { 65_536 } else { u64::from(page_size) };
    Some(page_size * u64::from(pages))
}

fn io_error(path: &Path, error: &io::Error) -> OpenError {
    let path = path.to_owned();
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => OpenError::Full { path },
        io::ErrorKind::ReadOnlyFilesystem => OpenError::ReadOnly { path },
        _ => OpenError::Folder { path, reason: error.to_string() },
    }
}

pub fn sqlite_error(path: &Path, error: &rusqlite::Error) -> OpenError {
    let path = path.to_owned();
    let reason = error.to_string();
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => OpenError::Full { path },
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => OpenError::ReadOnly { path },
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => OpenError::Corrupt { path, reason },
        _ => OpenError::Failed { path, reason },
    }
}
