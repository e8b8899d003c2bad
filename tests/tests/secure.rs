//! Programs that run with more rights than the user that starts them: set-user-id, set-group-id, file capabilities.
//!
//! Their caller chooses their environment. If that said where the logs are, or which file has the settings, the caller would
//! have folders made and files read with the program's rights.

use lastwords_tests::actor::{Printed, printed};
use lastwords_tests::programs::{ACTOR, TOOL};
use lastwords_tests::scratch::Scratch;
use lastwords_tests::skip_unless;
use lastwords_tests::users::{GROUP, USER, all_in, as_user, is_root, open_folder, owned};
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

const SECRET: &str = "root:$6$secret:19000:0:99999:7:::\n";

/// A copy of a program, whose name is the default folder's.
struct Copy {
    scratch: Scratch,
    program: PathBuf,
}

impl Copy {
    fn of(program: &str, name: &str) -> Copy {
        let (scratch, _) = open_folder("secure");
        let copy = scratch.join(format!("lastwords-{name}-{}", std::process::id()));
        fs::copy(program, &copy).expect("copied");
        fs::write(scratch.join("secret"), SECRET).expect("written");
        fs::set_permissions(scratch.join("secret"), Permissions::from_mode(0o600)).expect("changed");
        owned(&scratch.join("callers"), USER, USER, 0o755);
        Copy { scratch, program: copy }
    }

    /// Where its log is where nothing is obeyed.
    fn default_logs(&self) -> PathBuf {
        Path::new("/tmp").join(self.program.file_name().expect("a name")).join("logs")
    }

    fn callers(&self) -> PathBuf {
        self.scratch.join("callers")
    }

    /// Runs it as an ordinary user with many requests.
    fn run(&self, config: bool) -> Printed {
        let mut command = as_user(USER, &self.program);
        command.args(["host", "default", "say:here"]).env("TMPDIR", self.callers()).env("LASTWORDS_CLOCK", "boottime");
        command.env("LASTWORDS_DIR", self.callers().join("logs")).env("LASTWORDS_RINGS", self.callers().join("rings"));
        command.env("LASTWORDS_FILE_MODE", "0644").env("LASTWORDS_LOG", "off");
        if config {
            command.env("LASTWORDS_CONFIG", self.scratch.join("secret"));
        }
        printed(command)
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(self.default_logs().parent().expect("above"));
    }
}

/// Gives a program more rights than its caller; false where that cannot be done here.
fn raise(program: &Path, how: &str) -> bool {
    match how {
        "setuid" => fs::set_permissions(program, Permissions::from_mode(0o4755)).expect("changed"),
        "setgid" => {
            chown(program, None, Some(GROUP)).expect("given");
            fs::set_permissions(program, Permissions::from_mode(0o2755)).expect("changed");
        }
        _ => {
            let set = Command::new("setcap").arg("cap_net_bind_service+ep").arg(program).status();
            return set.is_ok_and(|set| set.success());
        }
    }
    true
}

#[test]
fn a_program_with_more_rights_than_its_caller_obeys_none_of_its_environment() {
    skip_unless!(is_root());
    for how in ["setuid", "setgid", "capabilities"] {
        let copy = Copy::of(&ACTOR, how);
        if !raise(&copy.program, how) {
            println!("skipped in part: setcap does not work here");
            continue;
        }
        let output = copy.run(true);
        let printed = output.all();
        assert!(output.status.success(), "{how}: {printed}");
        assert!(!printed.contains("secret"), "{how}: {printed}");
        assert_eq!(all_in(&copy.callers()), Vec::<PathBuf>::new(), "{how}");
        let log = fs::read_to_string(copy.default_logs().join("host.log")).expect("the default folder");
        assert!(log.contains("here"), "{how}: {log}");
    }
}

#[test]
fn without_more_rights_the_same_environment_counts() {
    skip_unless!(is_root());
    let copy = Copy::of(&ACTOR, "plain");
    let output = copy.run(false);
    assert!(output.status.success(), "{output:?}");
    assert!(copy.callers().join("rings/doorbell").exists() && !copy.default_logs().exists());
    let said = copy.run(true).out;
    assert!(said.contains("LASTWORDS_CONFIG") || said.contains("cannot read the configuration file"), "{said}");
}

#[test]
fn the_tool_obeys_none_either() {
    skip_unless!(is_root());
    let copy = Copy::of(&TOOL, "tool");
    assert!(raise(&copy.program, "setuid"));
    let mut command = as_user(USER, &copy.program);
    let error = printed(command.arg("status").env("LASTWORDS_DIR", "/a-folder-of-the-callers")).err;
    assert!(!error.contains("a-folder-of-the-callers"), "{error}");
}

#[test]
fn an_error_of_a_configuration_file_says_where_and_not_what() {
    let scratch = Scratch::new("config-error");
    let config = scratch.join("secret");
    fs::write(&config, format!("console = true\n{SECRET}")).expect("written");
    let mut command = ACTOR.acting("host", &scratch.join("logs"), "");
    let Printed { code, out, .. } = printed(command.env("LASTWORDS_CONFIG", &config));
    assert!(code == Some(7) && out.contains("line 2, column ") && !out.contains("$6$"), "{out}");
}
