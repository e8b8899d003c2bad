//! `lastwords man`: manual pages, from the definitions that the command line itself is read by.
//!
//! What a command says behind its options becomes sections of its page: paragraphs that begin with `Example:` or `Examples:`, with
//! `Exit status:`, and notes. A page says what `--help` says, and in the same words.

use crate::cli::{Cli, ManPages};
use crate::exit::Exit;
use crate::say;
use clap::{Command, CommandFactory};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};
use lastwords::{Error, Result};
use lastwords_ring::format::text::escaped_path;
use std::fs;
use std::io;
use std::path::Path;

/// The manual's section: programs of users.
const SECTION: &str = "1";

pub(crate) fn run(arguments: &ManPages) -> Result<Exit> {
    let mut main = Cli::command();
    main.build();
    let Some(folder) = &arguments.folder else {
        return say::print(&page(&main)).map(|()| Exit::Done);
    };
    fs::create_dir_all(folder).map_err(|source| cannot_be_made(folder, source))?;
    let commands: Vec<&Command> = main.get_subcommands().filter(|command| !command.is_hide_set()).collect();
    for command in [&main].into_iter().chain(commands) {
        let path = folder.join(format!("{}.{SECTION}", title(command)));
        fs::write(&path, page(command)).map_err(Error::io("write the manual page", &path))?;
        say::line(format_args!("{}", escaped_path(&path)));
    }
    Ok(Exit::Done)
}

fn cannot_be_made(folder: &Path, source: io::Error) -> Error {
    // The system says of a file in the place of a folder only that it exists.
    let in_the_way = |path: &&Path| path.symlink_metadata().is_ok() && !path.is_dir();
    let Some(file) = folder.ancestors().find(in_the_way) else {
        return Error::Io { doing: "create the folder", path: folder.to_owned(), source };
    };
    let why = format!("{} is not a folder; name a folder for the pages, as in share/man/man1", escaped_path(file));
    Error::Io { doing: "write manual pages to", path: folder.to_owned(), source: io::Error::other(why) }
}

/// `lastwords`, `lastwords-show`.
fn title(command: &Command) -> &str {
    command.get_display_name().unwrap_or(command.get_name())
}

/// The page of a command.
fn page(command: &Command) -> Vec<u8> {
    let source = format!("lastwords {}", env!("CARGO_PKG_VERSION"));
    // Without a date a page is the same bytes whenever it is made; it is quoted, because one that is left out moves the others.
    let man = Man::new(command.clone())
        .title(title(command).to_uppercase())
        .section(SECTION)
        .date("\"\"")
        .source(source)
        .manual("User Commands");
    let mut bytes = Vec::new();
    // Memory takes all that is written to it.
    let _ = man.render_title(&mut bytes);
    let _ = man.render_name_section(&mut bytes);
    let _ = man.render_synopsis_section(&mut bytes);
    let _ = man.render_description_section(&mut bytes);
    let _ = man.render_options_section(&mut bytes);
    if command.get_subcommands().any(|command| !command.is_hide_set()) {
        let _ = man.render_subcommands_section(&mut bytes);
    }
    let _ = further_sections(command).to_writer(&mut bytes);
    bytes
}

/// What comes behind the options in the command's help, and where to read on.
fn further_sections(command: &Command) -> Roff {
    let mut roff = Roff::new();
    let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    for paragraph in help.split("\n\n").filter(|paragraph| !paragraph.is_empty()) {
        match paragraph.split_once(':') {
            Some(("Example" | "Examples", lines)) => {
                roff.control("SH", ["EXAMPLES"]).control("nf", []);
                for line in lines.lines().filter(|line| !line.is_empty()) {
                    roff.text([roman(line.trim_start())]);
                }
                roff.control("fi", []);
            }
            Some(("Exit status", text)) => {
                roff.control("SH", ["EXIT STATUS"]).text([roman(text.trim_start())]);
            }
            _ => {
                roff.control("SH", ["NOTES"]).text([roman(paragraph)]);
            }
        }
    }
    if title(command) != "lastwords" {
        roff.control("SH", ["SEE ALSO"]).text([bold("lastwords"), roman(format!("({SECTION})"))]);
    }
    roff
}
