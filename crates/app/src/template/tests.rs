//! The corpus: what may be written, what is refused, and that a recipient's data is never anything but text.

use emcrm_mail::{Mailbox, Message, message_id};
use emcrm_model::{BodyFormat, Event, MailContent, User};
use jiff::tz::TimeZone;
use mailparse::{MailHeaderMap as _, ParsedMail, parse_mail};
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::calendar::event_ics;

fn content(subject: &str, body: &str, body_format: BodyFormat) -> MailContent {
    MailContent { subject: subject.to_owned(), body: body.to_owned(), body_format }
}

#[expect(clippy::needless_pass_by_value, reason = "called with literals")]
fn somebody(more: serde_json::Value) -> User {
    let mut fields = json!({"id": "u", "firstName": "Mara", "lastName": "Okonjo", "email": "mara@example.org", "city": "Austin"});
    fields.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(fields).unwrap()
}

fn event() -> EventValues {
    let event = json!({"id": "e", "slug": "meetup", "title": "Rust & You", "startAt": "2026-11-19T18:30:00", "endAt": "2026-11-19T21:00:00", "timezone": "America/Chicago", "venue": "Hall"});
    EventValues::new(&serde_json::from_value(event).unwrap(), &TimeZone::UTC, Some("https://crm.example/e/meetup"))
}

fn render(content: &MailContent, user: &User) -> Result<Content, RenderError> {
    let event = event();
    let recipient = Recipient { user: Some(user), event: Some(&event), unsubscribe_url: Some("https://crm.example/u/token") };
    Template::compile(content, true).unwrap().render(&recipient)
}

fn faults(body: &str) -> String {
    Template::compile(&content("Hi", body, BodyFormat::Text), false).err().map(|faults| faults.to_string()).unwrap_or_default()
}

#[test]
fn variables_defaults_filters_and_conditions_are_filled_in() {
    let body = "Hello {{ user.firstName | upper }},\n{{ event.title }} is on {{ event.startAt | day }} at {{ event.startAt | time }}.\n\
                {% if user.city == \"Austin\" and user.attendedCount < 3 %}Near you!{% elif user.city %}In {{ user.city }}{% else %}Far{% endif %}\n\
                {{ user.company | default(\"your company\") }} {{ event.startAt }} {{ unsubscribeUrl }}";
    let mail = render(&content("{{ user.fullName }}: {{ event.title }}", body, BodyFormat::Text), &somebody(json!({}))).unwrap();
    assert_eq!(mail.subject, "Mara Okonjo: Rust & You");
    assert_eq!(
        mail.text,
        "Hello MARA,\nRust & You is on Thursday, 19 November 2026 at 18:30 (America/Chicago).\nNear you!\nyour company Thursday, 19 November 2026, 18:30 (America/Chicago) https://crm.example/u/token"
    );
    assert_eq!(mail.html, None);
}

#[test]
fn a_subject_without_values_is_still_a_text() {
    for (source, text) in [
        ("Hello {{ user.firstName }}, come", "Hello …, come"),
        ("{% if user.city %}Near you{% endif %}{# note #}: {{ event.title }}", "Near you: …"),
        ("{ü} {{ never closed", "{ü} {{ never closed"),
        ("plain", "plain"),
    ] {
        assert_eq!(without_tags(source), text);
    }
}

#[test]
fn a_time_says_its_zone_by_name() {
    let event = json!({"id": "e", "slug": "s", "startAt": "2026-11-19T18:30:00", "endAt": "2026-11-19T21:00:00", "timezone": "America/New_York"});
    let event = EventValues::new(&serde_json::from_value(event).unwrap(), &TimeZone::UTC, None);
    let mail = Template::compile(&content("S", "{{ event.startAt }}", BodyFormat::Text), true).unwrap();
    let mail = mail.render(&Recipient { user: None, event: Some(&event), unsubscribe_url: None }).unwrap();
    assert_eq!(mail.text, "Thursday, 19 November 2026, 18:30 (America/New York)");
}

#[test]
fn what_a_recipient_lacks_is_named() {
    let company = content("{{ user.company }}", "{{ user.firstName }} {{ user.jobTitle }}", BodyFormat::Text);
    assert_eq!(render(&company, &somebody(json!({}))).unwrap_err(), RenderError::Missing(vec!["user.company", "user.jobTitle"]));
    let error = render(&company, &somebody(json!({"company": " "}))).unwrap_err();
    assert_eq!(error.to_string(), "no value for user.company, user.jobTitle", "spaces are no value");
    assert!(render(&company, &somebody(json!({"company": "Q", "jobTitle": "E"}))).is_ok());
}

#[test]
fn only_what_is_needed_is_named() {
    let missing = |body: &str, format| match render(&content("Hi", body, format), &somebody(json!({"city": null}))).unwrap_err() {
        RenderError::Missing(names) => names,
        other => panic!("{other:?}"),
    };
    for format in [BodyFormat::Text, BodyFormat::Html] {
        assert_eq!(missing("{{ user.company }} {{ user.city | default(\"home\") }}", format), ["user.company"], "the other has a default");
        assert_eq!(missing("{{ user.company }}{% if user.state %} in Texas{% endif %}", format), ["user.company"], "the other decides only");
        assert_eq!(missing("{% if user.state %}In Texas{% else %}{{ user.city }}{% endif %}", format), ["user.city", "user.state"], "no one of them alone");
    }
}

#[test]
fn unknown_names_and_everything_that_is_no_part_of_the_language_are_refused_when_it_is_saved() {
    for (body, expected) in [
        ("{{ user.firstname }}", "did you mean user.firstName?"),
        ("{{ first_name }}", "did you mean user.firstName?"),
        ("{{ user.salary }}", "there is no variable user.salary"),
        ("a\nb {{ user }}", "line 2"),
        ("{{ event.title }}", "needs an event"),
        ("{{ user.firstName", "line 1"),
        ("{% if user.city %}", "line 1"),
        ("{% endif %}", "line 1"),
        ("{{ user.firstName | safe }}", "there is no filter safe"),
        ("{% for x in [1,2,3] %}{{ x }}{% endfor %}", "only {{ … }} and {% if … %}"),
        ("{% set a = 1 %}", "only {{ … }} and {% if … %}"),
        ("{% include 'x' %}", "only {{ … }} and"),
        ("{% extends 'x' %}", "only {{ … }} and"),
        ("{% import 'x' as y %}", "only {{ … }} and"),
        ("{% macro m() %}{% endmacro %}", ""),
        ("{% block b %}{% endblock %}", "only {{ … }} and"),
        ("{% autoescape false %}{{ user.city }}{% endautoescape %}", "only"),
        ("{{ 'a' * 1000000000 }}", "cannot be used here"),
        ("{{ 'a' ~ 'b' }}", "cannot be used here"),
        ("{{ 2 ** 1000 }}", "cannot be used here"),
        ("{{ range(100000000) }}", "cannot be used here"),
        ("{{ user.__class__ }}", "there is no variable"),
        ("{{ user['firstName'] }}", "cannot be used here"),
        ("{{ self }}", "there is no variable self"),
        ("{{ user.firstName.x.y }}", "a variable is written like"),
        ("{{ [1,2] }}", "cannot be used here"),
        ("{{ {'a': 1} }}", "cannot be used here"),
        ("{{ user.firstName() }}", "cannot be used here"),
        ("{{ lipsum() }}", "cannot be used here"),
        ("{{ debug() }}", "cannot be used here"),
        ("\u{F0000}", "private characters"),
    ] {
        let found = faults(body);
        assert!(!found.is_empty() && found.contains(expected), "{body}: {found:?}");
    }
    for deep in [13, 40, 3_000] {
        let deep = format!("{}x{}", "{% if user.city %}".repeat(deep), "{% endif %}".repeat(deep));
        assert!(faults(&deep).contains("too many conditions"));
    }
    assert_eq!(faults(&"{% if user.city %}x{% endif %}".repeat(3_000)), "", "one after the other");
    let long = format!("{{{{ user.city{} }}}}", " | upper".repeat(200));
    assert!(!faults(&long).is_empty());
    assert!(!faults(&format!("{{% if {}1{} %}}x{{% endif %}}", "(".repeat(5_000), ")".repeat(5_000))).is_empty(), "and nothing overflows");
    assert!(!faults(&format!("{{% if {}1 %}}x{{% endif %}}", "not ".repeat(20_000))).is_empty());
}

#[test]
fn what_looks_like_a_template_in_raw_text_stays_text() {
    let body = "{% raw %}{{ user.firstName }}{% endraw %} {{ user.firstName }}";
    for format in [BodyFormat::Text, BodyFormat::Markdown, BodyFormat::Html] {
        let mail = render(&content("s", body, format), &somebody(json!({}))).unwrap();
        assert!(mail.text.contains("{{ user.firstName }} Mara"), "{:?}", mail.text);
        if let Some(html) = mail.html {
            assert!(html.contains("{{ user.firstName }} Mara"), "{html}");
        }
    }
}

#[test]
fn markdown_becomes_html_and_html_becomes_text_before_anything_is_filled_in() {
    let body = "Hello **{{ user.firstName }}**,\n\n{% if user.city %}\n\nNear *{{ user.city }}*\n\n{% endif %}\n\n[Take a place]({{ event.url }})\n\n<script>alert(1)</script>\n\n- one\n- two";
    let mail = render(&content("s", body, BodyFormat::Markdown), &somebody(json!({}))).unwrap();
    let html = mail.html.unwrap();
    assert!(
        html.contains("<strong>Mara</strong>")
            && html.contains("<em>Austin</em>")
            && html.contains("<a href=\"https://crm.example/e/meetup\">Take a place</a>"),
        "{html}"
    );
    assert!(html.contains("&lt;script&gt;") && !html.contains("<script>") && html.contains("<li>one</li>") && !html.contains("<p></p>"), "{html}");
    assert!(mail.text.contains("Hello **Mara**,") && mail.text.contains("(https://crm.example/e/meetup)"));

    let body = "<html><head><style>.b { color: red }</style></head><body><h1>Hello {{ user.firstName }}</h1><p class=\"b\">{% if user.city %}In <b>{{ user.city }}</b>{% endif %}</p>\
                <table><tr><td>{{ event.venue }}</td></tr></table><a href=\"{{ event.url }}\">Go</a></body></html>";
    let mail = render(&content("s", body, BodyFormat::Html), &somebody(json!({}))).unwrap();
    let html = mail.html.unwrap();
    assert!(
        html.contains("style=\"color: red")
            && html.contains("<h1>Hello Mara</h1>")
            && html.contains("<b>Austin</b>")
            && html.contains("href=\"https://crm.example/e/meetup\""),
        "{html}"
    );
    assert!(mail.text.contains("Hello Mara") && mail.text.contains("Austin") && mail.text.contains("Hall"), "{}", mail.text);
    assert!(mail.text.contains("Go <https://crm.example/e/meetup>") && !mail.text.contains("<b>") && !mail.text.contains("color"), "{}", mail.text);
}

/// Tags between the rows of a table, which no HTML parser leaves where they are.
#[test]
fn a_condition_around_rows_of_a_table_holds_for_those_rows() {
    let table = "<table>{% if user.city == \"Austin\" %}<tr><td>Free for you</td></tr>{% else %}<tr><td>Ten dollars</td></tr>{% endif %}</table><p>Bye</p>";
    for style in ["", "<style>td{padding:4px}</style>"] {
        for (city, said, kept) in [("Austin", "Free for you", "Ten dollars"), ("York", "Ten dollars", "Free for you")] {
            let template = Template::compile(&content("s", &format!("{style}{table}"), BodyFormat::Html), false).unwrap();
            let mail = template.render(&Recipient { user: Some(&somebody(json!({ "city": city }))), event: None, unsubscribe_url: None }).unwrap();
            let html = mail.html.unwrap();
            assert!(html.contains(said) && !html.contains(kept), "{city}: {html}");
            assert!(mail.text.contains(said) && !mail.text.contains(kept) && mail.text.trim_end().ends_with("Bye"), "{city}: {}", mail.text);
            assert_eq!((html.contains("<td style=\"padding: 4px"), template.leaves_sheet()), (!style.is_empty(), false), "{html}");
        }
    }
}

/// A parser moves what is no part of a table out of it, and no comment can mark where it was.
#[test]
fn a_page_that_would_say_something_else_with_its_rules_in_the_elements_stays_as_it_is() {
    let body = "<style>td{padding:4px}</style><table>{% if user.city == \"Austin\" %}Free for you{% endif %}<tr><td>x</td></tr></table>";
    let template = Template::compile(&content("s", body, BodyFormat::Html), false).unwrap();
    let of = |city: &str| template.render(&Recipient { user: Some(&somebody(json!({ "city": city }))), event: None, unsubscribe_url: None }).unwrap();
    assert!(of("Austin").html.unwrap().contains("Free for you") && of("Austin").text.contains("Free for you"));
    assert!(!of("York").html.unwrap().contains("Free for you") && !of("York").text.contains("Free for you"));
    assert!(template.leaves_sheet());
    assert!(!Template::compile(&content("s", "<style>td{padding:4px}</style><td>x</td>", BodyFormat::Html), false).unwrap().leaves_sheet());
}

#[test]
fn the_text_part_of_a_page_is_its_words_with_addresses_behind_links() {
    let body = "<title>News</title><style>p{color:red}</style><a href=\"{{ unsubscribeUrl }}\">Unsubscribe</a><p>In {{ user.city }}&nbsp;&amp; near: \
                <a href=\"https://a.example/?x=1&amp;y=2\">look</a></p>";
    let mail = render(&content("s", body, BodyFormat::Html), &somebody(json!({}))).unwrap();
    assert_eq!(mail.text.trim_end(), "Unsubscribe <https://crm.example/u/token>\n\nIn Austin & near: look <https://a.example/?x=1&y=2>");
}

#[test]
fn signs_for_white_space_are_followed_once() {
    let mail = render(&content("s", "<p>a</p> {%- if user.city -%} <p>b</p> {%- endif %}<p>c</p>", BodyFormat::Html), &somebody(json!({}))).unwrap();
    assert_eq!(mail.text.trim_end(), "a\n\nb\n\nc", "those that the page has, not those between its paragraphs");
}

#[test]
fn a_tag_of_a_page_stands_in_its_text_or_in_a_value_with_quotes() {
    for (body, expected) in [
        ("<a href={{ event.url }}>x</a>", "line 1: a tag cannot stand in a value without quotes"),
        ("<p>\n<a title=a{{ user.company }} href=\"#\">x</a>", "line 2: a tag cannot stand in a value without quotes"),
        ("<p {{ user.company }}>x</p>", "between the attributes"),
        ("<p {% if user.city %}class=\"a\"{% endif %}>x</p>", "between the attributes"),
        ("<p></p {{ user.city }}>", "between the attributes"),
        ("<h{{ user.attendedCount }}>x", "in the name of an element"),
        ("<style>p { color: {{ user.company }} }</style>", "in <style>"),
        ("<STYLE>p { color: {{ user.company }} }</STYLE>", "in <style>"),
        ("<script>let a = \"{{ user.company }}\"</script>", "in <script>"),
        ("<iframe>{{ user.company }}</iframe>", "nothing"),
        ("<!-- {{ user.company }} -->", "in a comment"),
        ("<!--[if mso]><a href={{ event.url }}>x</a><![endif]-->", "in a value without quotes"),
        ("<!--[if mso]>{% if user.city %}x<![endif]--><p>y</p>{% endif %}", "both there"),
        ("<!--[if mso]>{{ user.company }}", "in a comment"),
        ("<? {{ user.company }} ?>", "a tag cannot stand"),
        ("<!doctype {{ user.city }}>", "would be lost"),
        ("<a href=\"{{ event.url }}", "would be lost"),
        ("<a href=\"x\" href=\"{{ event.url }}\">x</a>", "would be lost"),
        ("<a href=\"{% if user.city %}x\">y</a>{% endif %}", "both there"),
        ("<title>{% if user.city %}x</title>{% endif %}", "both there"),
        ("{{ user.city }}&#xF0000;", "private characters"),
        ("&#xF0000;", "private characters"),
    ] {
        let found = Template::compile(&content("s", body, BodyFormat::Html), true).err().map(|faults| faults.to_string()).unwrap_or_default();
        assert!(found.contains(expected), "{body}: {found:?}");
        assert!(Template::compile(&content("s", body, BodyFormat::Text), true).is_ok() || body.contains("&#xF0000;"), "{body}: a text has no places");
    }
    for body in [
        "<a href='{{ event.url }}' title=\"{% if user.city %}{{ user.city }}{% endif %}\">x</a>",
        "<title>{{ event.title }}</title><textarea>{{ user.city }}</textarea>",
        "a < {{ user.city }} > b & {{ user.city }}",
        "<{{ user.city }}>",
        "<!--[if mso]><a href=\"{{ event.url }}\">{% if user.city %}{{ user.city }}{% endif %}</a><![endif]-->",
    ] {
        assert!(Template::compile(&content("s", body, BodyFormat::Html), true).is_ok(), "{body}");
    }
}

#[test]
fn where_a_link_leads_is_never_said_by_the_person_who_gets_it() {
    let said = |body: &str, format| Template::compile(&content("s", body, format), true).err().map(|faults| faults.to_string()).unwrap_or_default();
    let refused = "cannot choose where a link leads";
    for address in [
        "{{ user.company }}",
        " {{ user.company }}",
        "{{ user.company | default(\"https://a.example/\") }}",
        "{{ event.url | default(user.company) }}",
        "{% if user.city %}https://a.example/{% endif %}{{ user.company }}",
        "{% if user.city %}{{ user.company }}{% else %}https://a.example/{% endif %}",
        "{{ event.title }}{{ user.company }}",
        "{{ event.url | default(\"\") }}{{ user.company }}",
        "https:{{ user.company }}",
        "https://{{ user.company }}/",
        "https://a.example{{ user.company }}",
        "https://a.example:{{ user.company }}",
        "https://a.example@{{ user.company }}/",
        "https:///{{ user.company }}",
        "https:/\\{{ user.company }}",
        "https://\\{{ user.company }}/",
        "//{{ user.company }}",
        "/{{ user.company }}",
        "javascript:{{ user.company }}",
        "&#x20;{{ user.company }}",
    ] {
        let quoted = address.replace('"', "'");
        for body in
            [format!("<a href=\"{quoted}\">x</a>"), format!("<img alt=x SRC=\"{quoted}\">"), format!("<!--[if mso]><a href=\"{quoted}\">x</a><![endif]-->")]
        {
            assert!(said(&body, BodyFormat::Html).contains(refused), "{body}: {}", said(&body, BodyFormat::Html));
        }
    }
    assert!(said("<p>\n<img srcset=\"https://a.example/ 1x, {{ user.company }} 2x\">", BodyFormat::Html).starts_with("body: line 2: "));
    for body in ["[x]({{ user.company }})", "![x](<{{ user.company }}>)", "[x][y]\n\n[y]: {{ user.company }}", "<https://{{ user.company }}>"] {
        assert!(said(body, BodyFormat::Markdown).contains(refused), "{body}: {}", said(body, BodyFormat::Markdown));
        assert_eq!(said(body, BodyFormat::Text), "", "a text has no links");
    }
    for address in [
        "{{ event.url }}",
        "{{ event.url }}?from={{ user.email }}",
        "{{ unsubscribeUrl }}#{{ user.city }}",
        "{% if user.city == 'Austin' %}https://a.example/{% else %}https://b.example/{% endif %}",
        "HTTPS://a.example/{{ user.city }}",
        "http://a.example?who={{ user.email }}",
        "https://a.example:8080/#{{ user.city }}",
        "mailto:{{ user.email }}",
        "tel:{{ user.phoneNumber }}",
        "#{{ user.city }}",
    ] {
        assert_eq!(said(&format!("<a href=\"{address}\" title=\"{{{{ user.company }}}}\">{{{{ user.company }}}}</a>"), BodyFormat::Html), "", "{address}");
        assert_eq!(said(&format!("[x](<{address}>)"), BodyFormat::Markdown), "", "{address}");
    }
    // The control: what is escaped still leads there.
    let company = minijinja::Value::from_pairs([("company", "javascript:alert(1)")]);
    let mut env = environment();
    env.add_template(HTML, "<a href=\"{{ user.company }}\">x</a>").unwrap();
    let made = env.get_template(HTML).unwrap().render(minijinja::Value::from_pairs([("user", company)])).unwrap();
    assert_eq!(made, "<a href=\"javascript:alert(1)\">x</a>");
}

const HOSTILE: [&str; 16] = [
    "{{ user.email }}",
    "{% if 1 %}x{% endif %}",
    "{# c #}",
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "a\r\nBcc: victim@example.org",
    "a\nb",
    "a\rATTENDEE:mailto:victim@example.org",
    "\u{202e}evil\u{202c}",
    "a\u{200f}b \u{2067}שלום\u{2069}",
    "🦀🦀🦀",
    "**bold** [link](javascript:alert(1)) `code` | table |",
    "&lt;b&gt; &amp;",
    "'; DROP TABLE users; --",
    "${7*7} #{7*7} <%= 7*7 %>",
    "\u{F0000}\u{F0001}",
];

#[test]
fn hostile_data_in_every_field_is_shown_literally() {
    let fields = ["firstName", "lastName", "company", "jobTitle", "city", "state", "phoneNumber"];
    let body = "{{ user.firstName }}|{{ user.lastName }}|{{ user.company }}|{{ user.jobTitle }}|{{ user.city }}|{{ user.state }}|{{ user.phoneNumber }}";
    let quoted = "<a title=\"{{ user.company }}\" class='{{ user.company }}' href=\"https://a.example/\">x</a>";
    for hostile in HOSTILE {
        let values: serde_json::Map<_, _> = fields.iter().map(|field| ((*field).to_owned(), json!(hostile))).collect();
        let user = somebody(values.into());
        let expected = [hostile; 7].join("|");
        // In a value it is that value: no attribute and no element comes of it.
        let html = render(&content("s", quoted, BodyFormat::Html), &user).unwrap().html.unwrap();
        let pieces = markup::pieces(&html);
        let [markup::Piece::Open(tag), markup::Piece::Text(..), markup::Piece::Close(_)] = &pieces[..] else { panic!("{html}") };
        let values: Vec<(&str, String)> = tag.attrs.iter().map(|attr| (&*attr.name.local, attr.value.replace('\n', "\r"))).collect();
        let value = hostile.replace("\r\n", "\r").replace('\n', "\r");
        assert_eq!(values, [("title", value.clone()), ("class", value), ("href", "https://a.example/".to_owned())], "{html}");
        for format in [BodyFormat::Text, BodyFormat::Markdown, BodyFormat::Html] {
            let mail = render(&content("{{ user.firstName }}", body, format), &user).unwrap();
            assert_eq!(mail.subject, hostile, "the header's own rules come later");
            assert!(mail.text.contains(&expected), "{format:?}: {}", mail.text);
            if let Some(html) = mail.html {
                assert!(!html.contains("<script>") && !html.contains("<img") && !html.contains("<strong>") && !html.contains("<a href=\"javascript"), "{html}");
                // Shown, it is what it was.
                let shown = html2text::from_read(html.as_bytes(), 10_000).unwrap();
                let folded = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
                assert!(folded(&shown).contains(&folded(&expected)), "{format:?}: {shown:?}");
            }
        }
    }
}

/// An event that says the same everywhere: the content of a mail about it, and its calendar file.
fn content_and_calendar(value: &str, format: BodyFormat) -> (Content, String) {
    let event = json!({"id": "e", "slug": "meetup", "title": value, "description": value, "venue": value, "startAt": "2026-11-19T18:30:00", "endAt": "2026-11-19T21:00:00", "timezone": "America/Chicago"});
    let event: Event = serde_json::from_value(event).unwrap();
    let values = EventValues::new(&event, &TimeZone::UTC, None);
    let source = content("{{ event.title }}", "{{ event.title }}|{{ event.venue }}|{{ event.description }}", format);
    let content = Template::compile(&source, true).unwrap().render(&Recipient { user: None, event: Some(&values), unsubscribe_url: None }).unwrap();
    (content, event_ics(&event, &TimeZone::UTC, "example.org", None, jiff::Timestamp::UNIX_EPOCH))
}

/// The same as it goes over the wire, from and to people of that name.
fn wire(name: &str, content: &Content, calendar: &str) -> Vec<u8> {
    let mailbox = |address: &str| Mailbox { name: Some(name.to_owned()), address: address.to_owned() };
    let message = Message {
        from: mailbox("crm@example.org"),
        to: mailbox("mara@example.org"),
        reply_to: None,
        subject: content.subject.clone(),
        text: content.text.clone(),
        html: content.html.clone(),
        calendar: Some(calendar.to_owned()),
        message_id: message_id("campaign", "user", "example.org"),
        date: jiff::Timestamp::UNIX_EPOCH,
        unsubscribe_url: Some("https://crm.example/u/token".to_owned()),
        headers: vec![("X-EMCRM-Test".to_owned(), "yes".to_owned())],
    };
    message.to_bytes().unwrap()
}

fn header_names(mail: &ParsedMail<'_>) -> Vec<String> {
    mail.headers.iter().map(mailparse::MailHeader::get_key).collect()
}

/// Names and values of a calendar file, as its reader puts them together (RFC 5545, sections 3.1 and 3.3.11).
fn properties(ics: &str) -> Vec<(String, String)> {
    assert!(ics.split("\r\n").all(|line| line.len() <= 75 && !line.contains(['\r', '\n'])), "{ics:?}");
    let value = |written: &str| {
        let (mut value, mut chars) = (String::new(), written.chars());
        while let Some(c) = chars.next() {
            value.push(match c {
                '\\' => chars.next().map(|c| if c == 'n' { '\n' } else { c }).unwrap(),
                c => c,
            });
        }
        value
    };
    let unfolded = ics.replace("\r\n ", "");
    let lines = unfolded.split_terminator("\r\n").map(|line| line.split_once(':').unwrap());
    lines.map(|(name, written)| (name.to_owned(), value(written))).collect()
}

/// What stands in an event, in a person's name and in the sender's comes into the head of a mail and into a calendar file as well. It is one value in each place.
#[test]
fn hostile_events_and_names_add_nothing_to_a_mail_its_head_or_its_calendar_file() {
    let bare = |text: &str| text.chars().filter(|c| !c.is_whitespace() && !c.is_control()).collect::<String>();
    let names_of = |properties: &[(String, String)]| properties.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    for format in [BodyFormat::Text, BodyFormat::Markdown, BodyFormat::Html] {
        let (plain, calendar) = content_and_calendar("Rust night", format);
        let plain = wire("Mara", &plain, &calendar);
        let (head, entries) = (header_names(&parse_mail(&plain).unwrap()), names_of(&properties(&calendar)));
        assert_eq!(head.iter().filter(|name| *name == "Subject").count(), 1);
        for hostile in HOSTILE.map(str::to_owned).into_iter().chain(["x".repeat(3_000), "🦀".repeat(900)]) {
            let (content, calendar) = content_and_calendar(&hostile, format);
            let bytes = wire(&hostile, &content, &calendar);
            let mail = parse_mail(&bytes).unwrap();
            assert_eq!(header_names(&mail), head, "{hostile:?}");
            assert_eq!(bare(&mail.headers.get_first_value("Subject").unwrap()), bare(&hostile));
            for (header, address) in [("From", "crm@example.org"), ("To", "mara@example.org")] {
                let who = mailparse::addrparse_header(mail.headers.get_first_header(header).unwrap()).unwrap().extract_single_info().unwrap();
                assert_eq!((bare(&who.display_name.unwrap()), who.addr.as_str()), (bare(&hostile), address), "{header}");
            }
            let shown = [hostile.as_str(); 3].join("|");
            let [readable, attached] = &mail.subparts[..] else { panic!("{hostile:?}: {} parts", mail.subparts.len()) };
            let text = if content.html.is_some() { &readable.subparts[0] } else { readable };
            assert_eq!(bare(&text.get_body().unwrap()), bare(&shown), "{format:?}");
            if let Some(html) = &content.html {
                assert!(!html.contains("<script>") && !html.contains("<img") && !html.contains("<strong>") && !html.contains("<a href=\"javascript"), "{html}");
                assert!(bare(&html2text::from_read(html.as_bytes(), 10_000).unwrap()).contains(&bare(&shown)), "{format:?}: {html}");
            }
            let attached = attached.get_body().unwrap();
            assert_eq!(attached.trim_end(), calendar.trim_end(), "it comes through the mail as it is");
            let found = properties(&calendar);
            assert_eq!(names_of(&found), entries, "{hostile:?}");
            for name in ["SUMMARY", "LOCATION", "DESCRIPTION"] {
                let (_, value) = found.iter().find(|(have, _)| have == name).unwrap();
                assert_eq!(bare(value), bare(&hostile), "{name}");
            }
        }
    }
}

#[test]
fn a_long_template_and_long_data_stay_within_their_bounds() {
    let many = "{{ user.firstName }} ".repeat(4_700);
    let user = somebody(json!({"firstName": "x".repeat(50)}));
    let mail = render(&content("s", &many, BodyFormat::Markdown), &user).unwrap();
    assert_eq!(mail.text.len(), 4_700 * 51);
    let huge = somebody(json!({"firstName": "x".repeat(5_000)}));
    assert_eq!(render(&content("s", &many, BodyFormat::Text), &huge).unwrap_err(), RenderError::TooLong);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn whatever_is_written_is_compiled_or_refused_and_never_panics(body in "[a-z{}%#|.()<>\"'&* \n\u{e9}-]{0,80}", tags in proptest::collection::vec(0..VARIABLES.len(), 0..4)) {
        let mut source = body;
        for tag in tags {
            source.push_str(&format!("{{{{ {} | default('-') }}}}", VARIABLES.map(|variable| variable.name)[tag]));
        }
        for format in [BodyFormat::Text, BodyFormat::Markdown, BodyFormat::Html] {
            if let Ok(template) = Template::compile(&content("s", &source, format), true) {
                let _ = template.render(&Recipient { user: Some(&somebody(json!({}))), event: Some(&event()), unsubscribe_url: None });
            }
        }
    }

    #[test]
    fn data_never_becomes_markup(value in "\\PC{0,60}") {
        let user = somebody(json!({"firstName": value.clone(), "company": value}));
        for format in [BodyFormat::Markdown, BodyFormat::Html] {
            if let Ok(mail) = render(&content("s", "[[{{ user.company | default('') }}]]", format), &user) {
                let html = mail.html.unwrap();
                let inner = &html[html.find("[[").unwrap()..html.rfind("]]").unwrap()];
                prop_assert!(!inner.contains('<') && !inner.contains('>') && !inner.contains('"'), "{inner}");
            }
        }
    }
}

#[test]
fn data_that_looks_like_a_template_is_text_and_would_not_be_if_it_were_one() {
    let hostile = "{{ 7 * 7 }}<script>";
    let mail = render(&content("{{ user.city }}", "<p>{{ user.city }}</p>", BodyFormat::Html), &somebody(json!({"city": hostile}))).unwrap();
    assert!(mail.subject.contains("{{ 7 * 7 }}") && mail.html.unwrap().contains("{{ 7 * 7 }}&lt;script&gt;"));
    // The same mail, written without escaping.
    let user = somebody(json!({"city": hostile}));
    let recipient = Recipient { user: Some(&user), event: None, unsubscribe_url: None };
    let mut template = Template::compile(&content("s", "<p>{{ user.city }}</p>", BodyFormat::Html), false).unwrap();
    template.env.set_formatter(|out, _, value| Ok(out.write_str(value.as_str().unwrap_or_default())?));
    assert!(template.render(&recipient).unwrap().html.unwrap().contains("{{ 7 * 7 }}<script>"));
    // That data is a value is how they are filled in; there is nothing to switch off. The same data put together with the template before it is read, and written without escaping.
    let careless = environment().render_str(&format!("<p>{hostile}</p>"), ()).unwrap();
    assert_eq!(careless, "<p>49<script></p>");
}

/// One attack with and without the check, on the same way into a mail.
#[test]
fn a_template_that_switches_escaping_off_is_refused_and_would_run_scripts_if_it_were_not() {
    let body = "{{ user.city }}{% autoescape false %}{{ user.city }}{% endautoescape %}";
    let evil = content("s", body, BodyFormat::Html);
    assert!(Template::compile(&evil, false).is_err());
    let unchecked = |source: &str, with_event: bool, used: &mut Used| {
        let _ = check::check(source, with_event, used);
        Ok(())
    };
    let user = somebody(json!({"city": "<script>alert(1)</script>"}));
    let recipient = Recipient { user: Some(&user), event: None, unsubscribe_url: None };
    let mail = Template::compiled(&evil, false, unchecked).unwrap().render(&recipient).unwrap();
    assert!(mail.html.as_ref().unwrap().contains("&lt;script&gt;alert(1)&lt;/script&gt;<script>alert(1)</script>"), "{mail:?}");
}
