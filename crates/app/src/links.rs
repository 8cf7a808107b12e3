//! Signed links in mails: who they were made for cannot be forged, and they hold as long as the secret key does.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use emcrm_model::{CampaignId, EventId, UserId};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

/// Bytes of the tag: enough that nobody guesses one, for years.
const TAG: usize = 16;
/// Longest address that a link leads to, in bytes: with the longest ids its token can still be opened.
pub(crate) const TARGET_MAX: usize = 2_048;
/// Longest token that is looked at, in characters.
const LONGEST: usize = 4_096;

/// What a link is for. A token of one purpose is no token of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    Unsubscribe,
    Open,
    Click,
    /// In a header of every mail: what came back or was complained about is told by it.
    Delivery,
    /// Shows a place at an event, and gives it back.
    Registration,
}

impl Purpose {
    fn byte(self) -> u8 {
        match self {
            Self::Unsubscribe => b'u',
            Self::Open => b'o',
            Self::Click => b'c',
            Self::Delivery => b'd',
            Self::Registration => b'r',
        }
    }
}

/// Whom a link was made for, and where it leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    pub campaign: CampaignId,
    pub user: UserId,
    /// Where a click leads; empty otherwise.
    pub target: String,
}

/// Holds the state after the key: it is the same for every link.
pub(crate) struct LinkKey(Hmac<Sha256>);

/// What makes the links to one person in the mails of one campaign.
pub(crate) struct LinksOf<'a> {
    key: &'a LinkKey,
    ids: Vec<u8>,
}

impl LinksOf<'_> {
    pub(crate) fn seal(&self, purpose: Purpose, target: &str) -> String {
        let mut token = String::new();
        self.seal_into(&mut token, purpose, target);
        token
    }

    /// Writes the token behind what is there.
    pub(crate) fn seal_into(&self, out: &mut String, purpose: Purpose, target: &str) {
        self.key.seal_subject(out, purpose, &self.ids, target);
    }
}

impl LinkKey {
    pub(crate) fn new(secret: &[u8; 32]) -> Self {
        // HMAC fills a short key up with zeros itself.
        let mut key = [0; 64];
        key.iter_mut().zip(secret).for_each(|(to, from)| *to = *from);
        Self(Hmac::new(&key.into()))
    }

    fn tag(&self, purpose: Purpose, subject: [&[u8]; 2]) -> impl Iterator<Item = u8> + use<> {
        let mut mac = self.0.clone();
        mac.update(b"link\0");
        mac.update(&[purpose.byte()]);
        for part in subject {
            mac.update(part);
        }
        mac.finalize().into_bytes().into_iter().take(TAG)
    }

    pub(crate) fn of(&self, campaign: &CampaignId, user: &UserId) -> LinksOf<'_> {
        LinksOf { key: self, ids: ids_of([campaign.as_str(), user.as_str()]) }
    }

    pub(crate) fn open(&self, purpose: Purpose, token: &str) -> Option<Signed> {
        let ([campaign, user], target) = self.open_ids(purpose, token)?;
        Some(Signed { campaign: campaign.into(), user: user.into(), target })
    }

    /// The link by which somebody sees a place at an event and gives it back.
    pub(crate) fn seal_registration(&self, event: &EventId, user: &UserId) -> String {
        let mut token = String::new();
        self.seal_subject(&mut token, Purpose::Registration, &ids_of([event.as_str(), user.as_str()]), "");
        token
    }

    pub(crate) fn open_registration(&self, token: &str) -> Option<(EventId, UserId)> {
        let ([event, user], _) = self.open_ids(Purpose::Registration, token)?;
        Some((event.into(), user.into()))
    }

    fn seal_subject(&self, out: &mut String, purpose: Purpose, ids: &[u8], target: &str) {
        let mut bytes = Vec::with_capacity(TAG + ids.len() + target.len());
        bytes.extend(self.tag(purpose, [ids, target.as_bytes()]));
        bytes.extend_from_slice(ids);
        bytes.extend_from_slice(target.as_bytes());
        URL_SAFE_NO_PAD.encode_string(bytes, out);
    }

    fn open_ids(&self, purpose: Purpose, token: &str) -> Option<([String; 2], String)> {
        if token.len() > LONGEST {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
        let (tag, subject) = bytes.split_at_checked(TAG)?;
        let expected: Vec<u8> = self.tag(purpose, [subject, &[]]).collect();
        if !bool::from(expected.ct_eq(tag)) {
            return None;
        }
        let (first, rest) = take_id(subject)?;
        let (second, rest) = take_id(rest)?;
        Some(([first, second], String::from_utf8(rest.to_vec()).ok()?))
    }
}

fn ids_of(ids: [&str; 2]) -> Vec<u8> {
    let mut out = Vec::with_capacity(64);
    for id in ids {
        put_id(&mut out, id);
    }
    out
}

/// A UUID as its sixteen bytes, anything else as it is: links stay short.
fn put_id(out: &mut Vec<u8>, id: &str) {
    match uuid::Uuid::try_parse(id) {
        Ok(uuid) if uuid.to_string() == id => {
            out.push(0);
            out.extend_from_slice(uuid.as_bytes());
        }
        _ => {
            // Ids have at most fifty characters.
            out.push(id.len().min(255) as u8);
            out.extend(id.bytes().take(255));
        }
    }
}

fn take_id(bytes: &[u8]) -> Option<(String, &[u8])> {
    let (length, rest) = bytes.split_first()?;
    if *length == 0 {
        let (uuid, rest) = rest.split_at_checked(16)?;
        return Some((uuid::Uuid::from_slice(uuid).ok()?.to_string(), rest));
    }
    let (id, rest) = rest.split_at_checked(usize::from(*length))?;
    Some((String::from_utf8(id.to_vec()).ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_says_whom_it_was_made_for_and_nothing_else_opens_it() {
        let key = LinkKey::new(&[3; 32]);
        for (campaign, user) in
            [("c1", "u1"), ("0190f5c2-7a6e-7c1a-9f4e-2b7f3a1c5d6e", "5d6e0190-f5c2-4a6e-8c1a-9f4e2b7f3a1c"), ("0190F5C2-7A6E-7C1A-9F4E-2B7F3A1C5D6E", "ü")]
        {
            let (campaign, user) = (CampaignId::from(campaign.to_owned()), UserId::from(user.to_owned()));
            let token = key.of(&campaign, &user).seal(Purpose::Click, "https://example.org/a?b=c");
            assert!(token.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'), "{token}");
            let signed = Signed { campaign, user, target: "https://example.org/a?b=c".to_owned() };
            assert_eq!(key.open(Purpose::Click, &token), Some(signed));
            assert_eq!(key.open(Purpose::Unsubscribe, &token), None, "for another purpose");
            assert_eq!(LinkKey::new(&[4; 32]).open(Purpose::Click, &token), None, "with another key");
            for at in 0..token.len() {
                let mut forged = token.clone().into_bytes();
                if let Some(byte) = forged.get_mut(at) {
                    *byte = if *byte == b'A' { b'B' } else { b'A' };
                }
                let forged = String::from_utf8(forged).unwrap();
                // The last character of a group may hold bits that mean nothing.
                assert!(forged == token || key.open(Purpose::Click, &forged).is_none_or(|opened| Some(opened) == key.open(Purpose::Click, &token)));
            }
        }
        for bad in ["", "x", "AAAA", &"A".repeat(5_000), "ä", "../..", "%00"] {
            assert_eq!(key.open(Purpose::Click, bad), None);
        }
    }

    #[test]
    fn links_in_mails_of_earlier_versions_still_open() {
        let key = LinkKey::new(&[3; 32]);
        // Made by another program's HMAC.
        for (purpose, token) in [(Purpose::Unsubscribe, "pbKqQByDWPIqCt0mCrBCYQJjMQJ1MQ"), (Purpose::Delivery, "9DItbemEsPWRyL5-iPOkxQJjMQJ1MQ")] {
            let signed = Signed { campaign: "c1".to_owned().into(), user: "u1".to_owned().into(), target: String::new() };
            assert_eq!(key.open(purpose, token), Some(signed));
            assert_eq!(key.of(&"c1".to_owned().into(), &"u1".to_owned().into()).seal(purpose, ""), token);
        }
    }

    #[test]
    fn the_longest_target_opens_with_the_longest_ids() {
        let key = LinkKey::new(&[3; 32]);
        let (campaign, user, target) = ("c".repeat(50), "u".repeat(50), format!("https://example.org/{}", "x".repeat(TARGET_MAX - 20)));
        let token = key.of(&campaign.into(), &user.into()).seal(Purpose::Click, &target);
        assert_eq!(key.open(Purpose::Click, &token).unwrap().target, target);
    }

    #[test]
    fn a_link_to_somebody_with_ordinary_ids_is_short() {
        let key = LinkKey::new(&[3; 32]);
        let (campaign, user) = ("0190f5c2-7a6e-7c1a-9f4e-2b7f3a1c5d6e".to_owned().into(), "5d6e0190-f5c2-4a6e-8c1a-9f4e2b7f3a1c".to_owned().into());
        let token = key.of(&campaign, &user).seal(Purpose::Unsubscribe, "");
        assert!(token.len() <= 67, "{}", token.len());
    }
}
