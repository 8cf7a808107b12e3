//! `SEARCH_…` and `OPENSEARCH_…`: what answers searches.

use super::section;
use super::setting::{HostName, HttpUrl, OpensearchMode, SearchEngine, Secret};

section! {
    /// The choice of the index.
    SearchConfig {
        /// What answers searches. Without it: `opensearch` if `OPENSEARCH_ENDPOINT` or `OPENSEARCH_HOST` is set, else `tantivy`.
        "SEARCH_ENGINE" => engine: Option<SearchEngine> = "",
    }
}

section! {
    /// How OpenSearch is reached.
    OpensearchConfig {
        /// `local` signs in by name and password, `cloud` signs requests for AWS.
        "OPENSEARCH_MODE" => mode: OpensearchMode = "local",
        /// Address of the cluster, such as `https://search.example.org:9200`.
        "OPENSEARCH_ENDPOINT" => endpoint: Option<HttpUrl> = "",
        /// Host of the cluster where no endpoint is given; port 9200.
        "OPENSEARCH_HOST" => host: Option<HostName> = "",
        /// User name at the cluster.
        "OPENSEARCH_USERNAME" => username: Option<String> = "",
        /// Password at the cluster.
        "OPENSEARCH_PASSWORD" => password: Option<Secret> = "",
        /// Speak TLS where no endpoint is given.
        "OPENSEARCH_USE_SSL" => use_ssl: bool = "false",
        /// Check the cluster's certificate.
        "OPENSEARCH_VERIFY_CERTS" => verify_certs: bool = "true",
    }
}
