//! A shard without state, as the host makes one at its first start.

use hongyan_core::{AccessTokens, Claims, CoreConfig, Layout, Shard, ShardId, TokenFault};

/// A shard that runs every partition, and lets go of entities above `entities_max`.
///
/// # Panics
/// Never: empty partitions install.
#[must_use]
pub fn empty_shard(tokens: Box<dyn AccessTokens>, entities_max: usize) -> Shard {
    let config = CoreConfig { requests_per_second: 0, entities_max, ..CoreConfig::default() };
    let layout = Layout::new(1);
    let mut shard = Shard::new(ShardId(0), layout, config, tokens);
    for partition in layout.partitions_of(ShardId(0)) {
        shard.install_partition(partition, None).expect("an empty partition installs");
    }
    shard
}

/// Tokens of a world where nobody logs in twice.
#[derive(Debug, Clone, Copy)]
pub struct NoTokens;

impl AccessTokens for NoTokens {
    fn issue(&self, claims: &Claims) -> String {
        claims.user.to_string()
    }

    fn verify(&self, _token: &str, _unix_ms: u64) -> Result<Claims, TokenFault> {
        Err(TokenFault::Invalid)
    }
}
