//! Mails at which the mail server ends the connection: whether that says something about the server or about one mail.

use std::collections::HashMap;

use emcrm_model::{Delivery, UserId};

/// Hang-ups at one mail, or on one connection with no mail taken between them, after which they are no accident any more.
pub(super) const HANG_UPS_MAX: u32 = 3;
/// Hang-ups of a run with no mail taken between them, on whatever connections, after which it is the server.
const IN_A_ROW_MAX: u32 = 10;
/// Stands before the server's words in a row that is put off for it. A later run knows the row by it.
const AT_THIS_MAIL: &str = "the mail server ends the connection at this mail: ";

/// What a row says that is put off because of this.
pub(super) fn words(cause: &str) -> String {
    format!("{AT_THIS_MAIL}{cause}")
}

/// Hang-ups in this run, without those whose row is known to be the cause.
#[derive(Debug, Default)]
pub(super) struct HangUps {
    rows: HashMap<UserId, Seen>,
    /// With no mail taken between them.
    in_a_row: u32,
}

#[derive(Debug)]
struct Seen {
    times: u32,
    /// Mails that the server had taken in this run when it hung up at this one first.
    taken: usize,
}

impl HangUps {
    /// One more at this row, when the server has taken so many mails in this run, and some in this campaign or none. True where the row is the cause: the server
    /// hangs up there again and again and takes the mails of others, or it did so in an earlier run.
    pub(super) fn one(&mut self, delivery: &Delivery, taken: usize, some_taken: bool) -> bool {
        let known = delivery.error.as_deref().is_some_and(|words| words.starts_with(AT_THIS_MAIL));
        if known && self.rows.len() < HANG_UPS_MAX as usize {
            return true;
        }
        let seen = self.rows.entry(delivery.user_id.clone()).or_insert(Seen { times: 0, taken });
        seen.times += 1;
        let (often, others_taken) = (seen.times >= HANG_UPS_MAX, taken > seen.taken);
        // The last row of a campaign has no others behind it.
        let only_here = some_taken && self.rows.len() == 1;
        let is_the_cause = often && (others_taken || only_here);
        if is_the_cause {
            self.rows.remove(&delivery.user_id);
        } else {
            self.in_a_row += 1;
        }
        is_the_cause
    }

    /// The server took a mail.
    pub(super) fn taken(&mut self) {
        self.in_a_row = 0;
    }

    /// Whether the last ones may still be about the mails, and not about the server.
    pub(super) fn are_few(&self) -> bool {
        self.in_a_row < IN_A_ROW_MAX
    }
}

#[cfg(test)]
mod tests {
    use emcrm_model::{CampaignId, DeliveryState};

    use super::*;

    fn row(id: &str) -> Delivery {
        Delivery {
            campaign_id: CampaignId::from("c".to_owned()),
            user_id: UserId::from(id.to_owned()),
            status: DeliveryState::Sending,
            created_at: String::new(),
            email: None,
            email_hash: None,
            attempts: 0,
            error: None,
            sent_at: None,
            worker: None,
            retry_at: None,
        }
    }

    #[test]
    fn a_row_is_the_cause_at_the_third_time_if_others_are_taken_meanwhile() {
        let mut seen = HangUps::default();
        assert!(!seen.one(&row("other"), 0, false));
        assert_eq!([0, 1, 1].map(|taken| seen.one(&row("a"), taken, true)), [false, false, true]);
        assert_eq!([5, 5, 5, 6].map(|taken| seen.one(&row("b"), taken, true)), [false, false, false, true], "nobody is taken until the last");
    }

    #[test]
    fn the_last_row_is_the_cause_if_the_server_took_the_others_before() {
        let mut seen = HangUps::default();
        assert_eq!([7; 3].map(|taken| seen.one(&row("a"), taken, true)), [false, false, true]);
        assert_eq!([0; 3].map(|taken| seen.one(&row("b"), taken, false)), [false; 3], "it never took any");
    }

    #[test]
    fn where_everybody_is_hit_no_row_is_the_cause() {
        let mut seen = HangUps::default();
        for _ in 0..10 {
            for id in ["a", "b", "c", "d"] {
                assert!(!seen.one(&row(id), 7, true));
            }
        }
        let known = Delivery { error: Some(words("reset")), ..row("known") };
        assert!(!seen.one(&known, 7, true), "not even one that was");
        assert!(!seen.are_few());
        seen.taken();
        assert!(seen.are_few());
        assert!(HangUps::default().one(&known, 0, true));
    }
}
