//! A source file with its comments and texts blanked out, so that rules look at code alone.

use std::fmt;
use std::fs;
use std::path::Path;

/// A file of the tree, or a planted text that pretends to be one.
pub(crate) struct Source {
    /// Relative to the root of the project, with `/` between the parts.
    pub(crate) path: String,
    pub(crate) raw: Vec<String>,
    /// As `raw`, line by line and column by column, with spaces for what is not code.
    pub(crate) code: Vec<String>,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let lines = |text: &str| text.lines().map(str::to_owned).collect();
        Self { path: path.to_owned(), raw: lines(text), code: lines(&blanked(text)) }
    }

    /// All Rust files below these folders of the project.
    pub(crate) fn tree(folders: &[&str]) -> Vec<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut found = Vec::new();
        for folder in folders {
            collect(root, &root.join(folder), &mut found);
        }
        assert!(!found.is_empty(), "no sources under {folders:?}");
        found
    }

    /// The folder or file right below `src`: `bulkhead` for `src/bulkhead/layer.rs`.
    pub(crate) fn module(&self) -> Option<&str> {
        let rest = self.path.strip_prefix("src/")?;
        Some(rest.split_once('/').map_or(rest.trim_end_matches(".rs"), |(folder, _)| folder))
    }

    pub(crate) fn file_name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }

    /// The lines of code with their numbers, from 1.
    pub(crate) fn numbered(&self) -> impl Iterator<Item = (usize, &str)> {
        (1..).zip(self.code.iter().map(String::as_str))
    }

    /// The same up to the unit tests, which stand last.
    pub(crate) fn before_tests(&self) -> impl Iterator<Item = (usize, &str)> {
        let tests = if self.file_name().ends_with("tests.rs") {
            0
        } else {
            self.code.iter().position(|line| line.starts_with("#[cfg(test)]")).unwrap_or(usize::MAX)
        };
        self.numbered().take_while(move |(line, _)| *line <= tests)
    }
}

fn collect(root: &Path, folder: &Path, found: &mut Vec<Source>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        let name = path.strip_prefix(root).unwrap().to_string_lossy().replace('\\', "/");
        if path.is_dir() && !name.ends_with("target") {
            collect(root, &path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(Source::new(&name, &fs::read_to_string(&path).unwrap()));
        }
    }
}

/// Where a rule is broken, and what it says.
pub(crate) struct Finding {
    pub(crate) line: usize,
    pub(crate) says: String,
}

impl Finding {
    pub(crate) fn new(line: usize, says: impl Into<String>) -> Self {
        Self { line, says: says.into() }
    }
}

impl fmt::Debug for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.line, self.says)
    }
}

/// Whether `word` stands in `line` by itself, not as a part of a longer name.
pub(crate) fn has_word(line: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word)
        .any(|(at, _)| !line[..at].ends_with(part) && !line[at + word.len()..].starts_with(part))
}

/// The text with spaces for comments and for what stands in quotes.
fn blanked(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let end = end_of_blank(&chars, at);
        if end == at {
            out.push(chars[at]);
            at += 1;
        } else {
            let blank = |c: &char| if *c == '\n' { '\n' } else { ' ' };
            out.extend(chars[at..end].iter().map(blank));
            at = end;
        }
    }
    out
}

/// Where the comment or literal that starts at `at` ends; `at` itself where none starts there.
fn end_of_blank(chars: &[char], at: usize) -> usize {
    let rest = &chars[at..];
    let starts = |text: &str| rest.iter().copied().take(text.len()).eq(text.chars());
    let after_name = at > 0 && (chars[at - 1].is_alphanumeric() || chars[at - 1] == '_');
    let hashes = rest.iter().skip(1).take_while(|c| **c == '#').count();
    if starts("//") {
        at + rest.iter().position(|c| *c == '\n').unwrap_or(rest.len())
    } else if starts("/*") {
        end_of_block_comment(chars, at)
    } else if rest[0] == 'r' && !after_name && rest.get(1 + hashes) == Some(&'"') {
        let close: Vec<char> =
            std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
        let body = &rest[2 + hashes..];
        let end = body.windows(close.len()).position(|w| w == close).unwrap_or(body.len());
        (at + 2 + hashes + end + close.len()).min(chars.len())
    } else if rest[0] == '"' {
        end_of_quoted(chars, at, '"')
    } else if rest[0] == '\'' && (rest.get(1) == Some(&'\\') || rest.get(2) == Some(&'\'')) {
        // Otherwise a lifetime.
        end_of_quoted(chars, at, '\'')
    } else {
        at
    }
}

fn end_of_quoted(chars: &[char], at: usize, quote: char) -> usize {
    let mut end = at + 1;
    while end < chars.len() && chars[end] != quote {
        end += if chars[end] == '\\' { 2 } else { 1 };
    }
    (end + 1).min(chars.len())
}

fn end_of_block_comment(chars: &[char], at: usize) -> usize {
    let (mut end, mut depth) = (at, 0);
    while end < chars.len() {
        match (chars[end], chars.get(end + 1)) {
            ('/', Some('*')) => {
                depth += 1;
                end += 2;
            }
            ('*', Some('/')) => {
                depth -= 1;
                end += 2;
            }
            _ => end += 1,
        }
        if depth == 0 {
            break;
        }
    }
    end.min(chars.len())
}

#[test]
fn only_code_is_left() {
    let text = "let a = \"unsafe \\\" //\"; // todo!()\nlet b = r#\"x\" {\"#; /* /* fn */ { */ 'c: loop {}\nlet c = ['{', '\\'', 'x'];";
    let source = Source::new("src/x.rs", text);
    let words: Vec<String> = source
        .code
        .iter()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    assert_eq!(words, ["let a = ;", "let b = ; 'c: loop {}", "let c = [ , , ];"]);
    assert_eq!(source.code[1].find("loop"), source.raw[1].find("loop"), "columns stay");
}

#[test]
fn words_are_whole() {
    assert!(has_word("an unsafe block", "unsafe"));
    assert!(!has_word("#![forbid(unsafe_code)]", "unsafe"));
}
