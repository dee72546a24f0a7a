//! The `stockade` binary: parse, run, exit code.

/// Requests come and go in a dozen small pieces each, on one thread and the next: mimalloc gives and takes them in half
/// of the time that glibc's allocator needs, and keeps what it frees in place for the next.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    stockade::cli::run(std::env::args_os())
}
