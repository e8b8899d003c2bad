fn main() {
    lastwords::info!("frame {}", 7, camera = "left");
}
