//! What only SQLite promises; the rest is proved by [`crate::conformance`].

mod conforms;
