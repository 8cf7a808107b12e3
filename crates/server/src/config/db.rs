//! `DB_…`: where things are stored.

use super::section;
use super::setting::{DbEngine, HttpUrl, Seconds};

section! {
    /// The storage.
    DbConfig {
        /// What stores the data. Without it: `dynamodb` if `DB_DYNAMODB_ENDPOINT` is set or `APP_PRODUCTION` is true, else `sqlite`.
        "DB_ENGINE" => engine: Option<DbEngine> = "",
        /// AWS region of the tables.
        "DB_AWS_REGION" => aws_region: String = "us-east-1",
        /// Address of DynamoDB where it is not the region's own, such as `http://127.0.0.1:8000`.
        "DB_DYNAMODB_ENDPOINT" => dynamodb_endpoint: Option<HttpUrl> = "",
        /// Table of users, events and attendances.
        "DB_MAIN_TABLE_NAME" => main_table_name: String = "crm_data",
        /// Table of campaigns and deliveries.
        "DB_EMAIL_TABLE_NAME" => email_table_name: String = "email_data",
        /// Times that a throttled or failed request to DynamoDB is repeated.
        "DB_MAX_RETRIES" => max_retries: u32 = "3",
        /// Seconds to connect to DynamoDB.
        "DB_CONNECT_TIMEOUT" => connect_timeout: Seconds = "5",
        /// Seconds to wait for an answer of DynamoDB.
        "DB_READ_TIMEOUT" => read_timeout: Seconds = "10",
        /// Connections to DynamoDB at once.
        "DB_MAX_POOL_CONNECTIONS" => max_pool_connections: u32 = "50",
    }
}
