//! What the command lines of the examples have in common.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};

/// What is wrong with the command line: which argument, its value, and what is allowed.
#[derive(Debug, PartialEq)]
pub(crate) struct BadArgument(pub(crate) String);

impl fmt::Display for BadArgument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

pub(crate) fn refused(flag: &str, value: impl AsRef<OsStr>, allowed: &str) -> BadArgument {
    BadArgument(format!("{flag} `{}`: allowed is {allowed}", value.as_ref().display()))
}

/// `--flag=value` as its two halves. What is not text is no flag, whole.
pub(crate) fn split(arg: &OsStr) -> (String, Option<OsString>) {
    match arg.to_str().and_then(|text| text.split_once('=')) {
        Some((flag, value)) => (flag.to_owned(), Some(value.into())),
        None => (arg.to_string_lossy().into_owned(), None),
    }
}

pub(crate) const ALLOWED_FILE: &str = "the path of a file in a directory that exists";

/// Judged before the run: nobody should wait for a file that cannot be written.
pub(crate) fn file(flag: &str, value: OsString) -> Result<PathBuf, BadArgument> {
    let path = PathBuf::from(value);
    let directory = match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Some(".".as_ref()),
        parent => parent,
    };
    if path.file_name().is_some() && !path.is_dir() && directory.is_some_and(Path::is_dir) {
        Ok(path)
    } else {
        Err(refused(flag, path.as_os_str(), ALLOWED_FILE))
    }
}
