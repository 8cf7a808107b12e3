//! The chain of the audit trail: recomputed from its beginning. Nothing in it can be mended; what does not fit was tampered with, or written under another key.

use super::{Check, FindingKind, Repair};
use crate::{AppError, ChainFault};

impl Check<'_> {
    pub(super) async fn audit(&mut self) -> Result<(), AppError> {
        while self.app.audit_chain().await? > 0 {}
        let (entries, faults) = self.app.audit_check().await?;
        self.report.counted.audit_entries = entries;
        (self.progress)("entries of the audit trail", entries);
        for fault in faults {
            let (place, detail) = match fault {
                ChainFault::Missing(seq) => (seq, "there is no entry at this place of the audit trail".to_owned()),
                ChainFault::Changed(seq) => (seq, "this entry is not what was written, or it was written under another APP_SECRET_KEY".to_owned()),
                ChainFault::End { found, said } => (said, format!("the audit trail ends at {found}, but its end says {said}")),
            };
            self.found(FindingKind::AuditChain, format!("audit_log#{place}"), detail, Repair::NotPossible);
        }
        Ok(())
    }
}
