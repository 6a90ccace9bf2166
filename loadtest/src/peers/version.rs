//! Versions in what programs say about themselves.

/// The first number with a dot in it, such as `2.0.11`; numbers joined to words count, too
/// (`v=7.0.15`).
#[must_use]
pub fn find(text: &str) -> Option<String> {
    text.split(|c: char| !c.is_ascii_digit() && c != '.')
        .map(|word| word.trim_matches('.'))
        .find(|word| word.contains('.') && !word.contains(".."))
        .map(str::to_owned)
}

/// Whether `version` is `least` or later, part by part. What cannot be read is not.
#[must_use]
pub fn is_at_least(version: &str, least: (u32, u32)) -> bool {
    let mut parts = version.split('.').map(|part| part.parse::<u32>().ok());
    match (parts.next().flatten(), parts.next().flatten()) {
        (Some(major), Some(minor)) => (major, minor) >= least,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_what_the_programs_say() {
        for (said, version) in [
            ("mosquitto version 2.0.11\n\nmosquitto is an MQTT broker.", "2.0.11"),
            ("Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64", "7.0.15"),
            ("nats-server: v2.15.1", "2.15.1"),
            ("3.10.8\n", "3.10.8"),
            ("23.01-1", "23.01"),
            ("rumqttd 0.20.0", "0.20.0"),
            ("rmqttd/0.24.0 rustc/1.95.0", "0.24.0"),
            ("It failed. See 1.2.", "1.2"),
        ] {
            assert_eq!(find(said).as_deref(), Some(version), "{said}");
        }
        assert_eq!(find("no number. 7 is none..."), None);
    }

    #[test]
    fn versions_are_compared_as_numbers() {
        for (version, new_enough) in
            [("2.10.0", true), ("2.9.10", false), ("3.0", true), ("2", false), ("x.y", false)]
        {
            assert_eq!(is_at_least(version, (2, 10)), new_enough, "{version}");
        }
    }
}
