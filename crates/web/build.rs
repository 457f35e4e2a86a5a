//! Says what to do when the pages are not built.

use std::path::Path;

fn main() {
    println!("cargo::rerun-if-changed=dist");
    if !Path::new("dist/index.html").exists() {
        println!("cargo::error=the pages are not built: run `cargo xtask web`");
    }
}
