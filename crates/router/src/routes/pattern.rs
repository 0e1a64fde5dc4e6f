//! Paths of triggers: literal, or with `{name}` and `{name:regex}` variables.

use std::sync::Arc;

use regex::Regex;

/// Largest compiled form of one template, in bytes; a template that needs more is not admitted.
const MAX_COMPILED_BYTES: usize = 256 * 1024;

/// A template that cannot be compiled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("path template {template:?} cannot be used: {why}")]
pub(crate) struct TemplateError {
    template: String,
    why: String,
}

/// Whether a path has variables.
pub(crate) fn is_template(path: &str) -> bool {
    path.contains('{')
}

/// A compiled template.
#[derive(Debug)]
pub(crate) struct Template {
    /// The literal start, up to and including the last `/` before the first variable.
    pub(crate) head: Arc<str>,
    regex: Regex,
    variables: Vec<Arc<str>>,
}

impl Template {
    /// Compiles `path`. A subtree template also matches everything below it.
    pub(crate) fn compile(path: &str, subtree: bool) -> Result<Self, TemplateError> {
        let error = |why: String| TemplateError { template: path.to_owned(), why };
        let mut pattern = String::from("^");
        let mut variables: Vec<Arc<str>> = Vec::new();
        let mut rest = path;
        while let Some(open) = rest.find('{') {
            if rest[..open].contains('}') {
                return Err(error("there is a } without a {".into()));
            }
            pattern.push_str(&regex::escape(&rest[..open]));
            let close = closing_brace(&rest[open..]).ok_or_else(|| error("a { is never closed".into()))?;
            let inside = &rest[open + 1..open + close];
            let (name, expression) = inside.split_once(':').unwrap_or((inside, "[^/]+"));
            if name.is_empty() || expression.is_empty() {
                return Err(error(format!("{{{inside}}} needs a name and, after a colon, an expression")));
            }
            if variables.iter().any(|known| **known == *name) {
                return Err(error(format!("variable {name:?} is used twice")));
            }
            refuse_groups(name, expression).map_err(error)?;
            pattern.push_str(&format!("({expression})"));
            variables.push(name.into());
            rest = &rest[open + close + 1..];
        }
        if rest.contains('}') {
            return Err(error("there is a } without a {".into()));
        }
        pattern.push_str(&regex::escape(rest));
        pattern.push_str(match (subtree, path.ends_with('/')) {
            (false, _) => "$",
            (true, true) => "",
            (true, false) => "(?:/|$)",
        });
        let regex = regex::RegexBuilder::new(&pattern)
            .size_limit(MAX_COMPILED_BYTES)
            .build()
            .map_err(|cause| error(cause.to_string()))?;
        let literal = &path[..path.find('{').unwrap_or(path.len())];
        let head = literal[..literal.rfind('/').map_or(0, |slash| slash + 1)].into();
        Ok(Self { head, regex, variables })
    }

    /// Whether the path matches, and how many of its bytes the template itself covers.
    pub(crate) fn covers(&self, path: &str) -> Option<usize> {
        let end = self.regex.find(path)?.end();
        // A subtree match ends with the `/` of the rest, which belongs to the rest.
        let own = path[..end].strip_suffix('/').map_or(end, str::len);
        Some(own)
    }

    /// Values of the variables, in the order of the template.
    pub(crate) fn variables<'a>(&'a self, path: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        let captures = self.regex.captures(path);
        self.variables.iter().enumerate().filter_map(move |(position, name)| {
            let value = captures.as_ref()?.get(position + 1)?;
            Some((&**name, value.as_str()))
        })
    }
}

/// Position of the brace that closes the one `text` starts with.
fn closing_brace(text: &str) -> Option<usize> {
    let mut depth = 0usize;
    for (position, byte) in text.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(position);
        }
    }
    None
}

/// An expression must stand alone and must not capture, or values would go to the wrong variables.
fn refuse_groups(name: &str, expression: &str) -> Result<(), String> {
    let compiled = Regex::new(expression).map_err(|cause| format!("the expression of {name:?} is wrong: {cause}"))?;
    if compiled.captures_len() > 1 {
        return Err(format!("the expression of {name:?} has a capturing group; write (?:...) instead"));
    }
    Ok(())
}
