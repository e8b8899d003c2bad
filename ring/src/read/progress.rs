//! What the reading end writes into a ring: its progress.

use crate::format::geometry::{Geometry, LANE_BLOCK};
use crate::format::layout::{Control, LaneBlock};
use crate::mutant::{self, Mutant};
use crate::read::ring_file::write_within;
use crate::read::snapshot::Position;
use std::fs::File;
use std::io;
use std::mem::offset_of;

/// Writes a lane's position to its ring.
///
/// # Errors
/// As pwrite(2), and if the file is too short.
pub fn publish_position(file: &File, geometry: Geometry, lane: usize, position: Position) -> io::Result<()> {
    let offset = geometry.block_offset(lane) + offset_of!(LaneBlock, consumer) as u64;
    write_within(file, bytemuck::cast_slice(&position.words()), offset)
}

/// Notes in a ring that its process's death is logged.
///
/// # Errors
/// As pwrite(2), and if the file is too short.
pub fn log_death(file: &File, geometry: Geometry) -> io::Result<()> {
    if mutant::is(Mutant::DeathForgotten) {
        return Ok(());
    }
    let offset = geometry.control_offset() + offset_of!(Control, death_logged) as u64;
    write_within(file, &1u64.to_le_bytes(), offset)
}

const _: () = assert!(LANE_BLOCK as usize == size_of::<LaneBlock>());
