//! Where the system keeps the certificates of the authorities that it trusts.

use std::ffi::{CStr, CString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use once_cell::sync::Lazy;

/// A bundled OpenSSL knows only the paths of the machine that it was built on, so the places that
/// distributions use are searched. `SSL_CERT_FILE` and `SSL_CERT_DIR` win, as everywhere.
static ROOTS: Lazy<(Option<CString>, Option<CString>)> = Lazy::new(|| {
    let found = openssl_probe::probe();
    let path =
        |path: Option<&Path>| path.and_then(|path| CString::new(path.as_os_str().as_bytes()).ok());
    let roots = (
        path(found.cert_file.as_deref()),
        path(found.cert_dir.as_deref()),
    );
    if roots.0.is_none() && roots.1.is_none() {
        tracing::error!(target: "security", "no trusted certificates were found: install ca-certificates or set SSL_CERT_FILE");
    }
    roots
});

/// The file with all certificates.
pub fn file() -> Option<&'static CStr> {
    ROOTS.0.as_deref()
}

/// The directory with a file for each certificate.
pub fn directory() -> Option<&'static CStr> {
    ROOTS.1.as_deref()
}
