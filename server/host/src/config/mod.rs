//! What an operator may set, from file and environment to checked values.
//!
//! Two steps. [`RawConfig`] is what is written: strings and plain numbers,
//! one struct per room, unknown keys refused. [`Config`] is what the rest of
//! the server takes: addresses, durations, limits that do not contradict each
//! other. Only [`Config::check`] makes one, so a value that is wrong stops the
//! start and never a connection.
//!
//! The order of precedence: environment, then file, then built-in defaults.
//! The environment names a key by `HONGYAN_` and its path in upper case with
//! two underscores between the parts: `HONGYAN_LISTEN__TCP`. Any other name
//! that begins like this is refused, but for those of the project's own tools.
//!
//! Invariant: `hongyan.toml` beside this crate has every key with its default
//! (a test compares them).

mod checked;
mod environment;
mod listen;
mod origin;
mod raw;
mod secret;

use std::path::{Path, PathBuf};

pub use checked::{
    AdminConfig, Config, ExternalConfig, JwksSource, LimitsConfig, LogFormat, StoreConfig,
    TokenKeyConfig,
};
pub use listen::{ListenConfig, TlsListen, WebConfig, WebSocketConfig};
pub use origin::Origin;
#[cfg_attr(not(feature = "websocket"), allow(unused_imports))]
pub(crate) use origin::is_allowed;
pub use raw::{
    RawAdmin, RawAuth, RawConfig, RawCore, RawExternal, RawLimits, RawListen, RawLog, RawSession,
    RawStore, RawWeb, RawWebSocket,
};
pub use secret::Secret;

/// The commented defaults, as shipped.
pub const DEFAULT_TOML: &str = include_str!("../../hongyan.toml");

/// Why a configuration was not taken. Exit code 78.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A file could not be read.
    #[error("cannot read {}: {source}", file.display())]
    Unreadable {
        /// Which file.
        file: PathBuf,
        /// The operating system's answer.
        source: std::io::Error,
    },
    /// The file is not TOML, or has a key or a type that is not known.
    #[error("{}: {detail}", file.display())]
    Malformed {
        /// Which file.
        file: PathBuf,
        /// Line, key and what was expected. Never the line itself: it may
        /// hold a secret.
        detail: String,
    },
    /// A variable of the environment names no key or has a wrong type.
    #[error("environment variable {variable}: {detail}")]
    Environment {
        /// Its name.
        variable: String,
        /// What is wrong. Never the value: it may be a secret.
        detail: String,
    },
    /// A value that cannot be, or two that contradict each other.
    #[error("{key}: {detail}")]
    Refused {
        /// Path of the key, with dots.
        key: &'static str,
        /// Why, and what would be taken.
        detail: String,
    },
}

impl RawConfig {
    /// Reads `file` (when given) over the defaults, then `environment` over
    /// both. Variables that do not begin with `HONGYAN_`, and those of the
    /// project's own tools, are passed over.
    ///
    /// # Errors
    /// All but [`ConfigError::Refused`].
    pub fn load(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let from_file = match file {
            None => Self::default(),
            Some(file) => {
                let text = std::fs::read_to_string(file).map_err(|source| {
                    ConfigError::Unreadable { file: file.to_path_buf(), source }
                })?;
                Self::parse(file, &text)?
            }
        };
        from_file.overlaid(environment)
    }

    /// Whether a variable of this name is meant to set a key.
    pub(crate) fn is_named_by(variable: &str) -> bool {
        environment::is_ours(variable)
    }

    /// Puts `environment` over these settings.
    pub(crate) fn overlaid(
        self,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        environment::overlay(self, environment)
    }

    /// Reads the `text` of `file` over the defaults.
    pub(crate) fn parse(file: &Path, text: &str) -> Result<Self, ConfigError> {
        // Into a table first: it holds no number that could not be printed again.
        let parsed = text.parse::<toml::Table>().and_then(|_| toml::from_str(text));
        parsed.map_err(|mut error| {
            let at = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            let line = at.matches('\n').count() + 1;
            // With the input it would show the whole line, which may hold a secret.
            error.set_input(None);
            let detail = format!("line {line}: {}", error.to_string().trim_end());
            ConfigError::Malformed { file: file.to_path_buf(), detail }
        })
    }

    /// As TOML with the secrets masked: what `hongyan config print` shows.
    pub fn to_masked_toml(&self) -> String {
        toml::to_string(self).unwrap_or_else(|error| format!("# cannot be printed: {error}\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(variables: &[(&str, &str)]) -> Result<RawConfig, ConfigError> {
        RawConfig::load(None, variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())))
    }

    fn leaves(table: &toml::Table, path: &str, out: &mut Vec<(String, toml::Value)>) {
        for (key, value) in table {
            let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            match value {
                toml::Value::Table(inner) => leaves(inner, &path, out),
                other => out.push((path, other.clone())),
            }
        }
    }

    #[test]
    fn the_shipped_file_is_the_defaults() {
        let parsed: RawConfig = toml::from_str(DEFAULT_TOML).unwrap();
        assert_eq!(parsed, RawConfig::default());
        let mut in_file = Vec::new();
        leaves(&DEFAULT_TOML.parse().unwrap(), "", &mut in_file);
        let mut built_in = Vec::new();
        leaves(&toml::Table::try_from(RawConfig::default()).unwrap(), "", &mut built_in);
        in_file.sort_by(|a, b| a.0.cmp(&b.0));
        built_in.sort_by(|a, b| a.0.cmp(&b.0));
        let names =
            |of: &[(String, toml::Value)]| of.iter().map(|l| l.0.clone()).collect::<Vec<_>>();
        assert_eq!(names(&in_file), names(&built_in));
    }

    #[test]
    fn every_key_can_be_set_by_the_environment() {
        let mut keys = Vec::new();
        leaves(&toml::Table::try_from(RawConfig::default()).unwrap(), "", &mut keys);
        assert!(keys.len() > 30);
        for (path, default) in keys {
            let variable = format!("HONGYAN_{}", path.to_uppercase().replace('.', "__"));
            let (text, expected) = match default {
                toml::Value::Boolean(was) => ((!was).to_string(), toml::Value::Boolean(!was)),
                toml::Value::Integer(was) => ((was + 1).to_string(), toml::Value::Integer(was + 1)),
                toml::Value::Array(_) => (
                    "a, b".to_owned(),
                    toml::Value::Array(vec!["a".to_owned().into(), "b".to_owned().into()]),
                ),
                toml::Value::String(_) if path == "store.log" => sample("sled"),
                toml::Value::String(_) if path == "log.format" => sample("json"),
                toml::Value::String(_) if path == "session.device_policy" => sample("one"),
                toml::Value::String(_) => sample("changed"),
                other => panic!("{path} has a type that no variable can set: {other:?}"),
            };
            let raw = with(&[(&variable, &text)]).unwrap();
            if path == "auth.token_key" {
                assert_eq!(raw.auth.token_key.expose(), "changed");
                continue;
            }
            let mut after = Vec::new();
            leaves(&toml::Table::try_from(raw).unwrap(), "", &mut after);
            let found = after.into_iter().find(|leaf| leaf.0 == path).unwrap().1;
            assert_eq!(found, expected, "{variable}");
        }
    }

    fn sample(text: &str) -> (String, toml::Value) {
        (text.to_owned(), text.to_owned().into())
    }

    #[test]
    fn unknown_names_are_refused() {
        let error = with(&[("HONGYAN_LISTEN__TPC", "x")]).unwrap_err();
        assert!(matches!(error, ConfigError::Environment { .. }), "{error}");
        assert!(error.to_string().contains("HONGYAN_LISTEN__TPC"));
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("c.toml");
        std::fs::write(&file, "[listen]\ntpc = \"127.0.0.1:1\"\n").unwrap();
        let error = RawConfig::load(Some(&file), []).unwrap_err().to_string();
        assert!(error.contains("tpc") && error.contains("tcp"), "{error}");
    }

    #[test]
    fn a_variable_that_names_no_key_is_refused_and_says_what_was_meant() {
        for (variable, expected) in [
            ("HONGYAN_LISTEN_TCP", "did you mean HONGYAN_LISTEN__TCP?"),
            ("HONGYAN_AUTH_EXTERNAL_ISSUER", "did you mean HONGYAN_AUTH__EXTERNAL__ISSUER?"),
            ("HONGYAN_STORE__FREE__MIB_MIN", "did you mean HONGYAN_STORE__FREE_MIB_MIN?"),
            ("HONGYAN_LOG", "is a section; HONGYAN_LOG__ and one of these is a key: format, level"),
            ("HONGYAN_BOGUS", "there is no key bogus; `hongyan config print`"),
            ("HONGYAN_", "there is no key"),
        ] {
            let error = with(&[(variable, "7351904628")]).unwrap_err().to_string();
            assert!(error.contains(variable) && error.contains(expected), "{error}");
            assert!(!error.contains("7351904628"), "{error}");
        }
    }

    #[test]
    fn a_number_that_toml_cannot_hold_is_refused_where_it_is() {
        let text = "[store]\nsettle_seconds = 9223372036854775808\n";
        let error = RawConfig::parse(Path::new("c.toml"), text).unwrap_err().to_string();
        assert!(error.starts_with("c.toml: line 2: "), "{error}");
        let text = text.replace('8', "7");
        let raw = RawConfig::parse(Path::new("c.toml"), &text).unwrap();
        assert!(raw.to_masked_toml().contains("settle_seconds = "));
    }

    #[test]
    fn a_wrong_type_is_named_without_its_value() {
        let error = with(&[("HONGYAN_SESSION__HEARTBEAT_MS", "soon")]).unwrap_err().to_string();
        assert!(error.contains("HONGYAN_SESSION__HEARTBEAT_MS"), "{error}");
        assert!(!error.contains("soon"), "{error}");
    }

    #[test]
    fn other_variables_are_nobodys_business() {
        for name in ["HONGYAN_CONFIG", "HONGYAN_VECTORS", "HONGYAN_BLESS", "PATH", "OTHER__KEY"] {
            assert_eq!(with(&[(name, "x")]).unwrap(), RawConfig::default(), "{name}");
        }
    }

    #[test]
    fn a_secret_in_a_line_that_is_wrong_is_not_printed() {
        let file = Path::new("c.toml");
        for line in [
            "token_key = \"7351904628\" x",
            "token_key = \"7351904628",
            "token_key = 7351904628",
            "token_key = [\"7351904628\"]",
            "tokenkey = \"7351904628\"",
        ] {
            let text = format!("[auth]\nregistration_open = true\n{line}\n");
            let error = RawConfig::parse(file, &text).unwrap_err().to_string();
            assert!(error.starts_with("c.toml: line 3: "), "{error}");
            assert!(!error.contains("7351904628"), "{error}");
        }
    }

    #[test]
    fn secrets_are_not_printed() {
        let raw = with(&[("HONGYAN_AUTH__TOKEN_KEY", "0123456789abcdef0123456789abcdef")]).unwrap();
        assert!(!raw.to_masked_toml().contains("0123456789abcdef"));
        assert!(!format!("{raw:?}").contains("0123456789abcdef"));
    }
}
