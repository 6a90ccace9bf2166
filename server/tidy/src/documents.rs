//! Whether documents say what the code says.

use std::collections::BTreeMap;

/// A row of one of the tables that the protocol's macros hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Number on the wire.
    pub number: String,
    /// Name in the code.
    pub name: String,
    /// First line of its documentation.
    pub meaning: String,
}

/// Rows `/// meaning` and `Name = 12, ...` of a macro that begins at `macro_name! {`.
pub fn numbered_rows(source: &str, macro_name: &str) -> Vec<Row> {
    let Some((_, body)) = source.split_once(&format!("\n{macro_name}! {{")) else {
        return Vec::new();
    };
    let mut rows = Vec::new();
    let mut meaning = String::new();
    for line in body.lines().take_while(|line| *line != "}").map(str::trim) {
        if let Some(doc) = line.strip_prefix("/// ") {
            if !meaning.is_empty() {
                meaning.push(' ');
            }
            meaning.push_str(doc);
        } else if let Some((name, rest)) = line.split_once(" = ") {
            let number = rest.chars().take_while(char::is_ascii_digit).collect();
            let meaning = std::mem::take(&mut meaning);
            rows.push(Row { number, name: name.to_owned(), meaning });
        }
    }
    rows
}

/// Rows that the page has no table row for, or another meaning, and table
/// rows of numbers that do not exist.
pub fn undocumented(rows: &[Row], page: &str) -> Vec<String> {
    rows.iter()
        .filter(|row| {
            let head = format!("| {} | {} |", row.number, row.name);
            !page.lines().any(|line| line.starts_with(&head) && line.contains(&row.meaning))
        })
        .map(|row| format!("{} {} is not documented as \"{}\"", row.number, row.name, row.meaning))
        .collect()
}

/// `pub const NAME: type = value;` of a source file, computed where it is a
/// product of numbers.
pub fn constants(source: &str) -> BTreeMap<String, u64> {
    source
        .lines()
        .filter_map(|line| {
            let (name, rest) = line.strip_prefix("pub const ")?.split_once(':')?;
            let (_, value) = rest.trim_end_matches(';').split_once(" = ")?;
            let mut factors =
                value.split('*').map(|factor| factor.trim().replace('_', "").parse::<u64>());
            let product =
                factors.try_fold(1_u64, |product, factor| factor.ok()?.checked_mul(product))?;
            Some((name.to_owned(), product))
        })
        .collect()
}

/// Limits that the page does not give with their value.
pub fn undocumented_limits(limits: &BTreeMap<String, u64>, page: &str) -> Vec<String> {
    limits
        .iter()
        .filter(|(name, value)| !page.contains(&format!("| {name} | {} |", grouped(**value))))
        .map(|(name, value)| format!("the limit {name} = {value} is not in the page"))
        .collect()
}

/// 1048576 as 1,048,576.
fn grouped(value: u64) -> String {
    let digits = value.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// Keys of the configuration's source that the sample file does not have, or
/// has without a comment above. A key may be commented out.
pub fn undocumented_keys(raw_source: &str, sample: &str) -> Vec<String> {
    let mut objections = Vec::new();
    for key in keys(raw_source) {
        let lines: Vec<&str> = sample.lines().map(str::trim).collect();
        let at = lines.iter().position(|line| {
            let line = line.trim_start_matches('#').trim_start();
            line.strip_prefix(&key).is_some_and(|rest| rest.trim_start().starts_with('='))
        });
        match at {
            None => objections.push(format!("the key {key} is not in the sample configuration")),
            Some(at) if !explained(&lines[..at]) => {
                objections.push(format!("the key {key} has no explanation above it"));
            }
            Some(_) => {}
        }
    }
    objections
}

/// Whether a comment stands above, possibly with other keys in between.
fn explained(above: &[&str]) -> bool {
    above
        .iter()
        .rev()
        .take_while(|line| !line.is_empty() && !line.starts_with('['))
        .any(|line| line.starts_with("# ") && !line.contains(" = "))
}

/// Fields with a default (`name: type = value,`) in the configuration's
/// source; those whose default is another room are sections.
fn keys(raw_source: &str) -> Vec<String> {
    raw_source
        .lines()
        .filter_map(|line| {
            let (name, rest) = line.strip_prefix("        ")?.split_once(": ")?;
            let (kind, default) = rest.split_once(" = ")?;
            let named =
                name.chars().all(|c| c.is_ascii_lowercase() || c == '_' || c.is_ascii_digit());
            let section = kind.starts_with("Raw");
            (named && default.ends_with(',') && !section).then(|| name.to_owned())
        })
        .collect()
}

/// A term of the lexicon and the words that it stands instead of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Term {
    /// The word that is used.
    pub term: String,
    /// Words that are not.
    pub not: Vec<String>,
}

/// Rows `| **term** | meaning | not |` of the lexicon.
pub fn terms(lexicon: &str) -> Vec<Term> {
    lexicon
        .lines()
        .filter_map(|line| {
            let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
            let [term, _, not] = cells.as_slice() else {
                return None;
            };
            let term = term.strip_prefix("**")?.strip_suffix("**")?;
            let not = not.split(',').map(|word| word.trim().to_owned());
            Some(Term { term: term.to_owned(), not: not.filter(|word| !word.is_empty()).collect() })
        })
        .collect()
}

/// Terms out of order or there twice, and words that are a term and to be
/// avoided at once.
pub fn muddled(terms: &[Term]) -> Vec<String> {
    let mut objections = Vec::new();
    for pair in terms.windows(2) {
        if pair[0].term.to_lowercase() >= pair[1].term.to_lowercase() {
            objections.push(format!("{} stands before {}", pair[0].term, pair[1].term));
        }
    }
    for Term { term, not } in terms {
        for word in not {
            if terms.iter().any(|other| other.term == *word) {
                objections.push(format!("{word} is a term and to be avoided for {term}"));
            }
        }
    }
    objections
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "\nopcodes! {\n    /// Sends\n    /// a message.\n    Send = 32, Session, \"Send\" => \"SendAck\";\n}\n";

    #[test]
    fn a_number_without_a_row_is_seen() {
        let rows = numbered_rows(SOURCE, "opcodes");
        assert_eq!(rows.len(), 1);
        assert!(undocumented(&rows, "| 32 | Send | session | Sends a message. |").is_empty());
        for page in ["", "| 32 | Sent | Sends a message. |", "| 32 | Send | Sends. |"] {
            assert_eq!(undocumented(&rows, page).len(), 1, "{page}");
        }
    }

    #[test]
    fn a_limit_with_another_value_is_seen() {
        let limits = constants("pub const A_MAX: usize = 1024 * 1024;\nconst B: u8 = 1;");
        assert_eq!(limits.get("A_MAX"), Some(&1_048_576));
        assert_eq!(limits.len(), 1);
        assert!(undocumented_limits(&limits, "| A_MAX | 1,048,576 | bytes |").is_empty());
        assert_eq!(undocumented_limits(&limits, "| A_MAX | 1,048,575 | bytes |").len(), 1);
    }

    #[test]
    fn a_key_that_is_missing_or_unexplained_is_seen() {
        let raw = "    Listen {\n        /// Doc.\n        tcp: String = String::new(),\n    }\n";
        assert!(undocumented_keys(raw, "[listen]\n# Where.\ntcp = \"x\"").is_empty());
        assert!(undocumented_keys(raw, "[listen]\n# Where.\n#tcp = \"x\"").is_empty());
        assert_eq!(undocumented_keys(raw, "[listen]\n# Where.\nudp = \"x\"").len(), 1);
        assert_eq!(undocumented_keys(raw, "[listen]\ntcp = \"x\"").len(), 1);
    }

    #[test]
    fn a_muddled_lexicon_is_seen() {
        let lexicon = "| **ack** | x | receipt |\n| **batch** | y |  |\n";
        let good = terms(lexicon);
        assert_eq!(good.len(), 2);
        assert!(muddled(&good).is_empty());
        assert_eq!(muddled(&terms("| **b** | x | |\n| **a** | y | |\n")).len(), 1);
        assert_eq!(muddled(&terms("| **a** | x | b |\n| **b** | y | |\n")).len(), 1);
    }
}
