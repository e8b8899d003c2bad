struct Camera;

fn main() {
    lastwords::info!("started"; id = 7, camera = Camera);
}
