//! Which index is in use, which one is being filled, and making them.

use emcrm_search::SearchError;
use reqwest::Method;
use serde_json::{Value, json};

use crate::OpenSearchSettings;
use crate::client::{Answer, Client};
use crate::mapping;

/// An index as the cluster has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generation {
    pub name: String,
    pub number: u32,
    pub complete: bool,
    pub version: u64,
}

/// What the cluster has under our name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Generations {
    /// Behind the alias.
    pub current: Option<Generation>,
    /// Being filled.
    pub next: Option<Generation>,
    /// Neither: left by a rebuild that died between two steps, or without its alias.
    pub others: Vec<Generation>,
}

pub fn next_alias(name: &str) -> String {
    format!("{name}-next")
}

fn named(name: &str, number: u32) -> String {
    format!("{name}-{number:06}")
}

impl Generations {
    pub async fn read(client: &Client, name: &str) -> Result<Self, SearchError> {
        let path = format!("/{name}-*?filter_path=*.aliases,*.mappings._meta&allow_no_indices=true&ignore_unavailable=true");
        let body = client.call(Method::GET, &path, None).await?.ok()?;
        let mut found = Self::default();
        for (index, about) in body.as_object().into_iter().flatten() {
            let digits = index.strip_prefix(name).and_then(|rest| rest.strip_prefix('-')).filter(|digits| digits.len() == 6);
            let Some(number) = digits.and_then(|digits| digits.parse().ok()) else { continue };
            let meta = about.pointer("/mappings/_meta");
            let generation = Generation {
                name: index.clone(),
                number,
                complete: meta.and_then(|meta| meta.get("complete")).and_then(Value::as_bool).unwrap_or(false),
                version: meta.and_then(|meta| meta.get("version")).and_then(Value::as_u64).unwrap_or(0),
            };
            let has = |alias: &str| about.pointer("/aliases").and_then(|aliases| aliases.get(alias)).is_some();
            if has(name) {
                found.current = Some(generation);
            } else if has(&next_alias(name)) {
                found.next = Some(generation);
            } else {
                found.others.push(generation);
            }
        }
        Ok(found)
    }

    pub fn is_complete(&self) -> bool {
        self.current.as_ref().is_some_and(|current| current.complete && current.version == mapping::VERSION)
    }

    fn highest(&self) -> u32 {
        self.current.iter().chain(&self.next).chain(&self.others).map(|generation| generation.number).max().unwrap_or(0)
    }

    /// Makes sure that there is an index behind the alias, an empty one if need be, and reads again.
    pub async fn ensure(self, client: &Client, settings: &OpenSearchSettings) -> Result<Self, SearchError> {
        if self.current.is_some() {
            return Ok(self);
        }
        let name = &settings.name;
        // An index that lost its alias is as it was: what could not be written since is still to be done.
        let usable = self.others.iter().filter(|other| other.version == mapping::VERSION).max_by_key(|other| other.number);
        if let Some(usable) = usable {
            let actions = json!({"actions": [{"add": {"index": usable.name, "alias": name}}]});
            client.call(Method::POST, "/_aliases", Some(&actions)).await?.ok()?;
        } else {
            made(&client.call(Method::PUT, &format!("/{}", named(name, self.highest() + 1)), Some(&mapping::index_body(settings, name))).await?)?;
        }
        Self::read(client, name).await
    }

    /// Makes the next generation, marked as being filled. False: somebody else has just made one.
    pub async fn begin(&self, client: &Client, settings: &OpenSearchSettings) -> Result<Option<String>, SearchError> {
        let next = named(&settings.name, self.highest() + 1);
        let body = mapping::index_body(settings, &next_alias(&settings.name));
        let answer = client.call(Method::PUT, &format!("/{next}"), Some(&body)).await?;
        Ok(made(&answer)?.then_some(next))
    }
}

/// True when the index was made, false when it was there.
fn made(answer: &Answer) -> Result<bool, SearchError> {
    match answer.status.is_success() {
        true => Ok(true),
        false if answer.kind() == "resource_already_exists_exception" => Ok(false),
        false => Err(answer.error()),
    }
}

/// Deletes an index; one that is gone already is no error.
pub async fn delete(client: &Client, index: &str) -> Result<(), SearchError> {
    let answer = client.call(Method::DELETE, &format!("/{index}"), None).await?;
    if answer.status.as_u16() == 404 { Ok(()) } else { answer.ok().map(drop) }
}
