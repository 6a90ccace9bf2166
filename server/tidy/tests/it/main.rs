//! Runs every check over the tree.

use hongyan_tidy::tree::{self, File};
use hongyan_tidy::{documents, imports, sizes, words};

fn files() -> Vec<File> {
    let files = tree::files(&tree::root());
    assert!(files.len() > 50, "only {} files were found", files.len());
    files
}

fn rust() -> Vec<File> {
    files().into_iter().filter(|file| file.is(".rs")).collect()
}

fn text(path: &str) -> String {
    std::fs::read_to_string(tree::root().join(path)).unwrap_or_default()
}

#[track_caller]
fn none(objections: Vec<String>) {
    assert!(objections.is_empty(), "{} objections:\n{}", objections.len(), objections.join("\n"));
}

#[test]
fn crates_import_what_they_may() {
    let files = rust();
    let mut objections = imports::without_rule(&text("Cargo.toml"));
    for rule in imports::RULES {
        let cargo_toml = text(&format!("{}/Cargo.toml", rule.folder));
        objections.extend(imports::wrong_dependencies(rule, &cargo_toml));
        objections.extend(files.iter().flat_map(|file| imports::wrong_words(rule, file)));
    }
    none(objections);
}

#[test]
fn every_crate_takes_the_workspace_lints() {
    let lacking = imports::RULES
        .iter()
        .filter(|rule| tree::root().join(rule.folder).join("Cargo.toml").is_file())
        .filter(|rule| {
            !text(&format!("{}/Cargo.toml", rule.folder)).contains("[lints]\nworkspace = true")
        })
        .map(|rule| format!("{}/Cargo.toml lacks [lints] workspace = true", rule.folder));
    none(lacking.collect());
}

#[test]
fn files_and_functions_are_short_enough() {
    let files = rust();
    let mut objections = sizes::stale(&files, sizes::LONGER);
    objections.extend(files.iter().flat_map(|file| sizes::too_long(file, sizes::LONGER)));
    none(objections);
}

#[test]
fn every_module_says_what_it_is() {
    none(rust().iter().filter_map(sizes::no_module_doc).collect());
}

#[test]
fn no_banned_word_stands_in_code() {
    none(rust().iter().flat_map(words::banned).collect());
}

#[test]
fn every_unsafe_block_says_why() {
    none(rust().iter().flat_map(words::unsafe_without_reason).collect());
}

#[test]
fn no_path_of_one_machine_is_written_down() {
    none(files().iter().flat_map(words::machine_paths).collect());
}

#[test]
fn every_opcode_error_and_limit_is_documented() {
    let page = text("docs/PROTOCOL.md");
    let opcodes = documents::numbered_rows(&text("protocol/src/opcode.rs"), "opcodes");
    let errors = documents::numbered_rows(&text("protocol/src/error.rs"), "error_codes");
    let limits = documents::constants(&text("protocol/src/limits.rs"));
    assert!(opcodes.len() > 30 && errors.len() > 30 && limits.len() > 30);
    let mut objections = documents::undocumented(&opcodes, &page);
    objections.extend(documents::undocumented(&errors, &page));
    objections.extend(documents::undocumented_limits(&limits, &page));
    none(objections);
}

#[test]
fn every_configuration_key_is_explained_in_the_sample() {
    none(documents::undocumented_keys(
        &text("server/host/src/config/raw.rs"),
        &text("server/host/hongyan.toml"),
    ));
}

#[test]
fn the_lexicon_has_one_meaning_per_term() {
    let terms = documents::terms(&text("docs/LEXICON.md"));
    assert!(terms.len() > 30, "{} terms", terms.len());
    none(documents::muddled(&terms));
}
