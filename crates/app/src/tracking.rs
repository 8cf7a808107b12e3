//! Opens and clicks: off unless a campaign asks for them. What is noted are facts (when, how soon, which program); whether a person or a machine it
//! was is decided when they are read, so a better judgement holds for the past as well.

use std::borrow::Cow;
use std::ops::Range;

use emcrm_model::{CampaignId, Delivery, DeliveryState};
use emcrm_store::{Guard, Item, Query, Rule, Table, TransactError, Transaction, from_item, keys};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::links::{Purpose, Signed, TARGET_MAX};
use crate::render::insert_at_end;
use crate::{App, AppError, Call};

/// Hits of one kind that are kept for one mail, of people and of machines each; later ones change nothing.
const KEPT: u32 = 20;
/// Hits that are read for one count, at most.
pub const READ_MAX: usize = 500_000;
/// Longest user agent that is kept, in characters.
const AGENT_MAX: usize = 200;

/// One request for a pixel or a link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hit {
    pub user_id: String,
    pub kind: HitKind,
    /// UTC.
    pub at: String,
    /// Seconds after the mail was handed over, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<i64>,
    /// The mail was still being handed over.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub early: bool,
    #[serde(default)]
    pub agent: String,
    /// Where a click led.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HitKind {
    Open,
    Click,
}

/// Who it probably was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HitBy {
    Person,
    /// A scanner, a prefetcher, a preview.
    Machine,
}

impl Hit {
    /// Where it is kept: a scanner that follows every link takes no person's place.
    fn class(&self) -> &'static str {
        match (self.by(), self.kind) {
            (HitBy::Person, HitKind::Open) => "po",
            (HitBy::Person, HitKind::Click) => "pc",
            (HitBy::Machine, HitKind::Open) => "mo",
            (HitBy::Machine, HitKind::Click) => "mc",
        }
    }

    /// Programs that fetch for others, and requests that come sooner than anybody reads.
    pub fn by(&self) -> HitBy {
        const MACHINES: [&str; 14] = [
            "bot",
            "crawler",
            "spider",
            "scanner",
            "preview",
            "proxy",
            "curl/",
            "wget/",
            "python-",
            "go-http-client",
            "headlesschrome",
            "barracuda",
            "mimecast",
            "proofpoint",
        ];
        let agent = self.agent.to_ascii_lowercase();
        let machine = agent.is_empty() || MACHINES.iter().any(|name| agent.contains(name)) || agent == "mozilla/5.0";
        if machine || self.early || self.after.is_some_and(|after| after < 3) { HitBy::Machine } else { HitBy::Person }
    }
}

/// Who read a campaign, as far as requests can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Readers {
    /// People who opened the mail, each once.
    pub opened: u64,
    /// People who followed a link, each once.
    pub clicked: u64,
    /// Requests of people.
    pub person_hits: u64,
    /// Requests of machines.
    pub machine_hits: u64,
    /// All hits were read; otherwise the figures are those of the first ones.
    pub exact: bool,
}

/// Writes the address that stands for one that somebody wrote.
pub(crate) type Click<'a> = dyn Fn(&mut String, &str) + 'a;

/// Links lead through this installation, and a picture of one pixel asks it. `spare`: addresses that begin so stay as they are, and so do those that are too long.
pub(crate) fn with_tracking(html: &mut String, pixel: Option<&str>, click: Option<&Click<'_>>, spare: &str) {
    if let Some(click) = click {
        *html = links_replaced(html, |out, target| {
            let ours = !target.starts_with(spare) && target.len() <= TARGET_MAX;
            if ours {
                click(out, target);
            }
            ours
        });
    }
    if let Some(pixel) = pixel {
        insert_at_end(html, &format!("<img src=\"{pixel}\" width=\"1\" height=\"1\" alt=\"\">"));
    }
}

/// Each `href` of an `<a>` that leads to the web; where `replace` writes nothing and says so, it stays.
fn links_replaced(html: &str, replace: impl Fn(&mut String, &str) -> bool) -> String {
    let mut out = String::with_capacity(html.len() * 2);
    let mut written = 0;
    for at in memchr::memchr_iter(b'<', html.as_bytes()) {
        // What looks like an element inside of a value is none.
        if at < written {
            continue;
        }
        let Some(place) = href(html.as_bytes(), at) else { continue };
        let Some((before, value)) = html.get(written..place.start).zip(html.get(place.clone())) else { continue };
        out.push_str(before);
        written = place.end;
        let target = resolved(value.trim_matches(|c: char| c.is_ascii_whitespace()));
        let web = ["https://", "http://"].iter().any(|scheme| target.get(..scheme.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(scheme)));
        if !web || !replace(&mut out, &target) {
            out.push_str(value);
        }
    }
    out.push_str(html.get(written..).unwrap_or_default());
    out
}

/// The value of the first `href` of an `<a>` that begins here (HTML, section 13.2.5): in quotes of either kind, or without.
fn href(html: &[u8], at: usize) -> Option<Range<usize>> {
    fn until(html: &[u8], from: usize, ends: impl Fn(u8) -> bool) -> Option<usize> {
        Some(from + html.get(from..)?.iter().position(|byte| ends(*byte))?)
    }
    let space = |byte: u8| byte.is_ascii_whitespace();
    let begins = html.get(at + 1).is_some_and(|name| name.eq_ignore_ascii_case(&b'a')) && html.get(at + 2).is_some_and(|byte| space(*byte) || *byte == b'/');
    if !begins {
        return None;
    }
    let mut here = at + 2;
    loop {
        let name = until(html, here, |byte: u8| !space(byte) && byte != b'/')?;
        if html.get(name) == Some(&b'>') {
            return None;
        }
        // Whatever comes first is a part of the name.
        let name_end = until(html, name + 1, |byte: u8| space(byte) || matches!(byte, b'/' | b'>' | b'='))?;
        here = until(html, name_end, |byte: u8| !space(byte))?;
        if html.get(here) != Some(&b'=') {
            continue;
        }
        here = until(html, here + 1, |byte: u8| !space(byte))?;
        let (value, after) = match *html.get(here)? {
            quote @ (b'"' | b'\'') => {
                let end = until(html, here + 1, |byte: u8| byte == quote)?;
                (here + 1..end, end + 1)
            }
            b'>' => return None,
            _ => {
                let end = until(html, here, |byte: u8| space(byte) || byte == b'>')?;
                (here..end, end)
            }
        };
        if html.get(name..name_end)?.eq_ignore_ascii_case(b"href") {
            return Some(value);
        }
        here = after;
    }
}

/// Character references that stand in addresses, ours and those that people and their programs write.
const REFERENCES: [(&str, char); 10] = [
    ("&amp;", '&'),
    ("&#38;", '&'),
    ("&#39;", '\''),
    ("&#x27;", '\''),
    ("&apos;", '\''),
    ("&quot;", '"'),
    ("&#34;", '"'),
    ("&#x22;", '"'),
    ("&lt;", '<'),
    ("&gt;", '>'),
];

/// A value with its character references resolved, each once: `&amp;lt;` is `&lt;`.
fn resolved(value: &str) -> Cow<'_, str> {
    if !value.contains('&') {
        return Cow::Borrowed(value);
    }
    let mut out = String::with_capacity(value.len());
    let mut rest = value;
    while let Some(at) = rest.find('&') {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let (len, c) = REFERENCES.iter().find(|(name, _)| from.starts_with(*name)).map_or((1, '&'), |(name, c)| (name.len(), *c));
        out.push(c);
        rest = from.get(len..).unwrap_or_default();
    }
    out.push_str(rest);
    Cow::Owned(out)
}

impl App {
    /// Notes a hit, unless the person was erased. Whoever asks gets the same answer, whatever becomes of it.
    pub async fn hit_note(&self, signed: &Signed, kind: HitKind, agent: &str) -> Result<(), AppError> {
        let delivery = self.store.campaigns.delivery(&signed.campaign, &signed.user).await?;
        let Some(Delivery { email: Some(_), sent_at, status, .. }) = delivery else { return Ok(()) };
        let now = self.now();
        let sent: Option<Timestamp> = sent_at.as_deref().and_then(|at| at.parse().ok());
        let hit = Hit {
            user_id: signed.user.as_str().to_owned(),
            kind,
            at: self.stamp(),
            after: sent.map(|sent| now.as_second() - sent.as_second()),
            early: status == DeliveryState::Sending,
            agent: agent.chars().filter(|c| !c.is_control()).take(AGENT_MAX).collect(),
            target: Some(signed.target.clone()).filter(|target| !target.is_empty()),
        };
        let Ok(serde_json::Value::Object(attrs)) = serde_json::to_value(&hit) else { return Ok(()) };
        // The first place of its class that is free; a mail that is asked for more often says nothing new.
        let class = hit.class();
        let taken = Query::table(Table::Email, keys::hits_part(&signed.campaign)).prefix(format!("{}#{class}", signed.user)).limit(KEPT);
        let taken = self.store.engine.query(taken).await?.items.len() as u32;
        for n in taken..KEPT {
            let mut tx = Transaction::new();
            let key = keys::hit(&signed.campaign, &signed.user, class, n);
            tx.put(Table::Email, Item { key: key.clone(), attrs: attrs.clone() }).when(Guard::Absent).or(Rule::Changed);
            match self.transact(tx).await {
                Err(error) if error.rule() == Some(Rule::Changed) => continue,
                Ok(()) | Err(TransactError::Refused(_)) => {}
                Err(TransactError::Engine(error)) => return Err(error.into()),
            }
            // An erasure takes the address away first and the hits then: one that came between is taken back here, or where it looks a second time.
            let now = self.store.campaigns.delivery(&signed.campaign, &signed.user).await?;
            if now.is_none_or(|now| now.email.is_none()) {
                let mut tx = Transaction::new();
                tx.delete(Table::Email, key);
                self.transact(tx).await?;
            }
            return Ok(());
        }
        Ok(())
    }

    /// Counts who read a campaign, out of so many hits. Judged anew at each call, so a better judgement holds for the past too.
    pub async fn campaign_readers(&self, call: &Call, id: &CampaignId, most: usize) -> Result<Readers, AppError> {
        self.campaign_get(call, id).await?;
        let mut readers = Readers { exact: true, ..Readers::default() };
        // Rows come in the order of people, so one person's are together.
        let (mut last, mut opened, mut clicked) = (String::new(), false, false);
        let (mut after, mut read) = (None, 0);
        loop {
            let rows = self.store.engine.query(Query::table(Table::Email, keys::hits_part(id)).limit(1_000).after(after)).await?;
            read += rows.items.len();
            for item in rows.items {
                let hit: Hit = from_item(item)?;
                if hit.user_id != last {
                    (opened, clicked) = (false, false);
                    last.clone_from(&hit.user_id);
                }
                if hit.by() == HitBy::Machine {
                    readers.machine_hits += 1;
                    continue;
                }
                readers.person_hits += 1;
                let seen = if hit.kind == HitKind::Open { &mut opened } else { &mut clicked };
                if !std::mem::replace(seen, true) {
                    *(if hit.kind == HitKind::Open { &mut readers.opened } else { &mut readers.clicked }) += 1;
                }
            }
            match rows.next {
                Some(_) if read >= most => return Ok(Readers { exact: false, ..readers }),
                Some(next) => after = Some(next),
                None => return Ok(readers),
            }
        }
    }

    /// Whom a tracked link was made for; nothing for a forged one.
    pub fn hit_open(&self, kind: HitKind, token: &str) -> Option<Signed> {
        let purpose = if kind == HitKind::Open { Purpose::Open } else { Purpose::Click };
        self.links.open(purpose, token)
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    #[test]
    fn links_to_the_web_lead_through_us_and_others_stay() {
        let html = "<a href=\"https://a.example/?x=1&amp;y=2\">A</a> <a class=\"b\" href=\"http://b.example\">B</a> <a href=\"mailto:x@y.example\">C</a> \
                    <a href=\"https://crm.example/u/tok\">D</a> <link href=\"https://c.example/s.css\"> <a href=\"#top\">E</a>";
        let mut tracked = html.to_owned();
        let click = |out: &mut String, target: &str| write!(out, "https://crm.example/t/c/[{target}]").unwrap();
        with_tracking(&mut tracked, Some("https://crm.example/t/o/1.gif"), Some(&click), "https://crm.example/u/");
        assert!(tracked.contains("href=\"https://crm.example/t/c/[https://a.example/?x=1&y=2]\""), "{tracked}");
        assert!(tracked.contains("href=\"https://crm.example/t/c/[http://b.example]\""));
        for kept in ["mailto:x@y.example", "\"https://crm.example/u/tok\"", "\"https://c.example/s.css\"", "\"#top\""] {
            assert!(tracked.contains(kept), "{kept}");
        }
        assert!(tracked.ends_with("<img src=\"https://crm.example/t/o/1.gif\" width=\"1\" height=\"1\" alt=\"\">"));
    }

    #[test]
    fn links_are_found_however_they_are_written_and_lead_where_they_say() {
        let click = |out: &mut String, target: &str| write!(out, "[{target}]").unwrap();
        for (html, expected) in [
            ("<a href='https://a.example'>A</a>", "<a href='[https://a.example]'>A</a>"),
            ("<A CLASS=x HREF=\"HTTPS://a.example\">A</A>", "<A CLASS=x HREF=\"[HTTPS://a.example]\">A</A>"),
            ("<a\n  href = \"https://a.example\">A</a>", "<a\n  href = \"[https://a.example]\">A</a>"),
            ("<a target=_blank href=https://a.example/>A</a>", "<a target=_blank href=[https://a.example/]>A</a>"),
            (
                "<a hidden title='<a href=\"https://b.example\">' href=\" https://a.example \">",
                "<a hidden title='<a href=\"https://b.example\">' href=\"[https://a.example]\">",
            ),
            ("<a href=\"https://a.example/?q=O&#39;Neil&#x27;s+&quot;x&quot;&lt;&gt;&amp;lt;\">", "<a href=\"[https://a.example/?q=O'Neil's+\"x\"<>&lt;]\">"),
            (
                "<a data-href=\"https://b.example\" href=\"https://a.example\" href=\"https://c.example\">",
                "<a data-href=\"https://b.example\" href=\"[https://a.example]\" href=\"https://c.example\">",
            ),
        ] {
            let mut tracked = html.to_owned();
            with_tracking(&mut tracked, None, Some(&click), "https://crm.example/u/");
            assert_eq!(tracked, expected);
        }
        for html in [
            "<abbr href=\"https://a.example\">",
            "<a href=\"https://a.example",
            "<a>href=\"https://a.example\"</a>",
            "<a href=>",
            "<a href",
            "<a ",
            "<a",
            "<",
            "ä<",
            "<a href=\"/x\">",
        ] {
            let mut tracked = html.to_owned();
            with_tracking(&mut tracked, None, Some(&click), "https://crm.example/u/");
            assert_eq!(tracked, html);
        }
    }

    #[test]
    fn an_address_that_is_too_long_for_a_link_stays_as_it_is() {
        for (length, tracked) in [(TARGET_MAX, true), (TARGET_MAX + 1, false)] {
            let target = format!("https://a.example/{}", "x".repeat(length - 18));
            let mut html = format!("<a href=\"{target}\">A</a>");
            with_tracking(&mut html, None, Some(&|out: &mut String, _: &str| out.push_str("https://crm.example/t/c/1")), "https://crm.example/u/");
            assert_eq!((target.len(), html.contains("/t/c/1"), html.contains(&target)), (length, tracked, !tracked));
        }
    }

    #[test]
    fn scanners_and_requests_that_come_too_soon_are_machines() {
        let hit = |agent: &str, after| Hit {
            user_id: String::new(),
            kind: HitKind::Open,
            at: String::new(),
            after,
            early: false,
            agent: agent.to_owned(),
            target: None,
        };
        let browser = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/120";
        assert_eq!(hit(browser, Some(60)).by(), HitBy::Person);
        assert_eq!(hit(browser, Some(1)).by(), HitBy::Machine);
        assert_eq!(hit("Mozilla/5.0 (Windows NT 5.1) GoogleImageProxy", Some(60)).by(), HitBy::Machine);
        assert_eq!(hit("", Some(60)).by(), HitBy::Machine);
        assert_eq!(hit(browser, None).by(), HitBy::Person, "how soon it was is not known");
        assert_eq!(Hit { early: true, ..hit(browser, None) }.by(), HitBy::Machine, "nobody has it yet");
    }
}
