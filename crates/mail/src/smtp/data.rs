//! The body as DATA wants it (RFC 5321 4.5.2): CRLF line ends only, a dot before each leading dot, a lone dot at the end.

/// Appends the whole of it to `out`, the final dot included.
///
/// A bare CR or LF becomes CRLF, so that no server can see the end of the message where there is none.
pub(crate) fn encode(message: &[u8], out: &mut Vec<u8>) {
    out.reserve(message.len() + 64);
    let mut rest = message;
    while !rest.is_empty() {
        if rest.starts_with(b".") {
            out.push(b'.');
        }
        let end = memchr::memchr2(b'\r', b'\n', rest).unwrap_or(rest.len());
        let (line, tail) = rest.split_at(end);
        out.extend_from_slice(line);
        out.extend_from_slice(b"\r\n");
        rest = tail.strip_prefix(b"\r\n").or_else(|| tail.get(1..)).unwrap_or_default();
    }
    out.extend_from_slice(b".\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encoded(message: &str) -> String {
        let mut out = Vec::new();
        encode(message.as_bytes(), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn leading_dots_are_doubled() {
        assert_eq!(encoded(".\r\n..a\r\nb.\r\n"), "..\r\n...a\r\nb.\r\n.\r\n");
        assert_eq!(encoded(""), ".\r\n");
        assert_eq!(encoded("no end"), "no end\r\n.\r\n");
    }

    #[test]
    fn no_bare_line_end_can_end_the_message_early() {
        for smuggled in ["a\n.\nMAIL", "a\r.\rMAIL", "a\r\n.\rMAIL", "a\n.\r\nMAIL"] {
            assert_eq!(encoded(smuggled), "a\r\n..\r\nMAIL\r\n.\r\n", "{smuggled:?}");
        }
    }

    proptest! {
        #[test]
        fn the_end_is_only_at_the_end(message in "[a.\r\n]{0,40}") {
            let text = encoded(&message);
            let mut lines = text.split("\r\n").collect::<Vec<_>>();
            prop_assert_eq!(lines.pop(), Some(""));
            prop_assert_eq!(lines.pop(), Some("."));
            for line in lines {
                prop_assert!(line != "." && !line.contains(['\r', '\n']) && (!line.starts_with('.') || line.starts_with("..")));
            }
        }
    }
}
