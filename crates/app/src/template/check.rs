//! Which templates are allowed, and which variables they use.

use minijinja::machinery::ast::{BinOpKind, Expr, Stmt, UnaryOpKind};
use minijinja::machinery::{Span, Token, parse, tokenize};
use minijinja::value::ValueKind;

/// Something that can be filled in.
#[derive(Debug, PartialEq, Eq)]
pub struct Variable {
    /// As it is written: `user.firstName`.
    pub name: &'static str,
    /// For a person who chooses one.
    pub meaning: &'static str,
}

const fn variable(name: &'static str, meaning: &'static str) -> Variable {
    Variable { name, meaning }
}

/// Everything that can be filled in.
pub const VARIABLES: [Variable; 19] = [
    variable("user.firstName", "First name"),
    variable("user.lastName", "Last name"),
    variable("user.fullName", "First and last name"),
    variable("user.email", "Address"),
    variable("user.company", "Company"),
    variable("user.jobTitle", "Job title"),
    variable("user.city", "City"),
    variable("user.state", "State"),
    variable("user.phoneNumber", "Telephone number"),
    variable("user.attendedCount", "Events attended"),
    variable("user.hostedCount", "Events hosted"),
    variable("event.title", "Title of the event"),
    variable("event.description", "Description of the event"),
    variable("event.venue", "Venue"),
    variable("event.startAt", "Begin; day and time by themselves: event.startAt | day, event.startAt | time"),
    variable("event.endAt", "End"),
    variable("event.timezone", "Time zone of the event"),
    variable("event.url", "Page of the event"),
    variable("unsubscribeUrl", "Link to unsubscribe, a different one in each mail"),
];

const FILTERS: [&str; 5] = ["default", "upper", "lower", "day", "time"];
/// Faults that are listed for one text.
const LISTED: usize = 10;
/// Longest tag, in bytes.
const TAG_MAX: usize = 500;
/// Conditions within conditions.
const DEPTH_MAX: usize = 12;

/// Variables that templates use.
#[derive(Debug, Default)]
pub(super) struct Used([bool; VARIABLES.len()]);

impl Used {
    pub(super) fn variables(&self) -> Vec<&'static Variable> {
        VARIABLES.iter().zip(self.0).filter(|(_, used)| *used).map(|(variable, _)| variable).collect()
    }
}

/// Every fault of a template, as sentences.
pub(super) fn check(source: &str, with_event: bool, used: &mut Used) -> Result<(), Vec<String>> {
    bounded(source).map_err(|fault| vec![fault])?;
    let tree = parse(source, "text", minijinja::syntax::SyntaxConfig::default()).map_err(|error| vec![super::plain(&error)])?;
    let mut checker = Checker { with_event, used, faults: Vec::new() };
    checker.statement(&tree, 0);
    if checker.faults.is_empty() { Ok(()) } else { Err(checker.faults) }
}

/// The parser follows brackets and blocks as deep as they go, so how deep that is is seen to before.
fn bounded(source: &str) -> Result<(), String> {
    let (mut begin, mut depth, mut statement) = (None, 0_usize, false);
    for token in tokenize(source, false, minijinja::syntax::SyntaxConfig::default()) {
        let (token, span) = token.map_err(|error| super::plain(&error))?;
        match token {
            Token::VariableStart => begin = Some(span),
            Token::BlockStart => (begin, statement) = (Some(span), true),
            Token::VariableEnd | Token::BlockEnd => begin = None,
            Token::Ident("if") if statement => depth += 1,
            Token::Ident("endif") if statement => depth = depth.saturating_sub(1),
            _ => {}
        }
        statement &= matches!(token, Token::BlockStart);
        if let Some(begin) = begin.filter(|begin| (span.end_offset - begin.start_offset) as usize > TAG_MAX) {
            return Err(format!("line {}: a tag has at most {TAG_MAX} bytes", begin.start_line));
        }
        if depth > DEPTH_MAX * 2 {
            return Err(format!("line {}: too many conditions within each other", span.start_line));
        }
    }
    Ok(())
}

struct Checker<'a> {
    with_event: bool,
    used: &'a mut Used,
    faults: Vec<String>,
}

impl Checker<'_> {
    fn fault(&mut self, at: Span, message: impl AsRef<str>) {
        if self.faults.len() < LISTED {
            // Some statements have no place.
            let line = if at.start_line == 0 { String::new() } else { format!("line {}: ", at.start_line) };
            self.faults.push(format!("{line}{}", message.as_ref()));
        }
    }

    fn statements(&mut self, statements: &[Stmt<'_>], depth: usize) {
        for statement in statements {
            self.statement(statement, depth);
        }
    }

    fn statement(&mut self, statement: &Stmt<'_>, depth: usize) {
        match statement {
            Stmt::Template(template) => self.statements(&template.children, depth),
            Stmt::EmitRaw(_) => {}
            Stmt::EmitExpr(emit) => self.expression(&emit.expr, 0),
            Stmt::IfCond(condition) if depth < DEPTH_MAX => {
                self.expression(&condition.expr, 0);
                self.statements(&condition.true_body, depth + 1);
                self.statements(&condition.false_body, depth + 1);
            }
            Stmt::IfCond(condition) => self.fault(condition.span(), "too many conditions within each other"),
            other => {
                let at = span_of(other);
                self.fault(at, "only {{ … }} and {% if … %} can be used here");
            }
        }
    }

    fn expression(&mut self, expression: &Expr<'_>, depth: usize) {
        let at = expression.span();
        if depth > DEPTH_MAX {
            return self.fault(at, "the condition is too long");
        }
        match expression {
            Expr::Const(value) if matches!(value.value.kind(), ValueKind::String | ValueKind::Number | ValueKind::Bool) => {}
            Expr::Var(name) => self.variable(at, name.id),
            Expr::GetAttr(attr) => match &attr.expr {
                Expr::Var(object) => self.variable(at, &format!("{}.{}", object.id, attr.name)),
                _ => self.fault(at, "a variable is written like user.firstName"),
            },
            Expr::Filter(filter) => {
                if !FILTERS.contains(&filter.name) {
                    self.fault(at, format!("there is no filter {}; there are {}", filter.name, FILTERS.join(", ")));
                }
                match &filter.expr {
                    Some(inner) => self.expression(inner, depth + 1),
                    None => self.fault(at, "a filter stands behind a variable"),
                }
                for argument in &filter.args {
                    match argument {
                        minijinja::machinery::ast::CallArg::Pos(inner) => self.expression(inner, depth + 1),
                        _ => self.fault(at, "a filter takes plain values"),
                    }
                }
            }
            Expr::UnaryOp(op) if matches!(op.op, UnaryOpKind::Not) => self.expression(&op.expr, depth + 1),
            Expr::BinOp(op)
                if matches!(
                    op.op,
                    BinOpKind::ScAnd | BinOpKind::ScOr | BinOpKind::Eq | BinOpKind::Ne | BinOpKind::Lt | BinOpKind::Lte | BinOpKind::Gt | BinOpKind::Gte
                ) =>
            {
                self.expression(&op.left, depth + 1);
                self.expression(&op.right, depth + 1);
            }
            Expr::Compare(compare) => {
                self.expression(&compare.expr, depth + 1);
                for op in &compare.ops {
                    self.expression(&op.expr, depth + 1);
                }
            }
            other => self.fault(at, format!("a {} cannot be used here", other.description())),
        }
    }

    fn variable(&mut self, at: Span, name: &str) {
        match VARIABLES.iter().position(|variable| variable.name == name) {
            Some(_) if name.starts_with("event.") && !self.with_event => {
                self.fault(at, format!("{name} needs an event: choose one for this mail"));
            }
            Some(found) => {
                if let Some(used) = self.used.0.get_mut(found) {
                    *used = true;
                }
            }
            None => {
                let shown: String = name.chars().take(60).collect();
                let near = VARIABLES.iter().find(|variable| same(variable.name, name));
                let advice = near.map_or_else(
                    || format!("there are {}", VARIABLES.map(|variable| variable.name).join(", ")),
                    |variable| format!("did you mean {}?", variable.name),
                );
                self.fault(at, format!("there is no variable {shown}; {advice}"));
            }
        }
    }
}

/// `first_name`, `firstname` and `user.FirstName` mean the same to a person.
fn same(known: &str, written: &str) -> bool {
    let fold = |text: &str| text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect::<String>();
    let (known, written) = (fold(known), fold(written));
    known == written || ["user", "event"].iter().any(|object| known.strip_prefix(object) == Some(&written))
}

fn span_of(statement: &Stmt<'_>) -> Span {
    match statement {
        Stmt::ForLoop(s) => s.span(),
        Stmt::WithBlock(s) => s.span(),
        Stmt::Set(s) => s.span(),
        Stmt::SetBlock(s) => s.span(),
        Stmt::AutoEscape(s) => s.span(),
        Stmt::FilterBlock(s) => s.span(),
        Stmt::Do(s) => s.span(),
        _ => Span::default(),
    }
}
