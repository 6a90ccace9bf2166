//! Compiles `proto/*.proto` with protox (no protoc needed) into `OUT_DIR`,
//! and keeps the descriptor set for tools that need reflection.

use std::path::PathBuf;

use prost::Message as _;

const FILES: &[&str] = &[
    "auth.proto",
    "conversation.proto",
    "frame.proto",
    "group.proto",
    "presence.proto",
    "sync.proto",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    let descriptors = protox::compile(FILES, ["proto"])?;
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("descriptors.bin"), descriptors.encode_to_vec())?;
    let mut config = prost_build::Config::new();
    config.bytes(["."]);
    config.compile_fds(descriptors)?;
    Ok(())
}
