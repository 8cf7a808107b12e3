//! Parsers of outside bytes that are no part of the crate's face, for the fuzz targets. Compiled for those alone.

use serde_json::Value;

use crate::archive::line;
use crate::cursor::CursorKey;
use crate::links::{LinkKey, Purpose, Signed};
pub use crate::people_import::reading::{Sheet, draft_of, fields_of, guess, sheet};

const KEY: [u8; 32] = [7; 32];

pub fn cursor_seal(list: &str, position: &Value) -> String {
    CursorKey::new(&KEY).seal(list, position)
}

pub fn cursor_open(list: &str, cursor: &str) -> Option<Value> {
    CursorKey::new(&KEY).open(list, cursor).ok()
}

pub fn link_seal(purpose: Purpose, signed: &Signed) -> String {
    LinkKey::new(&KEY).of(&signed.campaign, &signed.user).seal(purpose, &signed.target)
}

pub fn link_open(purpose: Purpose, token: &str) -> Option<Signed> {
    LinkKey::new(&KEY).open(purpose, token)
}

/// A line of an archive, read and written again.
pub fn archive_line(text: &str) -> Option<String> {
    line::parse(text).map(|(table, item)| line::of(table, item))
}
