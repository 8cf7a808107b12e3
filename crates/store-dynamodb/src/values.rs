//! JSON values as attribute values and back.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use emcrm_store::engine::{Attrs, EngineError, Item, Key};
use serde_json::{Map, Number, Value};

pub const PK: &str = "PK";
pub const SK: &str = "SK";

pub type Stored = HashMap<String, AttributeValue>;

/// Largest magnitude of a number, and smallest but zero (AWS, "Supported data types": 38 digits, 1E-130 to 9.99…E+125).
const NUMBER_MAX: f64 = 1e125;
const NUMBER_MIN: f64 = 1e-130;

pub fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

pub fn key(key: &Key) -> Stored {
    HashMap::from([(PK.to_owned(), text(&key.pk)), (SK.to_owned(), text(&key.sk))])
}

pub fn stored(key_of: &Key, attrs: &Attrs) -> Result<Stored, EngineError> {
    let mut stored = key(key_of);
    for (name, value) in attrs {
        stored.insert(name.clone(), attribute(value)?);
    }
    Ok(stored)
}

pub fn attribute(value: &Value) -> Result<AttributeValue, EngineError> {
    Ok(match value {
        Value::Null => AttributeValue::Null(true),
        Value::Bool(value) => AttributeValue::Bool(*value),
        Value::Number(number) => AttributeValue::N(number_text(number)?),
        Value::String(value) => text(value),
        Value::Array(entries) => AttributeValue::L(entries.iter().map(attribute).collect::<Result<_, _>>()?),
        Value::Object(map) => AttributeValue::M(map.iter().map(|(name, value)| Ok((name.clone(), attribute(value)?))).collect::<Result<_, EngineError>>()?),
    })
}

fn number_text(number: &Number) -> Result<String, EngineError> {
    if let Some(double) = number.as_f64().filter(|_| number.is_f64())
        && double != 0.0
        && !(NUMBER_MIN..=NUMBER_MAX).contains(&double.abs())
    {
        return Err(EngineError::Limit(format!("the number {number} is out of the range that can be stored")));
    }
    Ok(number.to_string())
}

/// The item, without what other services may have written as null.
pub fn item(stored: Stored) -> Result<Item, EngineError> {
    let mut key = Key::new("", "");
    let mut attrs = Attrs::with_capacity(stored.len());
    for (name, attribute) in stored {
        match (name.as_str(), attribute) {
            (PK, AttributeValue::S(pk)) => key.pk = pk,
            (SK, AttributeValue::S(sk)) => key.sk = sk,
            (_, AttributeValue::Null(_)) => {}
            (_, attribute) => drop(attrs.insert(name, value(attribute)?)),
        }
    }
    if key.pk.is_empty() || key.sk.is_empty() {
        return Err(EngineError::Corrupt("an item without the keys PK and SK".to_owned()));
    }
    // The order of attributes is nobody's; a fixed one makes equal items equal bytes.
    attrs.sort_keys();
    Ok(Item { key, attrs })
}

/// Only the attributes, as guards look at them.
pub fn attrs(stored: Stored) -> Result<Attrs, EngineError> {
    item(stored).map(|item| item.attrs)
}

fn value(attribute: AttributeValue) -> Result<Value, EngineError> {
    Ok(match attribute {
        AttributeValue::S(text) => Value::String(text),
        AttributeValue::N(text) => Value::Number(number(&text)?),
        AttributeValue::Bool(value) => Value::Bool(value),
        AttributeValue::Null(_) => Value::Null,
        AttributeValue::L(entries) => Value::Array(entries.into_iter().map(value).collect::<Result<_, _>>()?),
        AttributeValue::M(map) => {
            let mut object = map.into_iter().map(|(name, attribute)| Ok((name, value(attribute)?))).collect::<Result<Map<_, _>, EngineError>>()?;
            object.sort_keys();
            Value::Object(object)
        }
        // Sets are never written here, but other services do; a list is what they mean to us.
        AttributeValue::Ss(mut texts) => {
            texts.sort_unstable();
            Value::Array(texts.into_iter().map(Value::String).collect())
        }
        AttributeValue::Ns(texts) => Value::Array(texts.iter().map(|text| number(text).map(Value::Number)).collect::<Result<_, _>>()?),
        other => return Err(EngineError::Corrupt(format!("an attribute of a type that has no meaning here: {}", type_name(&other)))),
    })
}

fn type_name(attribute: &AttributeValue) -> &'static str {
    match attribute {
        AttributeValue::B(_) => "binary",
        AttributeValue::Bs(_) => "set of binaries",
        _ => "unknown",
    }
}

fn number(text: &str) -> Result<Number, EngineError> {
    let whole = text.parse::<i64>().map(Number::from).or_else(|_| text.parse::<u64>().map(Number::from)).ok();
    whole.or_else(|| text.parse::<f64>().ok().and_then(Number::from_f64)).ok_or_else(|| EngineError::Corrupt(format!("{text:?} is not a number")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    #[test]
    fn what_others_wrote_as_null_is_missing_and_sets_are_lists() {
        let mut stored = key(&Key::single("user#1"));
        stored.insert("city".to_owned(), AttributeValue::Null(true));
        stored.insert("hosts".to_owned(), AttributeValue::Ss(vec!["b".to_owned(), "a".to_owned()]));
        stored.insert("attendedCount".to_owned(), AttributeValue::N("3".to_owned()));
        assert_eq!(Value::Object(item(stored).unwrap().attrs), json!({"attendedCount": 3, "hosts": ["a", "b"]}));
    }

    #[test]
    fn a_number_that_cannot_be_stored_is_refused_before_it_is_sent() {
        for number in [1e126, -1e200, 1e-200] {
            assert!(matches!(attribute(&json!(number)), Err(EngineError::Limit(_))), "{number}");
        }
        assert!(attribute(&json!(0.0)).is_ok());
    }

    #[test]
    fn an_item_without_keys_is_corrupt() {
        assert!(matches!(item(HashMap::new()), Err(EngineError::Corrupt(_))));
    }
}
