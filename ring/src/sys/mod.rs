//! The unsafe part: mapped memory and what needs the C library.
//!
//! Nothing outside this folder contains `unsafe`, except `cpu`.
#![allow(unsafe_code)]

pub mod fsize;
pub mod futex;
pub mod guard;
pub mod held;
pub mod hooks;
pub mod leaked_list;
pub mod map;
pub mod numbers;
pub mod pidfd;
pub mod process_page;
pub(crate) mod range_lock;
pub mod ready;
pub(crate) mod secure;
pub mod thread_lock;
pub mod user;
pub mod words;
