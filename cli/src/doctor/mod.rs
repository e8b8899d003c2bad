//! `lastwords doctor`: what a place and a process need, checked one by one. It changes nothing and takes no lock.

mod contents;
mod file_system;
mod finding;
mod flushing;
mod folder;
mod limits;
mod machine;
mod rings;
mod settings;
mod space;

use crate::cli::Doctor;
use crate::exit::Exit;
use crate::place::variable;
use finding::Report;
use lastwords::__private::{Examined, Requested, role_from_env};
use lastwords::Result;
use lastwords_ring::format::text::escaped_path;
use lastwords_ring::place::become_owner::become_owner_of;
use lastwords_ring::place::folder::default_path;
use rings::FoundRings;
use std::io::Write;
use std::path::{Path, PathBuf};

/// The role that is meant if nothing says another one, as for `init_from_env`.
const ROLE: &str = "worker";

pub(crate) fn run(arguments: &Doctor) -> Result<Exit> {
    let mut report = Report::default();
    let role = role(arguments, &mut report);
    // As whoever runs this: `init` reads them before it acts as somebody else.
    let examined = lastwords::builder(role.as_str()).app(arguments.logs.app()).examine();
    let path = path(arguments, &examined);
    let requested = settings::examine(examined, &mut report);
    examine(arguments, &path, &role, requested.as_ref(), &mut report);
    let shown = escaped_path(&path);
    let printed = match arguments.json {
        true => std::io::stdout().write_all(report.json(&shown, &role).as_bytes()),
        false => anstream::stdout().write_all(report.text().as_bytes()),
    };
    // Standard output may be closed, by `head` for instance; the exit status says it all the same.
    let _ = printed;
    Ok(report.exit())
}

/// The role whose settings are examined.
fn role(arguments: &Doctor, report: &mut Report) -> String {
    let named = arguments.role.clone().map_or_else(role_from_env, |role| Ok(Some(role)));
    let role = named.unwrap_or_else(|error| {
        report.refused("settings", &error, "correct LASTWORDS_ROLE, or unset it");
        None
    });
    role.unwrap_or_else(|| ROLE.to_owned())
}

/// The log folder that is meant; where the settings are refused, the one of the variable or the default.
fn path(arguments: &Doctor, examined: &Examined) -> PathBuf {
    let requested = examined.requested.as_ref().ok().and_then(|requested| requested.dir.clone());
    let path = arguments.logs.named().or(requested).or_else(|| variable("LASTWORDS_DIR").map(PathBuf::from));
    let path = path.unwrap_or_else(|| default_path(arguments.logs.app()));
    std::path::absolute(&path).unwrap_or(path)
}

fn examine(arguments: &Doctor, path: &Path, role: &str, requested: Option<&Requested>, report: &mut Report) {
    if let Err(error) = become_owner_of(&[path.to_owned()]) {
        report.refused("folder", &error, folder::ANOTHER);
    } else {
        let rings = arguments.logs.rings_path().or_else(|| requested?.rings.clone());
        let place = folder::examine(path, rings.as_deref(), requested, report);
        if let Some(place) = &place {
            file_system::examine(place, requested, report);
        }
        let found = place.as_ref().and_then(|place| place.folder.as_ref()).map(FoundRings::of);
        if let Some(place) = &place {
            space::examine(place, role, found.as_ref(), requested, report);
        }
        if let (Some(folder), Some(found)) = (place.as_ref().and_then(|place| place.folder.as_ref()), &found) {
            flushing::examine(folder, found, report);
            found.report(folder, report);
            contents::examine(folder, requested, report);
        }
    }
    limits::examine(requested, report);
    machine::examine(requested, report);
}
