//! People: create, read, change, delete, list.

use emcrm_model::{EmailAddress, Page, PageRequest, Rev, Role, User, UserDraft, UserId, UserPatch};
use emcrm_search::Kind;
use emcrm_store::{CountKind, Guard, Item, Queue, Rule, Table, Transaction, Users, from_item, keys, readable, unchanged};
use serde_json::{Value, json};

use crate::app::{ATTEMPTS, back_off};
use crate::audit::Deed;
use crate::search::ListSearch;
use crate::{App, AppError, Call};

/// Which people are listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserList {
    pub page: PageRequest,
    /// Exactly this address, compared normalised.
    pub email: Option<String>,
    /// Free text.
    pub q: Option<String>,
    pub sort: Option<String>,
}

impl App {
    pub async fn user_create(&self, call: &Call, id: Option<UserId>, draft: UserDraft) -> Result<User, AppError> {
        call.require(Role::Editor)?;
        if let Some(user) = self.replayed(call).await? {
            return Ok(user);
        }
        let chosen = id.is_some();
        let id = id.unwrap_or_else(|| self.ids.random().into());
        let mut tx = Transaction::new();
        let user = self.user_insert(&mut tx, id, draft);
        if chosen {
            tx.check(Table::Main, keys::user_tombstone(&user.id)).when(Guard::Absent).or(Rule::IdTaken);
        }
        self.store.counts.add(&mut tx, CountKind::Users, user.id.as_str(), 1);
        self.reindex_later(&mut tx, &[keys::user_part(&user.id)]);
        match self.commit(call, Deed::new("user.created", keys::user_part(&user.id)), tx, user).await? {
            Ok(user) => Ok(user),
            Err(Rule::IdTaken) => Err(AppError::UserIdTaken),
            Err(Rule::EmailTaken) => Err(AppError::EmailTaken),
            Err(rule) => Err(unexpected(rule)),
        }
    }

    /// The operations that make a user, without the counter and the index task.
    pub(crate) fn user_insert(&self, tx: &mut Transaction, id: UserId, draft: UserDraft) -> User {
        let user = self.user_new(id, draft);
        self.user_put(tx, &user);
        user
    }

    pub(crate) fn user_put(&self, tx: &mut Transaction, user: &User) {
        self.store.users.put(tx, user);
        self.store.users.claim_email(tx, &user.email, &user.id);
    }

    /// A user who is not stored yet.
    pub(crate) fn user_new(&self, id: UserId, draft: UserDraft) -> User {
        let stamp = self.stamp();
        let UserDraft { first_name, last_name, email, phone_number, avatar, gender, job_title, company, city, state } = draft;
        User {
            id,
            first_name,
            last_name,
            email,
            phone_number,
            avatar,
            gender,
            job_title,
            company,
            city,
            state,
            attended_count: 0,
            hosted_count: 0,
            created_at: Some(stamp.clone()),
            updated_at: Some(stamp),
            rev: Rev(1),
        }
    }

    pub async fn user_get(&self, call: &Call, id: &UserId) -> Result<User, AppError> {
        call.require(Role::Viewer)?;
        self.store.users.get(id).await?.ok_or(AppError::UserUnknown)
    }

    /// Full replacement of what a client may set.
    pub async fn user_replace(&self, call: &Call, id: &UserId, draft: UserDraft) -> Result<User, AppError> {
        self.user_change(call, id, |_| draft.clone()).await
    }

    pub async fn user_patch(&self, call: &Call, id: &UserId, patch: UserPatch) -> Result<User, AppError> {
        self.user_change(call, id, |old| patch.clone().apply(UserDraft::of(old))).await
    }

    async fn user_change(&self, call: &Call, id: &UserId, change: impl Fn(&User) -> UserDraft) -> Result<User, AppError> {
        call.require(Role::Editor)?;
        if let Some(user) = self.replayed(call).await? {
            return Ok(user);
        }
        for attempt in 0..ATTEMPTS {
            back_off(attempt).await;
            let item = self.store.users.item(id).await?.ok_or(AppError::UserUnknown)?;
            let old: User = from_item(item.clone())?;
            let draft = change(&old);
            let (mut tx, user) = self.user_update(call, &item, old, draft);
            self.leave_claims_of_others(&mut tx, attempt, id.as_str()).await?;
            match self.commit(call, Deed::new("user.changed", keys::user_part(&user.id)), tx, user).await? {
                Ok(user) => return Ok(user),
                Err(Rule::Changed) => {}
                Err(Rule::EmailTaken) => return Err(AppError::EmailTaken),
                Err(Rule::StaleRev) => return Err(AppError::StaleRev),
                Err(Rule::UserUnknown) => return Err(AppError::UserUnknown),
                Err(rule) => return Err(unexpected(rule)),
            }
        }
        Err(AppError::Contended)
    }

    fn user_update(&self, call: &Call, item: &Item, old: User, draft: UserDraft) -> (Transaction, User) {
        let UserDraft { first_name, last_name, email, phone_number, avatar, gender, job_title, company, city, state } = draft;
        let moved = email.normalised() != old.email.normalised();
        let mut tx = Transaction::new();
        if moved {
            self.store.users.claim_email(&mut tx, &email, &old.id);
            self.store.users.release_email(&mut tx, &old.email, &old.id);
        }
        let user = User {
            first_name,
            last_name,
            email,
            phone_number,
            avatar,
            gender,
            job_title,
            company,
            city,
            state,
            updated_at: Some(self.stamp()),
            rev: Rev(old.rev.0 + 1),
            ..old
        };
        let mut op = tx.update(Table::Main, keys::user(&user.id)).when(Guard::Present).or(Rule::UserUnknown);
        if let Some(rev) = call.if_match {
            op = op.when(rev_is(rev)).or(Rule::StaleRev);
        }
        // The answer shows the counters, so they too must be as they were read.
        op.when(unchanged(item, "rev"))
            .or(Rule::Changed)
            .set("firstName", user.first_name.as_str())
            .set("lastName", user.last_name.as_str())
            .set("email", user.email.as_str())
            .set_or_remove("phoneNumber", user.phone_number.as_deref())
            .set_or_remove("avatar", user.avatar.as_deref())
            .set_or_remove("gender", user.gender.and_then(|gender| serde_json::to_value(gender).ok()))
            .set_or_remove("jobTitle", user.job_title.as_deref())
            .set_or_remove("company", user.company.as_deref())
            .set_or_remove("city", user.city.as_deref())
            .set_or_remove("state", user.state.as_deref())
            .set_or_remove("updatedAt", user.updated_at.as_deref())
            .set("rev", user.rev.0);
        self.reindex_later(&mut tx, &[keys::user_part(&user.id)]);
        (tx, user)
    }

    /// The user is gone at once and the address is free; attendances, host entries, counters and what the suppression list
    /// says of the address follow as a task.
    pub async fn user_delete(&self, call: &Call, id: &UserId) -> Result<(), AppError> {
        call.require(Role::Editor)?;
        if self.replayed::<Value>(call).await?.is_some() {
            return Ok(());
        }
        for attempt in 0..ATTEMPTS {
            back_off(attempt).await;
            let item = self.store.users.item(id).await?.ok_or(AppError::UserUnknown)?;
            let old: User = from_item(item.clone())?;
            let mut tx = Transaction::new();
            let mut op = tx.delete(Table::Main, keys::user(id)).when(Guard::Present).or(Rule::UserUnknown);
            if let Some(rev) = call.if_match {
                op = op.when(rev_is(rev)).or(Rule::StaleRev);
            }
            let _ = op.when(unchanged(&item, "email")).or(Rule::Changed);
            self.store.users.release_email(&mut tx, &old.email, id);
            tx.put(Table::Main, Item { key: keys::user_tombstone(id), attrs: json_attrs(json!({ "deletedAt": self.stamp() })) });
            self.store.counts.add(&mut tx, CountKind::Users, id.as_str(), -1);
            self.reindex_later(&mut tx, &[keys::user_part(id)]);
            let gone = json!({ "user": id.as_str(), "email": old.email.as_str() });
            self.store.tasks.put(&mut tx, Queue::Default, &keys::user_part(id), "user_gone", gone, self.now_ms());
            self.leave_claims_of_others(&mut tx, attempt, id.as_str()).await?;
            match self.commit(call, Deed::new("user.deleted", keys::user_part(id)), tx, json!({ "deleted": id.as_str() })).await? {
                Ok(_) => return Ok(()),
                Err(Rule::Changed) => {}
                Err(Rule::UserUnknown) => return Err(AppError::UserUnknown),
                Err(Rule::StaleRev) => return Err(AppError::StaleRev),
                Err(rule) => return Err(unexpected(rule)),
            }
        }
        Err(AppError::Contended)
    }

    pub async fn user_list(&self, call: &Call, list: UserList) -> Result<Page<User>, AppError> {
        call.require(Role::Viewer)?;
        if let Some(email) = &list.email {
            let found = match EmailAddress::parse(email) {
                Ok(address) => self.store.users.by_email(&address).await?,
                Err(_) => None,
            };
            let items: Vec<User> = found.into_iter().collect();
            return Ok(Page { total: items.len() as u64, items, page: 1, size: list.page.size, next: None });
        }
        if list.q.is_none() && list.sort.is_none() {
            let total = self.store.counts.total(CountKind::Users).await?;
            return self.page("users", Users::list(), &list.page, total, from_item).await;
        }
        let search = ListSearch { kind: Kind::User, all: Vec::new(), q: list.q, sort: list.sort };
        let found = self.list_search(search, &list.page).await?;
        let ids: Vec<UserId> = found.items.iter().map(|id| UserId::from(id.clone())).collect();
        let users = self.store.users.get_many(&ids).await?;
        Ok(Page { items: users.into_iter().flatten().collect(), total: found.total, page: found.page, size: found.size, next: found.next })
    }

    /// The list by the names that older clients know.
    pub async fn user_list_after(&self, call: &Call, limit: u32, last_evaluated_key: Option<String>) -> Result<(Vec<User>, Option<String>), AppError> {
        call.require(Role::Viewer)?;
        let after = last_evaluated_key.map(|cursor| self.open_position("users", &cursor)).transpose()?;
        let rows = self.store.engine.query(Users::list().after(after).limit(limit)).await?;
        let next = rows.next.map(|key| self.seal_position("users", key));
        Ok((readable(rows.items, from_item)?, next))
    }
}

pub(crate) fn rev_is(rev: Rev) -> Guard {
    if rev.0 == 0 { Guard::Missing("rev".to_owned()) } else { Guard::equals("rev", rev.0) }
}

pub(crate) fn json_attrs(value: Value) -> emcrm_store::Attrs {
    match value {
        Value::Object(attrs) => attrs,
        _ => emcrm_store::Attrs::new(),
    }
}

pub(crate) fn unexpected(rule: Rule) -> AppError {
    AppError::Internal(format!("a transaction was refused by an unexpected rule: {rule:?}"))
}
