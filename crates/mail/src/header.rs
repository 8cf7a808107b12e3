//! Values of headers: addresses checked, text encoded (RFC 2047) and folded. Nothing that leaves here holds a bare CR, LF or NUL.

use std::borrow::Cow;
use std::fmt::Write as _;

use email_encoding::headers::writer::EmailWriter;
use email_encoding::headers::{quoted_string, rfc2047};

use crate::message::BuildError;

/// A longer word is encoded, so that it can be folded.
const WORD_MAX: usize = 200;

/// Every run of control characters as one space; no white space at either end.
fn flatten(text: &str) -> Cow<'_, str> {
    let text = text.trim_matches(|c: char| c.is_whitespace() || c.is_control());
    if !text.chars().any(char::is_control) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut controls = false;
    for c in text.chars() {
        if !c.is_control() {
            out.push(c);
        } else if !controls {
            out.push(' ');
        }
        controls = c.is_control();
    }
    Cow::Owned(out)
}

/// Unstructured text, ready to follow `name: `.
pub(crate) fn text(name: &str, value: &str) -> String {
    let mut out = String::with_capacity(value.len() * 2 + 16);
    let mut writer = EmailWriter::new(&mut out, name.len() + 2, 0, false);
    // Writing to a String cannot fail.
    let _ = if is_plain(value) { writer.folding().write_str(value) } else { rfc2047::encode(value, &mut writer) };
    drop(writer);
    out
}

/// The value of `Subject: `.
pub(crate) fn subject(value: &str) -> String {
    text("Subject", &flatten(value))
}

/// `Name <local@domain>`, ready to follow `header: `. The address was given by [`address`].
pub(crate) fn mailbox(header: &str, name: Option<&str>, address: &str) -> String {
    let name = flatten(name.unwrap_or_default());
    if name.is_empty() {
        return address.to_owned();
    }
    let mut out = String::with_capacity(name.len() * 2 + address.len() + 16);
    let mut writer = EmailWriter::new(&mut out, header.len() + 2, 0, false);
    // Writing to a String cannot fail.
    let _ = if is_plain(&name) { quoted_string::encode(&name, &mut writer) } else { rfc2047::encode(&name, &mut writer) };
    let fits = writer.line_len() + address.len() + 3 <= 76;
    drop(writer);
    out.push_str(if fits { " <" } else { "\r\n <" });
    out.push_str(address);
    out.push('>');
    out
}

/// The address with its domain in ASCII.
pub(crate) fn address(typed: &str) -> Result<String, BuildError> {
    let bad = || BuildError::Address(typed.chars().filter(|c| !c.is_control()).take(254).collect());
    if typed.len() > 320 || typed.chars().any(char::is_control) {
        return Err(bad());
    }
    let (local, domain) = typed.rsplit_once('@').ok_or_else(bad)?;
    let address =
        if domain.is_ascii() { lettre::Address::new(local, domain) } else { lettre::Address::new(local, idna::domain_to_ascii(domain).map_err(|_| bad())?) };
    Ok(address.map_err(|_| bad())?.to_string())
}

/// `left@right` of printable ASCII without brackets.
pub(crate) fn is_message_id(id: &str) -> bool {
    let right = |b: u8| b.is_ascii_graphic() && !matches!(b, b'<' | b'>' | b'@' | b'(' | b')' | b'"' | b'\\' | b',' | b';');
    id.len() <= 250 && id.split_once('@').is_some_and(|(l, r)| !l.is_empty() && !r.is_empty() && l.bytes().all(right) && r.bytes().all(right))
}

/// Whether the value can stand as it is: printable ASCII, foldable, and not taken for encoded text by the reader.
fn is_plain(value: &str) -> bool {
    value.bytes().all(|b| b == b' ' || b.is_ascii_graphic()) && !value.contains("=?") && value.split(' ').all(|word| !word.is_empty() && word.len() <= WORD_MAX)
}
