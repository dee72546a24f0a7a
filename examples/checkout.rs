//! A checkout: two knives are reserved, paid and sold; a third exceeds the customer's limit; another shopper leaves and
//! releases what they had. Prints what the shopper would see.
//!
//! ```console
//! $ cargo run --example checkout                            # with a server of its own
//! $ cargo run --example checkout -- http://127.0.0.1:7411   # against one that runs
//! ```

use std::error::Error;
use std::io::Write as _;
use std::time::Duration;

use stockade::config::{Config, Given};
use stockade::server;
use stockade_client::{Options, Outcome, Refusal, Stockade};
use stockade_proto as pb;
use uuid::Uuid;

const SKU: &str = "KNIFE/20cm";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let endpoint = match std::env::args().nth(1) {
        Some(endpoint) => endpoint,
        None => own_server()?,
    };
    let stockade = Stockade::connect([endpoint], Options::default()).await?;
    let drop_id = open_drop(&stockade).await?;
    // A shopper waits for seconds only; after a payment it is worth waiting longer.
    let at_the_shelf = stockade.within(Duration::from_secs(2));
    let at_the_till = stockade.within(Duration::from_secs(30));

    // The shop chooses the hold's id and keeps it with the cart: a repeated request never reserves more than once.
    let hold_id = Uuid::now_v7().to_string();
    let request = cart(&hold_id, &drop_id, "ada", 2);
    match at_the_shelf.reserve(request.clone()).await? {
        Outcome::Granted(reserved) => say(&format!("Two knives are yours for {} s.", reserved.time_left().as_secs()))?,
        Outcome::Refused(refusal) => return say(&sorry(&refusal)),
    }
    // A double click, a retry, another process after a crash: the same hold.
    let again = at_the_shelf.reserve(request).await?.granted()?;
    say(&format!("(Asked again: still {} of them, not more.)", units(&again.hold)))?;

    match at_the_shelf.reserve(cart(&Uuid::now_v7().to_string(), &drop_id, "ada", 1)).await? {
        Outcome::Granted(_) => say("A third one, too.")?,
        Outcome::Refused(refusal) => say(&sorry(&refusal))?,
    }

    let paying = pb::ExtendRequest { hold_id: hold_id.clone(), ..pb::ExtendRequest::default() };
    let paying = pb::ExtendRequest { stage: pb::HoldStage::Paying.into(), ..paying };
    let left = at_the_shelf.extend(paying).await?.granted()?.time_left();
    say(&format!("Pay within {} minutes.", left.as_secs().div_ceil(60)))?;

    // The payment has arrived. If that was after the deadline, the claim takes units that are still free.
    let claim = pb::ClaimRequest { hold_id, order_ref: "A-1001".to_owned(), ..pb::ClaimRequest::default() };
    let claim = pb::ClaimRequest { expired_policy: pb::ExpiredPolicy::TakeFreeStock.into(), ..claim };
    match at_the_till.claim(claim).await? {
        Outcome::Granted(sold) => say(&format!("Thank you! Order {} is on its way.", sold.hold.order_ref))?,
        Outcome::Refused(refusal) => say(&format!("{} You get your money back.", sorry(&refusal)))?,
    }

    let other = Uuid::now_v7().to_string();
    let bobs = at_the_shelf.reserve(cart(&other, &drop_id, "bob", 1)).await?.granted()?;
    let release = pb::ReleaseRequest { hold_id: other, ..pb::ReleaseRequest::default() };
    let gone = at_the_shelf.release(release).await?.granted()?;
    say(&format!("Bob put {} back and went; {} left in his cart.", units(&bobs.hold), units(&gone.hold)))
}

/// A server in this process, with nothing on disk.
fn own_server() -> Result<String, Box<dyn Error>> {
    let flags = [("grpc", "127.0.0.1:0"), ("http", "127.0.0.1:0"), ("ephemeral", "true")];
    let config = Config::from_flags(flags.map(|(setting, text)| Given::flag(setting, text.to_owned())).into())?;
    let listeners = server::bind(&config)?;
    let endpoint = format!("http://{}", listeners.grpc.local_addr()?);
    // It ends with the process.
    tokio::spawn(server::run(config, listeners, std::future::pending()));
    Ok(endpoint)
}

/// A drop of ten knives, two a customer.
async fn open_drop(stockade: &Stockade) -> Result<String, Box<dyn Error>> {
    let id = format!("checkout-{}", Uuid::now_v7());
    let two_each = pb::Limit { id: "two-each".to_owned(), max_units: Some(2), ..pb::Limit::default() };
    let two_each = pb::Limit { scope: pb::LimitScope::Drop.into(), ..two_each };
    let items = vec![pb::Item { sku: SKU.to_owned(), quantity: 10, ..pb::Item::default() }];
    let drop = pb::Drop { id: id.clone(), items, limits: vec![two_each], ..pb::Drop::default() };
    stockade.create_drop(pb::CreateDropRequest { drop: Some(drop), validate_only: false }).await?;
    Ok(id)
}

fn cart(hold_id: &str, drop_id: &str, customer: &str, quantity: u32) -> pb::ReserveRequest {
    pb::ReserveRequest {
        hold_id: hold_id.to_owned(),
        drop_id: drop_id.to_owned(),
        lines: vec![pb::Line { sku: SKU.to_owned(), quantity, ..pb::Line::default() }],
        customer: Some(pb::Customer { id: customer.to_owned(), ..pb::Customer::default() }),
        ..pb::ReserveRequest::default()
    }
}

fn units(hold: &pb::Hold) -> u32 {
    hold.lines.iter().map(|line| line.quantity).sum()
}

/// A refusal in the shop's words.
fn sorry(refusal: &Refusal) -> String {
    let why = match (refusal.reason, &refusal.limit) {
        (pb::RefusalReason::SoldOut, _) => "Sorry, they are all taken.".to_owned(),
        (pb::RefusalReason::LimitReached, Some(limit)) => format!("Sorry, at most {} for each customer.", limit.max),
        _ => format!("Sorry: {}.", refusal.message),
    };
    match refusal.retry_after {
        Some(delay) => format!("{why} Some may come back in {} s.", delay.as_secs().saturating_add(1)),
        None => why,
    }
}

fn say(words: &str) -> Result<(), Box<dyn Error>> {
    writeln!(std::io::stdout(), "{words}")?;
    Ok(())
}
