//! Pages of lists, as links.

use emcrm_model::{Page, PageRequest};
use serde::Serialize;

use super::href::with_query;

/// What stands under a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Paging {
    /// Number of the first row shown, from 1; none where a cursor led here, so that nobody can say.
    pub from: Option<u64>,
    pub shown: u64,
    pub total: u64,
    pub previous: Option<String>,
    pub next: Option<String>,
}

impl Paging {
    /// `by_cursor`: the page was asked for by a cursor. `kept` is what the links keep of the query string.
    pub fn of<T>(page: &Page<T>, by_cursor: bool, path: &str, kept: &[(&str, &str)]) -> Self {
        let numbered = !by_cursor && (u64::from(page.page) + 1) * u64::from(page.size) <= u64::from(PageRequest::DEEPEST);
        Self::leading(page, by_cursor, numbered, path, kept)
    }

    /// Of a list whose rows come and go while somebody reads it: it goes on after the last row that was shown, so that nothing is left out.
    pub fn walking<T>(page: &Page<T>, by_cursor: bool, path: &str, kept: &[(&str, &str)]) -> Self {
        Self::leading(page, by_cursor, false, path, kept)
    }

    fn leading<T>(page: &Page<T>, by_cursor: bool, numbered: bool, path: &str, kept: &[(&str, &str)]) -> Self {
        let (number, size) = (u64::from(page.page), u64::from(page.size));
        let link = |name: &str, value: &str| with_query(path, kept.iter().copied().chain([(name, value)]));
        let next = page.next.as_ref().map(|cursor| if numbered { link("page", &(number + 1).to_string()) } else { link("cursor", cursor) });
        let previous = match (by_cursor, number) {
            // Cursors only lead forwards.
            (true, _) | (false, 2) => Some(with_query(path, kept.iter().copied())),
            (false, 0 | 1) => None,
            (false, number) => Some(link("page", &(number - 1).to_string())),
        };
        Self { from: (!by_cursor).then(|| (number.max(1) - 1) * size + 1), shown: page.items.len() as u64, total: page.total, previous, next }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(number: u32, next: bool) -> Page<()> {
        Page { items: vec![(); 50], total: 20_000, page: number, size: 50, next: next.then(|| "c".to_owned()) }
    }

    #[test]
    fn pages_have_numbers_until_only_cursors_lead_on() {
        let of = |number, next| Paging::of(&page(number, next), false, "/x", &[("s", "a")]);
        assert_eq!((of(1, true).previous, of(1, true).next), (None, Some("/x?s=a&page=2".to_owned())));
        assert_eq!((of(2, true).previous, of(2, true).from), (Some("/x?s=a".to_owned()), Some(51)));
        assert_eq!((of(3, false).previous, of(3, false).next), (Some("/x?s=a&page=2".to_owned()), None));
        assert_eq!(of(200, true).next, Some("/x?s=a&cursor=c".to_owned()));
        let far = Paging::of(&page(1, true), true, "/x", &[("s", "a")]);
        assert_eq!((far.from, far.previous, far.next), (None, Some("/x?s=a".to_owned()), Some("/x?s=a&cursor=c".to_owned())));
        let walking = Paging::walking(&page(1, true), false, "/x", &[("s", "a")]);
        assert_eq!((walking.from, walking.previous, walking.next), (Some(1), None, Some("/x?s=a&cursor=c".to_owned())));
    }
}
