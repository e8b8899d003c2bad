//! The tool, built here too so that the suite can start it.

fn main() -> std::process::ExitCode {
    lastwords_flusher::main()
}
