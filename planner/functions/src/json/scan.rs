//! Reading `json` text in place. The text is known to be valid: it came through the type's input.

use vicinity_types::jsonb::parse;

/// What a value is, told by its first character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Object,
    Array,
    String,
    Number,
    Boolean,
    Null,
}

pub(crate) fn shape(text: &str) -> Shape {
    match text.trim_start().bytes().next() {
        Some(b'{') => Shape::Object,
        Some(b'[') => Shape::Array,
        Some(b'"') => Shape::String,
        Some(b't' | b'f') => Shape::Boolean,
        Some(b'n') => Shape::Null,
        _ => Shape::Number,
    }
}

impl Shape {
    /// What `json_typeof` calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Shape::Object => "object",
            Shape::Array => "array",
            Shape::String => "string",
            Shape::Number => "number",
            Shape::Boolean => "boolean",
            Shape::Null => "null",
        }
    }
}

/// The text of a JSON string, unescaped.
pub(crate) fn unquote(text: &str) -> String {
    match parse::json(text) {
        Ok(serde_json::Value::String(s)) => s,
        _ => text.trim().trim_matches('"').to_owned(),
    }
}

/// A value as `->>` shows it: strings without quotes, null as NULL.
pub(crate) fn as_text(text: &str) -> Option<String> {
    let text = text.trim();
    match shape(text) {
        Shape::Null => None,
        Shape::String => Some(unquote(text)),
        _ => Some(text.to_owned()),
    }
}

/// The members of an object in order, each with its value's text.
pub(crate) fn members(text: &str) -> Vec<(String, &str)> {
    let mut scanner = Scanner { text, at: 0 };
    let mut found = Vec::new();
    if !scanner.eat(b'{') {
        return found;
    }
    while let Some(key) = scanner.value() {
        if !key.starts_with('"') || !scanner.eat(b':') {
            break;
        }
        let Some(value) = scanner.value() else { break };
        found.push((unquote(key), value));
        if !scanner.eat(b',') {
            break;
        }
    }
    found
}

/// The elements of an array.
pub(crate) fn items(text: &str) -> Vec<&str> {
    let mut scanner = Scanner { text, at: 0 };
    let mut found = Vec::new();
    if !scanner.eat(b'[') {
        return found;
    }
    while let Some(value) = scanner.value() {
        found.push(value);
        if !scanner.eat(b',') {
            break;
        }
    }
    found
}

struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while self.peek().is_some_and(|b| b.is_ascii_whitespace()) {
            self.at += 1;
        }
    }

    fn eat(&mut self, byte: u8) -> bool {
        self.space();
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// The next value's text; `None` before a closing bracket or at the end.
    fn value(&mut self) -> Option<&'a str> {
        self.space();
        let start = self.at;
        let mut depth = 0usize;
        while let Some(byte) = self.peek() {
            match byte {
                b'"' => self.string(),
                b'{' | b'[' => {
                    depth += 1;
                    self.at += 1;
                }
                b'}' | b']' if depth == 0 => break,
                b'}' | b']' => {
                    depth -= 1;
                    self.at += 1;
                }
                b',' | b':' if depth == 0 => break,
                _ => self.at += 1,
            }
        }
        let value = self.text.get(start..self.at)?.trim_end();
        (!value.is_empty()).then_some(value)
    }

    fn string(&mut self) {
        self.at += 1;
        while let Some(byte) = self.peek() {
            self.at += if byte == b'\\' { 2 } else { 1 };
            if byte == b'"' {
                return;
            }
        }
    }
}
