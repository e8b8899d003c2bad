fn main() {
    let id = 7;
    lastwords::info!("no value"; camera.id);
    lastwords::info!("no name"; = id);
    lastwords::info!("no comma"; id frame = 3);
    lastwords::info!("no message" id);
    lastwords::info!(; id);
}
