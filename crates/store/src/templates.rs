//! Reusable content of mails as items.

use std::sync::Arc;

use emcrm_model::{MailTemplate, Rev};

use crate::engine::{Engine, EngineError, Guard, IndexName, Item, Query, Table, Transaction};
use crate::keys;
use crate::repository::{from_item, to_item};
use crate::rules::Rule;

#[derive(Clone)]
pub struct Templates {
    engine: Arc<dyn Engine>,
}

impl Templates {
    pub fn new(engine: Arc<dyn Engine>) -> Self {
        Self { engine }
    }

    pub async fn get(&self, id: &str) -> Result<Option<MailTemplate>, EngineError> {
        self.engine.get(Table::Email, &keys::template(id)).await?.map(from_item).transpose()
    }

    /// All of them, newest first.
    pub fn list() -> Query {
        Query::index(Table::Email, IndexName::Type, keys::TYPE_TEMPLATE).backward()
    }

    pub fn read(item: Item) -> Result<MailTemplate, EngineError> {
        from_item(item)
    }

    pub fn insert(&self, tx: &mut Transaction, template: &MailTemplate) {
        tx.put(Table::Email, to_item(keys::template(&template.id), keys::TYPE_TEMPLATE, template)).when(Guard::Absent).or(Rule::IdTaken);
    }

    /// Over the revision `seen`.
    pub fn replace(&self, tx: &mut Transaction, template: &MailTemplate, seen: Rev) {
        tx.put(Table::Email, to_item(keys::template(&template.id), keys::TYPE_TEMPLATE, template)).when(Guard::equals("rev", seen.0)).or(Rule::Changed);
    }

    pub fn delete(&self, tx: &mut Transaction, id: &str) {
        tx.delete(Table::Email, keys::template(id)).when(Guard::Present).or(Rule::Changed);
    }
}
