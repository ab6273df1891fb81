//! A file that is a request's body: as long as it is what it was when the request began.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, IoSliceMut};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Advice, fadvise};
use rustix::io::{ReadWriteFlags, preadv2};

use crate::foundation::error::{Failure, POSIX_DOMAIN};
use crate::foundation::error_code;

/// So much of a file's end is read where it may block. That is where it is seen at last whether the
/// file was replaced.
const LAST: usize = 512 * 1024;

/// What tells that a file was not changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
    length: u64,
    modified: (i64, i64),
}

impl Identity {
    fn of(metadata: &Metadata) -> Identity {
        Identity {
            device: metadata.dev(),
            inode: metadata.ino(),
            length: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}

#[derive(Debug)]
pub struct FileBody {
    file: File,
    path: PathBuf,
    identity: Identity,
}

impl FileBody {
    /// Opens a file to be sent. Blocks.
    pub fn open(path: &Path) -> Result<FileBody, Failure> {
        let failed = |code: i64, error: &io::Error| failure(code, path, error);
        let opened = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(path);
        let file = opened.map_err(|error| {
            let code = match error.raw_os_error() {
                Some(libc::ENOENT | libc::ENOTDIR) => error_code::FILE_DOES_NOT_EXIST,
                Some(libc::EACCES | libc::EPERM) => error_code::NO_PERMISSIONS_TO_READ_FILE,
                _ => error_code::CANNOT_OPEN_FILE,
            };
            failed(code, &error)
        })?;
        let metadata = file
            .metadata()
            .map_err(|error| failed(error_code::CANNOT_OPEN_FILE, &error))?;
        if metadata.is_dir() {
            let error = io::Error::from_raw_os_error(libc::EISDIR);
            return Err(failed(error_code::FILE_IS_DIRECTORY, &error));
        }
        if !metadata.is_file() {
            let detail = format!("“{}” is no regular file.", path.display());
            return Err(Failure::new(error_code::CANNOT_OPEN_FILE).detail(detail));
        }
        // A hint: without it, reading is only slower.
        let _ = fadvise(&file, 0, None, Advice::Sequential);
        Ok(FileBody {
            file,
            // The program may change its directory before the file is looked at again.
            path: std::path::absolute(path).unwrap_or_else(|_| path.to_owned()),
            identity: Identity::of(&metadata),
        })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn length(&self) -> u64 {
        self.identity.length
    }

    /// Whether this is still the file of that length and time.
    pub fn modified(&self) -> (i64, i64) {
        self.identity.modified
    }

    /// Reads from a place, no further than the file was long. What is given was in the file before
    /// anybody changed it. Blocks.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, Failure> {
        let left = self.identity.length.saturating_sub(offset);
        let wanted = usize::try_from(left)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        let code = error_code::REQUEST_BODY_STREAM_EXHAUSTED;
        let count = loop {
            match self.file.read_at(&mut buffer[..wanted], offset) {
                Ok(count) => break count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(failure(code, &self.path, &error)),
            }
        };
        let early = || (count == 0 && wanted > 0).then(|| "ended early".to_owned());
        match self.change().or_else(early) {
            Some(change) => {
                let name = self.path.display();
                let detail = format!("“{name}” {change} while it was to be sent unchanged.");
                Err(Failure::new(code).detail(detail))
            }
            None => Ok(count),
        }
    }

    /// Whether `read_cached` may find something from there on.
    pub fn is_long_from(&self, offset: u64) -> bool {
        self.length().saturating_sub(offset) > LAST as u64
    }

    /// Reads what lies in memory, if it does so. Does not block. The last part of a file, and what is
    /// wrong with one, only `read_at` finds.
    pub fn read_cached(&self, buffer: &mut [u8], offset: u64) -> Option<usize> {
        let left = self.identity.length.checked_sub(offset)?;
        let left = usize::try_from(left).unwrap_or(usize::MAX);
        let wanted = left.saturating_sub(LAST).min(buffer.len());
        let buffers = &mut [IoSliceMut::new(&mut buffer[..wanted])];
        let count = preadv2(&self.file, buffers, offset, ReadWriteFlags::NOWAIT).ok()?;
        // File systems that know NOWAIT are local: that does not block either.
        let now = Identity::of(&self.file.metadata().ok()?);
        (count > 0 && now == self.identity).then_some(count)
    }

    /// What happened to the file since it was opened. That its name is gone changes nothing in it.
    fn change(&self) -> Option<String> {
        let now = match self.file.metadata() {
            Ok(metadata) => Identity::of(&metadata),
            Err(error) => return Some(format!("became unreadable ({error})")),
        };
        let before = self.identity;
        let lengths = format!("from {} to {} bytes", before.length, now.length);
        if now.length < before.length {
            return Some(format!("shrank {lengths}"));
        }
        if now.length > before.length {
            return Some(format!("grew {lengths}"));
        }
        if now != before {
            return Some("was written to".to_owned());
        }
        let named = std::fs::metadata(&self.path).ok()?;
        let replaced = (named.dev(), named.ino()) != (before.device, before.inode);
        replaced.then(|| "was replaced by another file".to_owned())
    }
}

fn failure(code: i64, path: &Path, error: &io::Error) -> Failure {
    let failure =
        Failure::new(code).detail(format!("“{}” cannot be sent: {error}", path.display()));
    match error.raw_os_error() {
        Some(number) => failure.underlying(POSIX_DOMAIN, i64::from(number), error.to_string()),
        None => failure,
    }
}
