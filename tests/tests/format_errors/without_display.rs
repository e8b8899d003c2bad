struct Camera;

fn main() {
    let camera = Camera;
    lastwords::info!("frame {} of {}", 7, camera);
}
