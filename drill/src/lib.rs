//! What every proof against a running server is made of: customers, the ledger of what they were answered, and an audit
//! of that ledger against what the server shows. The demo, the load tests, `tests/process` and `tests/attacks` use it.
//!
//! - [`process`]: a program as a child, and a Stockade server as one: free ports, ready, signals, its log, its pages.
//! - [`wire`]: connections, and the requests that everybody sends.
//! - [`request`]: one call of a customer, and its answer.
//! - [`customers`]: what one customer does in a visit.
//! - [`ledger`]: every request and its answer. It judges nothing.
//! - [`audit`]: the ledger against the holds that the server lists, its stock and its metrics; findings by name.
//! - [`rules`]: what a drop's windows, pools and prices allow a customer.
//! - [`facts`]: the journal's records in their order, against those rules and the sums of each pool.
//! - [`samples`] and [`drive`]: measurements of requests, and a closed loop of callers.
//! - [`numbers`] and [`tables`]: figures as text.
//!
//! It knows the contract and nothing of the server's inside. `README.md` has an example.

#![warn(unreachable_pub)]

mod failure;
pub mod numbers;
pub mod tables;
pub mod process;
pub mod wire;
pub mod request;
pub mod drive;
pub mod samples;
pub mod rules;
pub mod facts;
pub mod ledger;
pub mod customers;
pub mod audit;

pub use failure::Failure;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
