//! Guards and changes as DynamoDB's expressions. Every name and value is a placeholder, so no name is a reserved word and no value is code.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use emcrm_store::Rule;
use emcrm_store::engine::{Attrs, EngineError, Guard};

use crate::values::{PK, attribute, text};

/// The placeholders of one operation.
#[derive(Default)]
pub struct Expressions {
    names: Vec<String>,
    values: HashMap<String, AttributeValue>,
}

impl Expressions {
    fn name(&mut self, name: &str) -> String {
        let place = self.names.iter().position(|known| known == name).unwrap_or_else(|| {
            self.names.push(name.to_owned());
            self.names.len() - 1
        });
        format!("#n{place}")
    }

    fn value(&mut self, value: AttributeValue) -> String {
        let place = format!(":v{}", self.values.len());
        self.values.insert(place.clone(), value);
        place
    }

    fn number(&mut self, number: i64) -> String {
        self.value(AttributeValue::N(number.to_string()))
    }

    /// Names as the SDK takes them; none when there are none, which it insists on.
    pub fn names(&self) -> Option<HashMap<String, String>> {
        let names: HashMap<_, _> = self.names.iter().enumerate().map(|(place, name)| (format!("#n{place}"), name.clone())).collect();
        (!names.is_empty()).then_some(names)
    }

    pub fn values(self) -> Option<HashMap<String, AttributeValue>> {
        (!self.values.is_empty()).then_some(self.values)
    }

    /// The condition that all guards hold; none without guards.
    pub fn condition(&mut self, guards: &[(Guard, Rule)]) -> Result<Option<String>, EngineError> {
        let conditions = guards.iter().map(|(guard, _)| self.guard(guard)).collect::<Result<Vec<_>, _>>()?;
        Ok((!conditions.is_empty()).then(|| conditions.join(" AND ")))
    }

    /// A condition that always holds, where one is asked for.
    pub fn always(&mut self) -> String {
        let pk = self.name(PK);
        format!("(attribute_exists({pk}) OR attribute_not_exists({pk}))")
    }

    fn guard(&mut self, guard: &Guard) -> Result<String, EngineError> {
        Ok(match guard {
            Guard::Present => format!("attribute_exists({})", self.name(PK)),
            Guard::Absent => format!("attribute_not_exists({})", self.name(PK)),
            Guard::Equals(name, value) => format!("{} = {}", self.name(name), self.value(attribute(value)?)),
            Guard::Differs(name, value) => {
                let name = self.name(name);
                format!("(attribute_not_exists({name}) OR {name} <> {})", self.value(attribute(value)?))
            }
            // Other services write null for what is missing.
            Guard::Missing(name) => format!("(attribute_not_exists({0}) OR attribute_type({0}, {1}))", self.name(name), self.value(text("NULL"))),
            // DynamoDB refuses to compare an attribute with itself; it is below itself only where there is no limit.
            Guard::BelowAttr { count, limit } if count == limit => format!("(NOT attribute_type({}, {}))", self.name(limit), self.value(text("N"))),
            Guard::BelowAttr { count, limit } => {
                let (count, limit, number, zero) = (self.name(count), self.name(limit), self.value(text("N")), self.number(0));
                format!("((NOT attribute_type({limit}, {number})) OR {count} < {limit} OR ((NOT attribute_type({count}, {number})) AND {limit} > {zero}))")
            }
            Guard::AtMost(name, value) => self.bound(name, "<=", *value, 0 <= *value),
            Guard::AtLeast(name, value) => self.bound(name, ">=", *value, 0 >= *value),
            Guard::Any(any) if any.is_empty() => format!("(NOT {})", self.always()),
            Guard::All(all) if all.is_empty() => self.always(),
            Guard::Any(any) => self.joined(any, " OR ")?,
            Guard::All(all) => self.joined(all, " AND ")?,
        })
    }

    fn joined(&mut self, guards: &[Guard], word: &str) -> Result<String, EngineError> {
        let conditions = guards.iter().map(|guard| self.guard(guard)).collect::<Result<Vec<_>, _>>()?;
        Ok(format!("({})", conditions.join(word)))
    }

    /// A missing number counts as 0; so does what is no number.
    fn bound(&mut self, name: &str, sign: &str, bound: i64, zero_holds: bool) -> String {
        let (name, bound) = (self.name(name), self.number(bound));
        if !zero_holds {
            return format!("{name} {sign} {bound}");
        }
        format!("((NOT attribute_type({name}, {})) OR {name} {sign} {bound})", self.value(text("N")))
    }

    /// The update expression; none when nothing changes, which still makes an item that is not there.
    pub fn update(&mut self, set: &Attrs, remove: &[String], add: &[(String, i64)]) -> Result<Option<String>, EngineError> {
        let mut clauses = Vec::with_capacity(3);
        let mut clause = |word: &str, parts: Vec<String>| {
            if !parts.is_empty() {
                clauses.push(format!("{word} {}", parts.join(", ")));
            }
        };
        let set = set.iter().map(|(name, value)| Ok(format!("{} = {}", self.name(name), self.value(attribute(value)?)))).collect::<Result<_, EngineError>>()?;
        clause("SET", set);
        clause("REMOVE", remove.iter().map(|name| self.name(name)).collect());
        clause("ADD", add.iter().map(|(name, by)| format!("{} {}", self.name(name), self.number(*by))).collect());
        Ok((!clauses.is_empty()).then(|| clauses.join(" ")))
    }
}
