//! Prints what append and fdatasync cost at given batch sizes: `append-floor --batch 1,64,1024`.

#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use hongyan_benches::append;

/// The bare log recipe: append a batch, fdatasync, again.
#[derive(Debug, Parser)]
#[command(name = "append-floor", version)]
struct Args {
    /// Directory on the disk in question.
    #[arg(long, default_value = ".")]
    dir: PathBuf,
    /// Messages per sync.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 16, 64, 256, 1024])]
    batch: Vec<usize>,
    /// Bytes per message: 128 of text and what surrounds it in the log.
    #[arg(long, default_value_t = 220)]
    record_bytes: usize,
    /// Seconds per batch size.
    #[arg(long, default_value_t = 2)]
    seconds: u64,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let length = Duration::from_secs(args.seconds.clamp(1, 600));
    println!("batch   messages/s   CPU us/message   fdatasync p50 us   p99 us");
    for batch in args.batch {
        let floor = append::measure(&args.dir, batch, args.record_bytes, length)?;
        println!(
            "{batch:>5} {:>12.0} {:>16.3} {:>18.0} {:>8.0}",
            floor.messages_per_s, floor.cpu_us_per_message, floor.sync.p50_us, floor.sync.p99_us
        );
    }
    Ok(())
}
