//! A finished mail, taken apart for a person to look at. Not for deciding anything by it.

use mailparse::{MailHeaderMap as _, ParsedMail};

/// Parts within parts that are looked at.
const DEPTH_MAX: usize = 6;

/// What a mail program would show.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Opened {
    /// Names and decoded values, in their order.
    pub headers: Vec<(String, String)>,
    pub text: Option<String>,
    /// As it was sent: clean it before a browser sees it.
    pub html: Option<String>,
    /// Names, or kinds where there is no name, of everything else.
    pub attachments: Vec<String>,
}

impl Opened {
    /// What cannot be read is a mail without parts, so that its headers can still be looked at.
    pub fn read(bytes: &[u8]) -> Self {
        let mut opened = Self::default();
        match mailparse::parse_mail(bytes) {
            Ok(mail) => {
                opened.headers = mail.headers.iter().map(|header| (header.get_key(), header.get_value())).collect();
                opened.look(&mail, 0);
            }
            Err(_) => opened.headers = headers(bytes),
        }
        opened
    }

    /// Only the headers, also where the rest was cut off.
    pub fn read_head(bytes: &[u8]) -> Self {
        Self { headers: headers(bytes), ..Self::default() }
    }

    /// The first header of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(have, _)| have.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    fn look(&mut self, part: &ParsedMail<'_>, depth: usize) {
        if depth > DEPTH_MAX {
            return;
        }
        for part in &part.subparts {
            self.look(part, depth + 1);
        }
        if !part.subparts.is_empty() {
            return;
        }
        let kind = part.ctype.mimetype.as_str();
        let disposition = part.headers.get_first_value("Content-Disposition").unwrap_or_default();
        let attached = disposition.trim_start().to_ascii_lowercase().starts_with("attachment");
        match kind {
            "text/plain" if !attached && self.text.is_none() => self.text = part.get_body().ok(),
            "text/html" if !attached && self.html.is_none() => self.html = part.get_body().ok(),
            _ => {
                let named = part.get_content_disposition().params.get("filename").cloned();
                self.attachments.push(named.unwrap_or_else(|| kind.to_owned()));
            }
        }
    }
}

fn headers(bytes: &[u8]) -> Vec<(String, String)> {
    // A head that was cut inside a line still tells the lines before it.
    let whole = memchr::memmem::find(bytes, b"\r\n\r\n").map_or_else(|| bytes.iter().rposition(|b| *b == b'\n').map_or(0, |end| end + 1), |end| end + 2);
    let head = bytes.get(..whole).unwrap_or_default();
    let read = mailparse::parse_headers(head).map(|(headers, _)| headers).unwrap_or_default();
    read.iter().map(|header| (header.get_key(), header.get_value())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAIL: &[u8] = b"From: =?utf-8?q?J=C3=BCrgen?= <j@example.org>\r\nSubject: Hello\r\nContent-Type: multipart/mixed; boundary=a\r\n\r\n\
        --a\r\nContent-Type: multipart/alternative; boundary=b\r\n\r\n\
        --b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nGr=C3=BC=C3=9Fe\r\n\
        --b\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<p>Hi</p>\r\n--b--\r\n\
        --a\r\nContent-Type: text/calendar\r\nContent-Disposition: attachment; filename=event.ics\r\n\r\nBEGIN:VCALENDAR\r\n--a--\r\n";

    #[test]
    fn a_mail_is_taken_apart() {
        let opened = Opened::read(MAIL);
        assert_eq!(opened.header("from"), Some("Jürgen <j@example.org>"));
        assert_eq!((opened.text.as_deref().map(str::trim), opened.html.as_deref().map(str::trim)), (Some("Grüße"), Some("<p>Hi</p>")));
        assert_eq!(opened.attachments, ["event.ics"]);
    }

    #[test]
    fn a_head_that_was_cut_off_tells_what_it_has() {
        for cut in [30, 55, 80, MAIL.len()] {
            let head = Opened::read_head(MAIL.get(..cut).unwrap());
            assert!(head.headers.iter().all(|(name, _)| ["From", "Subject", "Content-Type"].contains(&name.as_str())), "{:?}", head.headers);
        }
        assert_eq!(Opened::read_head(MAIL).header("subject"), Some("Hello"));
        assert_eq!(Opened::read(b"").headers, []);
    }
}
