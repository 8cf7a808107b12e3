//! What the crates that speak to AWS share: one way to a region, to credentials, to an HTTP client. Nothing else names these.
//!
//! The SDK's own retries are off. Whether a call may be repeated is a question of meaning (a mail must not go out twice), so each crate
//! answers it for itself.

use std::error::Error;
use std::io::ErrorKind;
use std::time::Duration;

use aws_config::environment::EnvironmentVariableCredentialsProvider;
use aws_config::meta::credentials::CredentialsProviderChain;
use aws_config::retry::RetryConfig;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_smithy_http_client::tls;

/// How a service of AWS is reached.
#[derive(Debug, Clone)]
pub struct AwsSettings {
    pub region: String,
    /// Where the service is not at the region's own address, such as `http://127.0.0.1:8000`.
    pub endpoint: Option<String>,
    /// To open a connection.
    pub connect_timeout: Duration,
    /// Of one call, from the first byte sent to the last one read.
    pub read_timeout: Duration,
    /// Idle connections that are kept.
    pub connections: usize,
}

impl AwsSettings {
    /// A stand-in on this machine or in its compose network, as developers use: its host is no public name.
    fn is_local(&self) -> bool {
        let host = self.endpoint.as_deref().and_then(|endpoint| endpoint.split_once("://")).map(|(_, rest)| rest);
        let host = host.map(|rest| rest.split(['/', ':']).next().unwrap_or_default());
        host.is_some_and(|host| host == "localhost" || host.starts_with("127.") || host.starts_with('[') || !host.contains('.'))
    }
}

/// What a client of the SDK is made from.
///
/// Credentials come from where AWS's own tools look: the environment, the profile, a web identity, the container, the machine. A local
/// stand-in takes any, so one without credentials in the environment gets made-up ones and works without any setting.
pub async fn sdk_config(settings: &AwsSettings) -> SdkConfig {
    let client = aws_smithy_http_client::Builder::new()
        .pool_idle_timeout(Duration::from_secs(50))
        .pool_max_idle_per_host(settings.connections)
        .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring))
        .build_https();
    let timeouts = TimeoutConfig::builder().connect_timeout(settings.connect_timeout).operation_attempt_timeout(settings.read_timeout).build();
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new(settings.region.clone()))
        .http_client(client)
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts)
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
    if let Some(endpoint) = &settings.endpoint {
        loader = loader.endpoint_url(endpoint);
    }
    if settings.is_local() {
        let made_up = Credentials::new("local", "local", None, None, "local");
        loader = loader
            .credentials_provider(CredentialsProviderChain::first_try("environment", EnvironmentVariableCredentialsProvider::new()).or_else("local", made_up));
    }
    loader.load().await
}

/// Whether a failure means that no connection was made, so that nothing can have reached the service.
pub fn never_connected(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(io) = error.downcast_ref::<std::io::Error>() {
            return matches!(
                io.kind(),
                ErrorKind::ConnectionRefused | ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable | ErrorKind::AddrNotAvailable | ErrorKind::NotFound
            );
        }
        // A name that cannot be resolved.
        if error.to_string().contains("dns error") {
            return true;
        }
        cause = error.source();
    }
    false
}

/// An error and its causes, each once.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut words = vec![error.to_string()];
    let mut cause = error.source();
    while let Some(next) = cause {
        let text = next.to_string();
        if words.last() != Some(&text) {
            words.push(text);
        }
        cause = next.source();
    }
    words.join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stand_in_is_told_by_its_host() {
        let with = |endpoint: Option<&str>| AwsSettings {
            region: "us-east-1".to_owned(),
            endpoint: endpoint.map(str::to_owned),
            connect_timeout: Duration::from_secs(1),
            read_timeout: Duration::from_secs(1),
            connections: 1,
        };
        for local in ["http://127.0.0.1:8000", "http://localhost:8000/", "http://dynamodb:8000", "http://[::1]:8000"] {
            assert!(with(Some(local)).is_local(), "{local}");
        }
        for real in [None, Some("https://dynamodb.eu-central-1.amazonaws.com"), Some("https://vpce-1.dynamodb.us-east-1.vpce.amazonaws.com:443/")] {
            assert!(!with(real).is_local(), "{real:?}");
        }
    }
}
