//! Documents of the search index: built from stored state, kept up by tasks, rebuilt while serving.

use std::time::Duration;

use emcrm_model::{Event, EventId, User, UserId};
use emcrm_search::{Doc, DocChange, Field, Kind, SearchError};
use emcrm_store::{EngineError, Events, Query, Queue, Table, Task, Transaction, Users, from_item, keys};
use jiff::Timestamp;
use serde_json::Value;

use crate::{App, AppError};

/// Documents that are built at once.
const BATCH: usize = 1_000;

impl App {
    pub(crate) fn user_doc(user: &User) -> Doc {
        let mut exact = vec![(Field::Name, user.full_name()), (Field::Email, user.email.normalised().to_owned())];
        let optional = [(Field::Company, &user.company), (Field::JobTitle, &user.job_title), (Field::City, &user.city), (Field::State, &user.state)];
        exact.extend(optional.iter().filter_map(|(field, value)| Some((*field, (*value).clone()?))));
        let mut text = vec![user.full_name(), user.email.as_str().to_owned()];
        text.extend(optional.iter().filter_map(|(_, value)| (*value).clone()));
        text.extend(user.phone_number.clone());
        let numbers =
            vec![(Field::AttendedCount, user.attended_count), (Field::HostedCount, user.hosted_count), (Field::CreatedAt, micros(user.created_at.as_deref()))];
        Doc { kind: Kind::User, id: user.id.to_string(), exact, numbers, text }
    }

    pub(crate) fn event_doc(&self, event: &Event) -> Doc {
        let mut exact = vec![(Field::Title, event.title.clone())];
        if !event.owner.is_empty() {
            exact.push((Field::Owner, event.owner.clone()));
        }
        exact.extend(event.host_ids().into_iter().map(|host| (Field::Host, host.to_string())));
        let mut text = vec![event.title.clone(), event.slug.to_string()];
        text.extend(event.description.clone());
        text.extend(event.venue.clone());
        let zone = &self.settings.default_zone;
        let numbers = vec![
            (Field::StartAt, event.starts(zone).as_microsecond()),
            (Field::EndAt, event.ends(zone).as_microsecond()),
            (Field::CreatedAt, micros(event.created_at.as_deref())),
        ];
        Doc { kind: Kind::Event, id: event.id.to_string(), exact, numbers, text }
    }

    /// Brings the documents of these tasks up to the stored state, durably. Repeating it is harmless.
    pub(crate) async fn index_tasks(&self, tasks: &[Task]) -> Result<(), AppError> {
        let mut names: Vec<&str> = tasks.iter().filter_map(|task| task.payload.get("docs")?.as_array()).flatten().filter_map(Value::as_str).collect();
        names.sort_unstable();
        names.dedup();
        let users: Vec<UserId> = names.iter().filter_map(|name| name.strip_prefix(keys::USER_PREFIX)).map(|id| UserId::from(id.to_owned())).collect();
        let events: Vec<EventId> = names.iter().filter_map(|name| name.strip_prefix(keys::EVENT_PREFIX)).map(|id| EventId::from(id.to_owned())).collect();
        let guard = self.index_writes.lock().await;
        for ids in users.chunks(BATCH) {
            let stored = self.store.users.get_many(ids).await?;
            let changes = ids.iter().zip(stored).map(|(id, user)| match user {
                Some(user) => DocChange::Upsert(Self::user_doc(&user)),
                None => DocChange::Delete(Kind::User, id.to_string()),
            });
            self.index.apply(changes.collect()).await?;
        }
        for ids in events.chunks(BATCH) {
            let stored = self.store.events.get_many(ids).await?;
            let changes = ids.iter().zip(stored).map(|(id, event)| match event {
                Some(event) => DocChange::Upsert(self.event_doc(&event)),
                None => DocChange::Delete(Kind::Event, id.to_string()),
            });
            self.index.apply(changes.collect()).await?;
        }
        drop(guard);
        self.index.settle().await?;
        Ok(())
    }

    /// Has the documents of these tasks brought up to date once more, by whoever holds their shards now.
    pub(crate) async fn index_again(&self, tasks: &[Task]) -> Result<(), AppError> {
        tracing::warn!(tasks = tasks.len(), "bringing documents up to date took longer than the lease; it is done again");
        for task in tasks {
            let docs: Vec<String> = serde_json::from_value(task.payload.get("docs").cloned().unwrap_or_default()).unwrap_or_default();
            let mut tx = Transaction::new();
            self.reindex_later(&mut tx, &docs);
            tx.delete(Table::Main, task.key());
            self.transact(tx).await?;
        }
        Ok(())
    }

    /// Whether the index holds everything. One that is being filled would answer as if people were not there.
    pub(crate) async fn index_is_whole(&self) -> Result<(), AppError> {
        if self.index.is_complete().await? {
            return Ok(());
        }
        Err(SearchError::Unavailable("the search index is being filled from the storage".to_owned()).into())
    }

    /// Fills an index that is not complete; returns when it is, whoever fills it.
    pub async fn fill_index(&self, progress: impl Fn(u64)) -> Result<(), AppError> {
        while !self.index.is_complete().await? {
            match self.reindex(&progress).await {
                Ok(_) => return Ok(()),
                // By somebody else, a running server most likely.
                Err(AppError::Search(SearchError::Invalid(_))) => tokio::time::sleep(Duration::from_millis(200)).await,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Builds the whole index anew beside the one in use, then swaps. `progress` is told the number of documents so far.
    pub async fn reindex(&self, progress: impl Fn(u64)) -> Result<u64, AppError> {
        let mut rebuild = self.index.rebuild().await?;
        let mut count = 0;
        for kind in Kind::ALL {
            let query = match kind {
                Kind::User => Users::list(),
                Kind::Event => Events::list(),
            };
            let mut after = None;
            loop {
                // Under the lock, so that a change cannot come between reading the state and writing the document.
                let guard = self.index_writes.lock().await;
                let page = self.store.engine.query(Query { after: after.clone(), ..query.clone() }.limit(BATCH as u32)).await?;
                let docs: Vec<Doc> = page.items.into_iter().filter_map(|item| self.readable_doc(kind, item)).collect();
                count += docs.len() as u64;
                rebuild.add(docs).await?;
                drop(guard);
                progress(count);
                match page.next {
                    Some(next) => after = Some(next),
                    None => break,
                }
            }
        }
        let guard = self.index_writes.lock().await;
        rebuild.swap().await?;
        drop(guard);
        Ok(count)
    }

    /// None for an item that cannot be read: one of them must not keep all others from being found. `verify` names it.
    fn readable_doc(&self, kind: Kind, item: emcrm_store::Item) -> Option<Doc> {
        self.doc_of(kind, item).inspect_err(|error| tracing::warn!(%error, "an item has no document, because it cannot be read")).ok()
    }

    fn doc_of(&self, kind: Kind, item: emcrm_store::Item) -> Result<Doc, EngineError> {
        Ok(match kind {
            Kind::User => Self::user_doc(&from_item(item)?),
            Kind::Event => self.event_doc(&from_item(item)?),
        })
    }

    /// Waits until every change that was committed before the call can be found, at most `patience`. False when the backlog is not done by then.
    ///
    /// An index that is being filled for the first time is not settled: it would leave people out.
    pub async fn index_settled(&self, patience: Duration) -> Result<bool, AppError> {
        let asked = self.now_ms();
        let deadline = tokio::time::Instant::now() + patience;
        let mut wait = Duration::from_millis(2);
        while !self.index.is_complete().await? {
            if tokio::time::Instant::now() >= deadline {
                return Ok(false);
            }
            tokio::time::sleep(wait).await;
        }
        for shard in 0..keys::SHARDS {
            loop {
                let first = self.store.tasks.first(Queue::Index, shard).await?;
                if first.is_none_or(|task| task.created > asked) {
                    break;
                }
                if tokio::time::Instant::now() >= deadline {
                    return Ok(false);
                }
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(Duration::from_millis(50));
            }
        }
        self.index.flush().await?;
        Ok(true)
    }
}

fn micros(stamp: Option<&str>) -> i64 {
    stamp.and_then(|stamp| stamp.parse::<Timestamp>().ok()).map_or(0, Timestamp::as_microsecond)
}
