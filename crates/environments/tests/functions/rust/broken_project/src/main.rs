//! Does not compile.

fn main() {
    let _: u8 = "no number";
}
