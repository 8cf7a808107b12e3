//! The embedded engine: one SQLite file in the data folder, or a database in memory for tests.
//!
//! - One writer thread commits all waiting transactions together; an answer means that the disk has them.
//! - Readers have connections of their own and never wait for the writer. Short reads run on the caller's thread: a point read from the
//!   page cache takes a few microseconds, less than handing it to another thread. Long ones go to the blocking threads of tokio.
//! - Single items of the main table that were read lately are kept in memory; the writer takes out what it changes (`cache`).
//! - A caller that goes away (a dropped future) does not take back a transaction that the writer already has.

mod apply;
mod backup;
mod cache;
mod fault;
mod lately;
mod open;
mod read;
mod schema;
#[cfg(test)]
mod tests;
mod writer;

use std::{
    fs::File,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use async_trait::async_trait;
use parking_lot::Mutex;
use rusqlite::Connection;
use tokio::sync::{Semaphore, mpsc, oneshot};

pub use self::{
    backup::{snapshot, write_beside},
    cache::CACHE_BYTES,
    open::{DATABASE, OpenError},
};
use self::{
    cache::Cache,
    fault::fault,
    writer::{Job, QUEUE_MAX, Writer},
};
use crate::engine::{
    CacheUse, Engine, EngineError, GET_MANY_MAX, Item, Key, Pool, Query, Rows, Table, TransactError, Transaction, check_key, check_limits, check_query,
    check_scan,
};

/// Queries for more rows than this leave the caller's thread.
const SHORT_QUERY_MAX: u32 = 200;
/// Long reads at the same time; the rest wait.
const LONG_READERS: usize = 2;
/// How long the writer may take to answer a health check.
const HEALTH_WAIT: Duration = Duration::from_secs(2);

/// Dropping it writes what is queued, closes the file and gives the data folder free.
pub struct SqliteEngine {
    /// None only while it is dropped.
    jobs: Option<mpsc::Sender<Job>>,
    writer: Option<JoinHandle<()>>,
    readers: Arc<Readers>,
    cache: Option<Arc<Cache>>,
    people_version: Arc<AtomicU64>,
}

/// Connections that only read. In memory there is one connection for all, the writer's.
struct Readers {
    short: Vec<Arc<Mutex<Connection>>>,
    long: Vec<Arc<Mutex<Connection>>>,
    next: AtomicUsize,
    long_places: Arc<Semaphore>,
    /// Held, never read: another process must not open the folder while one of us reads.
    _lock: Option<File>,
}

impl SqliteEngine {
    /// Opens `emcrm.db` in a data folder; makes both when they are not there. One process at a time.
    pub fn open(folder: &Path) -> Result<Self, OpenError> {
        Self::open_with_cache(folder, CACHE_BYTES)
    }

    /// The same with so many bytes of items in memory; 0 for none.
    pub fn open_with_cache(folder: &Path, cache_bytes: usize) -> Result<Self, OpenError> {
        let opened = open::open(folder)?;
        let failed = |error: rusqlite::Error| open::sqlite_error(&opened.path, &error);
        let short = std::thread::available_parallelism().map_or(2, usize::from).clamp(2, 8);
        let readers =
            |count| -> Result<Vec<_>, OpenError> { (0..count).map(|_| Ok(Arc::new(Mutex::new(open::reader(&opened.path).map_err(failed)?)))).collect() };
        let (short, long) = (readers(short)?, readers(LONG_READERS)?);
        let writer = Arc::new(Mutex::new(opened.writer));
        Self::start(writer, short, long, Some(opened.lock), cache_bytes).map_err(|reason| OpenError::Failed { path: opened.path, reason })
    }

    /// A database that is gone with the engine.
    #[expect(clippy::expect_used, reason = "fails only when memory or threads cannot be had at all")]
    pub fn memory() -> Self {
        let mut connection = Connection::open_in_memory().expect("memory for a database");
        schema::migrate(&mut connection, 0).expect("memory for a database");
        let shared = Arc::new(Mutex::new(connection));
        Self::start(Arc::clone(&shared), vec![Arc::clone(&shared)], vec![shared], None, CACHE_BYTES).expect("a thread for the writer")
    }

    fn start(
        connection: Arc<Mutex<Connection>>,
        short: Vec<Arc<Mutex<Connection>>>,
        long: Vec<Arc<Mutex<Connection>>>,
        lock: Option<File>,
        cache_bytes: usize,
    ) -> Result<Self, String> {
        let (jobs, queue) = mpsc::channel(QUEUE_MAX);
        let cache = (cache_bytes > 0).then(|| Arc::new(Cache::new(cache_bytes)));
        let people_version = Arc::new(AtomicU64::new(0));
        let writer = Writer::new(connection, queue, cache.clone(), Arc::clone(&people_version)).map_err(|error| error.to_string())?;
        let writer = std::thread::Builder::new().name("sqlite-writer".to_owned()).spawn(move || writer.run()).map_err(|error| error.to_string())?;
        let long_places = Arc::new(Semaphore::new(long.len()));
        let readers = Readers { short, long, next: AtomicUsize::new(0), long_places, _lock: lock };
        Ok(Self { jobs: Some(jobs), writer: Some(writer), readers: Arc::new(readers), cache, people_version })
    }

    /// Reads the whole file and compares the indexes with the items. Takes seconds for each gigabyte.
    pub async fn integrity_check(&self) -> Result<(), EngineError> {
        self.long(|connection| {
            let faults = |sql: &str| -> rusqlite::Result<Vec<String>> { connection.prepare(sql)?.query_map([], |row| row.get(0))?.collect() };
            let mut found = faults("PRAGMA integrity_check(20)").map_err(|error| fault(&error))?;
            found.retain(|line| line != "ok");
            for table in [Table::Main, Table::Email] {
                let table = schema::table_name(table);
                let sql = format!(
                    "SELECT 'the item ' || pk || ' / ' || sk || ' differs from its columns' FROM {table} WHERE NOT json_valid(item)
                     OR type IS NOT iif(json_type(item, '$.type') = 'text', json_extract(item, '$.type'), NULL)
                     OR email IS NOT iif(json_type(item, '$.email') = 'text', json_extract(item, '$.email'), NULL)
                     OR slug IS NOT iif(json_type(item, '$.slug') = 'text', json_extract(item, '$.slug'), NULL)
                     LIMIT 20"
                );
                found.extend(faults(&sql).map_err(|error| fault(&error))?);
            }
            if found.is_empty() { Ok(()) } else { Err(EngineError::Corrupt(found.join("; "))) }
        })
        .await
    }

    async fn send(&self, job: Job) -> Result<(), EngineError> {
        let stopped = || EngineError::Unavailable("the writer has stopped".to_owned());
        self.jobs.as_ref().ok_or_else(stopped)?.send(job).await.map_err(|_| stopped())
    }

    /// Reads on a thread that may block.
    async fn long<T: Send + 'static>(&self, read: impl FnOnce(&Connection) -> Result<T, EngineError> + Send + 'static) -> Result<T, EngineError> {
        let stopped = |error: &dyn std::fmt::Display| EngineError::Unavailable(error.to_string());
        let readers = Arc::clone(&self.readers);
        let place = Arc::clone(&readers.long_places).acquire_owned().await.map_err(|error| stopped(&error))?;
        let task = tokio::task::spawn_blocking(move || {
            let _place = place;
            with(&readers.long, &readers.next, read)
        });
        task.await.map_err(|error| stopped(&error))?
    }

    /// Where single items of the table are kept in memory. Not those of the other table: the rows of the ledger are as many as mails, and each is read once or twice.
    fn cache_of(&self, table: Table) -> Option<&Cache> {
        self.cache.as_deref().filter(|_| table == Table::Main)
    }

    fn short<T>(&self, read: impl FnOnce(&Connection) -> Result<T, EngineError>) -> Result<T, EngineError> {
        with(&self.readers.short, &self.readers.next, read)
    }
}

/// Reads on the first free connection, or waits for one.
fn with<T>(pool: &[Arc<Mutex<Connection>>], next: &AtomicUsize, read: impl FnOnce(&Connection) -> Result<T, EngineError>) -> Result<T, EngineError> {
    if let Some(free) = pool.iter().find_map(|connection| connection.try_lock()) {
        return read(&free);
    }
    match pool.get(next.fetch_add(1, Ordering::Relaxed) % pool.len().max(1)) {
        Some(connection) => read(&connection.lock()),
        None => Err(EngineError::Unavailable("there is no reader".to_owned())),
    }
}

fn check_keys(keys: &[Key]) -> Result<(), EngineError> {
    if keys.len() > GET_MANY_MAX {
        return Err(EngineError::Limit(format!("{} keys in one read, at most {GET_MANY_MAX}", keys.len())));
    }
    keys.iter().try_for_each(check_key)
}

#[async_trait]
impl Engine for SqliteEngine {
    async fn get(&self, table: Table, key: &Key) -> Result<Option<Item>, EngineError> {
        check_key(key)?;
        let Some(cache) = self.cache_of(table) else { return self.short(|connection| read::get(connection, table, key)) };
        let text = cache.get(key, || self.short(|connection| read::json(connection, table, key)))?;
        text.map(|text| read::from_text(key, &text)).transpose()
    }

    async fn get_many(&self, table: Table, keys: &[Key]) -> Result<Vec<Option<Item>>, EngineError> {
        check_keys(keys)?;
        self.short(|connection| read::each(connection, keys, |key| read::get(connection, table, key)))
    }

    async fn get_many_json(&self, table: Table, keys: &[Key]) -> Result<Vec<Option<String>>, EngineError> {
        check_keys(keys)?;
        if let (Some(cache), [key]) = (self.cache_of(table), keys) {
            let text = cache.get(key, || self.short(|connection| read::json(connection, table, key)))?;
            return Ok(vec![text.map(|text| String::from(&*text))]);
        }
        self.short(|connection| read::each(connection, keys, |key| read::json(connection, table, key)))
    }

    async fn query(&self, query: Query) -> Result<Rows, EngineError> {
        check_query(&query)?;
        if query.limit <= SHORT_QUERY_MAX {
            return self.short(|connection| read::query(connection, &query));
        }
        self.long(move |connection| read::query(connection, &query)).await
    }

    async fn scan(&self, table: Table, after: Option<Key>, limit: u32) -> Result<Rows, EngineError> {
        check_scan(limit)?;
        self.long(move |connection| read::scan(connection, table, after.as_ref(), limit)).await
    }

    async fn transact(&self, transaction: Transaction) -> Result<(), TransactError> {
        check_limits(&transaction)?;
        let (answer, outcome) = oneshot::channel();
        self.send(Job::Transact(transaction, answer)).await?;
        // No answer: the writer ended in between.
        outcome.await.unwrap_or_else(|_| Err(EngineError::Unknown("the writer has stopped".to_owned()).into()))
    }

    async fn health(&self) -> Result<(), EngineError> {
        self.short(|connection| read::get(connection, Table::Main, &Key::single("health")))?;
        let ping = async {
            let (answer, outcome) = oneshot::channel();
            self.send(Job::Ping(answer)).await?;
            outcome.await.unwrap_or_else(|_| Err(EngineError::Unavailable("the writer has stopped".to_owned())))
        };
        tokio::time::timeout(HEALTH_WAIT, ping).await.unwrap_or_else(|_| Err(EngineError::Unavailable("the writer does not answer".to_owned())))
    }

    fn people_version(&self) -> Option<u64> {
        Some(self.people_version.load(Ordering::SeqCst))
    }
    fn pools(&self) -> Vec<Pool> {
        let waiting = self.jobs.as_ref().map_or(0, |jobs| jobs.max_capacity() - jobs.capacity());
        let readers = &self.readers;
        let reading = readers.short.iter().filter(|connection| connection.is_locked()).count();
        vec![
            Pool { name: "writes_waiting", in_use: waiting, max: QUEUE_MAX },
            Pool { name: "readers", in_use: reading, max: readers.short.len() },
            Pool { name: "long_readers", in_use: readers.long.len() - readers.long_places.available_permits(), max: readers.long.len() },
        ]
    }
    fn cache(&self) -> Option<CacheUse> {
        self.cache.as_deref().map(Cache::usage)
    }
    fn name(&self) -> &'static str {
        "sqlite"
    }
}

impl Drop for SqliteEngine {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(writer) = self.writer.take()
            && writer.join().is_err()
        {
            tracing::error!("the writer of the database had stopped by a fault of the program");
        }
    }
}
