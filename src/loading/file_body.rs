//! A file that is a request's body: as long as it is what it was when the request began.

use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::foundation::error::{Failure, POSIX_DOMAIN};
use crate::foundation::error_code;

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
        Ok(FileBody {
            file,
            path: path.to_owned(),
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

    /// Reads from a place. The last bytes are only given when the file was not changed until then.
    /// Blocks.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize, Failure> {
        let left = self.identity.length.saturating_sub(offset);
        let wanted = usize::try_from(left)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        let read = self.file.read_at(&mut buffer[..wanted], offset);
        let count = read.map_err(|error| {
            let code = error_code::REQUEST_BODY_STREAM_EXHAUSTED;
            failure(code, &self.path, &error)
        })?;
        if count == 0 && wanted > 0 || count as u64 == left && !self.is_unchanged() {
            let detail = format!(
                "“{}” was changed while it was being sent.",
                self.path.display()
            );
            return Err(Failure::new(error_code::REQUEST_BODY_STREAM_EXHAUSTED).detail(detail));
        }
        Ok(count)
    }

    fn is_unchanged(&self) -> bool {
        self.file
            .metadata()
            .is_ok_and(|metadata| Identity::of(&metadata) == self.identity)
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
