//! The seam's functions on OpenSearch.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use emcrm_search::index::check;
use emcrm_search::{Conditions, DocChange, Field, Index, Kind, Rebuild, SearchError, SearchPage, SearchRequest};
use parking_lot::Mutex;
use reqwest::Method;
use serde_json::{Value, json};

use crate::OpenSearchSettings;
use crate::bulk::{self, Target, Written};
use crate::client::Client;
use crate::generations::{Generations, next_alias};
use crate::{mapping, query, rebuild};

/// How long what is known of the generations may be used. A rebuild waits for longer than this before it counts on everybody's knowing of it.
const KNOWN_FOR: Duration = Duration::from_secs(1);
/// Times that a search is repeated when its index was swapped away under it.
const SWAPPED_ROUNDS: u32 = 3;

pub struct OpenSearchIndex {
    shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub client: Client,
    pub settings: OpenSearchSettings,
    known: Mutex<Option<(Instant, Generations)>>,
    /// This process fills the next generation.
    pub rebuilding: AtomicBool,
    /// Indexes that this process began to fill and gave up.
    pub abandoned: Mutex<Vec<String>>,
}

impl Shared {
    /// The generations as they were at most [`KNOWN_FOR`] ago, with an index in use.
    async fn generations(&self) -> Result<Generations, SearchError> {
        if let Some((at, generations)) = &*self.known.lock()
            && at.elapsed() < KNOWN_FOR
        {
            return Ok(generations.clone());
        }
        let read = Instant::now();
        let found = Generations::read(&self.client, &self.settings.name).await?.ensure(&self.client, &self.settings).await?;
        *self.known.lock() = Some((read, found.clone()));
        Ok(found)
    }

    pub fn forget(&self) {
        *self.known.lock() = None;
    }
}

impl OpenSearchIndex {
    /// Asks nothing of the cluster yet: it may be away, and the index is made when it is first needed.
    pub fn new(settings: OpenSearchSettings) -> Result<Self, SearchError> {
        let client = Client::new(&settings)?;
        let shared = Shared { client, settings, known: Mutex::default(), rebuilding: AtomicBool::new(false), abandoned: Mutex::default() };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Removes everything under our name. For tests.
    pub async fn remove_all(&self) -> Result<(), SearchError> {
        let found = Generations::read(&self.shared.client, &self.shared.settings.name).await?;
        for generation in found.current.iter().chain(&found.next).chain(&found.others) {
            crate::generations::delete(&self.shared.client, &generation.name).await?;
        }
        self.shared.forget();
        Ok(())
    }

    /// A request to the index in use. One that was swapped away in this moment, or lost, is looked for again.
    async fn ask(&self, operation: &str, body: &Value) -> Result<Value, SearchError> {
        let path = format!("/{}/{operation}", self.shared.settings.name);
        let mut round = 0;
        loop {
            let answer = self.shared.client.call(Method::POST, &path, Some(body)).await?;
            let gone = matches!(answer.kind(), "index_not_found_exception" | "search_phase_execution_exception" | "no_shard_available_action_exception");
            if answer.status.is_success() || !gone || round >= SWAPPED_ROUNDS {
                return answer.ok();
            }
            round += 1;
            self.shared.forget();
            self.shared.generations().await?;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn write(&self, changes: &[DocChange], generations: &Generations) -> Result<Written, SearchError> {
        let (client, name) = (&self.shared.client, &self.shared.settings.name);
        // The next one first: if it is swapped in meanwhile, the second write goes to it.
        if generations.next.is_some() {
            let items = changes.iter().map(|change| bulk::change(change, Target::Next)).collect();
            if bulk::write(client, &next_alias(name), items).await? == Written::NoIndex {
                self.shared.forget();
            }
        }
        bulk::write(client, name, changes.iter().map(|change| bulk::change(change, Target::Current)).collect()).await
    }

    fn hits(body: &Value) -> Result<&Vec<Value>, SearchError> {
        body.pointer("/hits/hits").and_then(Value::as_array).ok_or_else(|| SearchError::Corrupt("a search answer without hits".to_owned()))
    }

    fn sort_of(hit: &Value) -> &[Value] {
        hit.get("sort").and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }
}

const HITS: &str = "_search?allow_partial_search_results=false&filter_path=hits.total.value,hits.hits.sort,hits.hits.fields,error,status";

#[async_trait]
impl Index for OpenSearchIndex {
    async fn apply(&self, changes: Vec<DocChange>) -> Result<(), SearchError> {
        for change in &changes {
            if let DocChange::Upsert(doc) = change {
                check::doc(doc)?;
            }
        }
        if changes.is_empty() {
            return Ok(());
        }
        let generations = self.shared.generations().await?;
        if self.write(&changes, &generations).await? == Written::All {
            return Ok(());
        }
        // The index was deleted under way: a new one takes the changes, and says that it is not complete.
        self.shared.forget();
        let generations = self.shared.generations().await?;
        match self.write(&changes, &generations).await? {
            Written::All => Ok(()),
            Written::NoIndex => Err(SearchError::Unavailable("the search index is gone and cannot be made anew".to_owned())),
        }
    }

    async fn flush(&self) -> Result<(), SearchError> {
        self.shared.generations().await?;
        self.ask("_refresh", &Value::Null).await.map(drop)
    }

    async fn settle(&self) -> Result<(), SearchError> {
        // What was acknowledged is in the log of the shard, on disk.
        Ok(())
    }

    async fn search(&self, request: SearchRequest) -> Result<SearchPage, SearchError> {
        check::search(&request)?;
        let body = self.ask(HITS, &query::search(&request)).await?;
        let total =
            body.pointer("/hits/total/value").and_then(Value::as_u64).ok_or_else(|| SearchError::Corrupt("a search answer without a total".to_owned()))?;
        let empty = Vec::new();
        let hits = if total == 0 { &empty } else { Self::hits(&body).unwrap_or(&empty) };
        let limit = request.limit as usize;
        let field = request.sort.map(|sort| sort.field);
        let positions =
            hits.iter().skip(query::rows_before(&request) as usize).map(|hit| query::after(Self::sort_of(hit), field)).collect::<Result<Vec<_>, _>>()?;
        let next = if positions.len() > limit { positions.get(limit - 1).cloned() } else { None };
        Ok(SearchPage { ids: positions.into_iter().take(limit).map(|position| position.id).collect(), total, next })
    }

    async fn count(&self, kind: Kind, conditions: Conditions) -> Result<u64, SearchError> {
        check::conditions(&conditions)?;
        let body = self.ask("_count", &json!({"query": query::query(kind, &conditions)})).await?;
        body.get("count").and_then(Value::as_u64).ok_or_else(|| SearchError::Corrupt("a count without a number".to_owned()))
    }

    async fn walk(&self, kind: Kind, conditions: Conditions, after: Option<String>, limit: u32) -> Result<Vec<String>, SearchError> {
        check::walk(limit)?;
        check::conditions(&conditions)?;
        let body = self.ask(HITS, &query::walk(&query::query(kind, &conditions), after.as_deref(), limit)).await?;
        let Ok(hits) = Self::hits(&body) else { return Ok(Vec::new()) };
        hits.iter().map(|hit| query::after(Self::sort_of(hit), None).map(|after| after.id)).collect()
    }

    async fn digests(&self, kind: Kind, after: Option<String>, limit: u32) -> Result<Vec<(String, u64)>, SearchError> {
        check::walk(limit)?;
        let mut request = query::walk(&query::query(kind, &Conditions::default()), after.as_deref(), limit);
        query::set(&mut request, "docvalue_fields", json!(["digest"]));
        let body = self.ask(HITS, &request).await?;
        let Ok(hits) = Self::hits(&body) else { return Ok(Vec::new()) };
        hits.iter()
            .map(|hit| {
                let id = query::after(Self::sort_of(hit), None)?.id;
                let digest = hit.pointer("/fields/digest/0").and_then(Value::as_str).and_then(|text| text.parse().ok());
                digest.map(|digest| (id, digest)).ok_or_else(|| SearchError::Corrupt("a document without a digest".to_owned()))
            })
            .collect()
    }

    async fn facets(&self, kind: Kind, conditions: Conditions, field: Field, prefix: String, limit: u32) -> Result<Vec<(String, u64)>, SearchError> {
        check::facets(field)?;
        check::conditions(&conditions)?;
        if limit == 0 {
            return Ok(Vec::new());
        }
        let request = query::facets(&query::query(kind, &conditions), field, &prefix, limit, self.shared.settings.shards);
        let body = self.ask("_search?allow_partial_search_results=false&filter_path=aggregations,error,status", &request).await?;
        let buckets = body.pointer("/aggregations/values/buckets").and_then(Value::as_array);
        let bucket = |bucket: &Value| Some((bucket.get("key")?.as_str()?.to_owned(), bucket.get("doc_count")?.as_u64()?));
        Ok(buckets.into_iter().flatten().filter_map(bucket).collect())
    }

    async fn one_of_each(&self, kind: Kind, conditions: Conditions, field: Field, values: Vec<String>) -> Result<Vec<Option<String>>, SearchError> {
        check::facets(field)?;
        check::conditions(&conditions)?;
        if values.is_empty() {
            return Ok(Vec::new());
        }
        let request = query::one_of_each(&query::query(kind, &conditions), field, &values);
        let body = self.ask("_search?allow_partial_search_results=false&filter_path=aggregations,error,status", &request).await?;
        let buckets = body.pointer("/aggregations/each/buckets").and_then(Value::as_array);
        let one = |at: usize| Some(buckets?.get(at)?.pointer("/one/hits/hits/0/sort/0")?.as_str()?.to_owned());
        Ok((0..values.len()).map(one).collect())
    }

    async fn rebuild(&self) -> Result<Box<dyn Rebuild>, SearchError> {
        rebuild::begin(&self.shared).await
    }

    async fn health(&self) -> Result<(), SearchError> {
        self.shared.generations().await?;
        let health = self.shared.client.call(Method::GET, &format!("/_cluster/health/{}?timeout=1s", self.shared.settings.name), None).await?;
        if health.body.get("status").and_then(Value::as_str) == Some("red") {
            return Err(SearchError::Unavailable("parts of the search index are missing: OpenSearch says that its status is red".to_owned()));
        }
        health.ok().map(drop)
    }

    fn name(&self) -> &'static str {
        "opensearch"
    }

    async fn is_complete(&self) -> Result<bool, SearchError> {
        Ok(self.shared.generations().await?.is_complete())
    }

    async fn mark_complete(&self) -> Result<(), SearchError> {
        self.flush().await?;
        let body = json!({"_meta": mapping::meta(true)});
        self.shared.client.call(Method::PUT, &format!("/{}/_mapping", self.shared.settings.name), Some(&body)).await?.ok()?;
        self.shared.forget();
        Ok(())
    }
}
