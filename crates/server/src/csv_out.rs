//! Lines of CSV (RFC 4180) that are safe to open in a spreadsheet.

use std::borrow::Cow;

use crate::auth::Without;

/// Writes lines. A field that a spreadsheet would take for a formula gets an apostrophe in front, as OWASP advises.
#[derive(Debug, Clone, Copy)]
pub struct Csv {
    without: Without,
}

impl Csv {
    pub(crate) fn new(without: Without) -> Self {
        Self { without }
    }

    /// Appends one line.
    pub fn row(self, out: &mut Vec<u8>, fields: &[&str]) {
        let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(out);
        for field in fields {
            let field = if self.without == Without::Apostrophe { Cow::from(*field) } else { neutral(field) };
            // Writing to memory cannot fail.
            let _ = writer.write_field(&*field);
        }
        let _ = writer.write_record(None::<&[u8]>);
    }
}

/// The field as it is, or with an apostrophe where it begins like a formula.
fn neutral(field: &str) -> Cow<'_, str> {
    if field.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) { format!("'{field}").into() } else { field.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_are_text_and_quotes_are_doubled() {
        let mut out = Vec::new();
        Csv::new(Without::Nothing).row(&mut out, &["a", "=1+1", "say \"hi\", ok", "two\nlines", "@x", ""]);
        assert_eq!(String::from_utf8(out).unwrap(), "a,'=1+1,\"say \"\"hi\"\", ok\",\"two\nlines\",'@x,\r\n");
    }
}
