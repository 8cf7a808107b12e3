//! The files of a tantivy index, durable at each commit and not before.
//!
//! The library syncs every file by itself, one after the other, though a segment that no commit names yet is of no use after a crash.
//! Here, small files are synced together when the commit is written, so that a flush of one document waits for few rounds of the disk
//! and not for twenty.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use parking_lot::Mutex;
use tantivy::Directory;
use tantivy::directory::error::{DeleteError, LockError, OpenReadError, OpenWriteError};
use tantivy::directory::{AntiCallToken, DirectoryLock, FileHandle, Lock, MmapDirectory, TerminatingWrite, WatchCallback, WatchHandle, WritePtr};

use super::folder::sync_folder;

/// The file that is the commit: it names the segments.
const COMMIT: &str = "meta.json";
/// The list of files that the library may remove.
const FILES: &str = ".managed.json";
/// Larger files, as merges write them, are synced where they are written, so that a commit never waits for them.
const SMALL: u64 = 1 << 20;
/// Files that are synced at once; the disk takes them in one round.
const AT_ONCE: usize = 8;

#[derive(Clone, Debug)]
pub struct CommitDirectory {
    root: Arc<PathBuf>,
    inner: MmapDirectory,
    /// Written since the last commit and not yet synced.
    waiting: Arc<Mutex<BTreeSet<PathBuf>>>,
}

impl CommitDirectory {
    pub fn open(root: &Path) -> tantivy::Result<Self> {
        Ok(Self { root: Arc::new(root.to_owned()), inner: MmapDirectory::open(root)?, waiting: Arc::default() })
    }

    /// Makes everything that was written durable. What fails is tried again with the next commit.
    fn sync(&self) -> io::Result<()> {
        let paths: Vec<PathBuf> = std::mem::take(&mut *self.waiting.lock()).into_iter().collect();
        let sync = |paths: &[PathBuf]| paths.iter().try_for_each(|path| sync_file(path));
        let each = paths.len().div_ceil(AT_ONCE).max(1);
        let result = thread::scope(|scope| {
            let threads: Vec<_> = paths.chunks(each).map(|part| scope.spawn(move || sync(part))).collect();
            threads.into_iter().try_for_each(|thread| thread.join().unwrap_or_else(|_| Err(io::Error::other("a sync failed"))))
        });
        let result = result.and_then(|()| sync_folder(&self.root));
        if result.is_err() {
            self.waiting.lock().extend(paths);
        }
        result
    }
}

/// A file that is gone was not needed.
fn sync_file(path: &Path) -> io::Result<()> {
    match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        file => file?.sync_data(),
    }
}

impl Directory for CommitDirectory {
    fn open_write(&self, path: &Path) -> Result<WritePtr, OpenWriteError> {
        let full = self.root.join(path);
        let file = OpenOptions::new().write(true).create_new(true).open(&full).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => OpenWriteError::FileAlreadyExists(path.to_owned()),
            _ => OpenWriteError::wrap_io_error(error, path.to_owned()),
        })?;
        Ok(BufWriter::new(Box::new(Writer { file, path: full, written: 0, waiting: Arc::clone(&self.waiting) })))
    }

    fn atomic_write(&self, path: &Path, data: &[u8]) -> io::Result<()> {
        if path == Path::new(COMMIT) {
            self.sync()?;
            self.inner.atomic_write(path, data)?;
            return sync_folder(&self.root);
        }
        // The list of files, which is written for every file.
        let full = self.root.join(path);
        let draft = full.with_added_extension("new");
        fs::write(&draft, data)?;
        fs::rename(&draft, &full)?;
        self.waiting.lock().insert(full);
        Ok(())
    }

    /// Done by each commit.
    fn sync_directory(&self) -> io::Result<()> {
        Ok(())
    }

    fn get_file_handle(&self, path: &Path) -> Result<Arc<dyn FileHandle>, OpenReadError> {
        self.inner.get_file_handle(path)
    }

    fn delete(&self, path: &Path) -> Result<(), DeleteError> {
        self.waiting.lock().remove(&self.root.join(path));
        self.inner.delete(path)
    }

    fn exists(&self, path: &Path) -> Result<bool, OpenReadError> {
        self.inner.exists(path)
    }

    fn atomic_read(&self, path: &Path) -> Result<Vec<u8>, OpenReadError> {
        let data = self.inner.atomic_read(path)?;
        // Without its list of files, which a crash of the machine may cut, an index only forgets to remove files.
        if path == Path::new(FILES) && serde_json::from_slice::<Vec<PathBuf>>(&data).is_err() {
            return Err(OpenReadError::FileDoesNotExist(path.to_owned()));
        }
        Ok(data)
    }

    fn acquire_lock(&self, lock: &Lock) -> Result<DirectoryLock, LockError> {
        self.inner.acquire_lock(lock)
    }

    fn watch(&self, callback: WatchCallback) -> tantivy::Result<WatchHandle> {
        self.inner.watch(callback)
    }
}

struct Writer {
    file: File,
    path: PathBuf,
    written: u64,
    waiting: Arc<Mutex<BTreeSet<PathBuf>>>,
}

impl Write for Writer {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let written = self.file.write(data)?;
        self.written += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl TerminatingWrite for Writer {
    fn terminate_ref(&mut self, _: AntiCallToken) -> io::Result<()> {
        if self.written > SMALL {
            return self.file.sync_data();
        }
        self.waiting.lock().insert(self.path.clone());
        Ok(())
    }
}
