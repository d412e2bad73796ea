//! A small preprocessor for WGSL.
//!
//! WGSL's `override` constants cannot size register tiles and shader compilers do not reliably unroll loops,
//! so tiles are written out before a shader is compiled. A line that starts with `//#` is a directive:
//!
//! ```text
//! //#include name            the text of shaders/shared/name.wgsl, once per shader
//! //#for t in 0..ROWS        repeats the lines up to its //#end with t = 0, 1, ...
//! //#if NAME                 keeps the lines up to //#else or //#end when NAME is defined and not 0
//! ${t + 1}                   the value of an expression of whole numbers, names, + - * and one bracket in front
//! ```

use std::collections::HashSet;

/// What is wrong with a template, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("shader {shader}, line {line}: {problem}")]
pub struct TemplateError {
    /// The shader or included piece.
    pub shader: String,
    /// The line in it, from 1.
    pub line: usize,
    /// What was found and wanted.
    pub problem: String,
}

type Result<T> = std::result::Result<T, TemplateError>;

/// Expands the template `source` of the shader called `shader`. `include` gives the text of an included piece,
/// `defines` the values of names.
///
/// # Errors
/// Names the shader and the line of a directive or an expression that makes no sense.
pub fn expand(
    shader: &str,
    source: &str,
    include: &dyn Fn(&str) -> Option<&'static str>,
    defines: &[(&str, u32)],
) -> Result<String> {
    let values = defines.iter().map(|&(name, value)| (name.to_string(), i64::from(value))).collect();
    let mut expansion = Expansion { include, included: HashSet::new(), values, text: String::new() };
    expansion.file(shader, source)?;
    Ok(expansion.text)
}

struct Expansion<'a> {
    include: &'a dyn Fn(&str) -> Option<&'static str>,
    included: HashSet<String>,
    /// Names and their values; the latest of a name counts.
    values: Vec<(String, i64)>,
    text: String,
}

/// The lines of one file.
struct Lines<'a> {
    shader: &'a str,
    lines: Vec<&'a str>,
}

impl Lines<'_> {
    fn error(&self, line: usize, problem: impl Into<String>) -> TemplateError {
        TemplateError { shader: self.shader.into(), line: line + 1, problem: problem.into() }
    }

    fn directive(&self, line: usize) -> Option<(&str, &str)> {
        let text = self.lines[line].trim().strip_prefix("//#")?.trim();
        Some(text.split_once(char::is_whitespace).map_or((text, ""), |(word, rest)| (word, rest.trim())))
    }

    /// The lines of the `//#end` (and the `//#else`, if any) that belong to the opening directive at `line`.
    fn closing(&self, line: usize, end: usize) -> Result<(usize, Option<usize>)> {
        let (mut depth, mut middle) = (0, None);
        for at in line + 1..end {
            match self.directive(at) {
                Some(("for" | "if", _)) => depth += 1,
                Some(("end", _)) if depth == 0 => return Ok((at, middle)),
                Some(("end", _)) => depth -= 1,
                Some(("else", _)) if depth == 0 => middle = Some(at),
                _ => {}
            }
        }
        Err(self.error(line, "has no //#end"))
    }
}

impl Expansion<'_> {
    fn file(&mut self, shader: &str, source: &str) -> Result<()> {
        let file = Lines { shader, lines: source.lines().collect() };
        self.lines(&file, 0, file.lines.len())
    }

    fn lines(&mut self, file: &Lines, start: usize, end: usize) -> Result<()> {
        let mut line = start;
        while line < end {
            match file.directive(line) {
                None => self.substitute(file, line)?,
                Some(("include", name)) => {
                    let text = (self.include)(name);
                    let text = text
                        .ok_or_else(|| file.error(line, format!("there is no piece '{name}' to include")))?;
                    if self.included.insert(name.to_string()) {
                        self.file(name, text)?;
                    }
                }
                Some(("for", head)) => {
                    let (close, _) = file.closing(line, end)?;
                    let wrong = || file.error(line, format!("'{head}' should read like 't in 0..ROWS'"));
                    let (name, range) = head.split_once(" in ").ok_or_else(wrong)?;
                    let (first, last) = range.split_once("..").ok_or_else(wrong)?;
                    for value in self.value(file, line, first)?..self.value(file, line, last)? {
                        self.values.push((name.trim().to_string(), value));
                        self.lines(file, line + 1, close)?;
                        self.values.pop();
                    }
                    line = close;
                }
                Some(("if", name)) => {
                    let (close, middle) = file.closing(line, end)?;
                    let holds = self.values.iter().rfind(|(n, _)| n == name).is_some_and(|&(_, v)| v != 0);
                    match (holds, middle) {
                        (true, _) => self.lines(file, line + 1, middle.unwrap_or(close))?,
                        (false, Some(middle)) => self.lines(file, middle + 1, close)?,
                        (false, None) => {}
                    }
                    line = close;
                }
                Some((word, _)) => {
                    return Err(file.error(
                        line,
                        format!("//#{word} is unknown here; use include, for, if, else or end"),
                    ));
                }
            }
            line += 1;
        }
        Ok(())
    }

    fn substitute(&mut self, file: &Lines, line: usize) -> Result<()> {
        let mut rest = file.lines[line];
        let mut text = String::with_capacity(rest.len() + 1);
        while let Some((before, after)) = rest.split_once("${") {
            let (expression, after) =
                after.split_once('}').ok_or_else(|| file.error(line, "${ is not closed by }"))?;
            text += before;
            text += &self.value(file, line, expression)?.to_string();
            rest = after;
        }
        self.text += &text;
        self.text += rest;
        self.text.push('\n');
        Ok(())
    }

    /// The value of a sum of products of numbers and names. Brackets are only understood around the whole left part,
    /// as in `(9 * c + tap) * 65`.
    fn value(&self, file: &Lines, line: usize, expression: &str) -> Result<i64> {
        let expression = expression.trim();
        if let Some(inner) = expression.strip_prefix('(') {
            let (inner, outer) =
                inner.split_once(')').ok_or_else(|| file.error(line, "( is not closed by )"))?;
            let factor = outer.trim().strip_prefix('*');
            let inner = self.value(file, line, inner)?;
            return match (outer.trim(), factor) {
                ("", _) => Ok(inner),
                (_, Some(factor)) => Ok(inner * self.value(file, line, factor)?),
                _ => Err(file.error(line, format!("'{expression}' should read like '(a + b) * 65'"))),
            };
        }
        if let Some(at) = expression.rfind(['+', '-']) {
            let left = self.value(file, line, &expression[..at])?;
            let right = self.value(file, line, &expression[at + 1..])?;
            return Ok(if expression.as_bytes()[at] == b'+' { left + right } else { left - right });
        }
        if let Some((left, right)) = expression.rsplit_once('*') {
            return Ok(self.value(file, line, left)? * self.value(file, line, right)?);
        }
        if let Ok(number) = expression.parse() {
            return Ok(number);
        }
        let named = self.values.iter().rfind(|(name, _)| name == expression);
        named
            .map(|&(_, value)| value)
            .ok_or_else(|| file.error(line, format!("'{expression}' is not defined")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(name: &str) -> Option<&'static str> {
        match name {
            "piece" => Some("piece\n"),
            "broken" => Some("fine\n${nothing}\n"),
            _ => None,
        }
    }

    fn expanded(source: &str) -> Result<String> {
        expand("test", source, &piece, &[("ROWS", 3), ("OFF", 0)])
    }

    #[test]
    fn loops_nest_and_expressions_are_computed() {
        let source =
            "//#for t in 0..ROWS - 1\n  //#for u in 1..3\na${t}b${2 * u + t - 1}\n  //#end\n//#end\n";
        assert_eq!(expanded(source).unwrap(), "a0b1\na0b3\na1b2\na1b4\n");
        assert_eq!(expanded("${(9 * ROWS + 1) * 2}u").unwrap(), "56u\n");
    }

    #[test]
    fn conditions_choose_and_pieces_come_once() {
        assert_eq!(expanded("//#if ROWS\na\n//#else\nb\n//#end\n//#if OFF\nc\n//#end").unwrap(), "a\n");
        assert_eq!(expanded("//#if NOTHING\na\n//#else\nb\n//#end").unwrap(), "b\n");
        assert_eq!(expanded("//#include piece\n//#include piece\nend").unwrap(), "piece\nend\n");
    }

    #[test]
    fn mistakes_are_named_with_their_line() {
        let problem = |source: &str| expanded(source).unwrap_err().to_string();
        assert_eq!(problem("a\n${b}"), "shader test, line 2: 'b' is not defined");
        assert_eq!(problem("//#include broken"), "shader broken, line 2: 'nothing' is not defined");
        assert!(problem("a\n//#for t in 0..2\nb").contains("line 2: has no //#end"));
        assert!(problem("//#for t\n//#end").contains("should read like"));
        assert!(problem("//#include nowhere").contains("no piece 'nowhere'"));
        assert!(problem("//#end").contains("unknown here"));
        assert!(problem("${ROWS").contains("not closed"));
        assert!(problem("${(ROWS}").contains("( is not closed"));
    }
}
