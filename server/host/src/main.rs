//! The binary `hongyan`: the library's command line with its own allocator.

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    hongyan::cli::run()
}
