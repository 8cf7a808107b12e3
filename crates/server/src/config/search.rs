//! `SEARCH_…` and `OPENSEARCH_…`: what answers searches.

use super::section;
use super::setting::{HostName, HttpUrl, IndexAlias, OpensearchMode, SearchEngine, Secret};

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
        /// `local` signs in by name and password, or not at all; `cloud` signs requests for AWS (SigV4) unless a name and password are given.
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
        /// Name of the index's alias; the indexes behind it are called `NAME-000001` and so on.
        "OPENSEARCH_INDEX" => index: IndexAlias = "emcrm",
        /// Primary shards of a new index. One holds some 100 million people, and counts its facets exactly.
        "OPENSEARCH_SHARDS" => shards: u32 = "1",
        /// AWS region of the domain, where requests are signed. Without it: `DB_AWS_REGION`.
        "OPENSEARCH_REGION" => region: Option<String> = "",
    }
}
