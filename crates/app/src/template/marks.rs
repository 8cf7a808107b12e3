//! Tags as single characters. Markdown and HTML are converted once, with each tag replaced by a character that passes through every converter
//! unchanged, and the tags are put back into the result. So a conversion never sees a recipient's data, and costs nothing for each mail.

use minijinja::machinery::{Token, tokenize};

/// First of the private characters (Unicode 16.0, supplementary private use area A) that stand for tags.
const FIRST: u32 = 0xF_0000;
const MOST: usize = 10_000;
/// Width of lines in the text that is made from HTML, as mail programs expect it (RFC 5322 2.1.1 recommends 78).
const WIDTH: usize = 76;

/// A text with its tags taken out.
pub(super) struct Marks {
    marked: String,
    tags: Vec<String>,
}

impl Marks {
    pub(super) fn of(source: &str) -> Result<Self, String> {
        if source.chars().any(|c| c as u32 >= FIRST) {
            return Err("private characters above U+F0000 cannot be used".to_owned());
        }
        let mut marks = Self { marked: String::with_capacity(source.len()), tags: Vec::new() };
        let mut begin = None;
        for token in tokenize(source, false, minijinja::syntax::SyntaxConfig::default()) {
            let (token, span) = token.map_err(|error| super::plain(&error))?;
            match token {
                Token::TemplateData(text) => marks.literal(text),
                Token::VariableStart | Token::BlockStart => begin = Some(span.start_offset as usize),
                Token::VariableEnd | Token::BlockEnd => {
                    let tag = begin.take().and_then(|begin| source.get(begin..span.end_offset as usize)).unwrap_or_default();
                    marks.mark(tag.to_owned());
                }
                _ => {}
            }
            if marks.tags.len() > MOST {
                return Err(format!("more than {MOST} tags"));
            }
        }
        Ok(marks)
    }

    fn mark(&mut self, tag: String) {
        self.marked.extend(char::from_u32(FIRST + self.tags.len() as u32));
        self.tags.push(tag);
    }

    /// What would be a tag in the result is written as a tag that gives it.
    fn literal(&mut self, text: &str) {
        let mut rest = text;
        while let Some(at) = ["{{", "{%", "{#"].iter().filter_map(|open| rest.find(open)).min() {
            let (before, from) = rest.split_at(at);
            let (open, after) = from.split_at(2);
            self.marked.push_str(before);
            self.mark(format!("{{{{ \"{open}\" }}}}"));
            rest = after;
        }
        self.marked.push_str(rest);
    }

    /// The converted text with its tags again; none when the conversion has lost or moved one.
    fn restore(&self, converted: &str) -> Option<String> {
        let mut out = String::with_capacity(converted.len() + 64);
        let mut next = 0;
        for c in converted.chars() {
            match (c as u32).checked_sub(FIRST) {
                Some(n) if n as usize == next => {
                    out.push_str(self.tags.get(next)?);
                    next += 1;
                }
                Some(_) => return None,
                None => out.push(c),
            }
        }
        (next == self.tags.len()).then_some(out)
    }

    pub(super) fn markdown_to_html(&self) -> String {
        use pulldown_cmark::{Event, Options, Parser, html};
        // Raw HTML inside Markdown is text, not markup.
        let events = Parser::new_ext(&self.marked, Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH).map(|event| match event {
            Event::Html(raw) | Event::InlineHtml(raw) => Event::Text(raw),
            other => other,
        });
        let mut body = String::with_capacity(self.marked.len() * 2);
        html::push_html(&mut body, events);
        let mut body = self.unencoded(body);
        for (n, tag) in self.tags.iter().enumerate().filter(|(_, tag)| tag.starts_with("{%")) {
            // A condition on a line of its own is no paragraph.
            if let (Some(mark), true) = (char::from_u32(FIRST + n as u32), tag.starts_with("{%")) {
                body = body.replace(&format!("<p>{mark}</p>\n"), &mark.to_string());
            }
        }
        // Every converter keeps the order of what it is given; should one not, the text itself is better than a wrong mail.
        let body = self.restore(&body).unwrap_or_else(|| self.plain_html());
        format!("<!doctype html>\n<html><head><meta charset=\"utf-8\"></head><body>\n{body}</body></html>\n")
    }

    /// Addresses of links are percent-encoded by the converter, the marks in them too.
    fn unencoded(&self, html: String) -> String {
        let mut html = html;
        for n in 0..self.tags.len() {
            let Some(mark) = char::from_u32(FIRST + n as u32) else { continue };
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

    pub(super) fn html_to_text(&self) -> String {
        let text = html2text::from_read(self.marked.as_bytes(), WIDTH).ok().and_then(|text| self.restore(&text));
        // Where tags stand between the parts of a table the order cannot be kept: then without the markup.
        text.or_else(|| self.restore(&without_markup(&self.marked))).unwrap_or_default()
    }

    /// Rules of a style sheet moved into the elements: many mail programs drop the sheet.
    pub(super) fn inlined(&self) -> String {
        let original = || self.restore(&self.marked).unwrap_or_default();
        if !self.marked.to_ascii_lowercase().contains("<style") {
            return original();
        }
        let inliner = css_inline::CSSInliner::options().load_remote_stylesheets(false).keep_style_tags(true).build();
        match inliner.inline(&self.marked) {
            Ok(inlined) => self.restore(&self.unencoded(inlined)).unwrap_or_else(original),
            Err(_) => original(),
        }
    }
}

/// Everything between angle brackets left out.
fn without_markup(html: &str) -> String {
    let mut text = String::with_capacity(html.len());
    let mut inside = false;
    for c in html.chars() {
        match c {
            '<' => inside = true,
            '>' if inside => inside = false,
            // A tag inside an element's own brackets must not be lost.
            c if !inside || c as u32 >= FIRST => text.push(c),
            _ => {}
        }
    }
    text
}
