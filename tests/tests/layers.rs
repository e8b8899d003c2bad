//! The layout of the code: which folder may use which, and no circle of files.
//!
//! Between the members the compiler enforces it: a crate cannot use one that uses it. Within a member nothing else does, and a
//! circle of files is soon one piece that can only be read as a whole. The table is that of `docs/design.md`, "Map".

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// A member, and for each of its folders those that it may use. Files beside the folders may use all, and be used by all.
type Member = (&'static str, &'static [(&'static str, &'static [&'static str])]);

const MEMBERS: [Member; 4] = [
    (
        "ring/src",
        &[
            ("cpu", &[]),
            ("format", &[]),
            ("sys", &["format"]),
            ("place", &["cpu", "format", "sys"]),
            ("read", &["format", "place", "sys"]),
            ("write", &["format", "place", "sys"]),
        ],
    ),
    (
        "flusher/src",
        &[
            ("render", &[]),
            ("crash", &["render"]),
            ("evidence", &["crash", "render"]),
            ("files", &["crash", "evidence", "render"]),
            ("recover", &["crash", "evidence", "files", "render"]),
            ("drain", &["crash", "evidence", "files", "recover", "render"]),
            ("console", &["render"]),
        ],
    ),
    (
        "src",
        &[
            ("sys", &[]),
            ("config", &[]),
            ("logger", &["config", "sys"]),
            ("process", &["config", "logger", "sys"]),
            ("front", &["config", "logger", "process", "sys"]),
        ],
    ),
    ("cli/src", &[("demo", &[]), ("doctor", &[]), ("level", &[]), ("run", &[]), ("show", &[])]),
];

/// Files, each with those of the same member that it uses. `drain/merge` stands for `drain/merge.rs`, `drain` for its `mod.rs` too.
type Uses = BTreeMap<String, BTreeSet<String>>;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests are in a folder of the project")
}

fn sources(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("listed") {
        let path = entry.expect("listed").path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            into.push(path);
        }
    }
}

fn uses_of(member: &str) -> Uses {
    let folder = root().join(member);
    let mut files = Vec::new();
    sources(&folder, &mut files);
    let name = |path: &PathBuf| {
        let path = path.strip_prefix(&folder).expect("in it").with_extension("");
        let path = path.to_str().expect("UTF-8");
        path.strip_suffix("/mod").unwrap_or(path).to_owned()
    };
    let names: BTreeSet<String> = files.iter().map(name).collect();
    let of = |path: &PathBuf| {
        let used = paths_in(&fs::read_to_string(path).expect("read"));
        let used = used.iter().filter_map(|path| longest_known(path, &names)).filter(|used| *used != name(path));
        (name(path), used.collect())
    };
    files.iter().map(of).collect()
}

/// Everything that begins with `crate::`, outside of tests and comments, with groups in braces spelt out.
fn paths_in(text: &str) -> Vec<String> {
    let code = text.split("\nmod tests").next().unwrap_or_default();
    let code: String =
        code.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n");
    code.split("crate::").skip(1).flat_map(|rest| spelt_out("", rest).0).collect()
}

/// The paths that `text` begins with, below `prefix`, and how many bytes they take.
fn spelt_out(prefix: &str, text: &str) -> (Vec<String>, usize) {
    let word = text.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(text.len());
    if word > 0 {
        let path = format!("{prefix}/{}", &text[..word]);
        return match text[word..].strip_prefix("::") {
            Some(rest) => {
                let (found, length) = spelt_out(&path, rest);
                (found, word + 2 + length)
            }
            None => (vec![path], word),
        };
    }
    let (mut found, mut at) = (vec![prefix.to_owned()], 0);
    if text.starts_with('{') {
        at = 1;
        while at < text.len() && !text[at..].starts_with('}') {
            let (part, length) = spelt_out(prefix, &text[at..]);
            found.extend(part);
            at += length.max(1);
        }
        at += 1;
    }
    (found, at)
}

fn longest_known(path: &str, names: &BTreeSet<String>) -> Option<String> {
    let path = path.trim_start_matches('/');
    let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
    ends.map(|end| &path[..end]).filter(|part| names.contains(*part)).max_by_key(|part| part.len()).map(str::to_owned)
}

/// Files from which one gets back to `start`, if there are any.
fn circle(uses: &Uses, start: &str) -> Option<Vec<String>> {
    let mut ways = vec![vec![start.to_owned()]];
    let mut seen = BTreeSet::new();
    while let Some(way) = ways.pop() {
        for next in uses.get(way.last()?).into_iter().flatten() {
            if next == start {
                return Some(way);
            }
            if seen.insert(next.clone()) {
                ways.push([way.clone(), vec![next.clone()]].concat());
            }
        }
    }
    None
}

#[test]
fn no_folder_uses_one_that_stands_above_it() {
    let mut wrong = Vec::new();
    for (member, allowed) in MEMBERS {
        for (file, used) in uses_of(member) {
            let Some((folder, _)) = file.split_once('/') else { continue };
            let (_, may_use) = allowed.iter().find(|(name, _)| *name == folder).unwrap_or_else(|| {
                panic!("{member}/{folder} is a new folder: say here, and in docs/design.md, what it may use");
            });
            let others = used.iter().filter_map(|used| Some((used, used.split_once('/')?.0)));
            let others = others.filter(|(_, other)| *other != folder && !may_use.contains(other));
            wrong.extend(others.map(|(used, _)| format!("{member}/{file} uses {used}")));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn no_files_use_each_other_in_a_circle() {
    let mut wrong = Vec::new();
    for (member, _) in MEMBERS {
        let uses = uses_of(member);
        let circles = uses.keys().filter_map(|file| circle(&uses, file));
        wrong.extend(circles.map(|circle| format!("{member}: {}", circle.join(" -> "))));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_way_to_write_a_path_is_read() {
    let text = "use crate::a::{self, b::{C, D}, e};\n// crate::comment\nlet x = crate::f::g();\n#[cfg(test)]\nmod tests {\nuse crate::h;";
    let found = paths_in(text);
    for expected in ["/a/self", "/a/b/C", "/a/b/D", "/a/e", "/f/g"] {
        assert!(found.iter().any(|path| path == expected), "{expected} in {found:?}");
    }
    assert!(!found.iter().any(|path| path.contains("comment") || path.contains("/h")), "{found:?}");
}
