//! Subject and body as templates: checked when they are saved, compiled once, filled in for each recipient.
//!
//! The language is Jinja's, cut down to what a mail needs: `{{ user.firstName }}`, `{{ user.company | default("your company") }}`, `{% if user.city == "Austin" %}`
//! … `{% elif %}` … `{% else %}` … `{% endif %}`. No loops, no assignments, no includes, no arithmetic: a template's cost grows with its length alone. What is
//! filled in is a value, never a template, and is escaped for where it stands.
//!
//! | file | holds |
//! |---|---|
//! | `check` | which templates are allowed, and what they use |
//! | `links` | whose word decides where a link leads |
//! | `marks` | tags as single characters, so that Markdown and HTML can be converted before they are filled in |
//! | `markup`, `page`, `readable` | a body in HTML: its pieces, where tags may stand in it and what becomes of its style sheet, its text part |
//! | `values` | what can be filled in |

mod check;
mod links;
mod marks;
mod markup;
mod page;
mod readable;
mod values;

use std::fmt;

use emcrm_model::{BodyFormat, FieldErrors, MailContent};
use minijinja::{AutoEscape, Environment, ErrorKind, UndefinedBehavior};

pub use check::VARIABLES;
pub use values::{EventValues, Recipient};

use check::{Used, Variable};
use marks::Marks;
use page::Page;

/// Steps of one rendering. A body of the largest size takes a fraction of it.
const FUEL: u64 = 2_000_000;
/// Longest subject and longest body after filling in, in bytes.
const SUBJECT_MAX: usize = 4_000;
const BODY_MAX: usize = 1_000_000;

const SUBJECT: &str = "subject";
const TEXT: &str = "text";
const HTML: &str = "html";

/// Subject and body, ready for any number of recipients.
pub struct Template {
    env: Environment<'static>,
    has_html: bool,
    /// There is a style sheet whose rules are not in the elements.
    sheet_left: bool,
    used: Vec<&'static Variable>,
    /// What every recipient gets, where nothing is filled in.
    fixed: Option<Content>,
}

/// The parts of a mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    pub subject: String,
    pub text: String,
    pub html: Option<String>,
}

/// Why a mail cannot be made for somebody.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// Variables without a value and without a default.
    #[error("no value for {}", .0.join(", "))]
    Missing(Vec<&'static str>),
    #[error("the mail would be longer than {BODY_MAX} bytes")]
    TooLong,
    #[error("the text cannot be filled in: {0}")]
    Failed(String),
}

impl Template {
    /// Every fault by its field. `with_event`: whether the campaign has an event whose fields may be used.
    pub fn compile(content: &MailContent, with_event: bool) -> Result<Self, FieldErrors> {
        Self::compiled(content, with_event, check::check)
    }

    /// A test leaves the check out, to see what it keeps out.
    fn compiled(content: &MailContent, with_event: bool, check: fn(&str, bool, &mut Used) -> Result<(), Vec<String>>) -> Result<Self, FieldErrors> {
        let mut faults = Vec::new();
        let mut used = Used::default();
        for (field, source) in [(SUBJECT, &content.subject), ("body", &content.body)] {
            if let Err(found) = check(source, with_event, &mut used) {
                faults.extend(found.into_iter().flat_map(|message| FieldErrors::one(field, "template", message).0));
            }
        }
        if !faults.is_empty() {
            return Err(FieldErrors(faults));
        }
        let marks = Marks::of(&content.body).map_err(|message| FieldErrors::one("body", "template", message))?;
        let mut sheet_left = false;
        let of_body = |found: Vec<String>| FieldErrors(found.into_iter().flat_map(|message| FieldErrors::one("body", "template", message).0).collect());
        let (text, html) = match content.body_format {
            BodyFormat::Text => (content.body.clone(), None),
            BodyFormat::Markdown => (content.body.clone(), Some(marks.markdown_to_html().map_err(of_body)?)),
            BodyFormat::Html => {
                let page = Page::of(&marks).map_err(of_body)?;
                let inlined = page.inlined();
                sheet_left = inlined.left;
                (readable::text_of(&page), Some(inlined.html))
            }
        };
        let mut env = environment();
        let has_html = html.is_some();
        let mut add = |name: &'static str, field: &str, source: String| {
            env.add_template_owned(name, source).map_err(|error| FieldErrors::one(field, "template", plain(&error)))
        };
        add(SUBJECT, SUBJECT, content.subject.clone())?;
        add(TEXT, "body", text)?;
        if let Some(html) = html {
            add(HTML, "body", html)?;
        }
        let used = used.variables();
        let mut template = Self { env, has_html, sheet_left, used, fixed: None };
        if template.used.is_empty() {
            let fixed = template.fill(&Recipient::default()).map_err(|error| FieldErrors::one("body", "template", error.to_string()))?;
            template.fixed = Some(fixed);
        }
        Ok(template)
    }

    /// Names of the variables in use, such as `user.firstName`.
    pub fn variables(&self) -> impl Iterator<Item = &'static str> {
        self.used.iter().map(|variable| variable.name)
    }

    /// Whether the page has a style sheet that stays one: its rules could not be moved into the elements.
    pub fn leaves_sheet(&self) -> bool {
        self.sheet_left
    }

    pub fn uses(&self, name: &str) -> bool {
        self.used.iter().any(|variable| variable.name == name)
    }

    pub fn render(&self, recipient: &Recipient<'_>) -> Result<Content, RenderError> {
        match &self.fixed {
            Some(fixed) => Ok(fixed.clone()),
            None => self.fill(recipient),
        }
    }

    fn fill(&self, recipient: &Recipient<'_>) -> Result<Content, RenderError> {
        let values = recipient.values(&self.used);
        let part = |name: &str, most: usize| {
            let text = self.env.get_template(name).and_then(|template| template.render(values.clone())).map_err(|error| self.failed(recipient, &error))?;
            if text.len() > most { Err(RenderError::TooLong) } else { Ok(text) }
        };
        Ok(Content { subject: part(SUBJECT, SUBJECT_MAX)?, text: part(TEXT, BODY_MAX)?, html: if self.has_html { Some(part(HTML, BODY_MAX)?) } else { None } })
    }

    fn failed(&self, recipient: &Recipient<'_>, error: &minijinja::Error) -> RenderError {
        if error.kind() == ErrorKind::OutOfFuel {
            return RenderError::TooLong;
        }
        let lacking: Vec<&'static str> = self.used.iter().filter(|variable| recipient.value(variable).is_undefined()).map(|variable| variable.name).collect();
        if error.kind() != ErrorKind::UndefinedError || lacking.is_empty() {
            return RenderError::Failed(plain(error));
        }
        let needed: Vec<&'static str> = lacking.iter().copied().filter(|name| lacking.len() == 1 || self.needs(recipient, name)).collect();
        // Where none of them is needed by itself, a condition on one asks for another.
        RenderError::Missing(if needed.is_empty() { lacking } else { needed })
    }

    /// Whether the mail cannot be made for want of this value alone: not where it has a default, or only decides what is said.
    fn needs(&self, recipient: &Recipient<'_>, name: &str) -> bool {
        let values = recipient.values_but(&self.used, name);
        [SUBJECT, TEXT, HTML].into_iter().any(|part| {
            let made = self.env.get_template(part).and_then(|template| template.render(values.clone()));
            made.is_err_and(|error| error.kind() == ErrorKind::UndefinedError)
        })
    }
}

/// A text for which nobody's values are at hand: `Hello {{ user.firstName }}` is `Hello …`, and conditions are left out.
pub fn without_tags(source: &str) -> String {
    let mut text = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(at) = rest.find('{') {
        let (before, from) = rest.split_at(at);
        text.push_str(before);
        let tag = [("{{", "}}", "…"), ("{%", "%}", ""), ("{#", "#}", "")].into_iter().find(|(open, ..)| from.starts_with(*open));
        let whole = tag.and_then(|(_, close, shown)| Some((from.find(close)? + close.len(), shown)));
        // A brace that begins no tag is a text.
        let (end, shown) = whole.unwrap_or((1, "{"));
        text.push_str(shown);
        rest = from.get(end..).unwrap_or_default();
    }
    text.push_str(rest);
    text
}

fn environment() -> Environment<'static> {
    let mut env = Environment::empty();
    env.set_undefined_behavior(UndefinedBehavior::SemiStrict);
    env.set_fuel(Some(FUEL));
    env.set_auto_escape_callback(|name| if name == HTML { AutoEscape::Html } else { AutoEscape::None });
    env.set_formatter(|out, state, value| match value.as_str() {
        Some(text) if matches!(state.auto_escape(), AutoEscape::Html) => Ok(escaped(out, text)?),
        _ => minijinja::escape_formatter(out, state, value),
    });
    env.add_filter("default", minijinja::filters::default);
    env.add_filter("upper", minijinja::filters::upper);
    env.add_filter("lower", minijinja::filters::lower);
    env.add_filter("day", values::day);
    env.add_filter("time", values::time);
    env
}

/// What means something in HTML, in text and in quoted attributes. Nothing else, so that addresses stay readable.
fn escaped(out: &mut minijinja::Output<'_>, text: &str) -> fmt::Result {
    let mut rest = text;
    while let Some(at) = rest.find(['&', '<', '>', '"', '\'']) {
        let (before, from) = rest.split_at(at);
        out.write_str(before)?;
        let mut after = from.chars();
        out.write_str(match after.next() {
            Some('&') => "&amp;",
            Some('<') => "&lt;",
            Some('>') => "&gt;",
            Some('"') => "&quot;",
            _ => "&#39;",
        })?;
        rest = after.as_str();
    }
    out.write_str(rest)
}

/// The library's message without its file names.
fn plain(error: &minijinja::Error) -> String {
    let what = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
    match error.line() {
        Some(line) => format!("line {line}: {what}"),
        None => what,
    }
}

#[cfg(test)]
#[expect(clippy::format_push_string, reason = "tests fail by panicking")]
mod tests;
