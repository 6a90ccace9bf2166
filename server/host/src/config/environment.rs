//! Variables of the environment over a configuration.
//!
//! The defaults, as a table, say which paths there are and of which type each
//! is; so a new key needs nothing here. A variable with our prefix that names
//! no key is refused: it would be a setting that somebody believes in.

use super::{ConfigError, RawConfig, Secret};

const PREFIX: &str = "HONGYAN_";

/// Variables of the command line and of this project's tests and tools, which
/// a server may inherit from them. They are nobody's settings.
const NOT_KEYS: [&str; 8] = [
    "HONGYAN_BENCH_DIR",
    "HONGYAN_BLESS",
    "HONGYAN_CONFIG",
    "HONGYAN_DAMAGE_ROUNDS",
    "HONGYAN_STORE_CRASH_DIR",
    "HONGYAN_STORE_CRASH_ENGINE",
    "HONGYAN_VECTORS",
    "HONGYAN_WRITE_FIXTURES",
];

/// Whether a variable of this name is meant to set a key.
pub(super) fn is_ours(variable: &str) -> bool {
    variable.starts_with(PREFIX) && !NOT_KEYS.contains(&variable)
}

/// Puts `environment` over `base`.
pub(super) fn overlay(
    base: RawConfig,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<RawConfig, ConfigError> {
    let mut token_key = base.auth.token_key.clone();
    let mut table = toml::Table::try_from(&base).map_err(|error| ConfigError::Environment {
        variable: PREFIX.to_owned(),
        detail: error.to_string(),
    })?;
    let base_table = table.clone();
    let mut names = Vec::new();
    for (variable, text) in environment {
        let Some(path) = variable.strip_prefix(PREFIX).filter(|_| is_ours(&variable)) else {
            continue;
        };
        let path: Vec<String> = path.split("__").map(str::to_lowercase).collect();
        let wrong =
            |detail: String| ConfigError::Environment { variable: variable.clone(), detail };
        let no_key = || wrong(explain(&base_table, &variable, &path));
        let slot = find(&mut table, &path).ok_or_else(no_key)?;
        if path == ["auth", "token_key"] {
            // Serialising masks it, so it takes its own way round the table.
            token_key = Secret::new(text);
            continue;
        }
        *slot = parse(&text, slot).ok_or_else(|| wrong(format!("wants {}", wanted(slot))))?;
        names.push(variable);
    }
    let mut config: RawConfig = table.try_into().map_err(|error: toml::de::Error| {
        ConfigError::Environment { variable: names.join(", "), detail: error.message().to_owned() }
    })?;
    config.auth.token_key = token_key;
    Ok(config)
}

fn find<'a>(table: &'a mut toml::Table, path: &[String]) -> Option<&'a mut toml::Value> {
    let (last, parents) = path.split_last()?;
    let mut table = table;
    for part in parents {
        table = table.get_mut(part)?.as_table_mut()?;
    }
    table.get_mut(last).filter(|value| !value.is_table())
}

/// Why `variable` sets nothing, and what may have been meant.
fn explain(table: &toml::Table, variable: &str, path: &[String]) -> String {
    if let [section] = path
        && let Some(toml::Value::Table(keys)) = table.get(section)
    {
        let keys: Vec<&str> = keys.keys().map(String::as_str).collect();
        return format!(
            "is a section; {variable}__ and one of these is a key: {}",
            keys.join(", ")
        );
    }
    let why = format!("there is no key {}", path.join("."));
    let letters = |name: &str| name.replace('_', "").to_uppercase();
    let mut names = Vec::new();
    variables(table, PREFIX, &mut names);
    match names.into_iter().find(|name| letters(name) == letters(variable)) {
        Some(meant) => format!("{why}; did you mean {meant}?"),
        None => format!("{why}; `hongyan config print` shows all of them"),
    }
}

/// The variables of all keys of `table`.
fn variables(table: &toml::Table, prefix: &str, out: &mut Vec<String>) {
    for (key, value) in table {
        let name = format!("{prefix}{}", key.to_uppercase());
        match value {
            toml::Value::Table(inner) => variables(inner, &format!("{name}__"), out),
            _ => out.push(name),
        }
    }
}

fn parse(text: &str, like: &toml::Value) -> Option<toml::Value> {
    match like {
        toml::Value::Boolean(_) => match text {
            "true" | "1" => Some(true.into()),
            "false" | "0" => Some(false.into()),
            _ => None,
        },
        toml::Value::Integer(_) => text.replace('_', "").parse::<i64>().ok().map(Into::into),
        toml::Value::Array(_) => Some(toml::Value::Array(
            text.split(',')
                .map(str::trim)
                .filter(|part| !part.is_empty())
                .map(|part| part.to_owned().into())
                .collect(),
        )),
        toml::Value::String(_) => Some(text.to_owned().into()),
        _ => None,
    }
}

const fn wanted(like: &toml::Value) -> &'static str {
    match like {
        toml::Value::Boolean(_) => "true or false",
        toml::Value::Integer(_) => "a whole number",
        toml::Value::Array(_) => "values with commas between them",
        _ => "text",
    }
}
