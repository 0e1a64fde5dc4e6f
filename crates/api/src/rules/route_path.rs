//! Paths of routes: which may be taken, and templates with variables.

use regex::Regex;

/// Paths the router answers itself.
const RESERVED_PATHS: [&str; 4] = ["/router-healthz", "/readyz", "/_version", "/auth/login"];
/// Subtree of the internal listener.
const RESERVED_PREFIX: &str = "/fission-function/";

/// Why a route may not have this path or prefix, if it may not.
pub(super) fn path_problem(path: &str) -> Option<String> {
    if !path.starts_with('/') {
        return Some("must begin with '/'".into());
    }
    if path == "/" {
        return Some("may not be '/' itself; the router answers there".into());
    }
    if path.split('/').any(|segment| segment == "..") {
        return Some("may not contain '..'".into());
    }
    if RESERVED_PATHS.contains(&path) || path.starts_with(RESERVED_PREFIX) {
        return Some(format!("is reserved for the router: {}, {RESERVED_PREFIX}", RESERVED_PATHS.join(", ")));
    }
    None
}

/// Why `path` is no template, if it is none: `{name}` and `{name:regex}`, braces balanced, no capturing groups.
pub(super) fn template_problem(path: &str) -> Option<String> {
    let mut names: Vec<&str> = Vec::new();
    let mut rest = path;
    while let Some(open) = rest.find(['{', '}']) {
        if rest[open..].starts_with('}') {
            return Some("has a '}' without a '{' before it".into());
        }
        let Some(close) = closing_brace(&rest[open..]) else {
            return Some("has a '{' that is never closed".into());
        };
        let inside = &rest[open + 1..open + close];
        let (name, pattern) = inside.split_once(':').map_or((inside, None), |(name, regex)| (name, Some(regex)));
        if name.is_empty() {
            return Some(format!("has a variable without a name: {{{inside}}}"));
        }
        if names.contains(&name) {
            return Some(format!("has the variable {name:?} twice"));
        }
        names.push(name);
        if let Some(problem) = pattern.and_then(|pattern| pattern_problem(name, pattern)) {
            return Some(problem);
        }
        rest = &rest[open + close + 1..];
    }
    None
}

/// Offset of the brace that closes the one `text` begins with; braces inside, as in `[0-9]{3}`, are counted.
fn closing_brace(text: &str) -> Option<usize> {
    let mut depth = 0usize;
    for (offset, byte) in text.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' if depth == 1 => return Some(offset),
            b'}' => depth -= 1,
            _ => {}
        }
    }
    None
}

fn pattern_problem(name: &str, pattern: &str) -> Option<String> {
    if pattern.is_empty() {
        return Some(format!("has an empty expression for the variable {name:?}"));
    }
    match Regex::new(pattern) {
        // The whole match counts as one.
        Ok(regex) if regex.captures_len() > 1 => {
            Some(format!("has a capturing group in the variable {name:?}; write (?:...) instead of (...)"))
        }
        Ok(_) => None,
        Err(error) => {
            let reason = error.to_string().lines().last().unwrap_or_default().trim().to_owned();
            Some(format!("has an expression that cannot be read in the variable {name:?}: {reason}"))
        }
    }
}
