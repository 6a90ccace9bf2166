//! `hongyan-chat`: reads the command line and runs the program.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser;
use hongyan_chat::app;
use hongyan_chat::options::Options;

fn main() -> ExitCode {
    let options = Options::parse();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let result = match runtime {
        Ok(runtime) => {
            let result = runtime.block_on(app::run(options));
            // A thread may still wait for a line that nobody will type.
            runtime.shutdown_background();
            result
        }
        Err(error) => Err(error.into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("hongyan-chat: {error:#}");
            ExitCode::FAILURE
        }
    }
}
