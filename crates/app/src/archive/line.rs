//! One item as a line, and back.

use emcrm_store::{Item, Key, Table};
use serde_json::{Map, Number, Value};

pub fn table_name(table: Table) -> &'static str {
    match table {
        Table::Main => "main",
        Table::Email => "email",
    }
}

/// Tables in the order of the archive.
pub const TABLES: [Table; 2] = [Table::Main, Table::Email];

/// Without the line's end.
pub fn of(table: Table, item: Item) -> String {
    let Item { key, attrs } = item;
    let line: Map<String, Value> = [
        ("t".to_owned(), table_name(table).into()),
        ("p".to_owned(), key.pk.into()),
        ("s".to_owned(), key.sk.into()),
        ("a".to_owned(), canonical(Value::Object(attrs))),
    ]
    .into_iter()
    .collect();
    Value::Object(line).to_string()
}

/// Members in order, and whole numbers without a fraction: what counts the same is written the same.
fn canonical(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut map: Map<String, Value> = map.into_iter().map(|(name, value)| (name, canonical(value))).collect();
            map.sort_keys();
            Value::Object(map)
        }
        Value::Array(entries) => Value::Array(entries.into_iter().map(canonical).collect()),
        Value::Number(number) => Value::Number(whole(&number).unwrap_or(number)),
        other => other,
    }
}

/// The number as it is written without a fraction and without a power of ten, where that fits. By its digits, because that is how other engines keep it: a
/// double of many digits stands for the shortest number that names it.
fn whole(number: &Number) -> Option<Number> {
    let double = number.as_f64().filter(|double| number.is_f64() && double.fract() == 0.0)?;
    // `+ 0.0`: zero has no sign here.
    let digits = format!("{}", double + 0.0);
    digits.parse::<i64>().map(Number::from).or_else(|_| digits.parse::<u64>().map(Number::from)).ok()
}

/// None: not a line of an item.
pub fn parse(line: &str) -> Option<(Table, Item)> {
    let Value::Object(mut line) = serde_json::from_str(line).ok()? else { return None };
    let table = match line.get("t")?.as_str()? {
        "main" => Table::Main,
        "email" => Table::Email,
        _ => return None,
    };
    let key = Key::new(line.get("p")?.as_str()?, line.get("s")?.as_str()?);
    let Some(Value::Object(attrs)) = line.remove("a") else { return None };
    Some((table, Item { key, attrs }))
}
