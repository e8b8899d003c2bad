//! What the log says of each way to crash: the cause, and the stack from the function that crashed to `main`, found by the tool in
//! what the handler left.
#![cfg(all(target_arch = "x86_64", target_env = "gnu"))]

use lastwords_tests::actor::{flush_once, printed};
use lastwords_tests::crashes::NULL;
use lastwords_tests::logs::read;
use lastwords_tests::programs::CRASHER;
use lastwords_tests::scratch::Scratch;

/// The further lines of the death line of a process that crashed as these words say.
fn explained(words: &str) -> Vec<String> {
    let folder = Scratch::new(&format!("explained-{}", words.replace(' ', "-")));
    let ended = printed(CRASHER.command().arg(folder.path()).args(words.split(' ')));
    assert!(ended.status.code().is_none(), "{words}: {ended:?}");
    flush_once(&folder);
    let death = read(&folder, "crasher").pop().expect("a death line").message;
    death.lines().skip(1).map(|line| line.trim_start().to_owned()).collect()
}

/// The functions are in the stack, one calling the one before it, maybe with others between them.
fn assert_leads(words: &str, functions: &[&str], lines: &[String]) {
    let mut rest = lines.iter().filter(|line| line.starts_with('#'));
    for function in functions {
        assert!(rest.any(|line| line.contains(function)), "{words}: no {function} of {functions:?} in {lines:#?}");
    }
}

#[test]
fn each_way_to_crash_is_told_with_its_cause_and_its_stack() {
    let null = format!("SIGSEGV: write to address {NULL:#x}, not mapped, near null");
    let rows: [(&str, &str, &[&str]); 21] = [
        ("null", &null, &["crashes::write_to", "crashes::act", "crasher::main"]),
        ("bare null", &null, &["crashes::write_to", "crashes::act", "crasher::main"]),
        ("no-descriptors", &null, &["crashes::write_to", "crasher::main"]),
        ("read-only", "SIGSEGV: write to read-only memory 0x", &["crashes::write_to", "crasher::main"]),
        ("not-canonical", "SIGSEGV: access to an address that is not canonical", &["write_to", "crasher::main"]),
        ("divide", "SIGFPE: integer division by zero", &["faults::act", "crasher::main"]),
        ("illegal", "SIGILL: illegal instruction at 0x", &["faults::act", "crasher::main"]),
        ("jump", "SIGSEGV: jump to address 0x0, not mapped, near null", &["jump_to_null", "crasher::main"]),
        ("abort", "SIGABRT: abort", &["crashes::act", "crasher::main"]),
        ("bare raise", "SIGSEGV: sent by the process itself", &["faults::raise", "crasher::main"]),
        ("double-free", "SIGABRT: abort", &["free_twice", "crashes::act", "crasher::main"]),
        ("within-malloc", "SIGSEGV: read of address 0x10, not mapped, near null", &["malloc", "within_malloc", "main"]),
        ("within-log-call", &null, &["write_to", "Crashing as core::fmt::Display>::fmt", "crasher::main"]),
        ("within-handler", "SIGSEGV: write to address 0x20", &["write_to", "crash_again", "raise", "crasher::main"]),
        ("null-in-thread", &null, &["crashes::write_to", "crashes::act_with_memory"]),
        ("panic null-in-thread", &null, &["crashes::write_to", "crashes::act_with_memory"]),
        ("deciding panic-meanwhile", &null, &["crashes::write_to", "crashes::act_with_memory"]),
        ("deciding end-meanwhile", &null, &["crashes::write_to", "deciding::survive_meanwhile", "crasher::main"]),
        (
            "deciding survivor-after-a-while",
            &null,
            &["crashes::write_to", "deciding::survive_after_a_while", "crasher::main"],
        ),
        ("deciding survivor-meanwhile", &null, &["crashes::write_to", "deciding::survive_meanwhile", "crasher::main"]),
        (
            "overflow-of-thread",
            "SIGSEGV: stack overflow: write to address 0x",
            &["faults::", "crashes::act_with_memory"],
        ),
    ];
    for (words, cause, functions) in rows {
        let lines = explained(words);
        assert!(lines[0].starts_with(cause) && !lines[0].contains("; or "), "{words}: {lines:#?}");
        assert!(lines[1].starts_with("#0"), "{words}: {lines:#?}");
        assert_leads(words, functions, &lines);
        assert!(lines.iter().all(|line| !line.ends_with("(a guess)")), "{words}: {lines:#?}");
    }
}

#[test]
fn an_overflow_is_told_in_few_lines_and_where_it_began() {
    let lines = explained("overflow");
    assert!(lines[0].starts_with("SIGSEGV: stack overflow: "), "{lines:#?}");
    assert!(lines.len() <= 2 + 32 && lines.iter().any(|line| line.ends_with(" times more")), "{lines:#?}");
    assert!(lines.iter().any(|line| line.contains("the stack between them was not captured")), "{lines:#?}");
    assert_leads("overflow", &["faults::", "crasher::main"], &lines);
}

#[test]
fn a_lost_stack_is_said_to_be_lost() {
    let lines = explained("smashed");
    let no_stack = "SIGSEGV: write to address 0x414141414138, not mapped";
    assert_eq!(lines[0], no_stack);
    assert_leads("smashed", &["smash_stack_pointer"], &lines);
    assert!(!lines.last().expect("an end").starts_with('#'), "{lines:#?}");
}

#[test]
fn of_two_that_may_have_ended_the_process_neither_is_told_as_the_one() {
    let lines = explained("deciding end-at-once-meanwhile");
    let (one, other) = lines[0].split_once("; or ").unwrap_or_else(|| panic!("{lines:#?}"));
    assert!(one.starts_with("SIGSEGV: write to ") && other.starts_with("SIGSEGV of thread "), "{lines:#?}");
    // The ring's mark was taken back with the other thread's signal, but not this one's capture.
    let lines = explained("deciding end-at-once-after-a-while");
    let cause = format!("the process may have survived: SIGSEGV: write to address {NULL:#x}, not mapped, near null");
    assert!(lines[0].ends_with(&cause), "{lines:#?}");
    assert_leads("ended by the handler", &["crashes::write_to", "deciding::survive_after_a_while"], &lines);
}
