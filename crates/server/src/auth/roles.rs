//! What the groups of the issuer may do here.

use emcrm_model::{Grant, Role};

/// Groups and their roles.
#[derive(Debug, Clone, Default)]
pub struct Roles {
    /// Empty: a group has the role of its name.
    pub groups: Vec<(String, Grant)>,
    /// Of those who are in no group that has one.
    pub default: Option<Role>,
}

impl Roles {
    /// The most that somebody in these groups may do. A role outweighs a narrow grant.
    pub fn of(&self, groups: &[String]) -> Option<Grant> {
        let grants = groups.iter().filter_map(|group| {
            if self.groups.is_empty() {
                return Role::parse(group).map(Grant::Role);
            }
            self.groups.iter().find(|(name, _)| name == group).map(|(_, grant)| grant.clone())
        });
        let default = self.default.map(Grant::Role);
        // The first of equals, so that the order of the groups decides between two doors.
        grants.chain(default).fold(None, |best: Option<Grant>, grant| match &best {
            Some(have) if have.role() >= grant.role() => best,
            _ => Some(grant),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(roles: &Roles, groups: &[&str]) -> Option<String> {
        roles.of(&groups.iter().map(|group| (*group).to_owned()).collect::<Vec<_>>()).map(|grant| grant.to_string())
    }

    #[test]
    fn the_highest_role_of_all_groups_counts() {
        let staff = Grant::parse("editor").unwrap();
        let roles = Roles {
            groups: vec![("staff".into(), staff), ("boss".into(), Grant::parse("admin").unwrap()), ("door".into(), Grant::parse("checkin:tea").unwrap())],
            default: None,
        };
        assert_eq!(of(&roles, &["staff", "boss"]).as_deref(), Some("admin"));
        assert_eq!(of(&roles, &["door", "staff"]).as_deref(), Some("editor"));
        assert_eq!(of(&roles, &["door"]).as_deref(), Some("checkin:tea"));
        assert_eq!(of(&roles, &["admin", "STAFF", ""]), None, "a group that is not named means nothing, whatever it is called");
        assert_eq!(of(&Roles::default(), &["x", "sender"]).as_deref(), Some("sender"));
        let everybody = Roles { default: Some(Role::Viewer), ..Roles::default() };
        assert_eq!(of(&everybody, &[]).as_deref(), Some("viewer"));
    }
}
