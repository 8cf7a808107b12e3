//! Filling the next generation beside the one in use.
//!
//! Order of steps, so that a crash between any two leaves an index in use and nothing lost:
//! 1. The next generation is made, with the alias `{name}-next`. Its name ends in the next number, so of two processes one wins.
//! 2. After [`OpenSearchSettings::announce`] every process that writes has seen it and writes to both, first to the next one.
//! 3. Documents are added where there is none yet: what was applied since is newer.
//! 4. One request moves the alias. Who was writing to the old one at this moment finds the alias `{name}-next` gone and writes to the alias,
//!    which is the new one.
//! 5. The old generation is deleted, and the marks of deletions.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use emcrm_model::{Clock as _, SystemClock};
use emcrm_search::index::check;
use emcrm_search::{Doc, Rebuild, SearchError};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::AbortHandle;

use crate::bulk::{self, Written};
use crate::generations::{Generations, delete, next_alias};
use crate::index::Shared;
use crate::mapping;

/// A rebuild says so often that it is alive.
const BEAT: Duration = Duration::from_secs(10);
/// One that has not for so long has died, in milliseconds.
const DEAD_MS: i64 = 60_000;

pub struct OpenSearchRebuild {
    shared: Arc<Shared>,
    /// The index that is being filled; none after the swap.
    next: Option<String>,
    beating: AbortHandle,
}

pub async fn begin(shared: &Arc<Shared>) -> Result<Box<dyn Rebuild>, SearchError> {
    if shared.rebuilding.swap(true, Ordering::SeqCst) {
        return Err(SearchError::Invalid("the index is being rebuilt already".to_owned()));
    }
    let begun = begin_exclusively(shared).await;
    match begun {
        Ok(next) => Ok(Box::new(OpenSearchRebuild { beating: keep_beating(shared.clone(), next.clone()), shared: shared.clone(), next: Some(next) })),
        Err(error) => {
            shared.rebuilding.store(false, Ordering::SeqCst);
            Err(error)
        }
    }
}

async fn begin_exclusively(shared: &Arc<Shared>) -> Result<String, SearchError> {
    let (client, settings) = (&shared.client, &shared.settings);
    // What this process gave up before is nobody's.
    let abandoned: Vec<String> = std::mem::take(&mut *shared.abandoned.lock());
    for index in abandoned {
        delete(client, &index).await?;
    }
    let found = Generations::read(client, &settings.name).await?.ensure(client, settings).await?;
    if let Some(next) = &found.next {
        if is_alive(shared, &next.name).await? {
            return Err(SearchError::Invalid("the index is being rebuilt already, by another process".to_owned()));
        }
        tracing::warn!(index = next.name, "a rebuild died; its index is thrown away");
        delete(client, &next.name).await?;
    }
    for other in &found.others {
        tracing::warn!(index = other.name, "an index without an alias is thrown away");
        delete(client, &other.name).await?;
    }
    let already = || SearchError::Invalid("the index is being rebuilt already, by another process".to_owned());
    let next = found.begin(client, settings).await?.ok_or_else(already)?;
    beat(shared, &next).await?;
    shared.forget();
    tokio::time::sleep(settings.announce).await;
    Ok(next)
}

async fn beat(shared: &Shared, next: &str) -> Result<(), SearchError> {
    let document = json!({"kind": mapping::BEAT, "id": mapping::BEAT, "createdAt": SystemClock.now().as_millisecond()});
    shared.client.call(Method::PUT, &format!("/{next}/_doc/{}", mapping::BEAT), Some(&document)).await?.ok().map(drop)
}

/// An index without a beat was made a moment ago, or its maker died in that moment; its age decides.
async fn is_alive(shared: &Shared, next: &str) -> Result<bool, SearchError> {
    let now = SystemClock.now().as_millisecond();
    let beat = shared.client.call(Method::GET, &format!("/{next}/_doc/{}", mapping::BEAT), None).await?;
    if let Some(at) = beat.body.pointer("/_source/createdAt").and_then(Value::as_i64) {
        return Ok(now - at < DEAD_MS);
    }
    let made = shared.client.call(Method::GET, &format!("/{next}/_settings?filter_path=*.settings.index.creation_date"), None).await?.ok()?;
    let made = made.pointer(&format!("/{next}/settings/index/creation_date")).and_then(Value::as_str).and_then(|text| text.parse::<i64>().ok());
    Ok(made.is_some_and(|made| now - made < DEAD_MS))
}

fn keep_beating(shared: Arc<Shared>, next: String) -> AbortHandle {
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(BEAT).await;
            if let Err(error) = beat(&shared, &next).await {
                tracing::warn!(%error, "a rebuild could not say that it is alive");
            }
        }
    })
    .abort_handle()
}

#[async_trait]
impl Rebuild for OpenSearchRebuild {
    async fn add(&mut self, docs: Vec<Doc>) -> Result<(), SearchError> {
        docs.iter().try_for_each(check::doc)?;
        let items = docs.iter().map(bulk::create).collect();
        match bulk::write(&self.shared.client, &next_alias(&self.shared.settings.name), items).await? {
            Written::All => Ok(()),
            Written::NoIndex => Err(SearchError::Unavailable("the index that was being filled is gone; begin again".to_owned())),
        }
    }

    async fn swap(mut self: Box<Self>) -> Result<(), SearchError> {
        let shared = self.shared.clone();
        let (client, name) = (&shared.client, &shared.settings.name);
        let Some(next) = self.next.clone() else { return Ok(()) };
        client.call(Method::POST, &format!("/{next}/_refresh"), None).await?.ok()?;
        let complete = json!({"_meta": mapping::meta(true)});
        client.call(Method::PUT, &format!("/{next}/_mapping"), Some(&complete)).await?.ok()?;
        let old = Generations::read(client, name).await?.current.map(|current| current.name);
        let mut actions = vec![json!({"add": {"index": next, "alias": name}}), json!({"remove": {"index": next, "alias": next_alias(name)}})];
        actions.extend(old.iter().map(|old| json!({"remove": {"index": old, "alias": name}})));
        client.call(Method::POST, "/_aliases", Some(&json!({"actions": actions}))).await?.ok()?;
        // From here on the new one is in use, whatever happens.
        self.next = None;
        shared.forget();
        self.beating.abort();
        let marks = json!({"query": {"terms": {"kind": [mapping::GONE, mapping::BEAT]}}});
        let purged = client.call(Method::POST, &format!("/{next}/_delete_by_query?conflicts=proceed&refresh=true"), Some(&marks)).await;
        if let Err(error) = purged.and_then(crate::client::Answer::ok) {
            tracing::warn!(%error, "marks of deletions stay in the index; no search sees them");
        }
        if let Some(old) = old {
            delete(client, &old).await?;
        }
        Ok(())
    }
}

impl Drop for OpenSearchRebuild {
    fn drop(&mut self) {
        self.beating.abort();
        if let Some(next) = self.next.take() {
            self.shared.abandoned.lock().push(next.clone());
            let shared = self.shared.clone();
            if let Ok(runtime) = tokio::runtime::Handle::try_current() {
                runtime.spawn(async move {
                    if let Err(error) = delete(&shared.client, &next).await {
                        tracing::warn!(%error, index = next, "an abandoned index could not be removed; the next rebuild does it");
                    }
                });
            }
        }
        self.shared.rebuilding.store(false, Ordering::SeqCst);
    }
}
