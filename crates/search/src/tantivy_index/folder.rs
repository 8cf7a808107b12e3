//! The folder of the index: versions, each in its own sub-folder, and a small file that names the one in use.
//!
//! | entry | holds |
//! |---|---|
//! | `lock` | locked by the process that has the index open |
//! | `current` | the name of the version in use; replaced by one rename |
//! | `v1-000003/` | version 3 in schema 1: a folder for each kind, and `complete` once it is filled |
//!
//! Every other version is left over from a rebuild that was not finished, and is removed when the index is opened.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tracing::warn;

use super::fields::SCHEMA_VERSION;
use crate::SearchError;

const COMPLETE: &str = "complete";

#[derive(Debug)]
pub struct Folder {
    root: PathBuf,
    /// Held as long as the index is open.
    _lock: File,
}

impl Folder {
    /// # Errors
    /// `Unavailable` when the folder cannot be made or another process has it open.
    pub fn open(data: &Path) -> Result<Self, SearchError> {
        let root = data.join("search");
        fs::create_dir_all(&root).map_err(|error| unavailable(&error))?;
        let lock = File::create(root.join("lock")).map_err(|error| unavailable(&error))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { root, _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(SearchError::Unavailable("another process has it open".to_owned())),
            Err(TryLockError::Error(error)) => Err(unavailable(&error)),
        }
    }

    /// The name of the version in use, if it is of this schema.
    pub fn current(&self) -> Option<String> {
        let name = fs::read_to_string(self.root.join("current")).ok()?;
        let name = name.trim();
        number_of(name).map(|_| name.to_owned())
    }

    pub fn path(&self, version: &str) -> PathBuf {
        self.root.join(version)
    }

    /// Makes the folder of a new version.
    pub fn create(&self) -> Result<String, SearchError> {
        let last = self.versions().iter().filter_map(|name| number_of(name)).max().unwrap_or(0);
        let name = format!("v{SCHEMA_VERSION}-{:06}", last + 1);
        fs::create_dir_all(self.path(&name)).map_err(|error| unavailable(&error))?;
        Ok(name)
    }

    /// From now on this version is in use, also after a crash.
    pub fn point_to(&self, version: &str) -> Result<(), SearchError> {
        let write = || -> io::Result<()> {
            let draft = self.root.join("current.new");
            let mut file = File::create(&draft)?;
            file.write_all(version.as_bytes())?;
            file.sync_all()?;
            fs::rename(&draft, self.root.join("current"))?;
            sync_folder(&self.root)
        };
        write().map_err(|error| unavailable(&error))
    }

    pub fn is_complete(&self, version: &str) -> bool {
        self.path(version).join(COMPLETE).is_file()
    }

    pub fn mark_complete(&self, version: &str) -> Result<(), SearchError> {
        let path = self.path(version);
        let write = || -> io::Result<()> {
            File::create(path.join(COMPLETE))?.sync_all()?;
            sync_folder(&path)
        };
        write().map_err(|error| unavailable(&error))
    }

    pub fn mark_incomplete(&self, version: &str) {
        if let Err(error) = fs::remove_file(self.path(version).join(COMPLETE)) {
            warn!(version, %error, "a version of the search index could not be marked incomplete");
        }
    }

    /// What cannot be removed now is removed when the index is opened next.
    pub fn remove(&self, version: &str) {
        if let Err(error) = fs::remove_dir_all(self.path(version)) {
            warn!(version, %error, "an old version of the search index could not be removed");
        }
    }

    /// Removes every version but this one.
    pub fn remove_others(&self, keep: &str) {
        for name in self.versions().into_iter().filter(|name| name != keep) {
            self.remove(&name);
        }
    }

    /// The names of all versions, those of other schemas included.
    fn versions(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.root).into_iter().flatten().flatten();
        let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        folders.filter_map(|entry| entry.file_name().into_string().ok()).filter(|name| name.starts_with('v')).collect()
    }
}

/// The number of a version of this schema.
fn number_of(version: &str) -> Option<u64> {
    version.strip_prefix(&format!("v{SCHEMA_VERSION}-"))?.parse().ok()
}

/// A new name in a folder is durable once the folder is.
pub fn sync_folder(path: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(path)?.sync_all() } else { Ok(()) }
}

fn unavailable(error: &io::Error) -> SearchError {
    SearchError::Unavailable(format!("its folder: {error}"))
}
