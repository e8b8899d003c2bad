//! Manual pages.
//!
//! They are made from the definitions that the command line is read by, so they can only lack what the making leaves out: a
//! command, an option, the examples. And a page that looks right as text may still be none that man(1) can show.

use lastwords_tests::actor::{printed, tool, tool_at};
use lastwords_tests::programs::TOOL;
use lastwords_tests::scratch::Scratch;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Names of the commands, from the help of the tool.
fn commands() -> Vec<String> {
    let help = tool("--help").out;
    let (_, list) = help.split_once("Commands:\n").expect("commands");
    let list = list.split("\n\n").next().expect("a list");
    let names = list.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    names.filter_map(|line| line.split_ascii_whitespace().next()).map(str::to_owned).collect()
}

/// Options of a command, `-n` and `--lines`, from its help.
fn options(command: &str) -> Vec<String> {
    let help = tool(format!("{command} -h")).out;
    let (_, list) = help.split_once("Options:\n").expect("options");
    let heads = list.split("\n\n").next().expect("a list").lines().map(str::trim_start);
    heads
        .filter(|line| line.starts_with('-'))
        .flat_map(|line| line.split("  ").next().expect("a head").split([' ', ',']))
        .filter(|word| word.starts_with('-'))
        .map(str::to_owned)
        .collect()
}

/// A page as plain text, without what only marks its fonts.
fn plain(page: &str) -> String {
    let text = page.replace("\\-", "-").replace("\\*(Aq", "'").replace("\\&", "");
    [r"\fB", r"\fI", r"\fR"].iter().fold(text, |text, font| text.replace(font, ""))
}

/// The section of a page under this heading.
fn section<'a>(page: &'a str, heading: &str) -> Option<&'a str> {
    let heading = if heading.contains(' ') { format!("\"{heading}\"") } else { heading.to_owned() };
    let start = page.find(&format!("\n.SH {heading}\n"))?;
    let rest = &page[start + 1..];
    Some(rest.split("\n.SH ").next().unwrap_or(rest))
}

/// The pages, written into a new folder.
fn pages(scratch: &Scratch) -> Vec<PathBuf> {
    // A folder of a package that is being made, where no folder of man pages is yet.
    let printed = tool_at("man", scratch.join("share/man/man1"));
    printed.ended(0);
    let paths: Vec<PathBuf> = printed.out.lines().map(PathBuf::from).collect();
    let mut there: Vec<PathBuf> = fs::read_dir(scratch.join("share/man/man1"))
        .expect("made")
        .map(|entry| entry.expect("listed").path())
        .collect();
    let mut said = paths.clone();
    there.sort();
    said.sort();
    assert_eq!(said, there, "each file is named, and there");
    paths
}

fn name_of(page: &Path) -> &str {
    page.file_name().and_then(|name| name.to_str()).expect("a name")
}

#[test]
fn each_command_has_a_page_with_all_its_options() {
    let scratch = Scratch::new("man");
    let (pages, commands) = (pages(&scratch), commands());
    assert!(commands.len() > 10, "{commands:?}");
    let titles: Vec<String> = commands.iter().map(|command| format!("lastwords-{command}.1")).collect();
    let found: Vec<&str> = pages.iter().map(|page| name_of(page)).collect();
    assert_eq!(found[0], "lastwords.1");
    assert_eq!(found[1..], titles);
    for (page, command) in pages.iter().zip([String::new()].iter().chain(&commands)) {
        let text = plain(&fs::read_to_string(page).expect("read"));
        let title = name_of(page).trim_end_matches(".1");
        assert!(text.contains(&format!(".TH {} 1 \"\" \"lastwords ", title.to_uppercase())), "{text}");
        let named = section(&text, "NAME").unwrap_or_else(|| panic!("{title}: no name"));
        assert!(named.contains(&format!("{title} - ")), "{named}");
        let synopsis = section(&text, "SYNOPSIS").unwrap_or_else(|| panic!("{title}: no synopsis"));
        assert!(synopsis.contains(&title.replace('-', " ")), "{synopsis}");
        let options = options(command);
        assert!(options.contains(&"--help".to_owned()), "{title}: {options:?}");
        let described = section(&text, "OPTIONS").unwrap_or_else(|| panic!("{title}: no options"));
        for option in options {
            let has = |line: &str| line.split([' ', ',']).any(|word| word == option);
            assert!(described.lines().any(has), "{title}: {option} is not in {described}");
        }
    }
}

#[test]
fn examples_and_exit_statuses_are_sections_of_their_own() {
    let scratch = Scratch::new("man-sections");
    for page in pages(&scratch) {
        let (text, name) = (plain(&fs::read_to_string(&page).expect("read")), name_of(&page).to_owned());
        let command = name.trim_end_matches(".1").trim_start_matches("lastwords").trim_start_matches('-');
        let help = tool(format!("{command} --help")).out;
        let listed =
            help.split_once("Examples:\n").or_else(|| help.split_once("Example:\n")).map_or("", |(_, list)| list);
        let examples: Vec<&str> = listed.lines().map(str::trim).collect();
        assert_eq!(examples.is_empty(), name == "lastwords.1", "{name}: {help}");
        let shown = section(&text, "EXAMPLES").unwrap_or_default();
        for example in examples {
            assert!(shown.lines().any(|line| line == example), "{name}: {example} is not in {shown}");
        }
        let status = section(&text, "EXIT STATUS").is_some();
        assert_eq!(status, help.contains("Exit status:"), "{name}");
        assert_eq!(section(&text, "SEE ALSO").is_some_and(|also| also.contains("lastwords(1)")), name != "lastwords.1");
        assert!(!text.contains("Examples:") && !text.contains("Exit status:"), "{name}: {text}");
    }
    let main = plain(&tool("man").out);
    let listed = section(&main, "SUBCOMMANDS").expect("the commands");
    for command in commands() {
        assert!(listed.contains(&format!("lastwords-{command}(1)")), "{command}: {listed}");
    }
}

#[test]
fn without_a_folder_the_main_page_is_printed_and_nothing_written() {
    let scratch = Scratch::new("man-printed");
    let shown = printed(TOOL.command().arg("man").current_dir(&scratch));
    shown.ended(0);
    let _ = pages(&scratch);
    assert_eq!(shown.out, fs::read_to_string(scratch.join("share/man/man1/lastwords.1")).expect("written"));
    assert_eq!(fs::read_dir(&scratch).expect("listed").count(), 1, "only the folder that was named");
    // Again, over what is there.
    let _ = pages(&scratch);
}

#[test]
fn a_file_in_the_way_is_named() {
    let scratch = Scratch::new("man-in-the-way");
    let file = scratch.join("man1");
    fs::write(&file, "mine").expect("written");
    for path in [file.clone(), file.join("deeper")] {
        let output = tool_at("man", &path);
        output.ended(2);
        let expected = format!("{} is not a folder; name a folder for the pages", file.display());
        assert!(output.err.contains(&expected) && output.out.is_empty(), "{output:?}");
    }
    assert_eq!(fs::read_to_string(&file).expect("read"), "mine");
}

/// Whether a program is installed; prints a line if it is not.
fn is_installed(program: &str) -> bool {
    let there = Command::new("sh")
        .args(["-c", &format!("command -v {program}")])
        .output()
        .is_ok_and(|found| found.status.success());
    if !there {
        println!("skipped: {program} is not installed");
    }
    there
}

#[test]
fn the_formatters_find_no_fault_in_them() {
    let scratch = Scratch::new("man-formatters");
    let pages = pages(&scratch);
    if is_installed("mandoc") {
        for page in &pages {
            // Warnings are about blank lines between the values of an option, and the date that there is none of.
            let output = printed(Command::new("mandoc").args(["-T", "lint", "-W", "error"]).arg(page));
            assert!(output.status.success() && output.all().is_empty(), "{}: {output:?}", page.display());
        }
    }
    if is_installed("groff") {
        for page in &pages {
            let output = printed(Command::new("groff").args(["-man", "-ww", "-z"]).arg(page));
            assert!(output.status.success() && output.all().is_empty(), "{}: {output:?}", page.display());
        }
    }
    if is_installed("man") {
        let mut command = Command::new("man");
        command.args(["-l", "-P", "cat"]).arg(&pages[0]).env("MANWIDTH", "100").env("LC_ALL", "C.UTF-8");
        let output = printed(command);
        assert!(output.status.success() && output.out.contains("SYNOPSIS"), "{output:?}");
    }
}
