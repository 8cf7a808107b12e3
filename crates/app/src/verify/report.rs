//! What can be found, and what is said about it.

use std::collections::BTreeMap;

use serde::Serialize;

/// Findings that a report lists; the rest is only counted.
const LISTED: usize = 1_000;

/// The outcome of one run.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct VerifyReport {
    pub counted: Counted,
    /// Number of findings of each kind.
    pub found: BTreeMap<FindingKind, u64>,
    /// Findings that a repair has mended.
    pub repaired: u64,
    /// The first 1,000 findings, before all others those that a person has to decide.
    pub findings: Vec<Finding>,
    /// What is not wrong, but worth knowing.
    pub notes: Vec<Note>,
}

/// How much was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Counted {
    pub users: u64,
    pub events: u64,
    pub attendances: u64,
    pub campaigns: u64,
    pub deliveries: u64,
    /// Documents of the index.
    pub documents: u64,
    pub audit_entries: u64,
}

/// One thing that is not as it must be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub kind: FindingKind,
    /// Key of the item, `user#…`, or name of the document.
    pub place: String,
    /// What is stored, and what it should be.
    pub detail: String,
    pub repair: Repair,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Repair {
    /// `repair` was not asked for.
    NotAsked,
    Done,
    /// There is no single right value: a person has to decide.
    NotPossible,
    /// Somebody changed the object before the repair; verify again.
    Overtaken,
}

/// Names are stable: scripts read them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingKind {
    /// An item that cannot be read.
    Unreadable,
    UserTotal,
    EventTotal,
    CampaignTotal,
    /// The total of the suppression list, or of the mail templates, differs from a recount.
    MailListTotal,
    /// A user's address is not claimed: somebody else could take it.
    EmailClaimMissing,
    /// A user's address is claimed in the name of somebody who does not have it.
    EmailClaimWrong,
    /// Two users have one address.
    EmailShared,
    /// A claim on an address that nobody has: nobody can take it.
    EmailClaimLeft,
    SlugClaimMissing,
    SlugClaimWrong,
    SlugShared,
    AttendedCount,
    HostedCount,
    AttendeeCount,
    OverCapacity,
    /// An attendance of a user who does not exist, and no clean-up is under way.
    AttendanceWithoutUser,
    AttendanceWithoutEvent,
    /// An event names a host who does not exist, and no clean-up is under way.
    HostWithoutUser,
    /// A host's row is missing: a deletion of the host would not find the event.
    HostRowMissing,
    /// A row says that somebody hosts an event, the event does not.
    HostRowLeft,
    /// The mark of a deletion stands on an object that exists.
    TombstoneLeft,
    /// Counts of a campaign differ from its ledger.
    DeliveryCounts,
    /// Rows that wait or are in hand, in a campaign that has ended.
    DeliveryUnsettled,
    /// Two rows of one ledger were sent to one address.
    AddressMailedTwice,
    /// A campaign that should go on has no task.
    CampaignStuck,
    /// A task was given up.
    DeadTask,
    DocumentMissing,
    /// A document of something that does not exist.
    DocumentLeft,
    /// A document that was made from an older state.
    DocumentStale,
    /// Tasks of the index do not get done.
    IndexBehind,
    /// The audit trail is not what was written.
    AuditChain,
}

impl FindingKind {
    /// As in JSON.
    pub fn as_str(self) -> String {
        serde_json::to_value(self).ok().and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default()
    }
}

/// Something that is worth knowing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Note {
    pub kind: NoteKind,
    pub count: u64,
    pub place: String,
    pub detail: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NoteKind {
    /// Deliveries whose answer was lost. They may have arrived; only a person has them sent again.
    UnknownDeliveries,
    /// Deliveries in hand. Without a running worker they become `unknown` when the next one starts.
    SendingDeliveries,
    /// Tasks that wait for their time.
    TasksWaiting,
    /// Others changed what was being counted.
    ChangedMeanwhile,
}

impl VerifyReport {
    pub(super) fn add(&mut self, finding: Finding) {
        *self.found.entry(finding.kind).or_default() += 1;
        self.repaired += u64::from(finding.repair == Repair::Done);
        if self.findings.len() >= LISTED {
            // What a person has to decide must not be lost among what mends itself.
            let mendable = self.findings.iter().rposition(|listed| listed.repair != Repair::NotPossible);
            let Some(mendable) = mendable.filter(|_| finding.repair == Repair::NotPossible) else { return };
            self.findings.remove(mendable);
        }
        self.findings.push(finding);
    }

    /// Drops findings of a kind that the caller reports itself. None of them can be mended.
    pub(crate) fn forget(&mut self, kind: FindingKind) {
        self.found.remove(&kind);
        self.findings.retain(|finding| finding.kind != kind);
    }

    /// Number of findings, also of those that are not listed.
    pub fn total(&self) -> u64 {
        self.found.values().sum()
    }

    pub fn is_clean(&self) -> bool {
        self.found.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_person_decides_is_listed_before_what_mends_itself() {
        let mut report = VerifyReport::default();
        let finding = |kind, n: usize, repair| Finding { kind, place: n.to_string(), detail: String::new(), repair };
        for n in 0..LISTED + 5 {
            report.add(finding(FindingKind::EmailClaimMissing, n, Repair::Done));
        }
        for n in 0..3 {
            report.add(finding(FindingKind::EmailShared, n, Repair::NotPossible));
        }
        let shared = report.findings.iter().filter(|finding| finding.kind == FindingKind::EmailShared).count();
        assert_eq!((report.findings.len(), shared, report.total()), (LISTED, 3, LISTED as u64 + 8));
        report.forget(FindingKind::EmailShared);
        assert_eq!((report.findings.len(), report.total()), (LISTED - 3, LISTED as u64 + 5));
    }
}
