//! The grammar of replies (RFC 5321 4.2): `250-first`, `250 last`.

use std::fmt;

/// A longer reply is refused: nothing that a server says may fill the memory.
pub(crate) const REPLY_MAX: usize = 16 * 1024;
/// Most bytes of the server's words that are kept.
const WORDS_MAX: usize = 1000;

/// One reply, of one or more lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) code: u16,
    /// The lines without their codes, joined by line feeds; no other control characters.
    text: String,
}

/// What was found at the start of the input.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Parsed {
    /// A reply, and how many bytes it took.
    Reply(Reply, usize),
    /// Not all of it is there yet.
    Incomplete,
    /// Not SMTP.
    Garbage,
}

impl Reply {
    pub(crate) fn is_positive(&self) -> bool {
        self.code / 100 == 2
    }

    pub(crate) fn is_refusal(&self) -> bool {
        matches!(self.code / 100, 4 | 5)
    }

    /// "Service not available, closing" (RFC 5321 3.8): the connection is over.
    pub(crate) fn ends_connection(&self) -> bool {
        self.code == 421
    }

    pub(crate) fn lines(&self) -> impl Iterator<Item = &str> {
        self.text.split('\n')
    }
}

/// On one line; an enhanced code (RFC 2034) that every line repeats is said once.
impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        let enhanced = self.lines().next().and_then(|line| line.split(' ').next()).filter(|word| is_enhanced(word));
        let mut room = WORDS_MAX;
        for (n, line) in self.lines().enumerate() {
            let line = match enhanced {
                Some(code) if n > 0 => line.strip_prefix(code).unwrap_or(line),
                _ => line,
            };
            let line = line.trim();
            if line.is_empty() {
                continue;
            }
            let end = (0..=line.len().min(room)).rev().find(|at| line.is_char_boundary(*at)).unwrap_or(0);
            write!(f, " {}", line.get(..end).unwrap_or_default())?;
            room -= end;
            if room == 0 || end < line.len() {
                break;
            }
        }
        Ok(())
    }
}

fn is_enhanced(word: &str) -> bool {
    let mut parts = word.split('.');
    let digits = |part: Option<&str>| part.is_some_and(|p| (1..=3).contains(&p.len()) && p.bytes().all(|b| b.is_ascii_digit()));
    matches!(parts.next(), Some("2" | "4" | "5")) && digits(parts.next()) && digits(parts.next()) && parts.next().is_none()
}

/// The reply code and the enhanced one at the beginning of a server's words as they are kept, such as `250 2.0.0 Ok`.
pub fn reply_codes(words: &str) -> (Option<u16>, Option<&str>) {
    let mut words = words.split(' ');
    let code = words.next().filter(|word| word.len() == 3).and_then(|word| word.parse().ok()).filter(|code| (200..600).contains(code));
    (code, code.and_then(|_| words.next()).filter(|word| is_enhanced(word)))
}

/// Reads one reply. Line ends may be CRLF or LF.
pub(crate) fn parse(input: &[u8]) -> Parsed {
    let mut text = String::new();
    let mut code = None;
    let mut used = 0;
    for line in input.split_inclusive(|b| *b == b'\n') {
        let complete = line.ends_with(b"\n");
        let [a @ b'2'..=b'5', b @ b'0'..=b'9', c @ b'0'..=b'9', rest @ ..] = line else {
            // Three digits may still be on their way.
            let prefix = !complete && line.iter().zip([b'2'..=b'5', b'0'..=b'9', b'0'..=b'9']).all(|(b, range)| range.contains(b));
            return if prefix { Parsed::Incomplete } else { Parsed::Garbage };
        };
        let this = u16::from(a - b'0') * 100 + u16::from(b - b'0') * 10 + u16::from(c - b'0');
        if *code.get_or_insert(this) != this {
            return Parsed::Garbage;
        }
        if !rest.is_empty() && !matches!(rest.first(), Some(b' ' | b'-' | b'\r' | b'\n')) {
            return Parsed::Garbage;
        }
        if !complete {
            return Parsed::Incomplete;
        }
        used += line.len();
        let words = String::from_utf8_lossy(rest.get(1..).unwrap_or_default());
        if used > line.len() {
            text.push('\n');
        }
        text.extend(words.trim_end().chars().map(|c| if c.is_control() { ' ' } else { c }));
        if rest.first() != Some(&b'-') {
            return Parsed::Reply(Reply { code: this, text }, used);
        }
    }
    Parsed::Incomplete
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(input: &str) -> Reply {
        match parse(input.as_bytes()) {
            Parsed::Reply(reply, used) if used == input.len() => reply,
            other => panic!("{input:?} gave {other:?}"),
        }
    }

    #[test]
    fn the_servers_words_are_kept_on_one_line() {
        assert_eq!(reply("250 2.0.0 Ok: queued as 4F2\r\n").to_string(), "250 2.0.0 Ok: queued as 4F2");
        assert_eq!(reply("550-5.1.1 no such\r\n550-5.1.1 user\r\n550 5.1.1 here\r\n").to_string(), "550 5.1.1 no such user here");
        assert_eq!(reply("250\r\n").to_string(), "250");
        assert_eq!(reply("250-\n250 x\n").to_string(), "250 x");
    }

    #[test]
    fn the_codes_of_kept_words() {
        assert_eq!(reply_codes("250 2.0.0 Ok: queued as 4F2"), (Some(250), Some("2.0.0")));
        assert_eq!(reply_codes("550 <ann@example.org> is unknown"), (Some(550), None));
        assert_eq!(reply_codes("250"), (Some(250), None));
        for words in ["", "not sent: the address cannot be written on an envelope", "1.2.3 x", "999 2.0.0", "+25 2.0.0", "ann@example.org"] {
            assert_eq!(reply_codes(words), (None, None), "{words}");
        }
    }

    #[test]
    fn words_are_cut_and_hold_no_control_characters() {
        let long = reply(&format!("550 a\u{1b}[31mb\u{0}{}\r\n", "é".repeat(3000))).to_string();
        assert!(long.len() <= 4 + WORDS_MAX && !long.contains(char::is_control) && long.starts_with("550 a [31mb "), "{long}");
    }

    #[test]
    fn a_reply_is_incomplete_at_every_cut() {
        let whole = "250-one\r\n250-two\r\n250 three\r\n";
        for end in 0..whole.len() {
            assert_eq!(parse(&whole.as_bytes()[..end]), Parsed::Incomplete, "cut at {end}");
        }
    }

    #[test]
    fn what_follows_a_reply_is_left() {
        let Parsed::Reply(first, used) = parse(b"250 a\r\n354 b\r\n") else { panic!() };
        assert_eq!((first.code, used), (250, 7));
    }

    #[test]
    fn other_protocols_and_changing_codes_are_garbage() {
        for input in ["SSH-2.0-x\r\n", "HTTP", "\r\n", "99 x\r\n", "199 x\r\n", "650 x\r\n", "2500 x\r\n", "25\r\n", "250-a\r\n251 b\r\n", "250_x"] {
            assert_eq!(parse(input.as_bytes()), Parsed::Garbage, "{input:?}");
        }
    }
}
