//! What operators do with drops, and with other definitions; and how drops are shown.

mod adjust;
mod channels;
mod create;
pub mod define;
pub mod deliver;
pub mod facts;
mod fire;
mod fired;
mod fits;
pub mod measure;
mod reconcile;
pub mod series;
mod steer;
pub(crate) mod stock_state;
pub(crate) mod turn;
mod update;
pub(crate) mod view;
