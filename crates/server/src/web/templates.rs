//! The template environment. Each place lists its own templates beside its code; `web::TEMPLATES` lists the places.

use std::sync::LazyLock;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Value;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Output, State, UndefinedBehavior, escape_formatter};
use serde::Serialize;

use super::{assets, format};
use crate::api::error::ApiError;

/// Name and text of a template.
pub type Template = (&'static str, &'static str);

/// Templates by their names under `crates/server/templates`, compiled in.
macro_rules! templates {
    ($($name:literal),+ $(,)?) => {
        &[$(($name, include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/templates/", $name)))),+]
    };
}
pub(crate) use templates;

static ENVIRONMENT: LazyLock<Result<Environment<'static>, String>> = LazyLock::new(|| environment().map_err(|error| error.to_string()));

fn asset(name: &str) -> Result<String, Error> {
    assets::url(name).ok_or_else(|| Error::new(ErrorKind::InvalidOperation, format!("there is no file {name}")))
}

/// `{{ icon("search") }}`: a symbol of `icons.svg`, without a meaning of its own for those who do not see it.
fn icon(name: &str) -> Result<Value, Error> {
    Ok(Value::from_safe_string(format!(r#"<svg class="icon" aria-hidden="true"><use href="{}#{name}"/></svg>"#, asset("icons.svg")?)))
}

/// Escapes what has to be escaped in texts and in quoted attributes. The library's own escaper also turns `/` into `&#x2f;`, which makes addresses in
/// pages hard to read and to test.
fn write_value(out: &mut Output<'_>, state: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    let text = value.as_str().filter(|_| !value.is_safe() && *state.auto_escape() == AutoEscape::Html);
    let Some(text) = text else { return escape_formatter(out, state, value) };
    let mut from = 0;
    for (at, letter) in text.match_indices(['&', '<', '>', '"', '\'']) {
        let name = match letter {
            "&" => "&amp;",
            "<" => "&lt;",
            ">" => "&gt;",
            "\"" => "&#34;",
            _ => "&#39;",
        };
        out.write_str(text.get(from..at).unwrap_or_default())?;
        out.write_str(name)?;
        from = at + 1;
    }
    out.write_str(text.get(from..).unwrap_or_default())?;
    Ok(())
}

fn environment() -> Result<Environment<'static>, Error> {
    let mut env = Environment::new();
    env.set_undefined_behavior(UndefinedBehavior::Strict);
    env.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    env.set_formatter(write_value);
    env.add_function("asset", asset);
    env.add_function("icon", icon);
    format::add_filters(&mut env);
    for (name, source) in super::TEMPLATES.iter().copied().flatten().copied() {
        env.add_template(name, source)?;
    }
    Ok(env)
}

/// The text of a template with what it knows.
pub fn render<C: Serialize>(template: &str, context: C) -> Result<String, ApiError> {
    let fault = |error: &str| ApiError::internal(&format!("a page cannot be made: {error}"));
    let env = ENVIRONMENT.as_ref().map_err(|error| fault(error))?;
    let template = env.get_template(template).map_err(|error| fault(&format!("{error:#}")))?;
    template.render(minijinja::value::Serde(context)).map_err(|error| fault(&format!("{error:#}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_end_a_text_or_an_attribute_is_escaped() {
        let mut env = environment().unwrap();
        env.add_template("t.html", "{{ a }}|{{ a | upper }}|{{ icon('x') }}").unwrap();
        let text = env.get_template("t.html").unwrap().render(minijinja::context! { a => "<é'\">&/" }).unwrap();
        assert!(text.starts_with("&lt;é&#39;&#34;&gt;&amp;/|&lt;É&#39;&#34;&gt;&amp;/|<svg"), "{text}");
    }

    /// One attack with and without the defence, on one of our pages. What a browser makes of all of them: `tests/browser/hostile.test.mjs`.
    #[test]
    fn a_page_shows_hostile_text_and_would_run_it_without_escaping() {
        let hostile = "\"><script>alert(1)</script>";
        let shown = |env: &Environment<'_>| {
            let one = minijinja::context! { id => "x", value => hostile, chosen => false, count => 1 };
            env.get_template("people/choice.html").unwrap().render(minijinja::context! { one, facet => minijinja::context! { name => "company" } }).unwrap()
        };
        let mut env = environment().unwrap();
        let text = shown(&env);
        assert_eq!((text.matches("<script>").count(), text.matches("&#34;&gt;&lt;script&gt;").count()), (0, 2), "{text}");
        env.set_formatter(|out, _, value| Ok(out.write_str(&value.to_string())?));
        let text = shown(&env);
        assert_eq!(text.matches("\"><script>alert(1)").count(), 2, "{text}");
    }

    #[test]
    fn every_template_can_be_read() {
        environment().unwrap();
    }
}
