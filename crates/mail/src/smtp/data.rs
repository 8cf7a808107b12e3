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
