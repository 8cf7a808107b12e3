//! Finding things: the index seam, its tantivy implementation, and what is searchable.
//!
//! | file | holds |
//! |---|---|
//! | `schema` | kinds and fields, the same for every index |
//! | `index` | the seam: documents, conditions, pages, rebuild |
//! | `filter` | a [`emcrm_model::UserFilter`] as conditions |
//! | `conformance` | the one suite that every index passes |
//! | `words` | what a word is to free text, the same for every index |
//! | `tantivy_index` | the embedded index |

pub mod conformance;
pub mod filter;
pub mod index;
pub mod schema;
#[cfg(not(fuzzing))]
pub mod tantivy_index;
#[cfg(not(fuzzing))]
pub mod words;

pub use filter::conditions_of;
pub use index::{After, Condition, Conditions, Doc, DocChange, Index, Rebuild, SearchError, SearchPage, SearchRequest, Sort, SortValue, WALK_MAX, WINDOW_MAX};
pub use schema::{Field, FieldType, Kind};
#[cfg(not(fuzzing))]
pub use tantivy_index::TantivyIndex;
