//! Runs the null relay until its end is asked for, at the latest after `--seconds`.

#![forbid(unsafe_code)]

use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use clap::Parser;
use hongyan_loadtest::null_relay::NullRelay;

/// The least that a server of this wire must do; point `hongyan-loadtest direct --driver null` at
/// it.
#[derive(Debug, Parser)]
#[command(name = "null-relay", version)]
struct Args {
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:5101")]
    addr: SocketAddr,
    /// Connections of the ring.
    #[arg(long, default_value_t = 200)]
    connections: usize,
    /// Ends by itself after so long.
    #[arg(long, default_value_t = 3600)]
    seconds: u64,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let mut relay = NullRelay::bind(args.addr, args.connections)?;
    println!("null relay on {} for {} connections", relay.local_addr()?, args.connections);
    let stop = relay.stop_flag();
    thread::spawn(move || {
        thread::sleep(Duration::from_secs(args.seconds));
        stop.store(true, Ordering::Relaxed);
    });
    relay.run()?;
    Ok(())
}
