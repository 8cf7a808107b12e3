//! Handing mails over, measured.

use std::sync::Arc;

use async_trait::async_trait;
use emcrm_mail::{Connection, Envelope, Handover, Identity, MailError, Outbox, Receipt, Transport};
use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};

use super::timed;

pub struct Measured {
    inner: Arc<dyn Transport>,
    figures: Arc<Figures>,
}

struct Figures {
    duration: Histogram,
    accepted: Counter,
    temporary: Counter,
    permanent: Counter,
    unknown: Counter,
    unavailable: Counter,
    open: Gauge,
}

impl Measured {
    pub fn new(inner: Arc<dyn Transport>) -> Self {
        let name = inner.name();
        let outcome = |outcome: &'static str| counter!("emcrm_mail_handovers_total", "transport" => name, "outcome" => outcome);
        let figures = Figures {
            duration: histogram!("emcrm_mail_handover_duration_seconds", "transport" => name),
            accepted: outcome("accepted"),
            temporary: outcome("temporary"),
            permanent: outcome("permanent"),
            unknown: outcome("unknown"),
            unavailable: outcome("unavailable"),
            open: gauge!("emcrm_mail_connections_open", "transport" => name),
        };
        gauge!("emcrm_mail_connections_max", "transport" => name).set(inner.connections_max() as f64);
        Self { inner, figures: Arc::new(figures) }
    }
}

impl Figures {
    fn failed(&self, error: &MailError) {
        match error {
            MailError::Temporary { .. } => self.temporary.increment(1),
            MailError::Permanent { .. } => self.permanent.increment(1),
            MailError::Unknown { .. } => self.unknown.increment(1),
            MailError::Unavailable { .. } => self.unavailable.increment(1),
        }
    }
}

#[async_trait]
impl Transport for Measured {
    async fn connect(&self) -> Result<Box<dyn Connection>, MailError> {
        let inner = self.inner.connect().await.inspect_err(|error| self.figures.failed(error))?;
        self.figures.open.increment(1.0);
        Ok(Box::new(Line { inner: Some(inner), figures: self.figures.clone() }))
    }
    fn connections_max(&self) -> usize {
        self.inner.connections_max()
    }
    fn rate(&self) -> Option<u32> {
        self.inner.rate()
    }
    async fn health(&self) -> Result<(), MailError> {
        self.inner.health().await
    }
    async fn sender(&self, from: &str) -> Option<Identity> {
        self.inner.sender(from).await
    }
    fn encrypted(&self) -> Option<bool> {
        self.inner.encrypted()
    }
    fn outbox(&self) -> Option<&Outbox> {
        self.inner.outbox()
    }
    fn name(&self) -> &'static str {
        self.inner.name()
    }
}

struct Line {
    /// None once it is closed.
    inner: Option<Box<dyn Connection>>,
    figures: Arc<Figures>,
}

#[async_trait]
impl Connection for Line {
    async fn send(&mut self, handover: &Handover) -> Result<Receipt, MailError> {
        self.send_before(handover, None).await
    }
    async fn send_before(&mut self, handover: &Handover, next: Option<&Envelope>) -> Result<Receipt, MailError> {
        let Some(inner) = &mut self.inner else { return Err(MailError::Unavailable { cause: "the connection is closed".to_owned() }) };
        let answer = timed(&self.figures.duration, inner.send_before(handover, next)).await;
        match &answer {
            Ok(_) => self.figures.accepted.increment(1),
            Err(error) => self.figures.failed(error),
        }
        answer
    }
    async fn close(mut self: Box<Self>) {
        if let Some(inner) = self.inner.take() {
            inner.close().await;
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.figures.open.decrement(1.0);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use metrics_exporter_prometheus::PrometheusBuilder;
    use parking_lot::Mutex;

    /// Answers as it is told, last first.
    struct Told(Arc<Mutex<Vec<Result<Receipt, MailError>>>>);

    #[async_trait]
    impl Transport for Told {
        async fn connect(&self) -> Result<Box<dyn Connection>, MailError> {
            Ok(Box::new(Self(self.0.clone())))
        }
        fn connections_max(&self) -> usize {
            7
        }
        fn rate(&self) -> Option<u32> {
            None
        }
        async fn health(&self) -> Result<(), MailError> {
            Ok(())
        }
        fn name(&self) -> &'static str {
            "told"
        }
    }

    #[async_trait]
    impl Connection for Told {
        async fn send(&mut self, _: &Handover) -> Result<Receipt, MailError> {
            self.0.lock().pop().unwrap()
        }
        async fn close(self: Box<Self>) {}
    }

    #[test]
    fn each_outcome_is_counted_and_connections_come_and_go() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        let words = || "later".to_owned();
        let answers = vec![
            Ok(Receipt { reply: words() }),
            Err(MailError::Temporary { reply: words() }),
            Err(MailError::Permanent { reply: words() }),
            Err(MailError::Unknown { cause: words() }),
            Err(MailError::Unavailable { cause: words() }),
        ];
        let mails = answers.len();
        metrics::with_local_recorder(&recorder, || {
            futures::executor::block_on(async {
                let transport = Measured::new(Arc::new(Told(Arc::new(Mutex::new(answers)))));
                let mut line = transport.connect().await.unwrap();
                let mail = Handover { from: "a@x.example".to_owned(), to: "b@x.example".to_owned(), message: Vec::new() };
                for _ in 0..mails {
                    let _ = line.send(&mail).await;
                }
                let text = handle.render();
                for outcome in ["accepted", "temporary", "permanent", "unknown", "unavailable"] {
                    assert!(text.contains(&format!("emcrm_mail_handovers_total{{transport=\"told\",outcome=\"{outcome}\"}} 1\n")), "{outcome}: {text}");
                }
                assert!(
                    text.contains("emcrm_mail_connections_open{transport=\"told\"} 1\n") && text.contains("emcrm_mail_connections_max{transport=\"told\"} 7\n")
                );
                assert!(text.contains(&format!("emcrm_mail_handover_duration_seconds_count{{transport=\"told\"}} {mails}\n")));
                line.close().await;
                assert!(handle.render().contains("emcrm_mail_connections_open{transport=\"told\"} 0\n"));
            });
        });
    }
}
