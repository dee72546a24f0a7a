//! Who a reserve is for, on the command line: customer, tiers and identities, and staff's word.

use clap::Args;
use stockade_proto as pb;

#[derive(Debug, Args)]
pub struct BuyerOptions {
    /// For whom: a pseudonym, not an e-mail address
    #[arg(long, value_name = "ID")]
    pub customer: String,
    /// A tier that the customer is in, for limits that have their own maximum for it. Once for each
    #[arg(long = "tier", value_name = "TIER")]
    pub tiers: Vec<String>,
    /// A further subject that limits count, such as card=4242. Only a hash of it is kept. Once for each
    #[arg(long = "identity", value_name = "KIND=VALUE", value_parser = identity)]
    pub identities: Vec<Identity>,
    /// Step over all limits. The reason is kept with the hold
    #[arg(long, value_name = "REASON")]
    pub override_limits: Option<String>,
}

/// A further subject that limits count.
#[derive(Debug, Clone)]
pub struct Identity {
    kind: String,
    value: String,
}

fn identity(text: &str) -> Result<Identity, String> {
    let (kind, value) = text.split_once('=').ok_or("write KIND=VALUE, such as card=4242")?;
    Ok(Identity { kind: kind.to_owned(), value: value.to_owned() })
}

impl BuyerOptions {
    /// The customer of the request.
    pub fn customer(&self) -> pb::Customer {
        let identity = |Identity { kind, value }: &Identity| pb::Identity { kind: kind.clone(), value: value.clone() };
        pb::Customer {
            id: self.customer.clone(),
            tiers: self.tiers.clone(),
            zones: Vec::new(),
            identities: self.identities.iter().map(identity).collect(),
        }
    }

    /// What staff steps over.
    pub fn stepping_over(&self) -> Option<pb::Override> {
        let reason = self.override_limits.clone()?;
        Some(pb::Override { limits: true, windows: false, reason })
    }
}
