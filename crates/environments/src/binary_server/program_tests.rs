//! How scripts name their interpreters.

use super::*;

#[test]
fn a_script_is_run_by_what_its_first_line_names() {
    let named = |start: &[u8]| {
        let (program, arguments) = interpreter(start);
        (program.display().to_string(), arguments.into_iter().map(|a| a.into_string().unwrap()).collect::<Vec<_>>())
    };
    assert_eq!(named(b"#!/bin/bash\necho"), ("/bin/bash".into(), vec![]));
    assert_eq!(named(b"#! /usr/bin/env -S node --x\n"), ("/usr/bin/env".into(), vec!["-S node --x".into()]));
    assert_eq!(named(b"echo hello\n"), ("/bin/sh".into(), vec![]));
    assert_eq!(named(b""), ("/bin/sh".into(), vec![]));
    assert_eq!(named(b"#!\n"), ("/bin/sh".into(), vec![]));
}
