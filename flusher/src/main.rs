//! The `lastwords` tool.

fn main() -> std::process::ExitCode {
    lastwords_flusher::main()
}
