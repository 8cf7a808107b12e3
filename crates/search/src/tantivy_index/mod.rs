//! The embedded index, on tantivy.
//!
//! | file | holds |
//! |---|---|
//! | `fields` | the columns of the index, a document as tantivy takes it |
//! | `query` | conditions as a query |
//! | `top`, `facets`, `digests` | reading: ordered rows, frequent values, what each document was made from |
//! | `writer`, `worker` | writing: one thread, one commit for all who wait |
//! | `folder`, `version` | the versions on the disk and the one in use |
//! | `directory` | the files of one index, durable with each commit |
//!
//! Free text without a sort is ordered by id, not by relevance: relevance changes with every document that comes or goes, and a
//! position in a list has to stay meaningful.

mod digests;
mod directory;
mod facets;
mod fields;
mod folder;
mod query;
mod top;
mod version;
mod worker;
mod writer;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use async_trait::async_trait;
use parking_lot::RwLock;
use tantivy::directory::error::{OpenDirectoryError, OpenReadError};
use tantivy::{Searcher, TantivyError};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tracing::warn;

use self::facets::Totals;
use self::fields::Columns;
use self::folder::Folder;
use self::query::{or_all, query_of};
use self::top::{Row, Wanted, top};
use self::version::Version;
use self::worker::{Command, Reply, Shared, Worker};
use crate::index::check;
use crate::{After, Condition, Conditions, Doc, DocChange, Field, Index, Kind, Rebuild, SearchError, SearchPage, SearchRequest, SortValue};

/// The embedded index. Reading needs no lock; writing happens in one thread of its own.
pub struct TantivyIndex {
    shared: Arc<Shared>,
    /// None only while it is dropped.
    commands: Option<mpsc::Sender<Command>>,
    thread: Option<JoinHandle<()>>,
    /// Searches are work for a processor, so as many run at once as there are processors; the others wait without a thread.
    running: Arc<Semaphore>,
    totals: Arc<Totals>,
}

impl TantivyIndex {
    /// Opens the index in the folder `search` of a data folder, and makes it anew when it is missing, of another schema version or
    /// unreadable; then [`Index::is_complete`] answers false. Damage inside a file may show later, as [`SearchError::Corrupt`].
    ///
    /// # Errors
    /// `Unavailable` when the folder cannot be read or written, or another process has it open.
    pub fn open(data: &Path) -> Result<Self, SearchError> {
        let folder = Folder::open(data)?;
        let columns = Columns::new();
        let found = folder.current().and_then(|name| {
            let path = folder.path(&name);
            match Version::open(name, &path, &columns.schema) {
                Err(SearchError::Corrupt(error)) => {
                    warn!(error, "the search index cannot be read and is made anew");
                    None
                }
                result => Some(result),
            }
        });
        let version = if let Some(found) = found {
            found?
        } else {
            let name = folder.create()?;
            let version = Version::create(name.clone(), &folder.path(&name), &columns.schema)?;
            folder.point_to(&name)?;
            version
        };
        folder.remove_others(&version.name);
        let complete = folder.is_complete(&version.name);
        Self::start(columns, version, complete, Some(folder))
    }

    /// An index that lives in memory, for tests and trials.
    pub fn memory() -> Result<Self, SearchError> {
        let columns = Columns::new();
        let version = Version::memory("memory".to_owned(), &columns.schema)?;
        Self::start(columns, version, false, None)
    }

    fn start(columns: Columns, version: Version, complete: bool, folder: Option<Folder>) -> Result<Self, SearchError> {
        let shared = Arc::new(Shared { columns: Arc::new(columns), current: RwLock::new(Arc::new(version)), complete: AtomicBool::new(complete), folder });
        let (commands, receiver) = mpsc::channel(worker::QUEUE);
        let worker = Worker::new(Arc::clone(&shared));
        let thread = thread::Builder::new()
            .name("search-writer".to_owned())
            .spawn(move || worker.run(receiver))
            .map_err(|error| SearchError::Unavailable(error.to_string()))?;
        let processors = thread::available_parallelism().map_or(2, std::num::NonZero::get);
        Ok(Self { shared, commands: Some(commands), thread: Some(thread), running: Arc::new(Semaphore::new(processors)), totals: Arc::default() })
    }

    async fn ask<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Result<T, SearchError> {
        let commands = self.commands.as_ref().ok_or_else(stopped)?;
        ask(commands, command).await
    }

    /// Runs a search where it does not hold up other requests.
    async fn read<T: Send + 'static>(
        &self,
        kind: Kind,
        work: impl FnOnce(&Columns, &Searcher) -> Result<T, SearchError> + Send + 'static,
    ) -> Result<T, SearchError> {
        let permit = Arc::clone(&self.running).acquire_owned().await.map_err(|_| stopped())?;
        let searcher = self.shared.current.read().part(kind).searcher();
        let columns = Arc::clone(&self.shared.columns);
        let done = tokio::task::spawn_blocking(move || {
            let result = work(&columns, &searcher);
            drop(permit);
            result
        });
        done.await.map_err(|error| SearchError::Corrupt(format!("a search failed: {error}")))?
    }
}

impl Drop for TantivyIndex {
    /// Ends the writer thread. What was not flushed is lost.
    fn drop(&mut self) {
        self.commands = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[async_trait]
impl Index for TantivyIndex {
    async fn apply(&self, changes: Vec<DocChange>) -> Result<(), SearchError> {
        for change in &changes {
            if let DocChange::Upsert(doc) = change {
                check::doc(doc)?;
            }
        }
        self.ask(|reply| Command::Apply(changes, reply)).await
    }

    async fn flush(&self) -> Result<(), SearchError> {
        self.ask(Command::Flush).await
    }

    async fn search(&self, request: SearchRequest) -> Result<SearchPage, SearchError> {
        check::search(&request)?;
        self.read(request.kind, move |columns, searcher| {
            let query = or_all(query_of(columns, searcher, &request.conditions)?);
            let limit = request.limit as usize;
            // One row more tells whether there is a next page.
            let wanted = Wanted { sort: request.sort, after: request.after.as_ref(), rows: limit + 1, skip: request.offset as usize };
            let (mut rows, total) = top(searcher, query.as_ref(), &wanted)?;
            let more = rows.len() > limit;
            rows.truncate(limit);
            let next = rows.last().filter(|_| more).map(|Row { value, id }| After { value: value.clone(), id: id.clone() });
            Ok(SearchPage { ids: rows.into_iter().map(|row| row.id).collect(), total, next })
        })
        .await
    }

    async fn count(&self, kind: Kind, conditions: Conditions) -> Result<u64, SearchError> {
        check::conditions(&conditions)?;
        self.read(kind, move |columns, searcher| match query_of(columns, searcher, &conditions)? {
            None => Ok(searcher.num_docs()),
            Some(query) => Ok(query.count(searcher).map_err(fault)? as u64),
        })
        .await
    }

    async fn walk(&self, kind: Kind, conditions: Conditions, after: Option<String>, limit: u32) -> Result<Vec<String>, SearchError> {
        check::walk(limit)?;
        check::conditions(&conditions)?;
        self.read(kind, move |columns, searcher| {
            let query = or_all(query_of(columns, searcher, &conditions)?);
            let after = after.map(|id| After { value: SortValue::Missing, id });
            let (rows, _) = top(searcher, query.as_ref(), &Wanted { sort: None, after: after.as_ref(), rows: limit as usize, skip: 0 })?;
            Ok(rows.into_iter().map(|row| row.id).collect())
        })
        .await
    }

    async fn digests(&self, kind: Kind, after: Option<String>, limit: u32) -> Result<Vec<(String, u64)>, SearchError> {
        check::walk(limit)?;
        self.read(kind, move |_, searcher| digests::digests(searcher, after.as_deref(), limit as usize)).await
    }

    async fn facets(&self, kind: Kind, conditions: Conditions, field: Field, prefix: String, limit: u32) -> Result<Vec<(String, u64)>, SearchError> {
        check::facets(field)?;
        check::conditions(&conditions)?;
        let totals = Arc::clone(&self.totals);
        self.read(kind, move |columns, searcher| {
            let query = query_of(columns, searcher, &conditions)?;
            facets::facets(searcher, &totals, query.as_deref(), field, &prefix, limit as usize)
        })
        .await
    }

    async fn one_of_each(&self, kind: Kind, conditions: Conditions, field: Field, values: Vec<String>) -> Result<Vec<Option<String>>, SearchError> {
        check::facets(field)?;
        check::conditions(&conditions)?;
        self.read(kind, move |columns, searcher| {
            let one = |value: String| {
                let mut all = conditions.all.clone();
                all.push(Condition::AnyOf(field, vec![value]));
                let query = or_all(query_of(columns, searcher, &Conditions { all, text: conditions.text.clone() })?);
                facets::any(searcher, query.as_ref())
            };
            values.into_iter().map(one).collect()
        })
        .await
    }

    async fn rebuild(&self) -> Result<Box<dyn Rebuild>, SearchError> {
        let commands = self.commands.as_ref().ok_or_else(stopped)?;
        let token = Arc::new(());
        let wanted = Arc::downgrade(&token);
        self.ask(|reply| Command::Begin(wanted, reply)).await?;
        Ok(Box::new(TantivyRebuild { commands: commands.downgrade(), token: Some(token) }))
    }

    async fn health(&self) -> Result<(), SearchError> {
        match &self.commands {
            Some(commands) if !commands.is_closed() => Ok(()),
            _ => Err(stopped()),
        }
    }

    fn name(&self) -> &'static str {
        "tantivy"
    }

    async fn is_complete(&self) -> Result<bool, SearchError> {
        Ok(self.shared.complete.load(Ordering::SeqCst))
    }

    async fn mark_complete(&self) -> Result<(), SearchError> {
        self.ask(Command::MarkComplete).await
    }
}

struct TantivyRebuild {
    /// Weak, so that an index can end while a rebuild is still held.
    commands: mpsc::WeakSender<Command>,
    token: Option<Arc<()>>,
}

#[async_trait]
impl Rebuild for TantivyRebuild {
    async fn add(&mut self, docs: Vec<Doc>) -> Result<(), SearchError> {
        docs.iter().try_for_each(check::doc)?;
        let commands = self.commands.upgrade().ok_or_else(stopped)?;
        ask(&commands, |reply| Command::Add(docs, reply)).await
    }

    async fn swap(self: Box<Self>) -> Result<(), SearchError> {
        let commands = self.commands.upgrade().ok_or_else(stopped)?;
        ask(&commands, Command::Swap).await
    }
}

impl Drop for TantivyRebuild {
    fn drop(&mut self) {
        self.token = None;
        // Where the channel is full, the next command makes the thread look.
        if let Some(commands) = self.commands.upgrade() {
            let _ = commands.try_send(Command::Look);
        }
    }
}

async fn ask<T>(commands: &mpsc::Sender<Command>, command: impl FnOnce(Reply<T>) -> Command) -> Result<T, SearchError> {
    let (reply, answer) = oneshot::channel();
    commands.send(command(reply)).await.map_err(|_| stopped())?;
    answer.await.map_err(|_| stopped())?
}

fn stopped() -> SearchError {
    SearchError::Unavailable("its writer has stopped".to_owned())
}

/// Damage is `Corrupt`: the index can be made anew. What may pass is `Unavailable`.
fn fault(error: TantivyError) -> SearchError {
    use std::io::ErrorKind::{InvalidData, NotFound, UnexpectedEof};
    let text = error.to_string();
    let passing = match error {
        TantivyError::IoError(error) => !matches!(error.kind(), InvalidData | NotFound | UnexpectedEof),
        TantivyError::OpenReadError(OpenReadError::IoError { io_error, .. }) => !matches!(io_error.kind(), InvalidData | NotFound | UnexpectedEof),
        TantivyError::OpenDirectoryError(OpenDirectoryError::DoesNotExist(_) | OpenDirectoryError::NotADirectory(_)) => false,
        TantivyError::OpenDirectoryError(_)
        | TantivyError::OpenWriteError(_)
        | TantivyError::LockFailure(..)
        | TantivyError::InvalidArgument(_)
        | TantivyError::ErrorInThread(_)
        | TantivyError::SystemError(_)
        | TantivyError::Poisoned => true,
        _ => false,
    };
    if passing { SearchError::Unavailable(text) } else { SearchError::Corrupt(text) }
}
