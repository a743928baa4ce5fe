//! Words of a PL/pgSQL body, with the places they stand at.
//!
//! The interpreter hands SQL to the binder as text, so the lexer's work is to find where a piece
//! of SQL ends: it knows strings, dollar quotes, quoted names and comments, and nothing of SQL.

use vicinity_types::{PgError, Result, SqlState};

/// A token.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    /// A name or keyword, folded to lower case.
    Word(String),
    /// A `"quoted"` name: never a keyword.
    Quoted(String),
    /// A string constant, decoded.
    Text(String),
    /// A number as written.
    Number(String),
    /// `$1`
    Param(usize),
    /// Punctuation: one character, or `:=`, `..`, `<<`, `>>`.
    Symbol(&'static str),
    /// Any other operator character.
    Other(char),
    /// The end of the body.
    End,
}

/// A token and the bytes of the body it takes.
#[derive(Clone, Debug)]
pub(super) struct Lexeme {
    pub(super) token: Token,
    pub(super) start: usize,
    pub(super) end: usize,
}

/// Splits a body.
pub(super) fn lex(body: &str) -> Result<Vec<Lexeme>> {
    let mut lexer = Lexer { body, at: 0 };
    let mut found = Vec::new();
    loop {
        lexer.skip_blanks()?;
        let start = lexer.at;
        let token = lexer.token()?;
        let end = token == Token::End;
        found.push(Lexeme { token, start, end: lexer.at });
        if end {
            return Ok(found);
        }
    }
}

const SYMBOLS: [&str; 16] =
    [":=", "..", "<<", ">>", ";", ",", "(", ")", "[", "]", ".", "=", "%", ":", "#", "*"];

struct Lexer<'a> {
    body: &'a str,
    at: usize,
}

impl Lexer<'_> {
    fn rest(&self) -> &str {
        self.body.get(self.at..).unwrap_or("")
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn skip_blanks(&mut self) -> Result<()> {
        loop {
            let rest = self.rest();
            let blanks = rest.len() - rest.trim_start().len();
            if blanks > 0 {
                self.at += blanks;
            } else if rest.starts_with("--") {
                self.at += rest.find('\n').unwrap_or(rest.len());
            } else if rest.starts_with("/*") {
                self.at += comment_length(rest)?;
            } else {
                return Ok(());
            }
        }
    }

    fn token(&mut self) -> Result<Token> {
        let Some(c) = self.peek() else { return Ok(Token::End) };
        let rest = self.rest();
        if c == '\'' {
            return self.string(false);
        }
        if matches!(c, 'e' | 'E') && rest.get(1..2) == Some("'") {
            self.at += 1;
            return self.string(true);
        }
        if c == '"' {
            return self.quoted();
        }
        if c == '$' {
            return self.dollar();
        }
        if c.is_ascii_digit() {
            return Ok(self.number());
        }
        if c.is_alphabetic() || c == '_' {
            let length = rest
                .find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '$'))
                .unwrap_or(rest.len());
            let word = rest.get(..length).unwrap_or("").to_lowercase();
            self.at += length;
            return Ok(Token::Word(word));
        }
        for symbol in SYMBOLS {
            if rest.starts_with(symbol) {
                self.at += symbol.len();
                return Ok(Token::Symbol(symbol));
            }
        }
        self.at += c.len_utf8();
        Ok(Token::Other(c))
    }

    fn string(&mut self, escapes: bool) -> Result<Token> {
        let mut text = String::new();
        let mut chars = self.rest().char_indices().skip(1).peekable();
        while let Some((at, c)) = chars.next() {
            match c {
                '\'' => {
                    if chars.peek().is_some_and(|(_, next)| *next == '\'') {
                        chars.next();
                        text.push('\'');
                    } else {
                        self.at += at + 1;
                        return Ok(Token::Text(text));
                    }
                }
                '\\' if escapes => match chars.next() {
                    Some((_, 'n')) => text.push('\n'),
                    Some((_, 't')) => text.push('\t'),
                    Some((_, 'r')) => text.push('\r'),
                    Some((_, other)) => text.push(other),
                    None => break,
                },
                _ => text.push(c),
            }
        }
        Err(unterminated("quoted string"))
    }

    fn quoted(&mut self) -> Result<Token> {
        let mut name = String::new();
        let mut chars = self.rest().char_indices().skip(1).peekable();
        while let Some((at, c)) = chars.next() {
            if c != '"' {
                name.push(c);
            } else if chars.peek().is_some_and(|(_, next)| *next == '"') {
                chars.next();
                name.push('"');
            } else {
                self.at += at + 1;
                return Ok(Token::Quoted(name));
            }
        }
        Err(unterminated("quoted identifier"))
    }

    /// `$1`, or a dollar-quoted string.
    fn dollar(&mut self) -> Result<Token> {
        let rest = self.rest();
        let after = rest.get(1..).unwrap_or("");
        let digits = after.len() - after.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        if digits > 0 {
            let number = after.get(..digits).and_then(|d| d.parse().ok()).ok_or_else(|| {
                PgError::new(SqlState::UNDEFINED_PARAMETER, "there is no such parameter")
            })?;
            self.at += 1 + digits;
            return Ok(Token::Param(number));
        }
        let Some(tag_end) = after.find('$') else {
            return Err(unterminated("dollar-quoted string"));
        };
        let tag = rest.get(..tag_end + 2).unwrap_or("");
        let body = rest.get(tag.len()..).unwrap_or("");
        let length = body.find(tag).ok_or_else(|| unterminated("dollar-quoted string"))?;
        let text = body.get(..length).unwrap_or("").to_owned();
        self.at += tag.len() * 2 + length;
        Ok(Token::Text(text))
    }

    /// Digits, a fraction and an exponent; `1..100` is a 1 before a range.
    fn number(&mut self) -> Token {
        let bytes = self.rest().as_bytes();
        let digits =
            |from: usize| bytes.iter().skip(from).take_while(|b| b.is_ascii_digit()).count() + from;
        let mut end = digits(0);
        if bytes.get(end) == Some(&b'.') && bytes.get(end + 1) != Some(&b'.') {
            end = digits(end + 1);
        }
        if matches!(bytes.get(end), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
            let exponent = digits(end + 1 + sign);
            if exponent > end + 1 + sign {
                end = exponent;
            }
        }
        let text = self.rest().get(..end).unwrap_or("").to_owned();
        self.at += end;
        Token::Number(text)
    }
}

fn comment_length(text: &str) -> Result<usize> {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|r| !r.is_empty()) {
        if rest.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return Ok(at);
            }
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    Err(unterminated("/* comment"))
}

fn unterminated(what: &str) -> PgError {
    PgError::new(SqlState::SYNTAX_ERROR, format!("unterminated {what}"))
}
