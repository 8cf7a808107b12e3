//! The writer thread: the one place that changes the index. Callers hand it commands through a bounded channel.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::RwLock;
use tokio::sync::{mpsc, oneshot};
use tracing::{error, info};

use super::fields::Columns;
use super::folder::Folder;
use super::version::Version;
use super::writer::VersionWriter;
use crate::{Doc, DocChange, Kind, SearchError};

/// Commands that wait in the channel, at most.
pub const QUEUE: usize = 64;

pub type Reply<T> = oneshot::Sender<Result<T, SearchError>>;

pub enum Command {
    Apply(Vec<DocChange>, Reply<()>),
    Flush(Reply<()>),
    MarkComplete(Reply<()>),
    /// The token lives as long as the rebuild is wanted.
    Begin(Weak<()>, Reply<()>),
    Add(Vec<Doc>, Reply<()>),
    Swap(Reply<()>),
    /// Looks whether the rebuild is still wanted.
    Look,
}

/// What the thread and the readers share.
pub struct Shared {
    pub columns: Arc<Columns>,
    pub current: RwLock<Arc<Version>>,
    pub complete: AtomicBool,
    /// None for an index in memory.
    pub folder: Option<Folder>,
}

impl Shared {
    fn new_version(&self) -> Result<Version, SearchError> {
        match &self.folder {
            None => Version::memory("memory".to_owned(), &self.columns.schema),
            Some(folder) => {
                let name = folder.create()?;
                let path = folder.path(&name);
                Version::create(name, &path, &self.columns.schema)
            }
        }
    }

    fn mark_complete(&self, version: &Version) -> Result<(), SearchError> {
        self.folder.as_ref().map_or(Ok(()), |folder| folder.mark_complete(&version.name))
    }

    fn remove(&self, version: &Version) {
        if let Some(folder) = &self.folder {
            folder.remove(&version.name);
        }
    }
}

struct RebuildState {
    wanted: Weak<()>,
    writer: VersionWriter,
    /// Documents that were applied since the rebuild began: what it adds of them is older.
    applied: HashSet<(Kind, String)>,
    /// The first fault of an applied change; the version lacks it, so it cannot be used.
    fault: Option<SearchError>,
}

pub struct Worker {
    shared: Arc<Shared>,
    writer: VersionWriter,
    rebuild: Option<RebuildState>,
}

impl Worker {
    pub fn new(shared: Arc<Shared>) -> Self {
        let version = Arc::clone(&shared.current.read());
        let writer = VersionWriter::new(version, Arc::clone(&shared.columns));
        Self { shared, writer, rebuild: None }
    }

    /// Runs until every sender is gone.
    pub fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        let mut next = None;
        while let Some(command) = next.take().or_else(|| commands.blocking_recv()) {
            if let Command::Flush(reply) = command {
                next = self.flush(reply, &mut commands);
            } else {
                self.handle(command);
            }
            self.drop_unwanted();
        }
        if let Some(rebuild) = self.rebuild.take() {
            self.abandon(rebuild);
        }
    }

    /// One commit for everybody who already waits. Returns a command that has to wait for it.
    fn flush(&mut self, reply: Reply<()>, commands: &mut mpsc::Receiver<Command>) -> Option<Command> {
        let mut replies = vec![reply];
        let mut next = None;
        // Bounded, so that steady writers do not keep the commit from happening.
        for _ in 0..QUEUE {
            match commands.try_recv() {
                Ok(Command::Flush(reply)) => replies.push(reply),
                Ok(command @ Command::Apply(..)) => self.handle(command),
                Ok(command) => {
                    next = Some(command);
                    break;
                }
                Err(_) => break,
            }
        }
        let result = self.commit();
        for reply in replies {
            let _ = reply.send(result.as_ref().copied().map_err(copy));
        }
        next
    }

    fn commit(&mut self) -> Result<(), SearchError> {
        let result = self.writer.commit();
        if self.writer.has_lost() {
            self.lose();
        }
        result
    }

    /// Documents were lost: the index has to be filled again, and whoever waits is told.
    fn lose(&mut self) {
        error!("the search index lost documents that were not yet committed; it has to be rebuilt");
        self.shared.complete.store(false, Ordering::SeqCst);
        if let Some(folder) = &self.shared.folder {
            folder.mark_incomplete(&self.writer.version.name);
        }
    }

    fn handle(&mut self, command: Command) {
        // A caller that is gone needs no answer.
        match command {
            Command::Apply(changes, reply) => drop(reply.send(self.apply(&changes))),
            Command::Flush(reply) => drop(reply.send(self.commit())),
            Command::MarkComplete(reply) => drop(reply.send(self.mark_complete())),
            Command::Begin(wanted, reply) => drop(reply.send(self.begin(wanted))),
            Command::Add(docs, reply) => drop(reply.send(self.add(&docs))),
            Command::Swap(reply) => drop(reply.send(self.swap())),
            Command::Look => {}
        }
    }

    fn apply(&mut self, changes: &[DocChange]) -> Result<(), SearchError> {
        if let Some(rebuild) = &mut self.rebuild {
            for change in changes {
                let (kind, id) = match change {
                    DocChange::Upsert(doc) => (doc.kind, &doc.id),
                    DocChange::Delete(kind, id) => (*kind, id),
                };
                rebuild.applied.insert((kind, id.clone()));
                if let Err(error) = rebuild.writer.apply(change) {
                    rebuild.fault.get_or_insert(error);
                }
            }
        }
        changes.iter().try_for_each(|change| self.writer.apply(change))
    }

    fn mark_complete(&mut self) -> Result<(), SearchError> {
        self.commit()?;
        self.shared.mark_complete(&self.writer.version)?;
        self.shared.complete.store(true, Ordering::SeqCst);
        Ok(())
    }

    fn begin(&mut self, wanted: Weak<()>) -> Result<(), SearchError> {
        if self.rebuild.is_some() {
            return Err(SearchError::Invalid("a rebuild is already under way".to_owned()));
        }
        let version = Arc::new(self.shared.new_version()?);
        info!(version = version.name, "a new version of the search index was begun");
        let writer = VersionWriter::new(version, Arc::clone(&self.shared.columns));
        self.rebuild = Some(RebuildState { wanted, writer, applied: HashSet::new(), fault: None });
        Ok(())
    }

    fn add(&mut self, docs: &[Doc]) -> Result<(), SearchError> {
        let rebuild = self.rebuild.as_mut().ok_or_else(no_rebuild)?;
        for doc in docs {
            if !rebuild.applied.contains(&(doc.kind, doc.id.clone())) {
                rebuild.writer.upsert(doc)?;
            }
        }
        Ok(())
    }

    fn swap(&mut self) -> Result<(), SearchError> {
        let mut rebuild = self.rebuild.take().ok_or_else(no_rebuild)?;
        if let Err(error) = self.make_ready(&mut rebuild) {
            self.abandon(rebuild);
            return Err(error);
        }
        let old = std::mem::replace(&mut self.writer, rebuild.writer);
        *self.shared.current.write() = Arc::clone(&self.writer.version);
        self.shared.complete.store(true, Ordering::SeqCst);
        info!(version = self.writer.version.name, "a new version of the search index is in use");
        // Searches in flight keep the files of the old one open until they end.
        let version = Arc::clone(&old.version);
        drop(old);
        self.shared.remove(&version);
        Ok(())
    }

    /// Everything up to the point where the new version is the one in use after a crash.
    fn make_ready(&self, rebuild: &mut RebuildState) -> Result<(), SearchError> {
        if let Some(fault) = rebuild.fault.take() {
            return Err(fault);
        }
        rebuild.writer.commit()?;
        if rebuild.writer.has_lost() {
            return Err(SearchError::Unavailable("documents of the new version were lost".to_owned()));
        }
        self.shared.mark_complete(&rebuild.writer.version)?;
        self.shared.folder.as_ref().map_or(Ok(()), |folder| folder.point_to(&rebuild.writer.version.name))
    }

    fn drop_unwanted(&mut self) {
        if let Some(rebuild) = self.rebuild.take_if(|rebuild| rebuild.wanted.strong_count() == 0) {
            self.abandon(rebuild);
        }
    }

    fn abandon(&self, rebuild: RebuildState) {
        let version = Arc::clone(&rebuild.writer.version);
        info!(version = version.name, "a new version of the search index was abandoned");
        drop(rebuild);
        self.shared.remove(&version);
    }
}

fn no_rebuild() -> SearchError {
    SearchError::Invalid("no rebuild is under way".to_owned())
}

fn copy(error: &SearchError) -> SearchError {
    match error {
        SearchError::Unavailable(text) => SearchError::Unavailable(text.clone()),
        SearchError::Corrupt(text) => SearchError::Corrupt(text.clone()),
        SearchError::Invalid(text) => SearchError::Invalid(text.clone()),
    }
}
