//! The server: HTTP API, configuration, command line. The only crate that picks an engine, an index and a transport.
//!
//! | file | holds |
//! |---|---|
//! | `router` | the map of the product: every route |
//! | `api` | handlers by resource, and the table of errors |
//! | `web`, `web_form` | pages and their forms |
//! | `csv_out` | lines of CSV |
//! | `http` | what every request goes through |
//! | `auth` | who calls, and what they may do |
//! | `openapi` | the document about the API |
//! | `serve` | connections, and stopping in an orderly way |
//! | `config` | every setting |
//! | `measured` | storage, search and mail with how long they take |
//! | `log` | log lines, written by a thread of their own |
//! | `traces` | where spans go |
//! | `backup` | copies of the data folder, and back |
//! | `cli` | the commands of the binary |

pub mod api;
pub mod auth;
pub mod backup;
pub mod cli;
pub mod config;
pub mod csv_out;
pub mod http;
pub mod log;
pub mod measured;
pub mod openapi;
pub mod router;
pub mod serve;
pub mod traces;
pub mod web;
pub mod web_form;
