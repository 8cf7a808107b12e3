//! The chain of the audit trail: recomputed from its beginning. Nothing in it can be mended; what does not fit was tampered with, or written under another key.

use super::{Check, FindingKind, Repair};
use crate::{AppError, ChainFault};

impl Check<'_> {
    pub(super) async fn audit(&mut self) -> Result<(), AppError> {
        while self.app.audit_chain().await? > 0 {}
        let (mut entries, mut faults) = self.app.audit_check().await?;
        if self.repair && faults.iter().any(|fault| matches!(fault, ChainFault::Mark)) {
            // A person says that the key is to be this one.
            while self.app.audit_chain_anew().await? > 0 {}
            (entries, faults) = self.app.audit_check().await?;
        }
        self.report.counted.audit_entries = entries;
        (self.progress)("entries of the audit trail", entries);
        for fault in faults {
            let (place, detail) = in_words(&fault);
            self.found(FindingKind::AuditChain, place, detail, Repair::NotPossible);
        }
        Ok(())
    }
}

/// Where, and what.
fn in_words(fault: &ChainFault) -> (String, String) {
    let entry = |seq: &u64| format!("audit_log#{seq}");
    let detail = |text: &str| text.to_owned();
    match fault {
        ChainFault::Missing(seq) => (entry(seq), detail("there is no entry at this place of the audit trail")),
        ChainFault::Changed(seq) => (entry(seq), detail("this entry is not what was written, or it was written under another APP_SECRET_KEY")),
        ChainFault::End { found, said } => (entry(said), format!("the audit trail ends at {found}, but its end says {said}")),
        ChainFault::Mark => (
            detail("audit_sealed"),
            detail("the mark that the audit trail is sealed is missing or not what was written, or it was written under another APP_SECRET_KEY"),
        ),
        ChainFault::Beginning(seq) => (
            detail("audit_anchor"),
            format!(
                "what says that the audit trail begins behind {seq} has no seal that fits: entries before that may have been taken out, or APP_SECRET_KEY is another"
            ),
        ),
        ChainFault::Ending(seq) => (
            detail("audit_head"),
            format!(
                "what says that the audit trail ends at {seq} has no seal that fits: entries after that may have been taken out, or APP_SECRET_KEY is another"
            ),
        ),
        ChainFault::NotOurs(seq) => (entry(seq), detail("this entry says that the audit trail was not as this program had left it; its note says where")),
        ChainFault::LaidAside(key) => (
            format!("{} / {}", key.pk, key.sk),
            detail("this lay among the new entries of the audit trail and was not noted by this program, or under another APP_SECRET_KEY; it is in no chain"),
        ),
    }
}
