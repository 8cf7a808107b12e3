//! Keyed digests of the audit trail. Each is of one thing: none can be taken for another.

use emcrm_model::AuditEntry;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// A point of the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Point {
    Anchor,
    Head,
}

/// Of all parts in their order, in hexadecimal.
fn keyed(secret: &[u8; 32], parts: &[&[u8]]) -> String {
    use std::fmt::Write as _;
    // A key of 32 bytes is always accepted.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret) else { return String::new() };
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().iter().fold(String::with_capacity(64), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn bytes_of(entry: &AuditEntry) -> Vec<u8> {
    serde_json::to_vec(entry).unwrap_or_default()
}

/// Of an entry at its place in the chain.
pub(super) fn digest(secret: &[u8; 32], before: &str, seq: u64, entry: &AuditEntry) -> String {
    keyed(secret, &[b"audit-chain\0", before.as_bytes(), &seq.to_be_bytes(), &bytes_of(entry)])
}

/// The same as versions without seals made it. It is never made any more, so that what they chained can be told from what was chained since.
pub(super) fn digest_of_earlier(secret: &[u8; 32], before: &str, seq: u64, entry: &AuditEntry) -> String {
    keyed(secret, &[b"audit\0", before.as_bytes(), &seq.to_be_bytes(), &bytes_of(entry)])
}

/// Of what says where the chain begins or ends.
pub(super) fn seal_of_point(secret: &[u8; 32], which: Point, seq: u64, mac: &str) -> String {
    let name: &[u8] = match which {
        Point::Anchor => b"anchor\0",
        Point::Head => b"head\0",
    };
    keyed(secret, &[b"audit-seal\0", name, &seq.to_be_bytes(), mac.as_bytes()])
}

/// Of an entry that is not in the chain yet.
pub(super) fn seal_of_new(secret: &[u8; 32], entry: &AuditEntry) -> String {
    keyed(secret, &[b"audit-seal\0", b"new\0", &bytes_of(entry)])
}

/// Of the mark that sealing has begun.
pub(super) fn seal_of_mark(secret: &[u8; 32], at: &str) -> String {
    keyed(secret, &[b"audit-seal\0", b"mark\0", at.as_bytes()])
}
