//! JSON input: one lexer checks `json`, builds `jsonb` and words the errors as PostgreSQL does.

use serde_json::{Map, Value};

use crate::error::{PgError, Result, SqlState};
use crate::io::is_space;

/// Reads a `jsonb` document.
pub fn jsonb(text: &str) -> Result<super::Jsonb> {
    let mut p = Parser::new(text, true);
    let value = p.document()?;
    Ok(super::Jsonb(value))
}

/// Checks that `text` is JSON; what is stored is the text itself.
pub fn check_json(text: &str) -> Result<()> {
    Parser::new(text, false).document().map(|_| ())
}

/// Reads JSON without bringing it into jsonb's form: keys stay in order, numbers as written.
pub fn json(text: &str) -> Result<Value> {
    let mut p = Parser::new(text, false);
    p.build = true;
    p.document()
}

/// Reads a stored document, which is in jsonb's form already.
pub(crate) fn stored(text: &str) -> Option<Value> {
    let mut p = Parser::new(text, false);
    p.build = true;
    p.document().ok()
}

/// An object in jsonb's key order; of duplicate keys the last one counts.
pub(crate) fn object(mut pairs: Vec<(String, Value)>) -> Value {
    pairs.sort_by(|(a, _), (b, _)| a.len().cmp(&b.len()).then_with(|| a.cmp(b)));
    let mut map = Map::with_capacity(pairs.len());
    for (key, value) in pairs {
        map.insert(key, value);
    }
    Value::Object(map)
}

/// A number as jsonb holds it: numeric's text.
pub(crate) fn number(text: &str) -> Result<Value> {
    let canonical = crate::numeric::text::parse(text)?.to_string();
    Ok(number_as_is(&canonical))
}

fn number_as_is(text: &str) -> Value {
    Value::Number(serde_json::Number::from_string_unchecked(text.to_owned()))
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    /// Bring values into jsonb's form.
    canonical: bool,
    /// Keep values at all; checking does not.
    build: bool,
}

/// What PostgreSQL would say it expected.
#[derive(Clone, Copy)]
enum Expected {
    Json,
    ArrayNext,
    ObjectFirst,
    ObjectNext,
    ObjectComma,
    ObjectLabel,
    End,
}

impl Expected {
    fn detail(self, token: &str) -> String {
        let what = match self {
            Expected::Json => "Expected JSON value, but found",
            Expected::ArrayNext => "Expected \",\" or \"]\", but found",
            Expected::ObjectFirst => "Expected string or \"}\", but found",
            Expected::ObjectNext => "Expected \",\" or \"}\", but found",
            Expected::ObjectComma => "Expected string, but found",
            Expected::ObjectLabel => "Expected \":\", but found",
            Expected::End => "Expected end of input, but found",
        };
        format!("{what} \"{token}\".")
    }
}

impl<'a> Parser<'a> {
    fn new(text: &'a str, canonical: bool) -> Parser<'a> {
        Parser { text, at: 0, canonical, build: canonical }
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or("")
    }

    fn peek(&mut self) -> Option<u8> {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start_matches([' ', '\t', '\n', '\r']).len();
        self.text.as_bytes().get(self.at).copied()
    }

    fn document(&mut self) -> Result<Value> {
        let value = self.value()?;
        match self.peek() {
            None => Ok(value),
            Some(_) => Err(self.unexpected(Expected::End)),
        }
    }

    fn value(&mut self) -> Result<Value> {
        crate::stack::check()?;
        match self.peek() {
            Some(b'{') => self.object(),
            Some(b'[') => self.array(),
            Some(b'"') => Ok(Value::String(self.string()?)),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => {
                for (word, value) in [
                    ("true", Value::Bool(true)),
                    ("false", Value::Bool(false)),
                    ("null", Value::Null),
                ] {
                    if self.token() == word {
                        self.at += word.len();
                        return Ok(value);
                    }
                }
                Err(self.unexpected(Expected::Json))
            }
        }
    }

    fn array(&mut self) -> Result<Value> {
        self.at += 1;
        let mut items = Vec::new();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Value::Array(items));
        }
        loop {
            let item = self.value()?;
            if self.build {
                items.push(item);
            }
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    return Ok(Value::Array(items));
                }
                _ => return Err(self.unexpected(Expected::ArrayNext)),
            }
        }
    }

    fn object(&mut self) -> Result<Value> {
        self.at += 1;
        let mut pairs = Vec::new();
        let mut expected = Expected::ObjectFirst;
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Value::Object(Map::new()));
        }
        loop {
            if self.peek() != Some(b'"') {
                return Err(self.unexpected(expected));
            }
            let key = self.string()?;
            if self.peek() != Some(b':') {
                return Err(self.unexpected(Expected::ObjectLabel));
            }
            self.at += 1;
            let value = self.value()?;
            if self.build {
                pairs.push((key, value));
            }
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    break;
                }
                _ => return Err(self.unexpected(Expected::ObjectNext)),
            }
            expected = Expected::ObjectComma;
        }
        if self.canonical {
            return Ok(object(pairs));
        }
        Ok(Value::Object(pairs.into_iter().collect()))
    }

    fn number(&mut self) -> Result<Value> {
        let start = self.at;
        let bytes = self.text.as_bytes();
        let digits = |mut at: usize| {
            while bytes.get(at).is_some_and(u8::is_ascii_digit) {
                at += 1;
            }
            at
        };
        let mut at = start + usize::from(bytes.get(start) == Some(&b'-'));
        let mut ok = true;
        match bytes.get(at) {
            Some(b'0') => at += 1,
            Some(b'1'..=b'9') => at = digits(at),
            _ => ok = false,
        }
        if bytes.get(at) == Some(&b'.') {
            let end = digits(at + 1);
            ok &= end > at + 1;
            at = end;
        }
        if matches!(bytes.get(at), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
            let end = digits(at + 1 + sign);
            ok &= end > at + 1 + sign;
            at = end;
        }
        let glued = bytes.get(at).is_some_and(|b| is_word(*b));
        if !ok || glued {
            while bytes.get(at).is_some_and(|b| is_word(*b)) {
                at += 1;
            }
            let token = self.text.get(start..at).unwrap_or("").to_owned();
            self.at = at;
            return Err(self.error(&invalid_token(&token), at));
        }
        self.at = at;
        let text = self.text.get(start..at).unwrap_or("");
        match (self.build, self.canonical) {
            (false, _) => Ok(Value::Null),
            (true, true) => number(text),
            (true, false) => Ok(number_as_is(text)),
        }
    }

    fn string(&mut self) -> Result<String> {
        let start = self.at;
        self.at += 1;
        let mut out = String::new();
        loop {
            let rest = self.rest();
            let plain = rest.find(|c: char| c == '"' || c == '\\' || c < ' ').unwrap_or(rest.len());
            out.push_str(rest.get(..plain).unwrap_or(""));
            self.at += plain;
            match self.text.as_bytes().get(self.at) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(out);
                }
                Some(b'\\') => self.escape(start, &mut out)?,
                Some(control) => {
                    let detail = format!("Character with value 0x{control:02x} must be escaped.");
                    return Err(self.error(&detail, self.at));
                }
                None => {
                    let token = self.text.get(start..).unwrap_or("").to_owned();
                    self.at = self.text.len();
                    return Err(self.error(&invalid_token(&token), self.at));
                }
            }
        }
    }

    fn escape(&mut self, start: usize, out: &mut String) -> Result<()> {
        let Some(c) = self.text.get(self.at + 1..).and_then(|s| s.chars().next()) else {
            let token = self.text.get(start..).unwrap_or("").to_owned();
            return Err(self.error(&invalid_token(&token), self.text.len()));
        };
        self.at += 1 + c.len_utf8();
        out.push(match c {
            '"' | '\\' | '/' => c,
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => return self.unicode(out),
            _ => {
                return Err(self.error(&format!("Escape sequence \"\\{c}\" is invalid."), self.at));
            }
        });
        Ok(())
    }

    fn hex4(&mut self) -> Result<u32> {
        let mut code = 0;
        for _ in 0..4 {
            let digit = self.rest().chars().next();
            match digit.and_then(|c| c.to_digit(16)) {
                Some(d) => code = code * 16 + d,
                None => {
                    let end = self.at + digit.map_or(0, char::len_utf8);
                    return Err(
                        self.error("\"\\u\" must be followed by four hexadecimal digits.", end)
                    );
                }
            }
            self.at += 1;
        }
        Ok(code)
    }

    fn unicode(&mut self, out: &mut String) -> Result<()> {
        let code = self.hex4()?;
        // Only who needs the characters minds what they are, as in PostgreSQL.
        if !self.build {
            return Ok(());
        }
        let high = "Unicode high surrogate must not follow a high surrogate.";
        let low = "Unicode low surrogate must follow a high surrogate.";
        if (0xDC00..0xE000).contains(&code) {
            return Err(self.error(low, self.at));
        }
        if (0xD800..0xDC00).contains(&code) {
            if !self.rest().starts_with("\\u") {
                return Err(self.error(low, self.at));
            }
            self.at += 2;
            let second = self.hex4()?;
            if (0xD800..0xDC00).contains(&second) {
                return Err(self.error(high, self.at));
            }
            if !(0xDC00..0xE000).contains(&second) {
                return Err(self.error(low, self.at));
            }
            let joined = 0x10000 + ((code - 0xD800) << 10) + (second - 0xDC00);
            out.extend(char::from_u32(joined));
            return Ok(());
        }
        if code == 0 {
            return Err(PgError::new(
                SqlState::UNTRANSLATABLE_CHARACTER,
                "unsupported Unicode escape sequence",
            )
            .detail("\\u0000 cannot be converted to text.")
            .context(self.context_line(self.at)));
        }
        out.extend(char::from_u32(code));
        Ok(())
    }

    /// The word at the current position, as PostgreSQL's lexer would delimit it.
    fn token(&self) -> &'a str {
        let rest = self.rest();
        let word = rest.bytes().take_while(|b| is_word(*b)).count();
        if word > 0 {
            return rest.get(..word).unwrap_or("");
        }
        let first = rest.chars().next().map_or(0, char::len_utf8);
        rest.get(..first).unwrap_or("")
    }

    fn unexpected(&mut self, expected: Expected) -> PgError {
        let Some(first) = self.peek() else {
            return self.error("The input string ended unexpectedly.", self.text.len());
        };
        // What is no token at all is worse than a token in the wrong place.
        let mut copy = Parser { at: self.at, ..Parser::new(self.text, self.canonical) };
        let lexed = match first {
            b'"' => copy.string().err(),
            b'-' | b'0'..=b'9' => copy.number().err(),
            _ => None,
        };
        if let Some(error) = lexed {
            return error;
        }
        let token = match copy.at > self.at {
            true => self.text.get(self.at..copy.at).unwrap_or(""),
            false => self.token(),
        };
        let known = matches!(token, "{" | "}" | "[" | "]" | "," | ":" | "true" | "false" | "null")
            || copy.at > self.at;
        let detail = if known { expected.detail(token) } else { invalid_token(token) };
        self.error(&detail, self.at + token.len())
    }

    fn error(&self, detail: &str, end: usize) -> PgError {
        PgError::new(SqlState::INVALID_TEXT_REPRESENTATION, "invalid input syntax for type json")
            .detail(detail)
            .context(self.context_line(end))
    }

    /// `JSON data, line 1: ...` with up to 50 bytes before the error.
    fn context_line(&self, end: usize) -> String {
        let before = self.text.get(..end).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let mut start = line_start;
        while end - start >= 50 {
            let step = self.text.get(start..).and_then(|s| s.chars().next());
            start += step.map_or(1, char::len_utf8);
        }
        // An ellipsis for less than its own length would be silly.
        if start - line_start <= 3 {
            start = line_start;
        }
        let shown = self.text.get(start..end).unwrap_or("");
        let head = if start > line_start { "..." } else { "" };
        let more =
            self.text.get(end..).is_some_and(|s| !s.is_empty() && !s.starts_with(['\n', '\r']));
        let tail = if more { "..." } else { "" };
        format!("JSON data, line {line}: {head}{shown}{tail}")
    }
}

fn invalid_token(token: &str) -> String {
    format!("Token \"{token}\" is invalid.")
}

fn is_word(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'_' || b >= 0x80
}

/// Whether text is blank, as JSON and PostgreSQL's scanners see it.
pub fn is_blank(text: &str) -> bool {
    text.chars().all(is_space)
}
