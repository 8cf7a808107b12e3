//! Pages of lists.

/// What part of a list is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRequest {
    pub position: Position,
    /// 1..=100.
    pub size: u32,
}

/// Where the page starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Position {
    /// Page number, from 1. `number * size` is at most [`PageRequest::DEEPEST`].
    Number(u32),
    /// The opaque, authenticated text that the page before gave as `next`.
    Cursor(String),
}

impl PageRequest {
    pub const SIZE_DEFAULT: u32 = 50;
    pub const SIZE_MAX: u32 = 100;
    /// Lists are not paged by number beyond this many rows; a cursor walks on.
    pub const DEEPEST: u32 = 10_000;

    /// The first page of the default size.
    pub fn first() -> Self {
        Self { position: Position::Number(1), size: Self::SIZE_DEFAULT }
    }
}

/// A part of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// Rows in the whole list.
    pub total: u64,
    /// Number of this page, from 1. With a cursor: 1.
    pub page: u32,
    pub size: u32,
    /// Cursor of the page after this one; none at the end.
    pub next: Option<String>,
}

impl<T> Page<T> {
    /// ceil(total / size), 0 when the list is empty.
    pub fn pages(&self) -> u64 {
        self.total.div_ceil(u64::from(self.size.max(1)))
    }

    pub fn map<U>(self, f: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(f).collect(), total: self.total, page: self.page, size: self.size, next: self.next }
    }
}
