//! quill, a logger for C++, as a row of the table: a program of its own, which g++ compiles where `--quill` names the
//! headers of quill. It takes the arguments that `row.rs` gives a child, without the name of the row, and answers alike.

use crate::scratch::Scratch;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// Its name among the rows.
pub(crate) const NAME: &str = "quill";
/// What the table says about it.
pub(crate) const MODE: &str = "C++, asynchronous, unbounded, tsc clock";

const SOURCE: &str = include_str!("../quill/harness.cpp");
/// `NDEBUG` as in a release build of quill's own.
const FLAGS: &[&str] = &["-O3", "-DNDEBUG", "-std=c++17", "-pthread"];
/// A header that every release has; the version is in it too.
const HEADER: &str = "quill/Backend.h";

/// The compiled harness; it goes with its folder.
#[derive(Debug)]
pub(crate) struct Harness {
    program: PathBuf,
    version: String,
    _scratch: Scratch,
}

impl Harness {
    /// Compiles it, or says what was found and what to do.
    pub(crate) fn build(headers: Option<&Path>, base: &Path) -> Result<Harness, String> {
        let given = headers.ok_or("its headers were not given; `--quill DIR` names the folder of a clone")?;
        let include =
            [given.to_owned(), given.join("include")].into_iter().find(|folder| folder.join(HEADER).is_file());
        let include = include.ok_or_else(|| {
            let given = given.display();
            format!("neither {given} nor {given}/include holds {HEADER}; name a clone of github.com/odygrd/quill")
        })?;
        let scratch = Scratch::new(base).map_err(|error| format!("no folder to compile it in: {error}"))?;
        let (source, program) = (scratch.path().join("harness.cpp"), scratch.path().join("harness"));
        std::fs::write(&source, SOURCE).map_err(|error| format!("{} cannot be written: {error}", source.display()))?;
        compile(&include, &source, &program)?;
        let answer = output(Command::new(&program).arg("version"));
        let answer =
            answer.map_err(|error| format!("the compiled harness does not run: {error}; try another `--dir`"))?;
        let version = String::from_utf8_lossy(&answer.stdout).trim().to_owned();
        Ok(Harness { program, version, _scratch: scratch })
    }

    pub(crate) fn command(&self) -> Command {
        Command::new(&self.program)
    }

    pub(crate) fn version(&self) -> &str {
        &self.version
    }
}

fn compile(include: &Path, source: &Path, program: &Path) -> Result<(), String> {
    eprintln!("compiling the harness of {NAME}");
    // As system headers, so that no warning of theirs is shown.
    let compiled =
        output(Command::new("g++").args(FLAGS).arg("-isystem").arg(include).arg(source).arg("-o").arg(program));
    compiled.map(|_| ()).map_err(|error| match error {
        Failure::Start(error) if error.kind() == ErrorKind::NotFound => {
            "there is no g++ in PATH; install it, version 9 or later".to_owned()
        }
        error => format!("g++ failed: {error}; it compiles with quill 12.1 and g++ 12: try those"),
    })
}

/// Why a program gave no output.
enum Failure {
    Start(std::io::Error),
    /// It ended with this complaint.
    End(String),
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Failure::Start(error) => error.fmt(f),
            Failure::End(complaint) => complaint.fmt(f),
        }
    }
}

/// What a program printed. All complaints of one that fails go to standard error, and the first of them is returned.
fn output(command: &mut Command) -> Result<Output, Failure> {
    let output = command.stdin(Stdio::null()).output().map_err(Failure::Start)?;
    if output.status.success() {
        return Ok(output);
    }
    let complaints = String::from_utf8_lossy(&output.stderr);
    eprint!("{complaints}");
    let first = complaints.lines().find(|line| line.contains("error")).or(complaints.lines().next());
    Err(Failure::End(format!("{}, {}", output.status, first.unwrap_or("without a word"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_said_with_what_to_do() {
        let base = std::env::temp_dir();
        let reason = |headers| Harness::build(headers, &base).expect_err("no headers");
        assert!(reason(None).contains("--quill DIR"));
        let nowhere = reason(Some(Path::new("/nowhere")));
        assert!(nowhere.contains("neither /nowhere nor /nowhere/include holds quill/Backend.h"), "{nowhere}");
    }
}
