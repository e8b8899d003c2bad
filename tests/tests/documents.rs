//! What documents and comments refer to exists: files, and the functions that `docs/design.md` names.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Endings of the files that a document may name.
const ENDINGS: [&str; 5] = [".rs", ".py", ".sh", ".md", ".toml"];

/// Sections of `docs/design.md` whose tables name functions.
const TABLES: [&str; 2] = ["### Where to look", "### Who decides what"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests are in a folder of the project")
}

/// All files of the repository, relative to its root.
fn files() -> BTreeSet<String> {
    let mut files = BTreeSet::new();
    let mut folders = vec![root().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("listed") {
            let path = entry.expect("listed").path();
            let name = path.file_name().expect("named").to_string_lossy();
            if path.is_dir() && !name.starts_with('.') && name != "target" {
                folders.push(path);
            } else if path.is_file() {
                files.insert(relative(&path));
            }
        }
    }
    files
}

fn relative(path: &Path) -> String {
    path.strip_prefix(root()).expect("in the repository").to_string_lossy().into_owned()
}

fn is_document(file: &str) -> bool {
    file.ends_with(".md") && (!file.contains('/') || file.starts_with("docs/"))
}

fn read(file: &str) -> String {
    fs::read_to_string(root().join(file)).expect("read")
}

/// What is in backticks.
fn quoted(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

/// Where the links of a line in Markdown lead to, without what is on the network.
fn links(line: &str) -> impl Iterator<Item = &str> {
    let targets = line.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target);
    let files = targets.filter_map(|target| target.split('#').next());
    files.filter(|file| !file.is_empty() && !file.contains("://"))
}

/// Whether a word is the name or the relative path of a file.
fn names_a_file(word: &str) -> bool {
    let is_name = |c: char| c.is_ascii_alphanumeric() || "_-./".contains(c);
    word.chars().all(is_name) && !word.starts_with(['/', '.', '-']) && ENDINGS.iter().any(|end| word.ends_with(end))
}

/// The path relative to the document's folder, from the root.
fn beside(document: &str, path: &str) -> String {
    let mut parts: Vec<&str> = document.split('/').collect();
    parts.pop();
    for part in path.split('/') {
        match part {
            "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// Whether `word` in `file` is a file that there is. A bare name may be that of any file; what a path begins with is the root
/// or the folder of `file`, in a comment also any folder.
fn exists(files: &BTreeSet<String>, file: &str, word: &str) -> bool {
    let anywhere = || files.iter().any(|known| known.strip_suffix(word).is_some_and(|rest| rest.ends_with('/')));
    let by_its_end = !word.contains('/') || file.ends_with(".rs");
    files.contains(word) || files.contains(&beside(file, word)) || (by_its_end && anywhere())
}

/// Words of a line that name files: in documents every path, bare names only of sources, because others may be a user's.
fn named_in<'a>(file: &str, line: &'a str) -> Vec<&'a str> {
    let is_ours = |word: &&str| names_a_file(word) && (word.contains('/') || word.ends_with(".rs"));
    if is_document(file) {
        return quoted(line).filter(is_ours).chain(links(line)).collect();
    }
    let comment = line.find("//").map_or("", |start| &line[start..]);
    quoted(comment).filter(is_ours).collect()
}

#[test]
fn every_file_that_is_named_exists() {
    let files = files();
    let mut wrong = Vec::new();
    for file in files.iter().filter(|file| is_document(file) || file.ends_with(".rs")) {
        for (number, line) in read(file).lines().enumerate() {
            let missing = named_in(file, line).into_iter().filter(|word| !exists(&files, file, word));
            wrong.extend(missing.map(|word| format!("{file}:{}: {word}", number + 1)));
        }
    }
    assert!(wrong.is_empty(), "no such files: {wrong:#?}");
}

/// Whether `text` has the function `name`, or the method `Type::name`.
fn has_function(text: &str, name: &str) -> bool {
    let (of, name) = name.rsplit_once("::").map_or((None, name), |(of, name)| (Some(of), name));
    let has = |text: &str| ["(", "<"].iter().any(|next| text.contains(&format!("fn {name}{next}")));
    let is_of = |block: &&str| {
        let head = block.split('{').next().unwrap_or_default();
        of.is_none_or(|of| head.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == of))
    };
    match of {
        None => has(text),
        Some(_) => {
            text.split("\nimpl").skip(1).filter(is_of).any(|block| has(block.split("\n}").next().unwrap_or(block)))
        }
    }
}

/// What a row of a table names behind its first cell and is not there. Functions come after the path of their file.
fn missing_in(row: &str) -> Vec<String> {
    let (mut text, mut wrong) = (None, Vec::new());
    let (_, cells) = row.trim_start_matches('|').split_once('|').unwrap_or_default();
    for word in quoted(cells) {
        if names_a_file(word) {
            text = fs::read_to_string(root().join(word)).ok();
        } else if !text.as_ref().is_some_and(|text| has_function(text, word)) {
            wrong.push(word.to_owned());
        }
    }
    wrong
}

#[test]
fn every_function_that_the_design_names_is_in_its_file() {
    let design = read("docs/design.md");
    for heading in TABLES {
        let (_, section) = design.split_once(heading).unwrap_or_else(|| panic!("no section {heading}"));
        let section = section.split("\n#").next().expect("a section");
        let rows: Vec<&str> = section.lines().filter(|line| line.starts_with("| ")).skip(1).collect();
        assert!(rows.len() > 10, "{heading} has {} rows", rows.len());
        for row in rows {
            assert!(quoted(row).any(|word| !names_a_file(word)), "no function in {row}");
            assert_eq!(missing_in(row), Vec::<String>::new(), "not in their file: {row}");
        }
    }
}

/// A row of the table of folders, "| `ring/src/read/` | what | `format`, `sys` |", as `layers.rs` has it, without spaces.
fn rule_of(row: &str) -> Option<String> {
    let (name, rest) = row.strip_prefix("| `")?.split_once("/` |")?;
    let (_, folder) = name.split_once("src/")?;
    let (_, may_use) = rest.trim_end_matches(" |").rsplit_once('|')?;
    let may_use: Vec<String> = quoted(may_use).map(|name| format!("{name:?}")).collect();
    Some(format!("({folder:?},&[{}])", may_use.join(",")))
}

#[test]
fn the_map_has_the_folders_and_arrows_of_the_test_of_the_layers() {
    let layers: String = read("tests/tests/layers.rs").split_whitespace().collect();
    let layers = layers.replace(",]", "]");
    let folders = layers.matches("\",&[").count() - layers.matches("\",&[(").count();
    let design = read("docs/design.md");
    let (_, map) = design.split_once("**Folders**").expect("the table of folders");
    let rules: Vec<String> = map.split("\n#").next().expect("a section").lines().filter_map(rule_of).collect();
    let others: Vec<&String> = rules.iter().filter(|rule| !layers.contains(*rule)).collect();
    assert!(others.is_empty(), "not so in layers.rs: {others:?}");
    assert_eq!(rules.len(), folders, "folders that one of the two lacks");
}

#[test]
fn what_is_not_there_is_noticed() {
    let files: BTreeSet<String> = ["docs/a.md", "ring/src/b.rs"].map(str::to_owned).into();
    assert_eq!(
        named_in("docs/a.md", "`ring/src/b.rs` [c](../c.md#d) `e.rs` `/etc/f.toml` `g.toml`"),
        ["ring/src/b.rs", "e.rs", "../c.md"]
    );
    assert_eq!(named_in("x.rs", "let y = \"`a.rs`\"; // see `layers.rs`"), ["layers.rs"]);
    assert!(exists(&files, "docs/a.md", "b.rs") && exists(&files, "docs/a.md", "../ring/src/b.rs"));
    assert!(!exists(&files, "docs/a.md", "src/b.rs") && exists(&files, "ring/src/b.rs", "src/b.rs"));
    assert!(!exists(&files, "docs/a.md", "e.rs") && !exists(&files, "docs/a.md", "../c.md"));

    let code = "\nimpl<T> Lane<T> {\n    pub fn open(&self) {}\n}\n\nfn close<T>() {}\n";
    assert!(has_function(code, "open") && has_function(code, "Lane::open") && has_function(code, "close"));
    assert!(!has_function(code, "Ring::open") && !has_function(code, "Lane::close") && !has_function(code, "clos"));
    assert_eq!(
        missing_in("| `x` | `tests/tests/documents.rs` `has_function` `gone` | `none.rs` `has_function` |"),
        ["gone", "has_function"]
    );
}
