//! Tokens against an issuer of our own making, which signs whatever it is told to: what a real provider never does.

mod forged;
mod issuer;
mod keys;
