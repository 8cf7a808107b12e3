//! Tokens against an issuer of our own making, which signs whatever it is told to: what a real provider never does.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on should end")]

mod cognito;
mod forged;
mod issuer;
mod keys;
