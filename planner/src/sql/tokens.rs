//! PostgreSQL's lexical rules, giving sqlparser's tokens.
//!
//! A token's span is in characters of the whole text: line is always 1, column is the one-based
//! position PostgreSQL reports in errors. Whitespace and comments are not tokens.

use sqlparser::tokenizer::{Location, Span, Token, TokenWithSpan};
use vicinity_types::{PgError, Result, SqlState};

/// Characters an operator is made of.
const OPERATOR: &str = "+-*/<>=~!@#%^&|`?";
/// An operator of several characters may end in + or - only if it has one of these.
const UNUSUAL: &str = "~!@#%^&|`?";

/// Reads the tokens of a text.
pub(super) fn tokenize(sql: &str) -> Result<Vec<TokenWithSpan>> {
    let mut lexer = Lexer { chars: sql.chars().collect(), at: 0, tokens: Vec::new() };
    lexer.run()?;
    Ok(lexer.tokens)
}

/// A span of one-based character positions, end exclusive.
fn span(start: usize, end: usize) -> Span {
    let location = |at: usize| Location { line: 1, column: at as u64 + 1 };
    Span { start: location(start), end: location(end) }
}

struct Lexer {
    chars: Vec<char>,
    at: usize,
    tokens: Vec<TokenWithSpan>,
}

impl Lexer {
    fn peek(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).copied()
    }

    fn text(&self, from: usize, to: usize) -> String {
        self.chars.get(from..to).unwrap_or_default().iter().collect()
    }

    fn push(&mut self, token: Token, start: usize) {
        self.tokens.push(TokenWithSpan { token, span: span(start, self.at) });
    }

    fn run(&mut self) -> Result<()> {
        while let Some(c) = self.peek(0) {
            let start = self.at;
            match c {
                c if c.is_ascii_whitespace() || c == '\u{b}' => self.at += 1,
                '-' if self.peek(1) == Some('-') => self.line_comment(),
                '/' if self.peek(1) == Some('*') => self.block_comment()?,
                '\'' => self.quoted(start)?,
                'e' | 'E' if self.peek(1) == Some('\'') => {
                    self.at += 1;
                    self.escaped(start)?;
                }
                'b' | 'B' | 'x' | 'X' | 'n' | 'N' if self.peek(1) == Some('\'') => {
                    self.at += 1;
                    let text = self.string_body(start)?;
                    let token = match c {
                        'b' | 'B' => Token::SingleQuotedByteStringLiteral(text),
                        'x' | 'X' => Token::HexStringLiteral(text),
                        _ => Token::SingleQuotedString(text),
                    };
                    self.push(token, start);
                }
                'u' | 'U' if self.peek(1) == Some('&') && self.peek(2) == Some('\'') => {
                    self.at += 2;
                    let text = self.string_body(start)?;
                    let text = unicode_escapes(&text, start)?;
                    self.push(Token::SingleQuotedString(text), start);
                }
                'u' | 'U' if self.peek(1) == Some('&') && self.peek(2) == Some('"') => {
                    self.at += 2;
                    let text = self.quoted_identifier(start)?;
                    let text = unicode_escapes(&text, start)?;
                    self.push(Token::make_word(&text, Some('"')), start);
                }
                '"' => {
                    let text = self.quoted_identifier(start)?;
                    self.push(Token::make_word(&text, Some('"')), start);
                }
                '$' => self.dollar()?,
                c if is_identifier_start(c) => {
                    while self.peek(0).is_some_and(is_identifier_part) {
                        self.at += 1;
                    }
                    let word = self.text(start, self.at);
                    self.push(Token::make_word(&word, None), start);
                }
                c if c.is_ascii_digit() => self.number(),
                '.' if self.peek(1).is_some_and(|c| c.is_ascii_digit()) => self.number(),
                c if OPERATOR.contains(c) => self.operator(),
                _ => self.punctuation(c)?,
            }
        }
        Ok(())
    }

    fn line_comment(&mut self) {
        while self.peek(0).is_some_and(|c| c != '\n' && c != '\r') {
            self.at += 1;
        }
    }

    fn block_comment(&mut self) -> Result<()> {
        let start = self.at;
        let mut depth = 0usize;
        loop {
            match (self.peek(0), self.peek(1)) {
                (Some('/'), Some('*')) => {
                    depth += 1;
                    self.at += 2;
                }
                (Some('*'), Some('/')) => {
                    depth -= 1;
                    self.at += 2;
                    if depth == 0 {
                        return Ok(());
                    }
                }
                (Some(_), _) => self.at += 1,
                (None, _) => return Err(self.unterminated("/* comment", start)),
            }
        }
    }

    fn unterminated(&self, what: &str, start: usize) -> PgError {
        let rest = self.text(start, self.chars.len());
        PgError::new(SqlState::SYNTAX_ERROR, format!("unterminated {what} at or near \"{rest}\""))
            .at(start + 1)
    }

    /// `'...'`; several separated by a newline are one.
    fn quoted(&mut self, start: usize) -> Result<()> {
        let text = self.string_body(start)?;
        self.push(Token::SingleQuotedString(text), start);
        Ok(())
    }

    /// The content of a string whose opening quote is next, with its continuations.
    fn string_body(&mut self, start: usize) -> Result<String> {
        let mut text = String::new();
        loop {
            self.at += 1;
            loop {
                match self.peek(0) {
                    None => return Err(self.unterminated("quoted string", start)),
                    Some('\'') if self.peek(1) == Some('\'') => {
                        text.push('\'');
                        self.at += 2;
                    }
                    Some('\'') => {
                        self.at += 1;
                        break;
                    }
                    Some(c) => {
                        text.push(c);
                        self.at += 1;
                    }
                }
            }
            if !self.continues() {
                return Ok(text);
            }
        }
    }

    /// After a string's end: whether a newline and another quote follow; stands on that quote then.
    fn continues(&mut self) -> bool {
        let mut ahead = 0;
        let mut newline = false;
        while let Some(c) = self.peek(ahead) {
            match c {
                '\n' | '\r' => newline = true,
                ' ' | '\t' | '\u{b}' | '\u{c}' => {}
                '\'' if newline => {
                    self.at += ahead;
                    return true;
                }
                _ => return false,
            }
            ahead += 1;
        }
        false
    }

    /// `E'...'`, standing on the quote.
    fn escaped(&mut self, start: usize) -> Result<()> {
        let mut text = String::new();
        loop {
            self.at += 1;
            loop {
                match self.peek(0) {
                    None => return Err(self.unterminated("quoted string", start)),
                    Some('\'') if self.peek(1) == Some('\'') => {
                        text.push('\'');
                        self.at += 2;
                    }
                    Some('\'') => {
                        self.at += 1;
                        break;
                    }
                    Some('\\') => self.escape(start, &mut text)?,
                    Some(c) => {
                        text.push(c);
                        self.at += 1;
                    }
                }
            }
            if !self.continues() {
                self.push(Token::SingleQuotedString(text), start);
                return Ok(());
            }
        }
    }

    fn escape(&mut self, start: usize, text: &mut String) -> Result<()> {
        self.at += 1;
        let Some(c) = self.peek(0) else {
            return Err(self.unterminated("quoted string", start));
        };
        self.at += 1;
        let (radix, most, value) = match c {
            'b' => return push_char(text, '\u{8}'),
            'f' => return push_char(text, '\u{c}'),
            'n' => return push_char(text, '\n'),
            'r' => return push_char(text, '\r'),
            't' => return push_char(text, '\t'),
            'v' => return push_char(text, '\u{b}'),
            '0'..='7' => (8, 2, c.to_digit(8).unwrap_or(0)),
            'x' if self.peek(0).is_some_and(|c| c.is_ascii_hexdigit()) => (16, 2, 0),
            'u' => (16, 4, 0),
            'U' => (16, 8, 0),
            other => return push_char(text, other),
        };
        let (mut value, mut digits) = (value, 0);
        while digits < most
            && let Some(digit) = self.peek(0).and_then(|c| c.to_digit(radix))
        {
            value = value * radix + digit;
            digits += 1;
            self.at += 1;
        }
        let invalid =
            |what: &str| PgError::new(SqlState::INVALID_ESCAPE_SEQUENCE, what).at(start + 1);
        if matches!(c, 'u' | 'U') && digits < most {
            return Err(invalid("invalid Unicode escape")
                .hint("Unicode escapes must be \\uXXXX or \\UXXXXXXXX."));
        }
        match char::from_u32(value) {
            Some('\0') | None => Err(invalid("invalid Unicode escape value")),
            Some(c) => push_char(text, c),
        }
    }

    /// `"..."`, standing on the quote.
    fn quoted_identifier(&mut self, start: usize) -> Result<String> {
        let mut text = String::new();
        self.at += 1;
        loop {
            match self.peek(0) {
                None => return Err(self.unterminated("quoted identifier", start)),
                Some('"') if self.peek(1) == Some('"') => {
                    text.push('"');
                    self.at += 2;
                }
                Some('"') => {
                    self.at += 1;
                    break;
                }
                Some(c) => {
                    text.push(c);
                    self.at += 1;
                }
            }
        }
        if text.is_empty() {
            return Err(PgError::new(
                SqlState::SYNTAX_ERROR,
                "zero-length delimited identifier at or near \"\"\"\"",
            )
            .at(start + 1));
        }
        Ok(text)
    }

    /// `$1`, `$$...$$`, `$tag$...$tag$`.
    fn dollar(&mut self) -> Result<()> {
        let start = self.at;
        self.at += 1;
        if self.peek(0).is_some_and(|c| c.is_ascii_digit()) {
            while self.peek(0).is_some_and(|c| c.is_ascii_digit()) {
                self.at += 1;
            }
            let text = self.text(start, self.at);
            self.push(Token::Placeholder(text), start);
            return Ok(());
        }
        while self.peek(0).is_some_and(|c| c != '$' && is_identifier_part(c)) {
            self.at += 1;
        }
        if self.peek(0) != Some('$') {
            return Err(syntax_error("$", start));
        }
        self.at += 1;
        let tag: Vec<char> = self.chars.get(start..self.at).unwrap_or_default().to_vec();
        let body = self.at;
        loop {
            match self.chars.get(self.at..self.at + tag.len()) {
                None => {
                    return Err(self.unterminated("dollar-quoted string", start));
                }
                Some(here) if here == tag => break,
                Some(_) => self.at += 1,
            }
        }
        let value = self.text(body, self.at);
        self.at += tag.len();
        self.push(Token::SingleQuotedString(value), start);
        Ok(())
    }

    fn digits(&mut self) {
        while self.peek(0).is_some_and(|c| c.is_ascii_digit()) {
            self.at += 1;
        }
    }

    fn number(&mut self) {
        let start = self.at;
        self.digits();
        // `1..10` of a FOR loop is not a decimal point
        if self.peek(0) == Some('.') && self.peek(1) != Some('.') {
            self.at += 1;
            self.digits();
        }
        if matches!(self.peek(0), Some('e' | 'E')) {
            let sign = usize::from(matches!(self.peek(1), Some('+' | '-')));
            if self.peek(1 + sign).is_some_and(|c| c.is_ascii_digit()) {
                self.at += 1 + sign;
                self.digits();
            }
        }
        let text = self.text(start, self.at);
        self.push(Token::Number(text, false), start);
    }

    fn operator(&mut self) {
        let start = self.at;
        let mut end = start;
        while let Some(c) = self.chars.get(end).copied()
            && OPERATOR.contains(c)
        {
            let next = self.chars.get(end + 1).copied();
            if end > start && matches!((c, next), ('-', Some('-')) | ('/', Some('*'))) {
                break;
            }
            end += 1;
        }
        let run = self.chars.get(start..end).unwrap_or_default();
        let mut len = run.len();
        while len > 1
            && matches!(run.get(len - 1), Some('+' | '-'))
            && !run.iter().take(len - 1).any(|c| UNUSUAL.contains(*c))
        {
            len -= 1;
        }
        self.at = start + len;
        let text = self.text(start, self.at);
        self.push(operator_token(text), start);
    }

    fn punctuation(&mut self, c: char) -> Result<()> {
        let start = self.at;
        self.at += 1;
        let token = match c {
            '(' => Token::LParen,
            ')' => Token::RParen,
            '[' => Token::LBracket,
            ']' => Token::RBracket,
            '{' => Token::LBrace,
            '}' => Token::RBrace,
            ',' => Token::Comma,
            ';' => Token::SemiColon,
            '.' => Token::Period,
            '\\' => Token::Backslash,
            ':' => match self.peek(0) {
                Some(':') => {
                    self.at += 1;
                    Token::DoubleColon
                }
                Some('=') => {
                    self.at += 1;
                    Token::Assignment
                }
                _ => Token::Colon,
            },
            other => return Err(syntax_error(&other.to_string(), start)),
        };
        self.push(token, start);
        Ok(())
    }
}

fn push_char(text: &mut String, c: char) -> Result<()> {
    text.push(c);
    Ok(())
}

fn is_identifier_start(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_' || !c.is_ascii()
}

fn is_identifier_part(c: char) -> bool {
    is_identifier_start(c) || c.is_ascii_digit() || c == '$'
}

/// `42601` at a zero-based character.
pub(super) fn syntax_error(near: &str, start: usize) -> PgError {
    PgError::new(SqlState::SYNTAX_ERROR, format!("syntax error at or near \"{near}\""))
        .at(start + 1)
}

/// sqlparser's own token where its grammar needs it, else a custom operator.
fn operator_token(text: String) -> Token {
    match text.as_str() {
        "+" => Token::Plus,
        "-" => Token::Minus,
        "*" => Token::Mul,
        "/" => Token::Div,
        "%" => Token::Mod,
        "^" => Token::Caret,
        "<" => Token::Lt,
        ">" => Token::Gt,
        "=" => Token::Eq,
        "<=" => Token::LtEq,
        ">=" => Token::GtEq,
        "<>" | "!=" => Token::Neq,
        "=>" => Token::RArrow,
        _ => Token::CustomBinaryOperator(text),
    }
}

fn unicode_escapes(text: &str, start: usize) -> Result<String> {
    let invalid = || PgError::new(SqlState::SYNTAX_ERROR, "invalid Unicode escape").at(start + 1);
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        let rest = chars.as_str();
        let (skip, take) = match rest.chars().next() {
            Some('\\') => {
                out.push('\\');
                chars.next();
                continue;
            }
            Some('+') => (1, 6),
            _ => (0, 4),
        };
        let digits: String = rest.chars().skip(skip).take(take).collect();
        let code = (digits.len() == take)
            .then(|| u32::from_str_radix(&digits, 16).ok())
            .flatten()
            .and_then(char::from_u32)
            .ok_or_else(invalid)?;
        out.push(code);
        for _ in 0..skip + take {
            chars.next();
        }
    }
    Ok(out)
}
