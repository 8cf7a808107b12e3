//! The search, measured.

use std::sync::Arc;

use async_trait::async_trait;
use emcrm_search::{Conditions, DocChange, Field, Index, Kind, Rebuild, SearchError, SearchPage, SearchRequest};
use metrics::{Histogram, counter, histogram};

use super::called;

pub struct Measured {
    inner: Arc<dyn Index>,
    apply: Histogram,
    flush: Histogram,
    search: Histogram,
    count: Histogram,
    walk: Histogram,
    facets: Histogram,
}

impl Measured {
    pub fn new(inner: Arc<dyn Index>) -> Self {
        let engine = inner.name();
        let of = |operation: &'static str| histogram!("emcrm_search_operation_duration_seconds", "engine" => engine, "operation" => operation);
        Self { apply: of("apply"), flush: of("flush"), search: of("search"), count: of("count"), walk: of("walk"), facets: of("facets"), inner }
    }

    fn part(&self) -> (&'static str, &'static str) {
        ("search", self.inner.name())
    }

    fn seen<T>(&self, operation: &'static str, answer: Result<T, SearchError>) -> Result<T, SearchError> {
        answer.inspect_err(|error| {
            let kind = match error {
                SearchError::Unavailable(_) => "unavailable",
                SearchError::Corrupt(_) => "corrupt",
                SearchError::Invalid(_) => "invalid",
            };
            counter!("emcrm_search_errors_total", "engine" => self.inner.name(), "operation" => operation, "kind" => kind).increment(1);
        })
    }
}

#[async_trait]
impl Index for Measured {
    async fn apply(&self, changes: Vec<DocChange>) -> Result<(), SearchError> {
        self.seen("apply", called(self.part(), "apply", &self.apply, self.inner.apply(changes)).await)
    }
    async fn flush(&self) -> Result<(), SearchError> {
        self.seen("flush", called(self.part(), "flush", &self.flush, self.inner.flush()).await)
    }
    async fn settle(&self) -> Result<(), SearchError> {
        self.seen("flush", called(self.part(), "flush", &self.flush, self.inner.settle()).await)
    }
    async fn search(&self, request: SearchRequest) -> Result<SearchPage, SearchError> {
        self.seen("search", called(self.part(), "search", &self.search, self.inner.search(request)).await)
    }
    async fn count(&self, kind: Kind, conditions: Conditions) -> Result<u64, SearchError> {
        self.seen("count", called(self.part(), "count", &self.count, self.inner.count(kind, conditions)).await)
    }
    async fn walk(&self, kind: Kind, conditions: Conditions, after: Option<String>, limit: u32) -> Result<Vec<String>, SearchError> {
        self.seen("walk", called(self.part(), "walk", &self.walk, self.inner.walk(kind, conditions, after, limit)).await)
    }
    async fn digests(&self, kind: Kind, after: Option<String>, limit: u32) -> Result<Vec<(String, u64)>, SearchError> {
        self.seen("digests", self.inner.digests(kind, after, limit).await)
    }
    async fn facets(&self, kind: Kind, conditions: Conditions, field: Field, prefix: String, limit: u32) -> Result<Vec<(String, u64)>, SearchError> {
        self.seen("facets", called(self.part(), "facets", &self.facets, self.inner.facets(kind, conditions, field, prefix, limit)).await)
    }
    /// What facets ask besides.
    async fn one_of_each(&self, kind: Kind, conditions: Conditions, field: Field, values: Vec<String>) -> Result<Vec<Option<String>>, SearchError> {
        self.seen("facets", called(self.part(), "facets", &self.facets, self.inner.one_of_each(kind, conditions, field, values)).await)
    }
    async fn rebuild(&self) -> Result<Box<dyn Rebuild>, SearchError> {
        self.seen("rebuild", self.inner.rebuild().await)
    }
    async fn health(&self) -> Result<(), SearchError> {
        self.seen("health", self.inner.health().await)
    }
    fn name(&self) -> &'static str {
        self.inner.name()
    }
    async fn is_complete(&self) -> Result<bool, SearchError> {
        self.seen("is_complete", self.inner.is_complete().await)
    }
    async fn mark_complete(&self) -> Result<(), SearchError> {
        self.seen("mark_complete", self.inner.mark_complete().await)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use metrics_exporter_prometheus::PrometheusBuilder;

    type Fault = fn(String) -> SearchError;

    /// Fails in one way, whatever it is asked.
    struct Told(Fault);

    impl Told {
        fn fault<T>(&self) -> Result<T, SearchError> {
            Err(self.0("a test".to_owned()))
        }
    }

    #[async_trait]
    impl Index for Told {
        async fn apply(&self, _: Vec<DocChange>) -> Result<(), SearchError> {
            self.fault()
        }
        async fn flush(&self) -> Result<(), SearchError> {
            self.fault()
        }
        async fn search(&self, _: SearchRequest) -> Result<SearchPage, SearchError> {
            self.fault()
        }
        async fn count(&self, _: Kind, _: Conditions) -> Result<u64, SearchError> {
            self.fault()
        }
        async fn walk(&self, _: Kind, _: Conditions, _: Option<String>, _: u32) -> Result<Vec<String>, SearchError> {
            self.fault()
        }
        async fn digests(&self, _: Kind, _: Option<String>, _: u32) -> Result<Vec<(String, u64)>, SearchError> {
            self.fault()
        }
        async fn facets(&self, _: Kind, _: Conditions, _: Field, _: String, _: u32) -> Result<Vec<(String, u64)>, SearchError> {
            self.fault()
        }
        async fn one_of_each(&self, _: Kind, _: Conditions, _: Field, _: Vec<String>) -> Result<Vec<Option<String>>, SearchError> {
            self.fault()
        }
        async fn rebuild(&self) -> Result<Box<dyn Rebuild>, SearchError> {
            self.fault()
        }
        async fn health(&self) -> Result<(), SearchError> {
            self.fault()
        }
        fn name(&self) -> &'static str {
            "told"
        }
        async fn is_complete(&self) -> Result<bool, SearchError> {
            self.fault()
        }
        async fn mark_complete(&self) -> Result<(), SearchError> {
            self.fault()
        }
    }

    /// Every operation once; how many did not fail.
    async fn answered(index: &Measured) -> usize {
        let all = Conditions::default;
        let request = SearchRequest { kind: Kind::User, conditions: all(), sort: None, offset: 0, limit: 1, after: None };
        let answers = [
            index.apply(Vec::new()).await.is_ok(),
            index.flush().await.is_ok(),
            index.settle().await.is_ok(),
            index.search(request).await.is_ok(),
            index.count(Kind::User, all()).await.is_ok(),
            index.walk(Kind::User, all(), None, 1).await.is_ok(),
            index.digests(Kind::User, None, 1).await.is_ok(),
            index.facets(Kind::User, all(), Field::City, String::new(), 1).await.is_ok(),
            index.one_of_each(Kind::User, all(), Field::City, Vec::new()).await.is_ok(),
            index.rebuild().await.is_ok(),
            index.health().await.is_ok(),
            index.is_complete().await.is_ok(),
            index.mark_complete().await.is_ok(),
        ];
        answers.into_iter().filter(|ok| *ok).count()
    }

    #[test]
    fn each_fault_of_each_operation_is_counted_by_its_kind_and_its_time_is_taken() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        let faults: [(&str, Fault); 3] = [("unavailable", SearchError::Unavailable), ("corrupt", SearchError::Corrupt), ("invalid", SearchError::Invalid)];
        metrics::with_local_recorder(&recorder, || {
            futures::executor::block_on(async {
                for (kind, fault) in faults {
                    assert_eq!(answered(&Measured::new(Arc::new(Told(fault)))).await, 0);
                    let text = handle.render();
                    for (operation, times) in [
                        ("apply", 1),
                        ("flush", 2),
                        ("search", 1),
                        ("count", 1),
                        ("walk", 1),
                        ("digests", 1),
                        ("facets", 2),
                        ("rebuild", 1),
                        ("health", 1),
                        ("is_complete", 1),
                        ("mark_complete", 1),
                    ] {
                        let series = format!("emcrm_search_errors_total{{engine=\"told\",operation=\"{operation}\",kind=\"{kind}\"}} {times}\n");
                        assert!(text.contains(&series), "{series}{text}");
                    }
                }
                let text = handle.render();
                for (operation, times) in [("apply", 1), ("flush", 2), ("search", 1), ("count", 1), ("walk", 1), ("facets", 2)] {
                    let times = times * faults.len();
                    let series = format!("emcrm_search_operation_duration_seconds_count{{engine=\"told\",operation=\"{operation}\"}} {times}\n");
                    assert!(text.contains(&series), "{series}{text}");
                }
            });
        });
    }
}
