//! The storage, measured.

use std::sync::Arc;

use async_trait::async_trait;
use emcrm_store::{CacheUse, Engine, EngineError, IndexName, Item, Key, Pool, Query, Rows, Table, TransactError, Transaction};
use metrics::{Histogram, counter, histogram};

use super::called;

pub struct Measured {
    inner: Arc<dyn Engine>,
    get: Histogram,
    get_many: Histogram,
    query: Histogram,
    scan: Histogram,
    transact: Histogram,
}

impl Measured {
    pub fn new(inner: Arc<dyn Engine>) -> Self {
        let engine = inner.name();
        let of = |operation: &'static str| histogram!("emcrm_storage_operation_duration_seconds", "engine" => engine, "operation" => operation);
        Self { get: of("get"), get_many: of("get_many"), query: of("query"), scan: of("scan"), transact: of("transact"), inner }
    }

    fn failed(&self, operation: &'static str, error: &EngineError) {
        let kind = match error {
            EngineError::Limit(_) => "limit",
            EngineError::Unavailable(_) => "unavailable",
            EngineError::Unknown(_) => "unknown",
            EngineError::Full => "full",
            EngineError::Corrupt(_) => "corrupt",
        };
        counter!("emcrm_storage_errors_total", "engine" => self.inner.name(), "operation" => operation, "kind" => kind).increment(1);
    }

    fn part(&self) -> (&'static str, &'static str) {
        ("storage", self.inner.name())
    }

    fn seen<T>(&self, operation: &'static str, answer: Result<T, EngineError>) -> Result<T, EngineError> {
        answer.inspect_err(|error| self.failed(operation, error))
    }
}

#[async_trait]
impl Engine for Measured {
    async fn get(&self, table: Table, key: &Key) -> Result<Option<Item>, EngineError> {
        self.seen("get", called(self.part(), "get", &self.get, self.inner.get(table, key)).await)
    }
    async fn get_many(&self, table: Table, keys: &[Key]) -> Result<Vec<Option<Item>>, EngineError> {
        self.seen("get_many", called(self.part(), "get_many", &self.get_many, self.inner.get_many(table, keys)).await)
    }
    async fn get_many_json(&self, table: Table, keys: &[Key]) -> Result<Vec<Option<String>>, EngineError> {
        self.seen("get_many", called(self.part(), "get_many", &self.get_many, self.inner.get_many_json(table, keys)).await)
    }
    async fn query(&self, query: Query) -> Result<Rows, EngineError> {
        self.seen("query", called(self.part(), "query", &self.query, self.inner.query(query)).await)
    }
    async fn scan(&self, table: Table, after: Option<Key>, limit: u32) -> Result<Rows, EngineError> {
        self.seen("scan", called(self.part(), "scan", &self.scan, self.inner.scan(table, after, limit)).await)
    }
    async fn transact(&self, transaction: Transaction) -> Result<(), TransactError> {
        let answer = called(self.part(), "transact", &self.transact, self.inner.transact(transaction)).await;
        match &answer {
            Ok(()) => {}
            Err(TransactError::Engine(error)) => self.failed("transact", error),
            // Somebody was quicker, or a rule says no. There are as many rules as the program has.
            Err(refused) => {
                let rule = refused.rule().map_or_else(|| "none".to_owned(), |rule| format!("{rule:?}"));
                counter!("emcrm_storage_refusals_total", "engine" => self.inner.name(), "rule" => rule).increment(1);
            }
        }
        answer
    }
    fn is_ordered(&self, table: Table, index: IndexName) -> bool {
        self.inner.is_ordered(table, index)
    }
    fn people_version(&self) -> Option<u64> {
        self.inner.people_version()
    }
    fn pools(&self) -> Vec<Pool> {
        self.inner.pools()
    }
    fn cache(&self) -> Option<CacheUse> {
        self.inner.cache()
    }
    async fn health(&self) -> Result<(), EngineError> {
        self.seen("health", self.inner.health().await)
    }
    fn name(&self) -> &'static str {
        self.inner.name()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use emcrm_store::Rule;
    use metrics_exporter_prometheus::PrometheusBuilder;

    /// Fails in one way, whatever it is asked.
    struct Told(TransactError);

    impl Told {
        fn fault(&self) -> EngineError {
            match &self.0 {
                TransactError::Engine(fault) => fault.clone(),
                TransactError::Refused(_) => EngineError::Full,
            }
        }
    }

    #[async_trait]
    impl Engine for Told {
        async fn get(&self, _: Table, _: &Key) -> Result<Option<Item>, EngineError> {
            Err(self.fault())
        }
        async fn get_many(&self, _: Table, _: &[Key]) -> Result<Vec<Option<Item>>, EngineError> {
            Err(self.fault())
        }
        async fn query(&self, _: Query) -> Result<Rows, EngineError> {
            Err(self.fault())
        }
        async fn scan(&self, _: Table, _: Option<Key>, _: u32) -> Result<Rows, EngineError> {
            Err(self.fault())
        }
        async fn transact(&self, _: Transaction) -> Result<(), TransactError> {
            Err(self.0.clone())
        }
        async fn health(&self) -> Result<(), EngineError> {
            Err(self.fault())
        }
        fn name(&self) -> &'static str {
            "told"
        }
    }

    #[test]
    fn each_fault_of_each_operation_is_counted_by_its_kind_and_its_time_is_taken() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        let why = || "a test".to_owned();
        let faults = [
            ("unavailable", EngineError::Unavailable(why())),
            ("unknown", EngineError::Unknown(why())),
            ("full", EngineError::Full),
            ("corrupt", EngineError::Corrupt(why())),
            ("limit", EngineError::Limit(why())),
        ];
        metrics::with_local_recorder(&recorder, || {
            futures::executor::block_on(async {
                let key = Key::single("somebody");
                for (kind, fault) in &faults {
                    let engine = Measured::new(Arc::new(Told(fault.clone().into())));
                    assert_eq!(engine.get(Table::Main, &key).await.as_ref(), Err(fault));
                    assert_eq!(engine.get_many(Table::Main, std::slice::from_ref(&key)).await.as_ref(), Err(fault));
                    assert_eq!(engine.query(Query::table(Table::Main, "somebody")).await.as_ref(), Err(fault));
                    assert_eq!(engine.scan(Table::Main, None, 1).await.as_ref(), Err(fault));
                    assert_eq!(engine.transact(Transaction::new()).await, Err(fault.clone().into()));
                    assert_eq!(engine.health().await.as_ref(), Err(fault));
                    let text = handle.render();
                    for operation in ["get", "get_many", "query", "scan", "transact", "health"] {
                        let series = format!("emcrm_storage_errors_total{{engine=\"told\",operation=\"{operation}\",kind=\"{kind}\"}} 1\n");
                        assert!(text.contains(&series), "{series}{text}");
                    }
                }
                let text = handle.render();
                for operation in ["get", "get_many", "query", "scan", "transact"] {
                    let series = format!("emcrm_storage_operation_duration_seconds_count{{engine=\"told\",operation=\"{operation}\"}} {}\n", faults.len());
                    assert!(text.contains(&series), "{series}{text}");
                }
                assert!(!text.contains("emcrm_storage_refusals_total"), "no rule was broken: {text}");
            });
        });
    }

    #[test]
    fn each_refusal_is_counted_by_the_first_rule_that_was_broken_and_is_no_fault() {
        let rules = [
            Rule::IdTaken,
            Rule::EmailTaken,
            Rule::SlugTaken,
            Rule::UserUnknown,
            Rule::HostUnknown,
            Rule::EventUnknown,
            Rule::EventFull,
            Rule::CapacityTooLow,
            Rule::AlreadyAttending,
            Rule::NotAttending,
            Rule::CampaignUnknown,
            Rule::CampaignMoved,
            Rule::StaleRev,
            Rule::Changed,
            Rule::KeyUsed,
            Rule::LeaseHeld,
            Rule::TaskGone,
        ];
        let recorder = PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        metrics::with_local_recorder(&recorder, || {
            let told = |rules: Vec<Option<Rule>>| {
                let refused = TransactError::Refused(rules);
                let engine = Measured::new(Arc::new(Told(refused.clone())));
                assert_eq!(futures::executor::block_on(engine.transact(Transaction::new())), Err(refused));
            };
            for rule in rules {
                told(vec![None, Some(rule), Some(Rule::TaskGone)]);
            }
            // An operation without a rule was refused: the item is not as it was read.
            told(vec![None]);
        });
        let text = handle.render();
        for rule in rules.map(|rule| format!("{rule:?}")).iter().map(String::as_str).chain(["none"]) {
            let series = format!("emcrm_storage_refusals_total{{engine=\"told\",rule=\"{rule}\"}} 1\n");
            assert!(text.contains(&series), "{series}{text}");
        }
        assert!(!text.contains("emcrm_storage_errors_total"), "{text}");
    }
}
