//! A person in the CRM.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{EmailAddress, FieldErrors, Fields, Patch, Rev, UserId};

/// Stored shape; attribute names as on the wire.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct User {
    pub id: UserId,
    #[serde(default)]
    pub first_name: String,
    #[serde(default)]
    pub last_name: String,
    pub email: EmailAddress,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone_number: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub avatar: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gender: Option<Gender>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_title: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub company: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub city: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Events that the user attends. Kept by the product, never by a client.
    #[serde(default)]
    pub attended_count: i64,
    /// Events that the user owns or hosts, each event once. Kept by the product, never by a client.
    #[serde(default)]
    pub hosted_count: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<String>,
    #[serde(default)]
    pub rev: Rev,
}

impl User {
    pub fn full_name(&self) -> String {
        format!("{} {}", self.first_name, self.last_name).trim().to_owned()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Gender {
    Male,
    Female,
    /// Also what an unknown stored value reads as.
    #[serde(other)]
    Other,
}

const GENDERS: [(&str, Gender); 3] = [("male", Gender::Male), ("female", Gender::Female), ("other", Gender::Other)];

/// Everything of a user that a client may set: the body of create and of full replacement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserDraft {
    pub first_name: String,
    pub last_name: String,
    pub email: EmailAddress,
    pub phone_number: Option<String>,
    pub avatar: Option<String>,
    pub gender: Option<Gender>,
    pub job_title: Option<String>,
    pub company: Option<String>,
    pub city: Option<String>,
    pub state: Option<String>,
}

/// Limits in characters, from the HTTP contract.
pub mod limits {
    use std::ops::RangeInclusive;
    pub const FIRST_NAME: RangeInclusive<usize> = 1..=50;
    pub const LAST_NAME: RangeInclusive<usize> = 0..=50;
    pub const PHONE: RangeInclusive<usize> = 7..=20;
    pub const AVATAR: RangeInclusive<usize> = 0..=2048;
    pub const SHORT: RangeInclusive<usize> = 0..=50;
}

impl UserDraft {
    /// Reads the fields of a user; counters in the body are ignored.
    pub fn parse(body: &Value) -> Result<Self, FieldErrors> {
        let mut f = Fields::new(body)?;
        let draft = Self::read(&mut f);
        f.finish(draft)
    }

    /// Body of create: the same, and an id of the client's choice if one is given.
    pub fn parse_with_id(body: &Value) -> Result<(Option<UserId>, Self), FieldErrors> {
        let mut f = Fields::new(body)?;
        let id = f.optional_parsed("id", usize::MAX, UserId::parse);
        let draft = Self::read(&mut f);
        f.finish(draft.map(|draft| (id, draft)))
    }

    fn read(f: &mut Fields<'_>) -> Option<Self> {
        let first_name = f.text("firstName", limits::FIRST_NAME);
        let last_name = f.text("lastName", limits::LAST_NAME);
        let email = f.parsed("email", usize::MAX, EmailAddress::parse);
        let phone_number = f.optional_text("phoneNumber", limits::PHONE);
        let avatar = f.optional_text("avatar", limits::AVATAR);
        let gender = f.optional_choice("gender", &GENDERS);
        let job_title = f.optional_text("jobTitle", limits::SHORT);
        let company = f.optional_text("company", limits::SHORT);
        let city = f.optional_text("city", limits::SHORT);
        let state = f.optional_text("state", limits::SHORT);
        Some(Self { first_name: first_name?, last_name: last_name?, email: email?, phone_number, avatar, gender, job_title, company, city, state })
    }

    /// What a stored user would be replaced with.
    pub fn of(user: &User) -> Self {
        Self {
            first_name: user.first_name.clone(),
            last_name: user.last_name.clone(),
            email: user.email.clone(),
            phone_number: user.phone_number.clone(),
            avatar: user.avatar.clone(),
            gender: user.gender,
            job_title: user.job_title.clone(),
            company: user.company.clone(),
            city: user.city.clone(),
            state: user.state.clone(),
        }
    }
}

/// A merge patch of a user.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UserPatch {
    pub first_name: Option<String>,
    pub last_name: Option<String>,
    pub email: Option<EmailAddress>,
    pub phone_number: Patch<String>,
    pub avatar: Patch<String>,
    pub gender: Patch<Gender>,
    pub job_title: Patch<String>,
    pub company: Patch<String>,
    pub city: Patch<String>,
    pub state: Patch<String>,
}

impl UserPatch {
    pub fn parse(body: &Value) -> Result<Self, FieldErrors> {
        let mut f = Fields::new(body)?;
        let patch = Self {
            first_name: f.patch_required("firstName", |f| f.text("firstName", limits::FIRST_NAME)),
            last_name: f.patch_required("lastName", |f| f.text("lastName", limits::LAST_NAME)),
            email: f.patch_required("email", |f| f.parsed("email", usize::MAX, EmailAddress::parse)),
            phone_number: f.patch("phoneNumber", |f| f.optional_text("phoneNumber", limits::PHONE)),
            avatar: f.patch("avatar", |f| f.optional_text("avatar", limits::AVATAR)),
            gender: f.patch("gender", |f| f.optional_choice("gender", &GENDERS)),
            job_title: f.patch("jobTitle", |f| f.optional_text("jobTitle", limits::SHORT)),
            company: f.patch("company", |f| f.optional_text("company", limits::SHORT)),
            city: f.patch("city", |f| f.optional_text("city", limits::SHORT)),
            state: f.patch("state", |f| f.optional_text("state", limits::SHORT)),
        };
        f.finish(Some(patch))
    }

    pub fn apply(self, old: UserDraft) -> UserDraft {
        UserDraft {
            first_name: self.first_name.unwrap_or(old.first_name),
            last_name: self.last_name.unwrap_or(old.last_name),
            email: self.email.unwrap_or(old.email),
            phone_number: self.phone_number.over(old.phone_number),
            avatar: self.avatar.over(old.avatar),
            gender: self.gender.over(old.gender),
            job_title: self.job_title.over(old.job_title),
            company: self.company.over(old.company),
            city: self.city.over(old.city),
            state: self.state.over(old.state),
        }
    }
}
