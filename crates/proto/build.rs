//! Compiles the protos without `protoc`: `protox` parses them, `tonic-prost-build` writes the Rust.

use std::path::PathBuf;
use std::{env, fs, io};

use prost::Message as _;

/// The contract: every `.proto` file of this folder.
const PROTOS: &str = "../../proto/stockade/v1";

#[expect(clippy::disallowed_methods, reason = "cargo gives a build script its folder in the environment")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let descriptors = protox::compile(protos()?, ["../../proto"])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("stockade.v1.bin"), descriptors.encode_to_vec())?;
    // A refusal is by far the largest thing that a result may be, and the rarest of a batch.
    let boxed = ".stockade.v1.Result.result.refusal";
    tonic_prost_build::configure().build_transport(true).boxed(boxed).compile_fds(descriptors)?;
    println!("cargo:rerun-if-changed=../../proto");
    Ok(())
}

/// In one order on each machine: that of the descriptors follows it.
fn protos() -> io::Result<Vec<PathBuf>> {
    let mut files = fs::read_dir(PROTOS)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "proto"));
    files.sort();
    Ok(files)
}
