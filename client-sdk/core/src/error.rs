//! What can go wrong for the app that uses the client, by who is to blame and
//! what is known of the result.

use hongyan_protocol::{ErrorCode, WireError, pb};
use thiserror::Error;

/// Why a call failed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The server answered, and the answer is no: nothing was done.
    #[error("refused with code {code}: {message}")]
    Refused {
        /// The number on the wire; [`ClientError::code`] names it.
        code: u32,
        /// For people who debug.
        message: String,
        /// When above zero: trying again after so many milliseconds may help.
        retry_after_ms: u32,
    },
    /// There is no session now; nothing was sent.
    #[error("there is no session")]
    Offline,
    /// It was sent, and no answer came before the time was up or the
    /// connection broke. Whether it was done is not known.
    #[error("no answer came; the result is not known")]
    TimedOut,
    /// The client was shut down, or the account changed under the request.
    #[error("the client is closed")]
    Closed,
    /// As many messages wait to be sent as the outbox holds.
    #[error("the outbox is full with {limit} messages")]
    OutboxFull {
        /// How many it holds.
        limit: usize,
    },
    /// As many requests wait for a reply as there can be.
    #[error("too many requests are waiting for a reply")]
    TooManyRequests,
    /// As many older messages are in memory as there can be.
    #[error("the timeline holds as many messages as it can")]
    WindowFull,
    /// An argument that the server would refuse; nothing was sent.
    #[error("invalid argument: {0}")]
    Invalid(&'static str),
    /// The peer does not speak the protocol.
    #[error("the server broke the protocol: {0}")]
    Protocol(String),
    /// The local store failed; what it was to keep was not kept.
    #[error("the local store failed: {0}")]
    Storage(String),
    /// The connection could not be opened (address, TCP or TLS).
    #[error("cannot connect: {0}")]
    Connect(String),
    /// The server's certificate was not taken: it may not be the server.
    #[error("the server's certificate is not trusted: {0}")]
    Certificate(String),
    /// The connection is not encrypted, and the other side speaks TLS.
    #[error("the server speaks TLS, and this connection does not")]
    NeedsTls,
    /// The connection is to be encrypted, and the other side does not speak
    /// TLS.
    #[error("the server does not speak TLS on this port")]
    SpeaksNoTls,
    /// What answers is something else than a Hongyan server.
    #[error("what answers is not a Hongyan server")]
    NotHongyan,
}

impl ClientError {
    /// The code of a refusal, when this version knows it.
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Refused { code, .. } => ErrorCode::from_number(*code),
            _ => None,
        }
    }

    /// True for a refusal with this code.
    pub fn is(&self, code: ErrorCode) -> bool {
        self.code() == Some(code)
    }

    /// Milliseconds after which the same request may be taken, when the
    /// server said so.
    pub fn retry_after_ms(&self) -> Option<u32> {
        match self {
            Self::Refused { retry_after_ms, .. } if *retry_after_ms > 0 => Some(*retry_after_ms),
            _ => None,
        }
    }

    /// True for a refusal that says "not now" rather than "no".
    pub fn is_transient(&self) -> bool {
        match self.code() {
            Some(ErrorCode::RateLimited | ErrorCode::Busy | ErrorCode::StoreUnavailable) => true,
            Some(ErrorCode::Internal) => self.retry_after_ms().is_some(),
            _ => false,
        }
    }

    /// For an answer that does not begin as a Hongyan server's does.
    pub(crate) fn stranger(answer: &[u8]) -> Self {
        // A TLS server answers what it does not understand with an alert.
        match answer {
            [TLS_ALERT, 3, ..] => Self::NeedsTls,
            _ => Self::NotHongyan,
        }
    }

    pub(crate) fn refused_locally(code: ErrorCode) -> Self {
        Self::Refused {
            code: code.number(),
            message: code.meaning().trim().into(),
            retry_after_ms: 0,
        }
    }
}

impl From<pb::Error> for ClientError {
    fn from(error: pb::Error) -> Self {
        Self::Refused {
            code: error.code,
            message: error.message,
            retry_after_ms: error.retry_after_ms,
        }
    }
}

impl From<WireError> for ClientError {
    fn from(error: WireError) -> Self {
        Self::Protocol(error.to_string())
    }
}

/// Type of a TLS record that says why the connection ends.
const TLS_ALERT: u8 = 21;

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(code: ErrorCode, retry_after_ms: u32) -> ClientError {
        ClientError::Refused { code: code.number(), message: String::new(), retry_after_ms }
    }

    #[test]
    fn only_not_now_is_transient() {
        assert!(refused(ErrorCode::RateLimited, 0).is_transient());
        assert!(refused(ErrorCode::Busy, 5).is_transient());
        assert!(refused(ErrorCode::StoreUnavailable, 5).is_transient());
        assert!(refused(ErrorCode::Internal, 5).is_transient());
        assert!(!refused(ErrorCode::Internal, 0).is_transient());
        assert!(!refused(ErrorCode::NotMember, 5).is_transient());
        assert!(!ClientError::TimedOut.is_transient());
    }

    #[test]
    fn an_alert_of_tls_is_told_from_other_strangers() {
        let alert = [21, 3, 3, 0, 2, 2, 50];
        assert_eq!(ClientError::stranger(&alert), ClientError::NeedsTls);
        assert_eq!(ClientError::stranger(b"HTTP/1.1 400"), ClientError::NotHongyan);
        assert_eq!(ClientError::stranger(&[21]), ClientError::NotHongyan);
    }
}
