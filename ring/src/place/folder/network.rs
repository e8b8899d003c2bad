//! What the rings cannot be on: file systems that several machines share.

use super::Folder;
use crate::error::{Error, Result};
use crate::place::open;
use std::path::Path;

/// File systems shared by several machines: stores, locks and renames lack the required guarantees there.
const NETWORK: [(u64, &str); 20] = [
    (0x6969, "NFS"),
    (0x517b, "SMB"),
    (0xff53_4d42, "CIFS"),
    (0xfe53_4d42, "SMB2"),
    (0x0102_1997, "9p"),
    (0x5346_414f, "AFS"),
    (0x6b41_4653, "AFS"),
    (0x7375_7245, "Coda"),
    (0x564c, "NCP"),
    (0x00c3_6400, "Ceph"),
    (0x0bd0_0bd0, "Lustre"),
    (0x4750_4653, "GPFS"),
    (0x7461_636f, "OCFS2"),
    (0x0116_1970, "GFS2"),
    (0x2003_0528, "OrangeFS"),
    (0x1983_0326, "BeeGFS"),
    (0xaad7_aaea, "PanFS"),
    (0x786f_4256, "vboxsf, VirtualBox shared folders"),
    (0xbacb_acbc, "vmhgfs, VMware shared folders"),
    (0x7c7c_6673, "prl_fs, Parallels shared folders"),
];

/// FUSE does not identify the file system behind it.
const FUSE: u64 = 0x6573_5546;

fn network_name(magic: u64) -> Option<&'static str> {
    NETWORK.iter().find(|(known, _)| *known == magic & 0xffff_ffff).map(|(_, name)| *name)
}

impl Folder {
    /// Whether the rings can be at their location: not on a network file system, and on FUSE, which may be one, only with
    /// `allow_fuse`.
    ///
    /// # Errors
    /// [`Error::Folder`] if not, with advice; [`Error::Io`] if it cannot be inspected.
    pub fn refuse_network(&self, allow_fuse: bool) -> Result<()> {
        refuse_network_at(&self.rings, allow_fuse)
    }
}

/// Like [`Folder::refuse_network`], for rings that are to be below `path`, a folder.
///
/// # Errors
/// As there.
pub fn refuse_network_at(path: &Path, allow_fuse: bool) -> Result<()> {
    let found = open::file_system(path).map_err(Error::io("inspect the file system of", path))?;
    let magic = found.f_type as u64 & 0xffff_ffff;
    let elsewhere = "put the rings on a local disk or in memory, for instance `rings` or LASTWORDS_RINGS = /dev/shm/logs; \
                         the log files may stay";
    match network_name(magic) {
        Some(name) => Err(Error::folder(path, format!("it is on a network file system ({name}); {elsewhere}"))),
        None if magic == FUSE && !allow_fuse => Err(Error::folder(
            path,
            format!(
                "it is on FUSE, which may be a network file system (sshfs, s3fs, GlusterFS, virtiofs); {elsewhere}, or for \
                     a local one, bindfs for instance, set `allow_fuse` or LASTWORDS_ALLOW_FUSE = true"
            ),
        )),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn network_file_systems_are_known_by_their_numbers_and_local_ones_pass() {
        assert_eq!(network_name(0x6969), Some("NFS"));
        assert_eq!(network_name(0xffff_ffff_ff53_4d42), Some("CIFS"), "sign-extended");
        assert_eq!(network_name(0xef53), None, "ext4");
        for (magic, name) in
            [(0x7461_636f, "OCFS2"), (0x0116_1970, "GFS2"), (0x786f_4256, "vboxsf"), (0x2003_0528, "OrangeFS")]
        {
            assert!(network_name(magic).is_some_and(|found| found.starts_with(name)), "{name}");
        }
        assert_eq!(network_name(FUSE), None, "that is asked about by itself");
        assert!(Folder::create(Scratch::new("network").path()).is_ok());
    }
}
