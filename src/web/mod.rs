//! What both HTTP listeners have in common: parameters of addresses, and errors as pages.

mod problem;
mod query;

pub(crate) use problem::Problem;
pub(crate) use query::Query;
