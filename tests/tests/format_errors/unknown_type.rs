fn main() {
    lastwords::info!("frame {:y}", 7);
}
