//! What a page of the app may do (Content-Security-Policy).
//!
//! Scripts come from the app itself, and those written into its page are named
//! by their hash, so an injected one does not run. A page may connect to any
//! WebSocket: people may name a server of their own.

use std::io;
use std::path::Path;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Longest page that is looked at.
const PAGE_BYTES_MAX: u64 = 1024 * 1024;

/// The policy for the app whose first page is in `file`.
///
/// # Errors
/// When the page cannot be read, is not text or is too long.
pub(super) fn of_page(file: &Path) -> io::Result<String> {
    if std::fs::metadata(file)?.len() > PAGE_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "is too long for a page"));
    }
    Ok(of(&std::fs::read_to_string(file)?))
}

fn of(page: &str) -> String {
    let mut scripts = "'self'".to_owned();
    for script in inline_scripts(page) {
        let hash = STANDARD.encode(digest(&SHA256, script.as_bytes()));
        scripts.push_str(&format!(" 'sha256-{hash}'"));
    }
    format!(
        "default-src 'self'; script-src {scripts}; style-src 'self' 'unsafe-inline'; \
         img-src 'self' data: blob: https:; font-src 'self' data: https:; media-src 'self' data: blob:; \
         connect-src 'self' ws: wss:; worker-src 'self' blob:; object-src 'none'; base-uri 'self'; \
         form-action 'self'; frame-ancestors 'none'"
    )
}

/// The scripts that are written into the page itself.
fn inline_scripts(page: &str) -> Vec<&str> {
    // Searched in lower case, which keeps the places of all bytes.
    let lower = page.to_ascii_lowercase();
    let mut scripts = Vec::new();
    let mut at = 0;
    while let Some(begin) = lower[at..].find("<script").map(|found| at + found) {
        let Some(open_end) = lower[begin..].find('>').map(|found| begin + found + 1) else { break };
        let Some(end) = lower[open_end..].find("</script").map(|found| open_end + found) else {
            break;
        };
        if !lower[begin..open_end].contains("src=") && end > open_end {
            scripts.push(&page[open_end..end]);
        }
        at = end;
    }
    scripts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_in_the_page_are_named_by_their_hash() {
        let page = "<html><SCRIPT>alert('Ä')</SCRIPT><script type=module src=\"/a.js\"></script>\
                    <script>\n</script><script>unfinished";
        assert_eq!(inline_scripts(page), ["alert('Ä')", "\n"]);
        let policy = of("<script>alert(1)</script>");
        // sha256 of `alert(1)`, as browsers report it.
        assert!(
            policy.contains(
                "script-src 'self' 'sha256-bhHHL3z2vDgxUt0W3dWQOrprscmda2Y5pLsLg4GF+pI='"
            ),
            "{policy}"
        );
        assert!(!of("").contains("sha256") && policy.contains("connect-src 'self' ws: wss:"));
    }
}
