//! The path of the server's binary, and what the program has printed.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The server's binary, in the folder of this test's binary. It is missing if only this package was built.
pub fn binary() -> PathBuf {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_load-tests"));
    let server = program.with_file_name("stockade");
    if !server.is_file() {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.toml");
        let target = program.parent().and_then(Path::parent).expect("a target folder");
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--package", "stockade", "--bin", "stockade", "--manifest-path"]).arg(manifest);
        build.arg("--target-dir").arg(target);
        assert!(build.status().expect("cargo").success(), "the server can't be built");
    }
    server
}

/// The whole output.
pub fn reported(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes)).concat()
}
