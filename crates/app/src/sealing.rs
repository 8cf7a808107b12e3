//! Values that leave the process and must come back unread and unchanged: encrypted and authenticated with the installation's key (ChaCha20-Poly1305, RFC 8439).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use sha2::Sha256;

use crate::App;

/// Longest text that is looked at, in characters.
const LONGEST: usize = 64 * 1024;

fn key(secret: &[u8; 32], purpose: &str) -> Option<LessSafeKey> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).ok()?;
    mac.update(b"seal\0");
    mac.update(purpose.as_bytes());
    UnboundKey::new(&CHACHA20_POLY1305, &mac.finalize().into_bytes()).ok().map(LessSafeKey::new)
}

impl App {
    /// Only the same installation can open it, and only for the same purpose.
    pub fn seal(&self, purpose: &str, plain: &[u8]) -> Option<String> {
        let nonce: [u8; NONCE_LEN] = rand::random();
        let mut bytes = plain.to_vec();
        let tag = key(&self.settings.secret_key, purpose)?.seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut bytes).ok()?;
        let mut out = nonce.to_vec();
        out.extend(bytes);
        out.extend(tag.as_ref());
        Some(URL_SAFE_NO_PAD.encode(out))
    }

    pub fn unseal(&self, purpose: &str, sealed: &str) -> Option<Vec<u8>> {
        if sealed.len() > LONGEST {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        let (nonce, rest) = bytes.split_at_checked(NONCE_LEN)?;
        let mut rest = rest.to_vec();
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        key(&self.settings.secret_key, purpose)?.open_in_place(nonce, Aad::empty(), &mut rest).ok().map(|plain| plain.to_vec())
    }

    /// A short proof that something was given out here: 22 characters, the same for the same subject.
    pub fn mark(&self, purpose: &str, subject: &str) -> String {
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.settings.secret_key) else { return String::new() };
        mac.update(b"mark\0");
        mac.update(purpose.as_bytes());
        mac.update(b"\0");
        mac.update(subject.as_bytes());
        URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes().get(..16).unwrap_or_default())
    }
}
