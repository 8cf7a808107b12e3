//! The fields of the index, and a document as tantivy takes it.

use std::collections::BTreeSet;

use emcrm_model::fold;
use tantivy::schema::{Field as Column, IndexRecordOption, NumericOptions, Schema, TextFieldIndexing, TextOptions};
use tantivy::{TantivyDocument, Term};

use crate::words::{beginnings, words};
use crate::{Doc, Field, FieldType, SearchError};

/// Raise it when the fields or the meaning of their values change: an index of another version is made anew.
pub const SCHEMA_VERSION: u32 = 2;

/// The name of the column that holds the id.
pub const ID: &str = "id";
/// The name of the column that holds [`Doc::digest`].
pub const DIGEST: &str = "digest";

/// Both kinds have all fields; a field that a kind does not use costs nothing.
#[derive(Debug, Clone)]
pub struct Columns {
    pub schema: Schema,
    pub id: Column,
    pub digest: Column,
    /// Words of the free text.
    pub words: Column,
    /// Beginnings of the words, up to [`crate::words::SHORT_MAX`] characters.
    pub beginnings: Column,
    fields: Vec<(Field, Column)>,
}

impl Columns {
    pub fn new() -> Self {
        let mut builder = Schema::builder();
        let indexed = |tokenizer| {
            TextOptions::default()
                .set_indexing_options(TextFieldIndexing::default().set_tokenizer(tokenizer).set_index_option(IndexRecordOption::Basic).set_fieldnorms(false))
        };
        let id = builder.add_text_field(ID, indexed("raw").set_fast("raw"));
        let digest = builder.add_u64_field(DIGEST, NumericOptions::default().set_fast());
        let words = builder.add_text_field("words", indexed("whitespace"));
        let beginnings = builder.add_text_field("beginnings", indexed("whitespace"));
        let fields = Field::ALL
            .into_iter()
            .map(|field| {
                let column = match field.field_type() {
                    FieldType::Exact => builder.add_text_field(field.as_str(), indexed("raw").set_fast("raw")),
                    FieldType::Number => builder.add_i64_field(field.as_str(), NumericOptions::default().set_fast()),
                };
                (field, column)
            })
            .collect();
        Self { schema: builder.build(), id, digest, words, beginnings, fields }
    }

    pub fn of(&self, field: Field) -> Result<Column, SearchError> {
        let found = self.fields.iter().find(|(have, _)| *have == field);
        found.map(|(_, column)| *column).ok_or_else(|| SearchError::Corrupt(format!("the index has no field {}", field.as_str())))
    }

    pub fn id_term(&self, id: &str) -> Term {
        Term::from_field_text(self.id, id)
    }

    pub fn document(&self, doc: &Doc) -> Result<TantivyDocument, SearchError> {
        let mut out = TantivyDocument::new();
        out.add_text(self.id, &doc.id);
        out.add_u64(self.digest, doc.digest());
        // A value counts once, however often it is given.
        let exact: BTreeSet<(Field, String)> = doc.exact.iter().map(|(field, value)| (*field, fold(value))).collect();
        for (field, value) in exact {
            out.add_text(self.of(field)?, value);
        }
        for (field, value) in &doc.numbers {
            out.add_i64(self.of(*field)?, *value);
        }
        let words: BTreeSet<String> = doc.text.iter().flat_map(|text| words(text)).collect();
        if !words.is_empty() {
            let short: BTreeSet<&str> = words.iter().flat_map(|word| beginnings(word)).collect();
            out.add_text(self.beginnings, short.into_iter().collect::<Vec<_>>().join(" "));
            out.add_text(self.words, words.into_iter().collect::<Vec<_>>().join(" "));
        }
        Ok(out)
    }
}
