//! How a drop's definition applies to a request: pure functions of plain values.
//!
//! They take no locks and read neither stock nor a clock, so their results can be recomputed later.
//!
//! - [`resolve()`]: the instants that a definition names, when the drop is made or changed.
//! - [`Standing`]: the rules as they stand, by the marks that are set. Made anew at each mark, so that a request compares
//!   numbers and reads no name twice.
//! - [`shown_band`], [`stock_changes`]: what the public sees of the stock, and which changes of it are made known.
//! - [`Visitor`]: in which of a drop's audiences a customer is.
//! - [`LineOffer`]: what a customer is offered of one line: windows, pools in order, prices; or why nothing is.

mod level;
mod offer;
mod places;
mod public;
mod resolve;
mod standing;
mod visitor;

pub use level::{StockTrigger, stock_triggers};
pub use offer::{Choices, Closedness, LineOffer, NotOffered, WindowOffer};
pub use public::{contradicts_stock, may_make_known, shown_band, stock_changes};
pub use resolve::{Gap, MomentFault, closing, each_moment, resolve, resolve_but};
pub use standing::{Standing, usual_ttl};
pub use visitor::Visitor;
