//! Messages as a mail program reads them.

use emcrm_mail::{BuildError, Mailbox, Message, message_id};
use mailparse::{MailHeaderMap, ParsedMail, parse_mail};
use proptest::prelude::*;

fn mailbox(name: &str, address: &str) -> Mailbox {
    Mailbox { name: (!name.is_empty()).then(|| name.to_owned()), address: address.to_owned() }
}

fn message() -> Message {
    Message {
        from: mailbox("The Hosts", "hosts@example.org"),
        to: mailbox("Ann", "ann@example.org"),
        reply_to: None,
        subject: "Hello".into(),
        text: "Hello Ann".into(),
        html: None,
        message_id: message_id("campaign", "user", "example.org"),
        date: "2026-01-02T03:04:05Z".parse().unwrap(),
        calendar: None,
        unsubscribe_url: None,
        headers: vec![],
    }
}

/// Bytes that keep the rules of the wire.
fn bytes(message: &Message) -> Vec<u8> {
    let bytes = message.to_bytes().unwrap();
    let text = String::from_utf8(bytes.clone()).unwrap();
    for line in text.split("\r\n") {
        assert!(line.len() <= 998, "a line of {} bytes", line.len());
        assert!(!line.contains(['\r', '\n', '\0']), "{line:?}");
    }
    let head = text.split("\r\n\r\n").next().unwrap();
    assert!(head.split("\r\n").all(|line| !line.trim().is_empty()), "{head}");
    bytes
}

fn header(bytes: &[u8], name: &str) -> String {
    parse_mail(bytes).unwrap().headers.get_first_value(name).unwrap_or_default()
}

fn body(mail: &ParsedMail<'_>) -> String {
    mail.get_body().unwrap().replace("\r\n", "\n")
}

#[test]
fn the_headers_say_what_the_message_says() {
    let mut message = message();
    message.reply_to = Some(mailbox("", "office@example.org"));
    message.unsubscribe_url = Some("https://example.org/u/abc?x=1".into());
    message.headers = vec![("X-EMCRM-Test".into(), "yes".into())];
    let text = String::from_utf8(bytes(&message)).unwrap();
    for line in [
        "Date: Fri, 2 Jan 2026 03:04:05 +0000",
        "From: \"The Hosts\" <hosts@example.org>",
        "To: Ann <ann@example.org>",
        "Reply-To: office@example.org",
        "Subject: Hello",
        "List-Unsubscribe: <https://example.org/u/abc?x=1>",
        "List-Unsubscribe-Post: List-Unsubscribe=One-Click",
        "X-EMCRM-Test: yes",
        "MIME-Version: 1.0",
    ] {
        assert!(text.contains(&format!("{line}\r\n")), "{line} is not in:\n{text}");
    }
    assert!(text.contains(&format!("Message-ID: <{}>\r\n", message.message_id)));
}

#[test]
fn a_message_with_html_has_both_parts_text_first() {
    let mut message = message();
    message.html = Some("<p>Grüße</p>".into());
    let bytes = bytes(&message);
    let mail = parse_mail(&bytes).unwrap();
    let kinds: Vec<_> = mail.subparts.iter().map(|part| (part.ctype.mimetype.as_str(), part.ctype.charset.as_str())).collect();
    assert_eq!((mail.ctype.mimetype.as_str(), kinds), ("multipart/alternative", vec![("text/plain", "utf-8"), ("text/html", "utf-8")]));
    assert_eq!((body(&mail.subparts[0]).trim_end(), body(&mail.subparts[1]).trim_end()), ("Hello Ann", "<p>Grüße</p>"));
    assert_eq!(bytes, message.to_bytes().unwrap(), "every attempt gives the same bytes");
}

#[test]
fn a_text_that_looks_like_the_boundary_does_not_split_the_message() {
    let mut message = message();
    message.html = Some("<p>x</p>".into());
    let text = String::from_utf8(bytes(&message)).unwrap();
    let boundary = text.split_once("boundary=\"").unwrap().1.split_once('"').unwrap().0.to_owned();
    message.text = format!("a\n--{boundary}\nb\n--{boundary}--\n");
    let bytes = bytes(&message);
    let mail = parse_mail(&bytes).unwrap();
    assert_eq!((mail.subparts.len(), body(&mail.subparts[0]).trim_end()), (2, message.text.trim_end()));
}

#[test]
fn a_message_id_is_always_the_same_and_tells_nothing() {
    let id = message_id("019a-campaign", "7d-user", "example.org");
    assert_eq!(id, message_id("019a-campaign", "7d-user", "example.org"));
    assert_eq!(id.len(), 32 + "@example.org".len());
    assert!(!id.contains("campaign") && !id.contains("user"));
    assert_ne!(message_id("ab", "c", "x.org"), message_id("a", "bc", "x.org"));
}

/// `src/message.rs` sees the same attack succeed where the subject is written as it came.
#[test]
fn line_breaks_never_make_a_header() {
    for evil in ["a\r\nBcc: x@example.org", "a\nBcc: x@example.org", "a\rBcc: x@example.org", "a\0b\u{85}c\u{b}d"] {
        let mut message = message();
        message.subject = evil.into();
        message.from.name = Some(evil.into());
        message.to.name = Some(evil.into());
        let bytes = bytes(&message);
        assert_eq!(header(&bytes, "Bcc"), "", "{evil:?}");
        assert!(header(&bytes, "Subject").starts_with("a "), "{evil:?}");
    }
}

#[test]
fn what_cannot_be_written_is_refused_with_its_reason() {
    let refused = |change: &dyn Fn(&mut Message)| {
        let mut message = message();
        change(&mut message);
        message.to_bytes().unwrap_err()
    };
    for address in ["", "a", "a@", "@b", "a@b\r\nX: y", "a b@example.org", "a@exa mple.org", "<a@example.org>", "a@b@\0"] {
        assert!(matches!(refused(&|m| m.to.address = address.into()), BuildError::Address(_)), "{address:?}");
    }
    for id in ["", "x", "a@b>\r\nX: y", "a b@c", "<a@b>", "é@b"] {
        assert_eq!(refused(&|m| m.message_id = id.into()), BuildError::MessageId, "{id:?}");
    }
    for url in ["", "https://x y", "https://x>\r\nX: y", "https://é"] {
        assert_eq!(refused(&|m| m.unsubscribe_url = Some(url.into())), BuildError::UnsubscribeUrl, "{url:?}");
    }
    for name in ["", "X Y", "X:", "X\r\nY", "Bcc", "to", "Content-Type", "é"] {
        assert!(matches!(refused(&|m| m.headers = vec![(name.into(), "v".into())]), BuildError::HeaderName(_)), "{name:?}");
    }
    assert_eq!(refused(&|m| m.headers = vec![("X-A".into(), "a\r\nBcc: b".into())]), BuildError::HeaderValue("X-A".into()));
    assert_eq!(refused(&|m| m.unsubscribe_url = Some("https://example.org/".to_owned() + &"a".repeat(1000))), BuildError::HeaderTooLong);
}

#[test]
fn a_foreign_domain_is_written_in_ascii_and_a_foreign_name_as_it_is() {
    let mut message = message();
    message.to.address = "ann@bücher.example".into();
    let handover = message.handover("bounces@bücher.example").unwrap();
    assert_eq!((handover.from.as_str(), handover.to.as_str()), ("bounces@xn--bcher-kva.example", "ann@xn--bcher-kva.example"));
    assert!(handover.message.is_ascii());
    message.to.address = "ünï@bücher.example".into();
    let handover = message.handover("bounces@example.org").unwrap();
    assert_eq!(handover.to, "ünï@xn--bcher-kva.example");
    assert!(String::from_utf8(handover.message).unwrap().contains("<ünï@xn--bcher-kva.example>"));
}

#[test]
fn text_that_pretends_to_be_encoded_is_shown_as_it_is() {
    let mut message = message();
    message.subject = "=?utf-8?b?SGk=?=".into();
    assert_eq!(header(&bytes(&message), "Subject"), "=?utf-8?b?SGk=?=");
}

#[test]
fn very_long_lines_emoji_and_directions_survive() {
    for text in
        ["x".repeat(100_000), "🎉".repeat(20_000), "\u{202e}שלום\u{200f} عليكم\n".repeat(50), ".\n..\nFrom me\n= =3D\n \t\n".into(), "word ".repeat(30_000)]
    {
        let mut message = message();
        message.text.clone_from(&text);
        message.html = Some(format!("<p>{text}</p>"));
        message.subject = text.chars().take(800).filter(|c| !c.is_control()).collect::<String>().trim().to_owned();
        let bytes = bytes(&message);
        let mail = parse_mail(&bytes).unwrap();
        assert_eq!(body(&mail.subparts[0]).trim_end_matches('\n'), text.trim_end_matches('\n'));
        assert_eq!(header(&bytes, "Subject"), message.subject);
    }
}

proptest! {
    #[test]
    fn any_text_survives(subject in "\\PC{0,120}", name in "\\PC{1,60}", text in "(\\PC|\n){0,400}", html in "(\\PC|\n){0,400}") {
        let mut message = message();
        message.subject = subject.trim().to_owned();
        message.to.name = Some(name.trim().to_owned());
        message.text = text.clone();
        message.html = Some(html.clone());
        let bytes = bytes(&message);
        let mail = parse_mail(&bytes).unwrap();
        prop_assert_eq!(header(&bytes, "Subject"), message.subject);
        let to = mail.headers.get_first_header("To").unwrap();
        let to = mailparse::addrparse_header(to).unwrap().extract_single_info().unwrap();
        prop_assert_eq!(to.addr, "ann@example.org");
        prop_assert_eq!(to.display_name.unwrap_or_default(), name.trim());
        for (part, typed) in mail.subparts.iter().zip([&text, &html]) {
            let read = body(part);
            prop_assert_eq!(read.trim_end_matches('\n'), typed.trim_end_matches('\n'));
        }
    }
}

#[test]
fn only_what_the_wire_cannot_carry_is_encoded() {
    let long = "x".repeat(998);
    for (text, encoding) in [
        ("Plain words.", "7bit"),
        (long.as_str(), "7bit"),
        (&format!("{long}x"), "quoted-printable"),
        ("Mostly ASCII, but for the ü of Grüße", "quoted-printable"),
        ("Привет, это письмо", "base64"),
    ] {
        let mut message = message();
        message.text = text.to_owned();
        let bytes = bytes(&message);
        assert_eq!(header(&bytes, "Content-Transfer-Encoding"), encoding, "{text}");
        assert_eq!(body(&parse_mail(&bytes).unwrap()).trim_end_matches('\n'), text);
    }
}

#[test]
fn a_text_with_nul_leaves_without_it() {
    let mail = bytes(&Message { text: "Hello \0Ann\0\r\nYours".into(), html: Some("<p>\0Ann</p>".into()), ..message() });
    let text = String::from_utf8(mail).unwrap();
    assert!(text.contains("Hello Ann\r\nYours") && text.contains("<p>Ann</p>"), "{text}");
}
