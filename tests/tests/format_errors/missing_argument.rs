fn main() {
    lastwords::info!("frame {} took {} ms", 7);
}
