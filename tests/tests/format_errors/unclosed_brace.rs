fn main() {
    lastwords::info!("frame {", 7);
}
