//! The customer of a reserve on the command line: id, tiers, zones, identities, and what staff overrides.

use clap::Args;
use stockade_proto as pb;

#[derive(Debug, Args)]
pub(super) struct BuyerOptions {
    /// The customer's id: a pseudonym, not an e-mail address
    #[arg(long, value_name = "ID")]
    pub customer: String,
    /// A tier of the customer, for limits, windows, pools and prices of certain tiers. Repeat for each
    #[arg(long = "tier", value_name = "TIER")]
    pub tiers: Vec<String>,
    /// A place that the customer is in, for windows, pools and prices of certain places. Repeat for each
    #[arg(long = "zone", value_name = "ZONE")]
    pub zones: Vec<String>,
    /// A further subject that limits count, such as card=4242. Only a hash of it is stored. Repeat for each
    #[arg(long = "identity", value_name = "KIND=VALUE", value_parser = identity)]
    pub identities: Vec<Identity>,
    /// Override all limits. The reason is stored with the hold
    #[arg(long, value_name = "REASON")]
    pub override_limits: Option<String>,
    /// Override windows, audiences and a required slot. The reason is stored with the hold
    #[arg(long, value_name = "REASON")]
    pub override_windows: Option<String>,
}

/// A further subject that limits count.
#[derive(Debug, Clone)]
pub(super) struct Identity {
    kind: String,
    value: String,
}

fn identity(text: &str) -> Result<Identity, String> {
    let (kind, value) = text.split_once('=').ok_or("write KIND=VALUE, such as card=4242")?;
    Ok(Identity { kind: kind.to_owned(), value: value.to_owned() })
}

impl BuyerOptions {
    /// The customer of the request.
    pub(super) fn customer(&self) -> pb::Customer {
        let identity = |Identity { kind, value }: &Identity| pb::Identity { kind: kind.clone(), value: value.clone() };
        pb::Customer {
            id: self.customer.clone(),
            tiers: self.tiers.clone(),
            zones: self.zones.clone(),
            identities: self.identities.iter().map(identity).collect(),
        }
    }

    /// The override that staff requests, if any.
    pub(super) fn stepping_over(&self) -> Option<pb::Override> {
        let (limits, windows) = (self.override_limits.as_deref(), self.override_windows.as_deref());
        let mut reasons: Vec<&str> = [limits, windows].into_iter().flatten().collect();
        reasons.dedup();
        let reason = reasons.join("; ");
        let is_any = limits.is_some() || windows.is_some();
        is_any.then_some(pb::Override { limits: limits.is_some(), windows: windows.is_some(), reason })
    }
}
