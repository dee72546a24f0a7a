//! The `stockade` binary: parse, run, exit code.

fn main() -> std::process::ExitCode {
    stockade::cli::run(std::env::args_os())
}
