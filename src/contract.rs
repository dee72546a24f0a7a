//! The contract's descriptors, read once for all that translate, bound or describe its messages.

use std::sync::OnceLock;

use prost_reflect::{DescriptorError, DescriptorPool};
use stockade_proto::DESCRIPTORS;

static CONTRACT: OnceLock<DescriptorPool> = OnceLock::new();

/// The contract's descriptors.
///
/// # Errors
/// If they do not parse: the build is broken.
pub(crate) fn contract() -> Result<DescriptorPool, DescriptorError> {
    if let Some(known) = CONTRACT.get() {
        return Ok(known.clone());
    }
    let read = DescriptorPool::decode(DESCRIPTORS)?;
    Ok(CONTRACT.get_or_init(|| read).clone())
}
