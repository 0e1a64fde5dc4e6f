//! The server of the `binary` environment alone, for its container image.

use std::process::ExitCode;

fn main() -> ExitCode {
    fission_environments::binary_server::main()
}
