//! The API as Python's Kubernetes client sees it.

use std::process::Command;

use crate::world::{Platform, required};

#[tokio::test(flavor = "multi_thread")]
async fn pythons_client_creates_watches_and_deletes() {
    let platform = Platform::start();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/whole/python_client.py");
    let mut python =
        Command::new(required("FISSION_TEST_PYTHON", "a Python with the kubernetes package; `make test` sets it"));
    let output = platform.prepare(&mut python).env("KUBECONFIG", platform.kubeconfig()).arg(script).output().unwrap();
    let (said, failed) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}\n{failed}");
    assert_eq!(said.trim(), "ok");
}
