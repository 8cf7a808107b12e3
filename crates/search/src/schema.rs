//! What is searchable. One list for every index, so that they answer the same.

/// What a document is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    User,
    Event,
}

impl Kind {
    pub const ALL: [Self; 2] = [Self::User, Self::Event];
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Event => "event",
        }
    }
}

/// A searchable field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Field {
    // users, exact
    Company,
    JobTitle,
    City,
    State,
    /// First and last name, for sorting.
    Name,
    /// Normalised address.
    Email,
    // users, numbers
    AttendedCount,
    HostedCount,
    // events, exact
    Title,
    Owner,
    /// Owner and hosts.
    Host,
    // events, numbers: microseconds since 1970
    StartAt,
    EndAt,
    // both, numbers: microseconds since 1970
    CreatedAt,
}

/// How a field is indexed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldType {
    /// Whole value, folded by [`emcrm_model::fold`]; sortable; has facets.
    Exact,
    /// 64-bit integer; ranges; sortable. Every document of the kind has it.
    Number,
}

impl Field {
    pub const ALL: [Self; 14] = [
        Self::Company,
        Self::JobTitle,
        Self::City,
        Self::State,
        Self::Name,
        Self::Email,
        Self::AttendedCount,
        Self::HostedCount,
        Self::Title,
        Self::Owner,
        Self::Host,
        Self::StartAt,
        Self::EndAt,
        Self::CreatedAt,
    ];

    /// Name in the index and on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Company => "company",
            Self::JobTitle => "jobTitle",
            Self::City => "city",
            Self::State => "state",
            Self::Name => "name",
            Self::Email => "email",
            Self::AttendedCount => "attendedCount",
            Self::HostedCount => "hostedCount",
            Self::Title => "title",
            Self::Owner => "owner",
            Self::Host => "host",
            Self::StartAt => "startAt",
            Self::EndAt => "endAt",
            Self::CreatedAt => "createdAt",
        }
    }

    pub fn field_type(self) -> FieldType {
        match self {
            Self::Company | Self::JobTitle | Self::City | Self::State | Self::Name | Self::Email | Self::Title | Self::Owner | Self::Host => FieldType::Exact,
            Self::AttendedCount | Self::HostedCount | Self::StartAt | Self::EndAt | Self::CreatedAt => FieldType::Number,
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|field| field.as_str() == text)
    }
}
