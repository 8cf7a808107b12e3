//! Durable work: written in the transaction of the change that needs it, done by a worker, deleted when done.

use std::sync::Arc;

use emcrm_model::IdSource;
use emcrm_trace::TraceParent;
use serde_json::Value;

use crate::engine::{Attrs, Engine, EngineError, Guard, Item, Key, Query, Range, Table, TransactError, Transaction};
use crate::keys;
use crate::rules::Rule;

/// Queues do not wait for each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Queue {
    /// Documents of the search index.
    Index,
    /// Freezing and sending campaigns.
    Mail,
    /// Everything else, such as the consequences of a deletion.
    Default,
}

impl Queue {
    pub const ALL: [Self; 3] = [Self::Index, Self::Mail, Self::Default];
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Index => "index",
            Self::Mail => "mail",
            Self::Default => "default",
        }
    }
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|queue| queue.as_str() == text)
    }
}

/// Runs of one task that its trace shows. A task may be taken up again for weeks; its trace does not grow with it.
const RUNS_TRACED: u32 = 20;

/// The trace that a task belongs to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TaskTrace {
    pub place: TraceParent,
    /// Runs that it has seen.
    pub runs: u32,
}

/// A piece of work.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    pub queue: Queue,
    pub shard: u32,
    /// Not before this moment, in milliseconds since 1970.
    pub due: i64,
    pub id: String,
    /// Which handler: `index`, `freeze`, `send`, `user_gone`, `event_gone`.
    pub kind: String,
    pub payload: Value,
    /// Failed attempts so far.
    pub attempts: u32,
    /// Milliseconds since 1970.
    pub created: i64,
    /// Why the last attempt failed.
    pub error: Option<String>,
    /// Where the work was asked for; only where that was traced.
    pub trace: Option<TaskTrace>,
}

impl Task {
    /// The trace as the next run of this task finds it.
    pub fn next_trace(&self) -> Option<TaskTrace> {
        self.trace.map(|trace| TaskTrace { runs: trace.runs + 1, ..trace }).filter(|trace| trace.runs < RUNS_TRACED)
    }

    pub fn key(&self) -> Key {
        Key::new(keys::task_part(self.queue.as_str(), self.shard), keys::task_sk(self.due, &self.id))
    }

    fn item(&self, key: Key) -> Item {
        let mut attrs: Attrs = [
            ("kind".to_owned(), Value::from(self.kind.as_str())),
            ("payload".to_owned(), self.payload.clone()),
            ("attempts".to_owned(), Value::from(self.attempts)),
            ("due".to_owned(), Value::from(self.due)),
            ("created".to_owned(), Value::from(self.created)),
            ("shard".to_owned(), Value::from(self.shard)),
            ("id".to_owned(), Value::from(self.id.as_str())),
        ]
        .into_iter()
        .collect();
        if let Some(error) = &self.error {
            attrs.insert("error".to_owned(), Value::from(error.as_str()));
        }
        if let Some(trace) = &self.trace {
            attrs.insert("traceparent".to_owned(), Value::from(trace.place.to_string()));
            attrs.insert("traced".to_owned(), Value::from(trace.runs));
        }
        Item { key, attrs }
    }

    fn of(queue: Queue, item: Item) -> Self {
        let mut attrs = item.attrs;
        let number = |attrs: &Attrs, name: &str| attrs.get(name).and_then(Value::as_i64).unwrap_or(0);
        let text = |attrs: &Attrs, name: &str| attrs.get(name).and_then(Value::as_str).map(str::to_owned);
        Self {
            queue,
            shard: number(&attrs, "shard") as u32,
            due: number(&attrs, "due"),
            id: text(&attrs, "id").unwrap_or_default(),
            kind: text(&attrs, "kind").unwrap_or_default(),
            attempts: number(&attrs, "attempts") as u32,
            created: number(&attrs, "created"),
            error: text(&attrs, "error"),
            trace: text(&attrs, "traceparent")
                .and_then(|text| TraceParent::parse(&text))
                .map(|place| TaskTrace { place, runs: number(&attrs, "traced") as u32 }),
            payload: attrs.remove("payload").unwrap_or(Value::Null),
        }
    }
}

#[derive(Clone)]
pub struct Tasks {
    engine: Arc<dyn Engine>,
    ids: Arc<dyn IdSource>,
}

impl Tasks {
    pub fn new(engine: Arc<dyn Engine>, ids: Arc<dyn IdSource>) -> Self {
        Self { engine, ids }
    }

    /// Work about `subject`, whose hash chooses the shard: tasks of one subject are done in order.
    pub fn put(&self, tx: &mut Transaction, queue: Queue, subject: &str, kind: &str, payload: Value, due: i64) {
        let task = Task {
            queue,
            shard: keys::shard_of(subject),
            due,
            id: self.ids.ordered().simple().to_string(),
            kind: kind.to_owned(),
            payload,
            attempts: 0,
            created: due,
            error: None,
            // Documents of the index are brought up to date many at a time, for many requests.
            trace: if queue == Queue::Index { None } else { TraceParent::current().map(|place| TaskTrace { place, runs: 0 }) },
        };
        tx.put(Table::Main, task.item(task.key()));
    }

    /// Tasks of a shard that are due, oldest first.
    pub async fn due(&self, queue: Queue, shard: u32, now: i64, limit: u32) -> Result<Vec<Task>, EngineError> {
        let query = Query::table(Table::Main, keys::task_part(queue.as_str(), shard)).between("0", keys::task_sk(now + 1, "")).limit(limit);
        Ok(self.engine.query(query).await?.items.into_iter().map(|item| Task::of(queue, item)).collect())
    }

    /// The first task of a shard, due or not.
    pub async fn first(&self, queue: Queue, shard: u32) -> Result<Option<Task>, EngineError> {
        let query = Query::table(Table::Main, keys::task_part(queue.as_str(), shard)).limit(1);
        Ok(self.engine.query(query).await?.items.into_iter().next().map(|item| Task::of(queue, item)))
    }

    /// All tasks of a shard, due or not.
    pub async fn all(&self, queue: Queue, shard: u32) -> Result<Vec<Task>, EngineError> {
        self.of_query(queue, Query::table(Table::Main, keys::task_part(queue.as_str(), shard))).await
    }

    /// Tasks of a shard that are due after this moment.
    pub async fn due_after(&self, queue: Queue, shard: u32, moment: i64) -> Result<Vec<Task>, EngineError> {
        // Behind every digit.
        let query = Query::table(Table::Main, keys::task_part(queue.as_str(), shard)).between(keys::task_sk(moment + 1, ""), "~");
        self.of_query(queue, query).await
    }

    async fn of_query(&self, queue: Queue, query: Query) -> Result<Vec<Task>, EngineError> {
        let mut query = query.limit(1_000);
        let mut tasks = Vec::new();
        loop {
            let rows = self.engine.query(query.clone()).await?;
            tasks.extend(rows.items.into_iter().map(|item| Task::of(queue, item)));
            match rows.next {
                Some(next) => query.after = Some(next),
                None => return Ok(tasks),
            }
        }
    }

    /// Number of tasks of a shard, counted up to `max`.
    pub async fn waiting(&self, queue: Queue, shard: u32, max: u32) -> Result<u64, EngineError> {
        let query = Query::table(Table::Main, keys::task_part(queue.as_str(), shard)).limit(max);
        Ok(self.engine.query(query).await?.items.len() as u64)
    }

    /// The task is done, in the transaction of its last step.
    pub fn done(&self, tx: &mut Transaction, task: &Task) {
        tx.delete(Table::Main, task.key()).when(Guard::Present).or(Rule::TaskGone);
    }

    /// Deletes tasks that are done. One that is gone already is no error.
    pub async fn delete_many(&self, tasks: &[Task]) -> Result<(), EngineError> {
        for chunk in tasks.chunks(crate::engine::OPS_MAX) {
            let mut tx = Transaction::new();
            for task in chunk {
                tx.delete(Table::Main, task.key());
            }
            settle(self.engine.transact(tx).await)?;
        }
        Ok(())
    }

    /// Moves the task to another moment, with another payload (a checkpoint) or a failure noted.
    pub fn reschedule(&self, tx: &mut Transaction, task: &Task, changed: &Task) {
        self.done(tx, task);
        tx.put(Table::Main, changed.item(changed.key()));
    }

    pub async fn reschedule_now(&self, task: &Task, changed: &Task) -> Result<(), EngineError> {
        if task.key() == changed.key() {
            let mut tx = Transaction::new();
            tx.put(Table::Main, changed.item(changed.key())).when(Guard::Present).or(Rule::TaskGone);
            return settle(self.engine.transact(tx).await);
        }
        let mut tx = Transaction::new();
        self.reschedule(&mut tx, task, changed);
        settle(self.engine.transact(tx).await)
    }

    /// Gives the task up: it is kept among the dead letters, for a person.
    pub async fn bury(&self, task: &Task, error: &str) -> Result<(), EngineError> {
        let mut tx = Transaction::new();
        self.done(&mut tx, task);
        let dead = Task { error: Some(error.to_owned()), attempts: task.attempts + 1, ..task.clone() };
        tx.put(Table::Main, dead.item(Key::new(keys::dead_part(task.queue.as_str()), task.id.clone())));
        settle(self.engine.transact(tx).await)
    }

    pub async fn dead(&self, queue: Queue, limit: u32) -> Result<Vec<Task>, EngineError> {
        let query = Query { range: Range::All, ..Query::table(Table::Main, keys::dead_part(queue.as_str())) }.limit(limit);
        Ok(self.engine.query(query).await?.items.into_iter().map(|item| Task::of(queue, item)).collect())
    }

    /// One dead letter.
    pub async fn dead_letter(&self, queue: Queue, id: &str) -> Result<Option<Task>, EngineError> {
        let item = self.engine.get(Table::Main, &Key::new(keys::dead_part(queue.as_str()), id)).await?;
        Ok(item.map(|item| Task::of(queue, item)))
    }

    /// Throws a dead letter away: what it was about is never done. One that is gone already is no error.
    pub async fn forget(&self, queue: Queue, id: &str) -> Result<(), EngineError> {
        let mut tx = Transaction::new();
        tx.delete(Table::Main, Key::new(keys::dead_part(queue.as_str()), id));
        settle(self.engine.transact(tx).await)
    }

    /// Puts a dead letter back to work.
    pub async fn revive(&self, dead: &Task, now: i64) -> Result<(), EngineError> {
        let mut tx = Transaction::new();
        tx.delete(Table::Main, Key::new(keys::dead_part(dead.queue.as_str()), dead.id.clone())).when(Guard::Present).or(Rule::TaskGone);
        let task = Task { attempts: 0, due: now, error: None, ..dead.clone() };
        tx.put(Table::Main, task.item(task.key()));
        settle(self.engine.transact(tx).await)
    }
}

/// Somebody else was quicker with a task: that is as good.
fn settle(result: Result<(), TransactError>) -> Result<(), EngineError> {
    match result {
        Ok(()) | Err(TransactError::Refused(_)) => Ok(()),
        Err(TransactError::Engine(error)) => Err(error),
    }
}
