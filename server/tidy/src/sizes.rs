//! How long a file and a function may be, and that every file says first
//! what it is.

use crate::source::code;
use crate::tree::File;

/// Lines of a file.
pub const FILE_LINES_MAX: usize = 800;
/// Lines of a function, from `fn` to its last brace.
pub const FUNCTION_LINES_MAX: usize = 70;

/// What may be longer: file, function (empty: the file itself; `*`: every
/// function in it), and why.
pub const LONGER: &[(&str, &str, &str)] =
    &[("protocol/tests/it/malformed/request_wrong.rs", "*", DATA)];
const DATA: &str = "tables of samples, one row after the other: data, not logic";

/// Files and functions over the limit.
pub fn too_long(file: &File, longer: &[(&str, &str, &str)]) -> Vec<String> {
    let allowed = |name: &str| {
        longer.iter().any(|(path, what, _)| {
            *path == file.path && (*what == name || *what == "*" && !name.is_empty())
        })
    };
    let mut objections = Vec::new();
    let lines = file.text.lines().count();
    if lines > FILE_LINES_MAX && !allowed("") {
        objections.push(format!("{}: {lines} lines, at most {FILE_LINES_MAX}", file.path));
    }
    for Function { name, line, lines } in functions(&file.text) {
        if lines > FUNCTION_LINES_MAX && !allowed(&name) {
            objections.push(format!(
                "{}:{line}: fn {name} has {lines} lines, at most {FUNCTION_LINES_MAX}",
                file.path
            ));
        }
    }
    objections
}

/// Entries of the allow-list that are not needed, or give no reason.
pub fn stale(files: &[File], longer: &[(&str, &str, &str)]) -> Vec<String> {
    let needed = |path: &str, what: &str| {
        files.iter().filter(|file| file.path == path).any(|file| {
            let alone = File { path: path.to_owned(), text: file.text.clone() };
            let others: Vec<_> =
                longer.iter().copied().filter(|(p, w, _)| (*p, *w) != (path, what)).collect();
            too_long(&alone, &others).len() > too_long(&alone, longer).len()
        })
    };
    longer
        .iter()
        .filter(|(path, what, reason)| reason.is_empty() || !needed(path, what))
        .map(|(path, what, _)| {
            format!("the exception for {path} {what} is not needed or not explained")
        })
        .collect()
}

/// A file that does not open with its documentation.
pub fn no_module_doc(file: &File) -> Option<String> {
    let first = file.text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    (!first.starts_with("//!")).then(|| format!("{}: does not open with //!", file.path))
}

struct Function {
    name: String,
    line: usize,
    lines: usize,
}

fn functions(text: &str) -> Vec<Function> {
    let code = code(text);
    let mut found = Vec::new();
    for (at, _) in code.match_indices("fn ") {
        let before = code[..at].chars().next_back();
        if before.is_some_and(|c| c.is_alphanumeric() || c == '_') {
            continue;
        }
        let name: String =
            code[at + 3..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        if name.is_empty() {
            continue;
        }
        if let Some(end) = body_end(&code[at..]) {
            let line = code[..at].matches('\n').count() + 1;
            let lines = code[at..at + end].matches('\n').count() + 1;
            found.push(Function { name, line, lines });
        }
    }
    found
}

/// Where the body ends of the function that begins here; `None` when it has
/// none.
fn body_end(code: &str) -> Option<usize> {
    let mut depth = 0_usize;
    let mut brackets = 0_usize;
    for (at, c) in code.char_indices() {
        match c {
            '(' | '[' => brackets += 1,
            ')' | ']' => brackets = brackets.saturating_sub(1),
            ';' if depth == 0 && brackets == 0 => return None,
            '{' => depth += 1,
            '}' => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function(lines: usize) -> String {
        format!("//! A.\n\nfn long() {{\n{}}}\n", "    x();\n".repeat(lines - 2))
    }

    #[test]
    fn a_long_function_is_seen_and_a_fitting_one_is_not() {
        let fits = File::new("a.rs", &function(FUNCTION_LINES_MAX));
        assert_eq!(too_long(&fits, &[]), Vec::<String>::new());
        let long = File::new("a.rs", &function(FUNCTION_LINES_MAX + 1));
        assert_eq!(too_long(&long, &[]).len(), 1);
        assert!(too_long(&long, &[("a.rs", "long", "why")]).is_empty());
        assert!(too_long(&long, &[("a.rs", "*", "why")]).is_empty());
        assert_eq!(too_long(&long, &[("a.rs", "", "why"), ("b.rs", "*", "why")]).len(), 1);
    }

    #[test]
    fn a_long_file_is_seen() {
        let long = File::new("a.rs", &"//! A.\n".repeat(FILE_LINES_MAX + 1));
        assert_eq!(too_long(&long, &[]).len(), 1);
        assert!(too_long(&long, &[("a.rs", "", "why")]).is_empty());
    }

    #[test]
    fn braces_in_strings_and_functions_without_a_body_do_not_confuse() {
        let text = "trait T { fn a(&self, x: [u8; 4]); fn b() { \"}}}\"; } }\nfn c() where X: Y {}";
        let names: Vec<_> = functions(text).into_iter().map(|f| (f.name, f.lines)).collect();
        assert_eq!(names, [("b".to_owned(), 1), ("c".to_owned(), 1)]);
    }

    #[test]
    fn an_exception_that_is_not_needed_is_seen() {
        let files = [File::new("a.rs", &function(FUNCTION_LINES_MAX + 1))];
        assert!(stale(&files, &[("a.rs", "long", "why")]).is_empty());
        assert_eq!(stale(&files, &[("a.rs", "long", "")]).len(), 1);
        assert_eq!(stale(&files, &[("a.rs", "long", "why"), ("b.rs", "", "why")]).len(), 1);
    }

    #[test]
    fn a_module_without_documentation_is_seen() {
        assert!(no_module_doc(&File::new("a.rs", "\n//! A.\nuse b;")).is_none());
        assert!(no_module_doc(&File::new("a.rs", "use b;\n//! A.")).is_some());
        assert!(no_module_doc(&File::new("a.rs", "")).is_some());
    }
}
