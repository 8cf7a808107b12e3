//! The tables of `emcrm.db`, for people too: `sqlite3 emcrm.db "SELECT pk, item FROM main_items LIMIT 3"`.

use rusqlite::{Connection, TransactionBehavior};

use crate::engine::{IndexName, Table};

/// "EMCR": marks the file as ours (`PRAGMA application_id`).
pub const APPLICATION_ID: i32 = 0x454D_4352;
/// The layout that this version writes (`PRAGMA user_version`): the number of [`MIGRATIONS`].
pub const SCHEMA_VERSION: i32 = MIGRATIONS.len() as i32;

/// Step `n` leads from version `n` to `n + 1`. A step that was released never changes.
///
/// Columns compare as UTF-8 bytes. `type`, `email`, `slug` and `expires` repeat attributes of `item`, for the indexes.
const MIGRATIONS: [&str; 2] = [
    "
CREATE TABLE main_items (
    pk TEXT NOT NULL, sk TEXT NOT NULL, type TEXT, email TEXT, slug TEXT, expires INTEGER, item TEXT NOT NULL,
    PRIMARY KEY (pk, sk)
) WITHOUT ROWID;
CREATE INDEX main_type ON main_items (type, pk, sk) WHERE type IS NOT NULL;
CREATE INDEX main_sk ON main_items (sk, pk);
CREATE INDEX main_email ON main_items (email, pk, sk) WHERE email IS NOT NULL;
CREATE INDEX main_slug ON main_items (slug, pk, sk) WHERE slug IS NOT NULL;
CREATE INDEX main_expires ON main_items (expires) WHERE expires IS NOT NULL;
CREATE TABLE email_items (
    pk TEXT NOT NULL, sk TEXT NOT NULL, type TEXT, email TEXT, slug TEXT, expires INTEGER, item TEXT NOT NULL,
    PRIMARY KEY (pk, sk)
) WITHOUT ROWID;
CREATE INDEX email_type ON email_items (type, pk, sk) WHERE type IS NOT NULL;
CREATE INDEX email_user ON email_items (sk, pk);
CREATE INDEX email_email ON email_items (email, pk, sk) WHERE email IS NOT NULL;
CREATE INDEX email_expires ON email_items (expires) WHERE expires IS NOT NULL;
",
    // The tables stay; the body of a campaign has an item of its own, which earlier programs would miss.
    "",
];

/// Brings the tables from a version to this one, all steps or none.
pub fn migrate(connection: &mut Connection, from: i32) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for step in MIGRATIONS.iter().skip(usize::try_from(from).unwrap_or_default()) {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
    transaction.commit()
}

pub fn table_name(table: Table) -> &'static str {
    match table {
        Table::Main => "main_items",
        Table::Email => "email_items",
    }
}

/// The column that holds the partition key of the table or of its index.
pub fn partition_column(index: Option<IndexName>) -> &'static str {
    match index {
        None => "pk",
        Some(IndexName::Type) => "type",
        Some(IndexName::Sk | IndexName::User) => "sk",
        Some(IndexName::Email) => "email",
        Some(IndexName::Slug) => "slug",
    }
}
