//! Which pages may connect.
//!
//! A browser says in `Origin` where the page comes from; a page cannot change
//! that. Anything else can say what it likes, so this protects users of
//! browsers from other people's pages and is no access control.

/// A page's origin, as a browser writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Every page.
    Any,
    /// Exactly this: scheme, host and port, in lower case.
    Exact(String),
}

impl Origin {
    /// Reads an entry of the allow-list: `*`, `null`, or scheme, host and a
    /// port that is not the scheme's own.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = text.trim().to_ascii_lowercase();
        if text == "*" {
            return Some(Self::Any);
        }
        let good = text == "null"
            || text.split_once("://").is_some_and(|(scheme, authority)| {
                !scheme.is_empty()
                    && hostname(authority).is_some()
                    && !authority.contains(['/', '?', '#', '@', '*', ' '])
            });
        good.then_some(Self::Exact(text))
    }

    fn is(&self, origin: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(exact) => exact.eq_ignore_ascii_case(origin),
        }
    }
}

/// Whether a page of `origin` may connect to us as `host`. Without an origin
/// it is not a page.
#[cfg_attr(not(feature = "websocket"), allow(dead_code))]
pub(crate) fn is_allowed(allowed: &[Origin], origin: Option<&str>, host: Option<&str>) -> bool {
    let Some(origin) = origin else {
        return true;
    };
    if !allowed.is_empty() {
        return allowed.iter().any(|allowed| allowed.is(origin));
    }
    let of_page = origin.split_once("://").and_then(|(_, authority)| hostname(authority));
    let ours = host.and_then(hostname);
    of_page.is_some_and(|page| ours.is_some_and(|ours| page.eq_ignore_ascii_case(ours)))
}

/// The host of an authority, without its port.
fn hostname(authority: &str) -> Option<&str> {
    let (host, port) = if authority.starts_with('[') {
        let end = authority.find(']')? + 1;
        authority.split_at(end)
    } else {
        authority.split_at(authority.find(':').unwrap_or(authority.len()))
    };
    let port = port.strip_prefix(':').unwrap_or(port);
    let good = !host.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    good.then_some(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(texts: &[&str]) -> Vec<Origin> {
        texts.iter().map(|text| Origin::parse(text).unwrap()).collect()
    }

    #[test]
    fn without_a_list_the_host_decides_and_the_port_does_not() {
        let allowed = |origin, host| is_allowed(&[], Some(origin), Some(host));
        assert!(allowed("http://localhost:5280", "localhost:5200"));
        assert!(allowed("https://Chat.Example", "chat.example"));
        assert!(allowed("http://[::1]:5280", "[::1]:5200"));
        assert!(!allowed("http://localhost:5280", "127.0.0.1:5200"));
        assert!(!allowed("https://chat.example.evil", "chat.example"));
        assert!(!allowed("https://evil", "chat.example"));
        assert!(!allowed("null", "chat.example"));
        assert!(!allowed("https://", "chat.example"));
        assert!(!allowed("https://chat.example:x@evil", "chat.example"));
        assert!(!is_allowed(&[], Some("https://chat.example"), None));
    }

    #[test]
    fn who_is_no_browser_names_no_origin() {
        assert!(is_allowed(&[], None, Some("chat.example")));
        assert!(is_allowed(&list(&["https://a.example"]), None, None));
    }

    #[test]
    fn with_a_list_only_the_list_counts() {
        let allowed = list(&["https://a.example", "HTTP://b.example:8080", "null"]);
        let is = |origin| is_allowed(&allowed, Some(origin), Some("chat.example"));
        assert!(is("https://a.example") && is("http://B.example:8080") && is("null"));
        assert!(!is("http://a.example") && !is("https://chat.example"));
        assert!(!is("https://a.example:8443"));
        assert!(is_allowed(&list(&["*"]), Some("https://anything"), None));
    }

    #[test]
    fn an_entry_is_an_origin_and_nothing_more() {
        for bad in ["", "a.example", "https://", "https://a/b", "https://*.a", "https://a:b"] {
            assert_eq!(Origin::parse(bad), None, "{bad}");
        }
    }
}
