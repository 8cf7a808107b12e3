//! Messages by SNS: nothing is believed without Amazon's signature, nothing is fetched from elsewhere, and what a message of SES says is read without harm.
#![no_main]

use std::sync::Arc;

use async_trait::async_trait;
use emcrm_mail::Notifications as _;
use emcrm_mail_ses::{Fetch, SnsTopic, reports};
use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;
use url::Url;

/// Answers with the input itself, and checks who is asked.
struct Stand(Vec<u8>);

#[async_trait]
impl Fetch for Stand {
    async fn get(&self, url: &Url) -> Result<Vec<u8>, String> {
        let host = url.host_str().unwrap_or_default();
        assert!(url.scheme() == "https" && url.port().is_none() && host.starts_with("sns."), "{url}");
        assert!(host.ends_with(".amazonaws.com") || host.ends_with(".amazonaws.com.cn"), "{url}");
        Ok(self.0.clone())
    }
}

fuzz_target!(|bytes: &[u8]| {
    // The message, and what is said to be the certificate.
    let cut = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let (message, certificate) = bytes.split_at(cut);
    if let Ok(text) = std::str::from_utf8(message) {
        let told = reports(text);
        assert!(told.len() <= text.len());
    }
    let now: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
    let stand = Arc::new(Stand(certificate.get(1..).unwrap_or_default().to_vec()));
    let topic = SnsTopic::with("arn:aws:sns:us-east-1:1:t".to_owned(), Arc::new(move || now), stand);
    let answer = futures::executor::block_on(topic.receive(message));
    assert!(answer.is_err(), "nobody signs as Amazon does");
});
