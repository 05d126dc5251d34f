//! Runs the body of a test in a process of its own: this binary again, with one test and a variable that says which case.

use std::os::unix::process::ExitStatusExt;
use std::process::Command;

const CASE: &str = "ASHERAH_TEST_CASE";
const DONE: &str = "the child came to its end";

/// How a child ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) code: Option<i32>,
    pub(super) signal: Option<i32>,
    /// Whether the body returned.
    pub(super) returned: bool,
    pub(super) errors: String,
}

/// In the parent: runs each case in a child and gives their ends. In a child: runs the body, and gives nothing.
///
/// `module` is `module_path!()`, `test` the name of the calling test.
pub(super) fn run(module: &str, test: &str, cases: &[&str], body: fn(&str)) -> Vec<Ended> {
    if let Ok(case) = std::env::var(CASE) {
        let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: a plain system call; a child that is meant to fault leaves no core file.
        assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_CORE, &none) }, 0);
        body(&case);
        println!("{DONE}");
        return Vec::new();
    }
    let (_, inside) = module.split_once("::").expect("a module of this crate");
    let name = format!("{inside}::{test}");
    let run = |case: &&str| {
        let this = std::env::current_exe().expect("this binary has a path");
        let output = Command::new(this)
            .args(["--exact", &name, "--nocapture", "--test-threads=1"])
            .env(CASE, case)
            .output()
            .expect("the child starts");
        let text = String::from_utf8_lossy(&output.stdout);
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(text.contains("running 1 test"), "no test is named {name}: {text}{errors}");
        let returned = text.contains(DONE);
        Ended { code: output.status.code(), signal: output.status.signal(), returned, errors }
    };
    cases.iter().map(run).collect()
}

/// As `run`, for bodies that have to return.
pub(super) fn pass(module: &str, test: &str, cases: &[&str], body: fn(&str)) {
    for (end, case) in run(module, test, cases, body).iter().zip(cases) {
        assert!(end.code == Some(0) && end.returned, "case {case:?}: {end:?}");
    }
}
