//! Bounds on the parts of a request.

/// The most entries of each repeated field of a request, by the field's full name: as the contract says, or, where it
/// says nothing, as `convert` checks.
pub const ENTRIES_MAX: [(&str, u32); 41] = [
    ("stockade.v1.BatchRequest.operations", 5_000),
    ("stockade.v1.BatchStreamRequest.operations", 5_000),
    ("stockade.v1.ReserveRequest.lines", 32),
    ("stockade.v1.ClaimRequest.lines", 32),
    ("stockade.v1.ReleaseRequest.keep", 32),
    ("stockade.v1.ReturnUnitsRequest.returned", 32),
    ("stockade.v1.Customer.tiers", 16),
    ("stockade.v1.Customer.zones", 16),
    ("stockade.v1.Customer.identities", 16),
    ("stockade.v1.Drop.items", 256),
    ("stockade.v1.Drop.windows", 32),
    ("stockade.v1.Drop.limits", 64),
    ("stockade.v1.Drop.terms", 64),
    ("stockade.v1.Drop.labels", 16),
    ("stockade.v1.Drop.tranches", 64),
    ("stockade.v1.Drop.signals", 64),
    ("stockade.v1.Drop.conduct", 8),
    ("stockade.v1.Drop.tightenings", 64),
    ("stockade.v1.Drop.zones", 16),
    ("stockade.v1.Item.pools", 32),
    ("stockade.v1.Pool.flows", 8),
    ("stockade.v1.Audience.tiers", 16),
    ("stockade.v1.Audience.zones", 16),
    ("stockade.v1.Window.skus", 256),
    ("stockade.v1.Window.pools", 64),
    ("stockade.v1.Limit.skus", 256),
    ("stockade.v1.Limit.max_units_by_tier", 64),
    ("stockade.v1.Terms.skus", 256),
    ("stockade.v1.Terms.steps", 16),
    ("stockade.v1.Terms.pools", 64),
    ("stockade.v1.Signal.channels", 8),
    ("stockade.v1.Signal.labels", 8),
    ("stockade.v1.Scarcity.bands", 8),
    ("stockade.v1.WaitingRoom.identity_kinds", 4),
    ("stockade.v1.EventFilter.types", 64),
    ("stockade.v1.EventFilter.names", 64),
    ("stockade.v1.EventFilter.channels", 64),
    ("stockade.v1.Series.rules", 64),
    ("stockade.v1.Series.guards", 8),
    ("stockade.v1.RecordFactsRequest.facts", 5_000),
    ("google.protobuf.FieldMask.paths", 64),
];

/// A request with up to this many times the allowed entries is still decoded, so that all its faults are reported at
/// once. A request with more is not decoded.
pub const LENIENCE: u32 = 2;
