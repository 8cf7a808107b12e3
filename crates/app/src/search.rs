//! Finding people and values.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use emcrm_model::{FieldErrors, Page, PageRequest, Position, Role, User, UserFilter, UserId, fold};
use emcrm_search::{After, Condition, Conditions, Field, FieldType, Kind, SearchRequest, Sort, WINDOW_MAX, conditions_of};
use sha2::{Digest, Sha256};

use crate::{App, AppError, Call};

/// A search for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserSearch {
    pub filter: UserFilter,
    /// Free text: for looking, never for choosing who gets mail.
    pub q: Option<String>,
    pub sort: Option<String>,
    /// Fields whose most frequent values among the matches are wanted.
    pub facets: Vec<String>,
    pub position: SearchPosition,
    /// 1..=100.
    pub size: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SearchPosition {
    /// Page number, from 0.
    Page(u32),
    Cursor(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserSearchPage {
    pub users: Vec<User>,
    /// Exact number of matches.
    pub total: u64,
    pub next: Option<String>,
    pub facets: Vec<(String, Vec<FacetValue>)>,
}

/// A value, as somebody typed it, and how many have it (compared folded).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FacetValue {
    pub value: String,
    pub count: u64,
}

/// A list that the index answers.
pub(crate) struct ListSearch {
    pub kind: Kind,
    pub all: Vec<Condition>,
    pub q: Option<String>,
    pub sort: Option<String>,
}

const FACET_VALUES: u32 = 20;
const USER_SORTS: [Field; 9] =
    [Field::Name, Field::Email, Field::Company, Field::JobTitle, Field::City, Field::State, Field::AttendedCount, Field::HostedCount, Field::CreatedAt];
const EVENT_SORTS: [Field; 4] = [Field::StartAt, Field::EndAt, Field::Title, Field::CreatedAt];
const FACETS: [Field; 4] = [Field::Company, Field::JobTitle, Field::City, Field::State];

impl App {
    pub async fn user_search(&self, call: &Call, search: UserSearch) -> Result<UserSearchPage, AppError> {
        call.require(Role::Viewer)?;
        let UserSearch { filter, q, sort, facets, position, size } = search;
        let fields = facets.iter().map(|name| facet_field(name)).collect::<Result<Vec<Field>, AppError>>()?;
        let sort = parse_sort(sort.as_deref(), &USER_SORTS)?;
        let conditions = Conditions { text: q.filter(|q| !q.trim().is_empty()), ..conditions_of(&filter) };
        let rows = async {
            let (ids, total, next, _) = self.index_page(Kind::User, conditions.clone(), sort, position, size).await?;
            let ids: Vec<UserId> = ids.into_iter().map(UserId::from).collect();
            let users = self.store.users.get_many(&ids).await?.into_iter().flatten().collect();
            Ok::<_, AppError>((users, total, next))
        };
        // Each of them looks at every match: side by side they take as long as the slowest.
        let facets = fields.into_iter().map(|field| self.facet_named(&conditions, field));
        let ((users, total, next), found) = tokio::try_join!(rows, futures::future::try_join_all(facets))?;
        Ok(UserSearchPage { users, total, next, facets: found })
    }

    /// The next people who match, in the order of their ids, for whoever reads all of them. `after` is what the call before gave back.
    pub async fn user_walk(&self, call: &Call, filter: &UserFilter, q: Option<&str>, after: Option<String>) -> Result<(Vec<User>, Option<String>), AppError> {
        const AT_ONCE: u32 = 500;
        call.require(Role::Viewer)?;
        let text = q.map(str::trim).filter(|q| !q.is_empty()).map(str::to_owned);
        if text.is_none() && filter.is_empty() {
            return self.user_list_after(call, AT_ONCE, after).await;
        }
        if after.is_none() {
            self.index_is_whole().await?;
        }
        let ids = self.index.walk(Kind::User, Conditions { text, ..conditions_of(filter) }, after, AT_ONCE).await?;
        let next = (ids.len() == AT_ONCE as usize).then(|| ids.last().cloned()).flatten();
        let ids: Vec<UserId> = ids.into_iter().map(UserId::from).collect();
        // The index may be a moment behind: what is handed out matches as it is stored.
        let users = self.store.users.get_many(&ids).await?.into_iter().flatten().filter(|user| filter.matches(user)).collect();
        Ok((users, next))
    }

    /// The most frequent values of a field among all people, by prefix.
    pub async fn facet_values(&self, call: &Call, field: &str, prefix: &str, limit: u32) -> Result<Vec<FacetValue>, AppError> {
        call.require(Role::Viewer)?;
        self.facet(Conditions::default(), facet_field(field)?, prefix, limit.clamp(1, 100)).await
    }

    async fn facet_named(&self, conditions: &Conditions, field: Field) -> Result<(String, Vec<FacetValue>), AppError> {
        Ok((field.as_str().to_owned(), self.facet(conditions.clone(), field, "", FACET_VALUES).await?))
    }

    async fn facet(&self, conditions: Conditions, field: Field, prefix: &str, limit: u32) -> Result<Vec<FacetValue>, AppError> {
        self.index_is_whole().await?;
        let counted = self.index.facets(Kind::User, conditions.clone(), field, prefix.to_owned(), limit).await?;
        // The index knows folded values; one user who has the value tells how people write it.
        let values = counted.iter().map(|(value, _)| value.clone()).collect();
        let ones = self.index.one_of_each(Kind::User, conditions, field, values).await?;
        let ids: Vec<UserId> = ones.into_iter().map(|one| UserId::from(one.unwrap_or_else(|| "-".to_owned()))).collect();
        let users = self.store.users.get_many(&ids).await?;
        let typed = |user: &User| match field {
            Field::Company => user.company.clone(),
            Field::JobTitle => user.job_title.clone(),
            Field::City => user.city.clone(),
            Field::State => user.state.clone(),
            _ => None,
        };
        Ok(counted
            .into_iter()
            .zip(users)
            .map(|((value, count), user)| FacetValue { value: user.as_ref().and_then(typed).filter(|typed| fold(typed) == value).unwrap_or(value), count })
            .collect())
    }

    /// A numbered or cursor page of a list.
    pub(crate) async fn list_search(&self, search: ListSearch, page: &PageRequest) -> Result<Page<String>, AppError> {
        let sorts: &[Field] = if search.kind == Kind::User { &USER_SORTS } else { &EVENT_SORTS };
        let sort = parse_sort(search.sort.as_deref(), sorts)?;
        let conditions = Conditions { all: search.all, text: search.q.filter(|q| !q.trim().is_empty()) };
        let position = match &page.position {
            Position::Number(number) => SearchPosition::Page(number.saturating_sub(1)),
            Position::Cursor(cursor) => SearchPosition::Cursor(cursor.clone()),
        };
        let (items, total, next, number) = self.index_page(search.kind, conditions, sort, position, page.size).await?;
        Ok(Page { items, total, page: number, size: page.size, next })
    }

    async fn index_page(
        &self,
        kind: Kind,
        conditions: Conditions,
        sort: Option<Sort>,
        position: SearchPosition,
        size: u32,
    ) -> Result<(Vec<String>, u64, Option<String>, u32), AppError> {
        // A cursor goes on with the search that gave it out, not with another.
        let digest = Sha256::digest(format!("{kind:?}{conditions:?}{sort:?}").as_bytes());
        let list = format!("search/{}", URL_SAFE_NO_PAD.encode(digest.get(..12).unwrap_or_default()));
        let (offset, after, number) = match position {
            SearchPosition::Page(page) => {
                let offset = u64::from(page) * u64::from(size);
                if offset + u64::from(size) > u64::from(WINDOW_MAX) {
                    return Err(AppError::TooDeep);
                }
                (offset as u32, None, page + 1)
            }
            SearchPosition::Cursor(cursor) => (0, Some(self.cursors.open::<After>(&list, &cursor)?), 1),
        };
        self.index_is_whole().await?;
        let found = self.index.search(SearchRequest { kind, conditions, sort, offset, limit: size, after }).await?;
        let next = found.next.map(|after| self.cursors.seal(&list, &after));
        Ok((found.ids, found.total, next, number))
    }
}

fn facet_field(name: &str) -> Result<Field, AppError> {
    let field = Field::parse(name).filter(|field| FACETS.contains(field) && field.field_type() == FieldType::Exact);
    field.ok_or_else(|| FieldErrors::one("field", "enum", "must be one of: company, jobTitle, city, state").into())
}

/// `name` ascending, `-name` descending.
fn parse_sort(text: Option<&str>, allowed: &[Field]) -> Result<Option<Sort>, AppError> {
    let Some(text) = text.map(str::trim).filter(|text| !text.is_empty()) else { return Ok(None) };
    let (name, descending) = text.strip_prefix('-').map_or((text, false), |name| (name, true));
    if let Some(field) = Field::parse(name).filter(|field| allowed.contains(field)) {
        Ok(Some(Sort { field, descending }))
    } else {
        let names: Vec<&str> = allowed.iter().map(|field| field.as_str()).collect();
        Err(FieldErrors::one("sort", "enum", format!("must be one of: {}, each also with '-' before it", names.join(", "))).into())
    }
}
