//! `APP_…`: what the server is called, where it listens, what it writes and what it bears.

use std::path::PathBuf;

use super::section;
use super::setting::{HostName, HttpUrl, LogFormat, LogLevel, Names, Networks, Rate, Role, Seconds, Secret, Zone};

section! {
    /// The server itself.
    AppConfig {
        /// Name shown in pages, documents and mails.
        "APP_NAME" => name: String = "EMCRM",
        /// More detail in the log. Never changes what is answered.
        "APP_DEBUG" => debug: bool = "false",
        /// Address to listen on. Without sign-in only loopback addresses are used, whatever stands here, unless `APP_ALLOW_UNAUTHENTICATED` is true.
        "APP_API_HOST" => api_host: HostName = "127.0.0.1",
        /// Port to listen on. 0 takes any free one.
        "APP_API_PORT" => api_port: u16 = "8080",
        /// Listen on other than loopback addresses although nobody has to sign in. Whoever reaches the port may then do everything.
        "APP_ALLOW_UNAUTHENTICATED" => allow_unauthenticated: bool = "false",
        /// Least severity that is logged.
        "APP_LOG_LEVEL" => log_level: LogLevel = "info",
        /// Form of the log lines. Without it: `json` if `APP_PRODUCTION` is true, else `text`.
        "APP_LOG_FORMAT" => log_format: Option<LogFormat> = "",
        /// This installation serves real people. Chooses `dynamodb` and JSON logs where nothing else is said.
        "APP_PRODUCTION" => production: bool = "false",
        /// Folder of everything that is stored here: database, search index, key, outbox. Made at the first start.
        "APP_DATA_DIR" => data_dir: PathBuf = "./data",
        /// Where people reach this installation, such as `https://crm.example.org`. Used in links of mails.
        "APP_PUBLIC_URL" => public_url: Option<HttpUrl> = "",
        /// Names by which this installation may be asked for, besides that of `APP_PUBLIC_URL`, `localhost` and plain addresses, such as `crm.internal,crm`. `*` allows any: only behind a proxy that checks.
        "APP_ALLOWED_HOSTS" => allowed_hosts: Option<Names> = "",
        /// Networks of proxies whose `X-Forwarded-For` is believed, such as `10.0.0.0/8`.
        "APP_TRUSTED_PROXIES" => trusted_proxies: Option<Networks> = "",
        /// Reads a second of each signed-in caller; five times as many in a burst. 0: no limit. Without sign-in there is none.
        "APP_LIMIT_READS" => limit_reads: Rate = "100",
        /// Writes a second of each signed-in caller; five times as many in a burst. 0: no limit. Without sign-in there is none.
        "APP_LIMIT_WRITES" => limit_writes: Rate = "50",
        /// Requests a second of each address to pages that are for everybody, and of whoever does not say who he is; five times as many in a burst. 0: no limit.
        "APP_LIMIT_PUBLIC" => limit_public: Rate = "20",
        /// Attempts to sign in, and wrong tokens, a minute of each address. 0: no limit.
        "APP_LIMIT_SIGN_INS" => limit_sign_ins: Rate = "20",
        /// Days that the audit trail is kept. Without it: for ever.
        "APP_AUDIT_DAYS" => audit_days: Option<u32> = "",
        /// Key that authenticates cursors and links, 32 or more characters. Without it one is made in the data folder at the first start; several processes on one storage need the same.
        "APP_SECRET_KEY" => secret_key: Option<Secret> = "",
        /// What this process does: answer requests, run tasks, or both.
        "APP_ROLE" => role: Role = "all",
        /// Name of this process in leases. Without it one is made up at each start; with the same name as before it takes up its own leases at once. No two running processes may share one.
        "APP_WORKER_NAME" => worker_name: Option<String> = "",
        /// Time zone of times that come without offset, for events without a `timezone` of their own.
        "APP_TIMEZONE" => timezone: Zone = "UTC",
        /// Bearer token that `/metrics` asks for. Without it only loopback callers get an answer.
        "APP_METRICS_TOKEN" => metrics_token: Option<Secret> = "",
        /// Seconds after which a request that is not answered is given up.
        "APP_REQUEST_TIMEOUT" => request_timeout: Seconds = "30",
        /// Requests in hand at once; more are answered 503.
        "APP_MAX_REQUESTS" => max_requests: u32 = "1024",
        /// Connections at once; more wait to be accepted. One address may have a quarter of them, where it is neither of this machine nor in `APP_TRUSTED_PROXIES`.
        "APP_MAX_CONNECTIONS" => max_connections: u32 = "4096",
        /// Seconds that requests in hand have to end when the server is asked to stop.
        "APP_SHUTDOWN_TIMEOUT" => shutdown_timeout: Seconds = "10",
    }
}
