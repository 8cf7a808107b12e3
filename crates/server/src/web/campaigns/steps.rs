//! What a person does to a campaign. Each is a form of its own; what cannot be taken back names its count and asks.

use axum::extract::State;
use axum::http::StatusCode;
use emcrm_app::AppError;
use emcrm_model::{Campaign, CampaignId, CampaignState, DeliveryState};
use serde::Serialize;

use super::live::address;
use super::words::readable;
use crate::api::error::ApiError;
use crate::auth::{Auth, Sender};
use crate::http::Answer;
use crate::http::path::CampaignAt;
use crate::router::ApiState;
use crate::web::pages::{page as render, see_other};
use crate::web::shell::{Place, Shell, flash};
use crate::web_form::Form;

fn back(id: &CampaignId, text: &str) -> Answer {
    Ok(flash(see_other(&address(id))?, text, None))
}

/// A step that was asked for twice is done once: where the campaign stands in one of these states already, that is what was wanted.
fn done_already(done: Result<Campaign, AppError>, already: &[CampaignState]) -> Result<(), ApiError> {
    match done {
        Ok(_) => Ok(()),
        Err(AppError::CampaignState { now, .. }) if already.contains(&now) => Ok(()),
        Err(error) => Err(readable(error)),
    }
}

pub async fn pause(auth: Auth<Sender>, CampaignAt(id): CampaignAt, form: Form) -> Answer {
    done_already(auth.app().campaign_pause(&auth.write(&form)?, &id).await, &[CampaignState::Paused])?;
    back(&id, "Paused. Mails that are on their way are still recorded.")
}

pub async fn resume(auth: Auth<Sender>, CampaignAt(id): CampaignAt, form: Form) -> Answer {
    let going = [CampaignState::Pending, CampaignState::Freezing, CampaignState::Sending, CampaignState::Sent];
    done_already(auth.app().campaign_resume(&auth.write(&form)?, &id).await, &going)?;
    back(&id, "Sending goes on.")
}

/// Mails that would not be sent any more.
fn waiting(campaign: &Campaign) -> u64 {
    campaign.counts.get(DeliveryState::Pending).max(0) as u64
}

/// The question, with the figures of now.
pub async fn ask_cancel(auth: Auth<Sender>, State(state): State<ApiState>, CampaignAt(id): CampaignAt) -> Answer {
    #[derive(Serialize)]
    struct Ask {
        shell: Shell,
        href: String,
        subject: String,
        waiting: u64,
        sent: i64,
        sending: i64,
        frozen: bool,
        can_pause: bool,
    }
    let campaign = auth.app().campaign_get(auth.read(), &id).await.map_err(readable)?;
    if campaign.status.is_final() || campaign.status == CampaignState::Draft {
        return Err(readable(AppError::CampaignState { now: campaign.status, wanted: "cancelled" }));
    }
    let context = Ask {
        shell: Shell::of(&auth, &state, Place::Campaigns),
        href: address(&id),
        waiting: waiting(&campaign),
        sent: campaign.counts.sent_count,
        sending: campaign.counts.sending_count,
        frozen: campaign.frozen_at.is_some(),
        can_pause: campaign.status == CampaignState::Sending,
        subject: campaign.subject,
    };
    render(StatusCode::OK, "campaigns/cancel.html", context)
}

pub async fn cancel(auth: Auth<Sender>, CampaignAt(id): CampaignAt, form: Form) -> Answer {
    done_already(auth.app().campaign_cancel(&auth.write(&form)?, &id).await, &[CampaignState::Cancelled])?;
    back(&id, "Cancelled. What was not sent will not be.")
}

pub async fn retry(auth: Auth<Sender>, CampaignAt(id): CampaignAt, form: Form) -> Answer {
    let states: Vec<_> = form.all("states").filter_map(DeliveryState::parse).collect();
    done_already(auth.app().campaign_retry(&auth.write(&form)?, &id, states).await, &[CampaignState::Sending])?;
    back(&id, "They are sent again.")
}

pub async fn unschedule(auth: Auth<Sender>, CampaignAt(id): CampaignAt, form: Form) -> Answer {
    done_already(auth.app().campaign_unschedule(&auth.write(&form)?, &id).await, &[CampaignState::Draft])?;
    back(&id, "A draft again. It does not go out by itself.")
}

pub async fn duplicate(auth: Auth<Sender>, CampaignAt(id): CampaignAt, form: Form) -> Answer {
    let copy = auth.app().campaign_duplicate(&auth.write(&form)?, &id).await.map_err(readable)?;
    back(&copy.id, "A new draft with the same content and filter.")
}

pub async fn delete(auth: Auth<Sender>, CampaignAt(id): CampaignAt, form: Form) -> Answer {
    match auth.app().campaign_delete(&auth.write(&form)?, &id).await {
        // The same form again: done is done.
        Err(AppError::CampaignUnknown) => return Ok(flash(see_other("/app/campaigns")?, "The draft is deleted already.", None)),
        done => done.map_err(readable)?,
    }
    Ok(flash(see_other("/app/campaigns")?, "The draft was deleted.", None))
}
