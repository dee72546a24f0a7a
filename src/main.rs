//! The `stockade` binary: parse, run, exit code.

/// One request makes a dozen small allocations, and another thread may free them. mimalloc needs half of the time of
/// glibc's allocator for this, and keeps freed memory for reuse.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    stockade::cli::run(std::env::args_os())
}
