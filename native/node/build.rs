//! Link options of the addon.

fn main() {
    napi_build::setup();
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("linux") {
        // Node unloads an addon when the last worker that loaded it ends. The guarded memory's exit handler and the
        // other threads' keys must outlive that.
        println!("cargo::rustc-link-arg-cdylib=-Wl,-z,nodelete");
    }
}
