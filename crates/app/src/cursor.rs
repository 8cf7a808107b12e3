//! Cursors: opaque to the client, authenticated, and good for the list that gave them out only.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::AppError;

/// Bytes of the tag: enough that nobody guesses one.
const TAG: usize = 12;
/// Longest cursor that is looked at, in characters.
const LONGEST: usize = 4_096;

pub(crate) struct CursorKey([u8; 32]);

impl CursorKey {
    pub(crate) fn new(secret: &[u8; 32]) -> Self {
        Self(*secret)
    }

    fn tag(&self, list: &str, position: &[u8]) -> Vec<u8> {
        // A key of 32 bytes is always accepted.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.0) else { return Vec::new() };
        mac.update(b"cursor\0");
        mac.update(list.as_bytes());
        mac.update(b"\0");
        mac.update(position);
        mac.finalize().into_bytes().iter().take(TAG).copied().collect()
    }

    /// `list` names the list and whatever selects its rows.
    pub(crate) fn seal<T: Serialize>(&self, list: &str, position: &T) -> String {
        let position = serde_json::to_vec(position).unwrap_or_default();
        let mut bytes = self.tag(list, &position);
        bytes.extend(position);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    pub(crate) fn open<T: DeserializeOwned>(&self, list: &str, cursor: &str) -> Result<T, AppError> {
        if cursor.len() > LONGEST {
            return Err(AppError::BadCursor);
        }
        let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| AppError::BadCursor)?;
        let (tag, position) = bytes.split_at_checked(TAG).ok_or(AppError::BadCursor)?;
        if !bool::from(self.tag(list, position).ct_eq(tag)) {
            return Err(AppError::BadCursor);
        }
        serde_json::from_slice(position).map_err(|_| AppError::BadCursor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_opens_only_unchanged_and_for_its_own_list() {
        let key = CursorKey::new(&[7; 32]);
        let cursor = key.seal("users", &("a", 1));
        assert_eq!(key.open::<(String, i32)>("users", &cursor).unwrap(), ("a".to_owned(), 1));
        assert!(matches!(key.open::<(String, i32)>("events", &cursor), Err(AppError::BadCursor)));
        assert!(matches!(CursorKey::new(&[8; 32]).open::<(String, i32)>("users", &cursor), Err(AppError::BadCursor)));
        for end in 0..cursor.len() {
            assert!(key.open::<(String, i32)>("users", &cursor[..end]).is_err());
        }
    }
}
