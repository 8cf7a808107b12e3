//! Tags as single characters. Markdown and HTML are converted once, with each tag replaced by a character that passes through every converter
//! unchanged, and the tags are put back into the result. So a conversion never sees a recipient's data, and costs nothing for each mail.

use minijinja::machinery::{Token, tokenize};

use super::links;

/// First of the private characters (Unicode 16.0, supplementary private use area A) that stand for tags.
const FIRST: u32 = 0xF_0000;
const MOST: usize = 10_000;

/// What a tag does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Says something.
    Value,
    If,
    Elif,
    Else,
    Endif,
    /// Nothing that may be used.
    Other,
}

#[derive(Debug)]
struct Mark {
    tag: String,
    kind: Kind,
    /// Something about the recipient is in it.
    personal: bool,
    line: u16,
}

/// A text with its tags taken out.
pub(super) struct Marks {
    marked: String,
    marks: Vec<Mark>,
}

/// Which tag a character stands for, if any.
pub(super) fn index_of(c: char) -> Option<usize> {
    (c as u32).checked_sub(FIRST).map(|n| n as usize)
}

/// The character of a tag.
pub(super) fn mark_of(n: usize) -> Option<char> {
    u32::try_from(n).ok().and_then(|n| FIRST.checked_add(n)).and_then(char::from_u32)
}

impl Marks {
    pub(super) fn of(source: &str) -> Result<Self, String> {
        if source.chars().any(|c| index_of(c).is_some()) {
            return Err("private characters above U+F0000 cannot be used".to_owned());
        }
        let mut marks = Self { marked: String::with_capacity(source.len()), marks: Vec::new() };
        let (mut begin, mut kind) = (None, Kind::Value);
        // Whether the next token is the word that says what a statement does.
        let mut statement = false;
        let mut personal = false;
        for token in tokenize(source, false, minijinja::syntax::SyntaxConfig::default()) {
            let (token, span) = token.map_err(|error| super::plain(&error))?;
            match token {
                Token::TemplateData(text) => marks.marked.push_str(text),
                Token::VariableStart => (begin, kind, personal) = (Some(span), Kind::Value, false),
                Token::BlockStart => (begin, kind, personal) = (Some(span), Kind::Other, false),
                Token::Ident(word) if statement => {
                    kind = match word {
                        "if" => Kind::If,
                        "elif" => Kind::Elif,
                        "else" => Kind::Else,
                        "endif" => Kind::Endif,
                        _ => Kind::Other,
                    };
                }
                Token::Ident("user") => personal = true,
                Token::VariableEnd | Token::BlockEnd => {
                    if let Some(begin) = begin.take() {
                        let tag = source.get(begin.start_offset as usize..span.end_offset as usize).unwrap_or_default();
                        marks.push(Mark { tag: bare(tag), kind, personal, line: begin.start_line });
                    }
                }
                _ => {}
            }
            statement = matches!(token, Token::BlockStart);
            if marks.marks.len() > MOST {
                return Err(format!("more than {MOST} tags"));
            }
        }
        Ok(marks)
    }

    fn push(&mut self, mark: Mark) {
        self.marked.extend(mark_of(self.marks.len()));
        self.marks.push(mark);
    }

    /// The text with a character in the place of each tag.
    pub(super) fn marked(&self) -> &str {
        &self.marked
    }

    pub(super) fn count(&self) -> usize {
        self.marks.len()
    }

    /// The line in which a tag begins.
    pub(super) fn line(&self, n: usize) -> u16 {
        self.marks.get(n).map_or(0, |mark| mark.line)
    }

    /// As it is written, with one space on each side.
    pub(super) fn tag(&self, n: usize) -> Option<&str> {
        self.marks.get(n).map(|mark| mark.tag.as_str())
    }

    /// Whether it says something about the recipient.
    pub(super) fn is_personal(&self, n: usize) -> bool {
        self.marks.get(n).is_some_and(|mark| mark.personal && mark.kind == Kind::Value)
    }

    pub(super) fn kind(&self, n: usize) -> Option<Kind> {
        self.marks.get(n).map(|mark| mark.kind)
    }

    /// What a character does besides saying something: none for a value and for what is no tag.
    pub(super) fn statement(&self, c: char) -> Option<Kind> {
        index_of(c).and_then(|n| self.kind(n)).filter(|kind| *kind != Kind::Value)
    }

    /// A text with tags in the place of their characters. What would be a tag without being one is written as a tag that gives it.
    pub(super) fn filled(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len() + 64);
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            match index_of(c) {
                Some(n) => out.push_str(self.marks.get(n).map_or("", |mark| mark.tag.as_str())),
                None if c == '{' && chars.peek().is_some_and(|next| matches!(next, '{' | '%' | '#') || index_of(*next).is_some()) => {
                    out.push_str("{{ \"{\" }}");
                }
                None => out.push(c),
            }
        }
        out
    }

    /// The converted text with its tags again; none when the conversion has lost or moved one.
    pub(super) fn restore(&self, converted: &str) -> Option<String> {
        converted.chars().filter_map(index_of).eq(0..self.marks.len()).then(|| self.filled(converted))
    }

    /// Or every fault, as sentences.
    pub(super) fn markdown_to_html(&self) -> Result<String, Vec<String>> {
        use pulldown_cmark::{Event, Options, Parser, html};
        // Raw HTML inside Markdown is text, not markup.
        let events = Parser::new_ext(&self.marked, Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH).map(|event| match event {
            Event::Html(raw) | Event::InlineHtml(raw) => Event::Text(raw),
            other => other,
        });
        let mut body = String::with_capacity(self.marked.len() * 2);
        html::push_html(&mut body, events);
        let mut body = self.unencoded(body);
        let faults = links::faults(self, &body);
        if !faults.is_empty() {
            return Err(faults);
        }
        // A condition on a line of its own is no paragraph.
        for (n, _) in self.marks.iter().enumerate().filter(|(_, mark)| mark.kind != Kind::Value) {
            if let Some(mark) = mark_of(n) {
                body = body.replace(&format!("<p>{mark}</p>\n"), &mark.to_string());
            }
        }
        // Every converter keeps the order of what it is given; should one not, the text itself is better than a wrong mail.
        let body = self.restore(&body).unwrap_or_else(|| self.plain_html());
        Ok(format!("<!doctype html>\n<html><head><meta charset=\"utf-8\"></head><body>\n{body}</body></html>\n"))
    }

    /// Addresses of links are percent-encoded by the converter, the marks in them too.
    pub(super) fn unencoded(&self, html: String) -> String {
        let mut html = html;
        for n in 0..self.marks.len() {
            let Some(mark) = mark_of(n) else { continue };
            let encoded = percent_encoding::utf8_percent_encode(mark.encode_utf8(&mut [0; 4]), percent_encoding::NON_ALPHANUMERIC).to_string();
            if html.contains(&encoded) {
                html = html.replace(&encoded, &mark.to_string());
            }
        }
        html
    }

    fn plain_html(&self) -> String {
        let escaped = self.marked.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        let text = self.restore(&escaped).unwrap_or_default();
        format!("<pre>{text}</pre>\n")
    }
}

/// A tag without its signs for white space (`{%- … -%}`): whoever read the text has followed them already.
fn bare(tag: &str) -> String {
    let (open, rest) = tag.split_at_checked(2).unwrap_or((tag, ""));
    let (inner, close) = rest.split_at_checked(rest.len().saturating_sub(2)).unwrap_or((rest, ""));
    let inner = inner.strip_prefix(['-', '+']).unwrap_or(inner);
    let inner = inner.strip_suffix(['-', '+']).unwrap_or(inner);
    format!("{open} {} {close}", inner.trim())
}
