//! Link settings of the shared library.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=CFLAGS");
    // The number counts breaks of the ABI, not releases.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libnsurlsession.so.1");
    // The library's threads, and OpenSSL's hooks, outlive a dlclose.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");

    let bundled = std::env::var_os("CARGO_FEATURE_BUNDLED").is_some();
    let flags = std::env::var("CFLAGS").unwrap_or_default();
    if bundled && !flags.contains("-DHAVE_POLL") {
        println!(
            "cargo:warning=libcurl is being built without HAVE_POLL: transfers with descriptors of 1024 and more will \
             fail. Set CFLAGS as this project's .cargo/config.toml does."
        );
    }
}
