//! Where rings live: folders, files and how they are opened, clocks, processes and their owners.

pub mod access;
pub mod ancestors;
pub mod become_owner;
pub mod capture_file;
pub mod clock;
pub mod crash_notes;
pub mod descriptor;
pub mod doorbell;
pub mod environment;
pub mod filter_change;
pub mod folder;
pub mod kept_level;
pub mod link;
pub mod lock_holder;
pub mod open;
pub mod own_table;
pub mod owner;
pub mod process;
pub mod reserve;
pub mod segment;
pub mod spill;
pub mod stderr;
pub mod unnamed_file;
pub mod zone;
