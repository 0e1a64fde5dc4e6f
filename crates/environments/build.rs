//! Rebuilds the crate when an environment folder changes: the folders are embedded, and a macro cannot see new files.

fn main() {
    println!("cargo:rerun-if-changed=../../environments");
}
