//! The files that the settings name, read before anything else is touched.
//!
//! `hongyan config check` and every start go through here, so what the one
//! takes the other does not refuse. Makes nothing: a key for tokens that is
//! not there yet is made with the store.

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use rustls::ServerConfig;

use crate::config::{Config, JwksSource};
use crate::node::StartError;
use crate::offload;
use crate::tls::{Certificate, server_config};
use crate::tokens::SignedTokens;

/// What was read.
pub(crate) struct Prepared {
    pub(crate) certificate: Option<Arc<Certificate>>,
    pub(crate) tls: Option<Arc<ServerConfig>>,
    /// `None` when the key is still to be made.
    pub(crate) tokens: Option<SignedTokens>,
}

/// Reads all of them. An issuer's address is not asked: an issuer that is
/// down must not keep a server from starting.
pub(crate) fn prepare(config: &Config) -> Result<Prepared, StartError> {
    let tls = config.listen.any_tls();
    let certificate = tls.map(Certificate::open).transpose()?;
    if let Some(tls) = tls
        && std::fs::metadata(&tls.key).is_ok_and(|key| key.permissions().mode() & 0o077 != 0)
    {
        tracing::warn!(key = %tls.key.display(), "the key of the certificate can be read by others");
    }
    let tls = certificate.clone().map(server_config).transpose()?;
    #[cfg(feature = "web")]
    if let Some(web) = &config.web
        && let Some(detail) = crate::web::fault(&web.dir)
    {
        return Err(StartError::Web { detail });
    }
    let tokens = SignedTokens::find(&config.token_key, &config.store.dir)?;
    if let Some(external) = &config.external
        && let JwksSource::File(file) = &external.keys
    {
        offload::check_keys(&external.keys)
            .map_err(|detail| StartError::IssuerKeys { file: file.clone(), detail })?;
    }
    Ok(Prepared { certificate, tls, tokens })
}
