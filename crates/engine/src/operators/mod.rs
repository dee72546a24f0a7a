//! What operators do with drops, and how drops are shown.

mod adjust;
mod create;
mod fire;
mod fired;
mod reconcile;
mod steer;
pub(crate) mod turn;
mod update;
pub(crate) mod view;
