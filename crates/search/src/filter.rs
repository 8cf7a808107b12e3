//! A user filter as conditions of the index.

use emcrm_model::UserFilter;

use crate::{Condition, Conditions, Field};

/// The conditions that select the same users as [`UserFilter::matches`].
pub fn conditions_of(filter: &UserFilter) -> Conditions {
    let mut all = Vec::new();
    for (field, values) in [(Field::Company, &filter.company), (Field::JobTitle, &filter.job_title), (Field::City, &filter.city), (Field::State, &filter.state)]
    {
        if !values.is_empty() {
            all.push(Condition::AnyOf(field, values.clone()));
        }
    }
    for (field, min, max) in [(Field::AttendedCount, filter.min_attended, filter.max_attended), (Field::HostedCount, filter.min_hosted, filter.max_hosted)] {
        if min.is_some() || max.is_some() {
            all.push(Condition::Between(field, min, max));
        }
    }
    Conditions { all, text: None }
}
