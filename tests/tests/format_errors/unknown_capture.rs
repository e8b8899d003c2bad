fn main() {
    let frame = 7;
    lastwords::info!("frame {frame} on {camera}");
}
