//! Converts between the wire and typed values. A request becomes a command, or a complete list of what is wrong with
//! it.
//!
//! Generated messages are destructured field by field, and a test compares the tables of a drop's fields with the
//! contract. So a new field of the contract can't be forgotten here, and a field that is set and not built yet is
//! named, never ignored.

mod answer;
mod batch;
mod drop;
mod drop_status;
mod drop_view;
mod rules_view;
mod event;
mod event_request;
mod explain;
mod facts;
mod faults;
mod fields;
mod hold;
mod customer;
mod list;
mod stock;
mod storefront;
mod limits;
mod rules;
mod series;
mod update;
mod warnings;
mod webhook;

pub use answer::{claim_mode, hold, refusal, short_lines, timestamp};
pub use batch::{BatchCommand, OPERATIONS_MAX, View, batch, error, no_operation, operation, result};
pub use drop::create_drop;
pub use drop_view::drop_view;
pub use event::{EventFields, event};
pub use event_request::{EventSelection, From, ListEvents, ReadEvents, list_events, read_events};
pub use explain::{EXPLANATION_BYTES, explain, explanation};
pub use facts::{REPORTED_FACTS_MAX, record_facts, recorded_facts};
pub use faults::Rejection;
pub use hold::{claim, drop_id, extend, get_hold, release, reserve, return_units};
pub use list::{drop_page, drop_token, hold_page, hold_token, list_drops, list_holds};
pub use series::{
    create_series, get_series, list_series, occurrence, preview_series, series, series_bytes, series_token,
    update_series, warning,
};
pub use stock::{adjust_stock, fire_flow, reconcile_stock};
pub use storefront::{StatusPlace, StatusQuery, list_statuses, poll_after, public_status, status_token};
pub use update::update_drop;
pub use warnings::{Neighbour, warnings};
pub use webhook::{
    UpdateWebhook, WebhookFields, create_webhook, delivery_attempt, filter_of, list_webhooks, update_webhook,
    webhook_id, webhook_token, webhook_view, webhooks_that_fit,
};

#[cfg(test)]
mod tests;
