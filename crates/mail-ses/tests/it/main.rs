//! SES as moto answers it. moto has no quota, refuses nobody and cannot be stopped for one test, so a small front before it records what
//! passes, answers what it is told to, and can go away.
//!
//! `EMCRM_MOTO` says where moto is. `./dev.sh test` starts one.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests")]

mod answers;
mod front;
mod sns;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use emcrm_mail::conformance::{Refusal, Subject};
use emcrm_mail::{Handover, Transport};
use emcrm_mail_ses::{SesSettings, SesTransport};
use front::Front;
use serde_json::Value;

pub fn moto() -> String {
    std::env::vars()
        .find(|(name, _)| name == "EMCRM_MOTO")
        .map(|(_, address)| address)
        .expect("EMCRM_MOTO is not set: run the tests with ./dev.sh test, or start the parts with ./dev.sh parts")
}

pub fn settings(endpoint: &str) -> SesSettings {
    SesSettings {
        region: "us-east-1".to_owned(),
        endpoint: Some(endpoint.to_owned()),
        configuration_set: None,
        connections: 4,
        rate: None,
        connect_timeout: Duration::from_secs(10),
        read_timeout: Duration::from_secs(20),
    }
}

struct Ses {
    transport: Arc<SesTransport>,
    front: Front,
    refused: HashMap<String, Refusal>,
}

impl Ses {
    async fn start() -> Self {
        let front = Front::before(&moto()).await;
        front.verify("bounces@example.org").await;
        let transport = Arc::new(SesTransport::new(settings(&front.address)).await);
        Self { transport, front, refused: HashMap::new() }
    }
}

#[async_trait]
impl Subject for Ses {
    fn transport(&self) -> Arc<dyn Transport> {
        self.transport.clone()
    }

    async fn arrived(&mut self) -> Vec<Handover> {
        let taken = self.front.taken();
        taken
            .iter()
            .map(|request| Handover {
                from: request["FromEmailAddress"].as_str().unwrap().to_owned(),
                to: request["Destination"]["ToAddresses"][0].as_str().unwrap().to_owned(),
                message: STANDARD.decode(request["Content"]["Raw"]["Data"].as_str().unwrap()).unwrap(),
            })
            .collect()
    }

    async fn refuse(&mut self, to: &str, how: Refusal) -> bool {
        self.refused.insert(to.to_owned(), how);
        let refused = self.refused.clone();
        self.front.answer(move |request: &Value| {
            let (status, code, message) = match refused.get(request["Destination"]["ToAddresses"][0].as_str()?)? {
                Refusal::Temporary => (429, "TooManyRequestsException", "Maximum sending rate exceeded."),
                Refusal::Permanent => (400, "MessageRejected", "Illegal address"),
            };
            Some((status, code, message))
        });
        true
    }

    async fn stop(&mut self) {
        self.front.stop();
        // What is known of the account is a minute old at most; here it must be asked for anew.
        self.transport = Arc::new(SesTransport::new(settings(&self.front.address)).await);
    }
}

emcrm_mail::transport_conformance!(Ses::start().await);
