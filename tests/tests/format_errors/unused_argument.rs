fn main() {
    lastwords::info!("frame {}", 7, "left");
}
