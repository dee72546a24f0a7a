//! The client, in two layers.
//!
//! [`Stockade`] is for checkout services: it keeps connections, gives every call a deadline, retries what may be
//! retried, and puts the operations of many concurrent callers into shared messages. [`Client`] is the plain layer
//! below it: one connection, one attempt, the contract's own messages.
//!
//! The client decides nothing about stock, stores no answers and makes no ids. The caller chooses the hold's id, so
//! every call is safe to send again, by this client and by the next process after a crash.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use stockade_client::{Options, Outcome, Stockade};
//! use stockade_proto as pb;
//!
//! # async fn checkout() -> Result<(), Box<dyn std::error::Error>> {
//! let stockade = Stockade::connect(["http://127.0.0.1:7411"], Options::default()).await?;
//! let hold_id = "018f4e9a-7c1e-7b3a-9d52-6f1c0a2b3c4d".to_owned();
//! let request = pb::ReserveRequest {
//!     hold_id: hold_id.clone(),
//!     drop_id: "knife-1204".to_owned(),
//!     lines: vec![pb::Line { sku: "KNIFE/20cm".to_owned(), quantity: 1, ..pb::Line::default() }],
//!     customer: Some(pb::Customer { id: "ada".to_owned(), ..pb::Customer::default() }),
//!     ..pb::ReserveRequest::default()
//! };
//! match stockade.within(Duration::from_secs(2)).reserve(request).await? {
//!     Outcome::Granted(reserved) => println!("yours for {:?}", reserved.time_left()),
//!     Outcome::Refused(refusal) => println!("no: {refusal}; come again in {:?}", refusal.retry_after),
//! }
//! // A refusal can also be handled as an error.
//! let claim = pb::ClaimRequest { hold_id, order_ref: "A-1001".to_owned(), ..pb::ClaimRequest::default() };
//! let sold = stockade.claim(claim).await?.granted()?;
//! println!("order {}", sold.hold.order_ref);
//! # Ok(())
//! # }
//! ```

mod plain;
mod error;
mod outcome;
mod options;
mod retry;
mod attempts;
mod pool;
mod batch;
mod calls;
mod pages;
mod watch;

pub use calls::Stockade;
pub use error::Error;
pub use options::{Batching, Options, Retry};
pub use outcome::{Changed, Claimed, Outcome, Refusal, Reserved};
pub use plain::{Client, ConnectError, Events, Incoming, Watch};
