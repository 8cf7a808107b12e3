//! Everything that is stored, as one file: for moving from one pair of engines to another. The same content gives the same bytes, whatever
//! engine it came from.
//!
//! The file is gzip. Inside, each line is JSON:
//! - the first names the format and its version;
//! - then one line for each item, `{"t": table, "p": PK, "s": SK, "a": attributes}`, in order of table, PK and SK, attributes in order of names;
//! - the last says how many items there are and the SHA-256 of all lines before it.
//!
//! Not in it: what belongs to running processes (leases, workers) and to browsers (sessions), tasks of the search index (the other side fills its own) and what has expired.
//!
//! | file | holds |
//! |---|---|
//! | `export` | reading a storage, sorting beyond memory, writing the file |
//! | `import` | checking the whole file, then writing it into an empty storage, from where an interrupted import stopped |
//! | `line` | one item as a line, and back |

mod export;
mod import;
pub(crate) mod line;

pub use export::{Exported, export};
pub use import::{Imported, import};

use emcrm_store::EngineError;

use crate::AppError;

const FORMAT: &str = "emcrm-archive";
/// Raise it when an older program could not read what is written.
const VERSION: u64 = 1;

/// Why there is no archive, or no import.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    #[error("{0} worker(s) are running on this storage. Stop them first, or export with --online and accept that the archive is of no single moment.")]
    Running(usize),
    #[error("The campaign {0} is {1}. Pause it, or let it end: an audience that is half frozen or half mailed cannot be moved.")]
    Busy(String, String),
    #[error("{0} cannot be read or written: {1}")]
    File(String, std::io::Error),
    #[error("This is no archive of EMCRM: {0}.")]
    NoArchive(String),
    #[error("The archive is of version {0}; this program reads version {VERSION}. Use a newer program.")]
    Newer(u64),
    #[error("The archive is damaged: {0}. Nothing was written.")]
    Damaged(String),
    #[error("The storage is not empty: it holds {0}. An archive is imported into an empty one.")]
    NotEmpty(String),
    #[error("The import of another archive was interrupted here (its checksum is {0}). Import that one again, or start with an empty storage.")]
    Other(String),
    #[error(transparent)]
    App(#[from] AppError),
}

impl From<EngineError> for ArchiveError {
    fn from(error: EngineError) -> Self {
        Self::App(error.into())
    }
}
