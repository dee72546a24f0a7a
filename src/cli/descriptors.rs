//! `stockade descriptors`: the contract as a descriptor set, for clients without the `.proto` files.

use std::io::IsTerminal as _;

use stockade_proto::DESCRIPTORS;

use super::Finding;
use super::failure::Failure;
use super::output::Output;

/// Prints a `google.protobuf.FileDescriptorSet`: the contract and its imports, each file after those that it imports.
///
/// # Errors
/// If standard output is a terminal.
pub(super) fn descriptors(output: &mut Output) -> Result<Finding, Failure> {
    if std::io::stdout().is_terminal() {
        let advice = "these are bytes, not text; send them to a file: stockade descriptors > stockade.binpb";
        return Err(Failure::Usage(advice.to_owned()));
    }
    output.bytes(DESCRIPTORS);
    Ok(Finding::Well)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use prost::Message as _;
    use prost_types::FileDescriptorSet;

    use super::*;

    #[test]
    fn each_file_comes_after_what_it_imports_and_with_its_comments() {
        let set = FileDescriptorSet::decode(DESCRIPTORS).expect("a descriptor set");
        let mut before: BTreeSet<&str> = BTreeSet::new();
        for file in &set.file {
            assert!(file.dependency.iter().all(|import| before.contains(import.as_str())), "{}", file.name());
            before.insert(file.name());
        }
        let parts = ["admin", "admission", "drop", "event", "insight", "reservation", "series", "storefront"];
        for part in parts {
            assert!(before.contains(format!("stockade/v1/{part}.proto").as_str()), "{part}");
        }
        let ours = set.file.iter().filter(|file| file.package() == "stockade.v1");
        for file in ours {
            let locations = file.source_code_info.as_ref().map(|info| info.location.iter());
            let comments = locations.into_iter().flatten().filter(|place| place.leading_comments.is_some()).count();
            assert!(comments > 0, "{} has lost its comments", file.name());
        }
    }
}
