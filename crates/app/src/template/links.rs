//! Where links and pictures lead: the author says it. What a person has said about themselves may stand in the path or the query of an address, and never
//! before: whoever can register somebody else could have a mail of ours, and a link that we sign, lead anywhere.

use super::marks::{Marks, index_of};
use super::markup::{Piece, pieces};
use super::page::{conditional, listed};

const FAULT: &str = "what a person has said about themselves cannot choose where a link leads: begin the address with https://, a host of yours and a slash";

/// Attributes that hold an address (HTML, index of attributes, with those of earlier versions that mail programs still read).
const ONE: [&str; 14] =
    ["href", "src", "action", "formaction", "background", "cite", "data", "poster", "longdesc", "xlink:href", "codebase", "classid", "lowsrc", "dynsrc"];
/// Those that hold several: each has a begin of its own.
const SEVERAL: [&str; 4] = ["srcset", "imagesrcset", "ping", "archive"];
/// Links of ours, which always have a path.
const OURS: [&str; 2] = ["{{ event.url }}", "{{ unsubscribeUrl }}"];

/// Every fault of a page with its tags as characters, as sentences.
pub(super) fn faults(marks: &Marks, html: &str) -> Vec<String> {
    let mut found = Vec::new();
    look(marks, html, &mut found);
    listed(marks, found.into_iter().map(|n| (n, FAULT.to_owned())).collect())
}

fn look(marks: &Marks, html: &str, found: &mut Vec<usize>) {
    for piece in pieces(html) {
        match piece {
            Piece::Open(tag) => found.extend(tag.attrs.iter().filter_map(|attr| led_by_a_person(marks, &attr.name.local, &attr.value))),
            Piece::Comment(text) => {
                if let Some(inner) = conditional(&text) {
                    look(marks, inner, found);
                }
            }
            Piece::Close(_) | Piece::Text(..) => {}
        }
    }
}

/// The tag in a value by which a person chooses where it leads.
fn led_by_a_person(marks: &Marks, name: &str, value: &str) -> Option<usize> {
    let several = SEVERAL.contains(&name);
    if !several && !ONE.contains(&name) {
        return None;
    }
    let theirs = value.chars().filter_map(index_of).find(|n| marks.is_personal(*n))?;
    (several || !says_where(marks, value)).then_some(theirs)
}

/// Whether an address says where it leads before its first tag, or begins with a link of ours.
fn says_where(marks: &Marks, value: &str) -> bool {
    let value = value.trim_ascii_start();
    let begin = value.split(|c| index_of(c).is_some()).next().unwrap_or_default().to_ascii_lowercase();
    if begin.is_empty() {
        return value.chars().next().and_then(index_of).and_then(|n| marks.tag(n)).is_some_and(|tag| OURS.contains(&tag));
    }
    if ["mailto:", "tel:", "#"].iter().any(|known| begin.starts_with(known)) {
        return true;
    }
    // Some programs take a backslash for a slash.
    let host = begin.strip_prefix("https://").or_else(|| begin.strip_prefix("http://")).and_then(|rest| rest.split_once(['/', '?', '#']));
    host.is_some_and(|(host, _)| !host.is_empty() && !host.contains('\\'))
}
