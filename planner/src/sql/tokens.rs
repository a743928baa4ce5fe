//! PostgreSQL's lexical rules, giving sqlparser's tokens.
//!
//! A token's span is in characters of the whole text: line is always 1, column is the one-based
//! position PostgreSQL reports in errors. Whitespace and comments are not tokens.

use sqlparser::tokenizer::{Location, Span, Token, TokenWithSpan};
use vicinity_types::{Notice, PgError, Result, Severity, SqlState};

use super::escaped::Escaped;

/// Characters an operator is made of.
const OPERATOR: &str = "+-*/<>=~!@#%^&|`?";
/// An operator of several characters may end in + or - only if it has one of these.
const UNUSUAL: &str = "~!@#%^&|`?";

/// Longest identifier in bytes (`NAMEDATALEN - 1`).
pub(crate) const LONGEST_NAME: usize = 63;

/// Reads the tokens of a text.
pub(crate) fn tokenize(sql: &str) -> Result<Vec<TokenWithSpan>> {
    tokenize_noting(sql).map(|(tokens, _)| tokens)
}

/// The same, with what is to be said about identifiers that are too long.
pub(super) fn tokenize_noting(sql: &str) -> Result<(Vec<TokenWithSpan>, Vec<Notice>)> {
    let chars = sql.chars().collect();
    let mut lexer = Lexer { chars, at: 0, tokens: Vec::new(), notices: Vec::new() };
    lexer.run()?;
    Ok((lexer.tokens, lexer.notices))
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
    notices: Vec<Notice>,
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

    /// An identifier or a keyword, cut to the length of a name.
    fn push_word(&mut self, text: &str, quote: Option<char>, start: usize) {
        let name = text.get(..text.floor_char_boundary(LONGEST_NAME)).unwrap_or(text);
        if name.len() < text.len() {
            let shown = |text: &str| match quote {
                Some(_) => text.to_owned(),
                None => text.to_lowercase(),
            };
            let (text, name) = (shown(text), shown(name));
            self.notices.push(Notice::new(
                Severity::Notice,
                SqlState(*b"42622"),
                format!("identifier \"{text}\" will be truncated to \"{name}\""),
            ));
        }
        self.push(Token::make_word(name, quote), start);
    }

    fn run(&mut self) -> Result<()> {
        self.blanks()?;
        while let Some(c) = self.peek(0) {
            let start = self.at;
            match c {
                '\'' => {
                    let text = self.string(start, false)?;
                    self.push(Token::SingleQuotedString(text), start);
                }
                'e' | 'E' if self.peek(1) == Some('\'') => {
                    self.at += 1;
                    let text = self.string(start, true)?;
                    self.push(Token::SingleQuotedString(text), start);
                }
                'b' | 'B' | 'x' | 'X' | 'n' | 'N' if self.peek(1) == Some('\'') => {
                    self.at += 1;
                    let text = self.string(start, false)?;
                    let token = match c {
                        'b' | 'B' => Token::SingleQuotedByteStringLiteral(text),
                        'x' | 'X' => Token::HexStringLiteral(text),
                        _ => Token::SingleQuotedString(text),
                    };
                    self.push(token, start);
                }
                'u' | 'U' if self.peek(1) == Some('&') && self.peek(2) == Some('\'') => {
                    self.at += 2;
                    let text = self.string(start, false)?;
                    let text = self.unicode_escapes(&text, start)?;
                    self.push(Token::SingleQuotedString(text), start);
                }
                'u' | 'U' if self.peek(1) == Some('&') && self.peek(2) == Some('"') => {
                    self.at += 2;
                    let text = self.quoted_identifier(start)?;
                    let text = self.unicode_escapes(&text, start)?;
                    self.push_word(&text, Some('"'), start);
                }
                '"' => {
                    let text = self.quoted_identifier(start)?;
                    self.push_word(&text, Some('"'), start);
                }
                '$' => self.dollar()?,
                c if is_identifier_start(c) => {
                    while self.peek(0).is_some_and(is_identifier_part) {
                        self.at += 1;
                    }
                    let word = self.text(start, self.at);
                    self.push_word(&word, None, start);
                }
                c if c.is_ascii_digit() => self.number()?,
                // ... but not the second one of `1..100`
                '.' if self.peek(1).is_some_and(|c| c.is_ascii_digit()) && !self.behind_dot() => {
                    self.number()?;
                }
                c if OPERATOR.contains(c) => self.operator(),
                _ => self.punctuation(c)?,
            }
            self.blanks()?;
        }
        Ok(())
    }

    /// Skips white space and comments.
    fn blanks(&mut self) -> Result<()> {
        while let Some(c) = self.peek(0) {
            match c {
                c if c.is_ascii_whitespace() || c == '\u{b}' => self.at += 1,
                '-' if self.peek(1) == Some('-') => self.line_comment(),
                '/' if self.peek(1) == Some('*') => self.block_comment()?,
                _ => break,
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

    /// `'...'` whose opening quote is next; several separated by a newline are one. `escapes`: of an
    /// `E'...'`, where a backslash means something.
    fn string(&mut self, start: usize, escapes: bool) -> Result<String> {
        let mut text = Escaped::default();
        loop {
            self.at += 1;
            loop {
                match self.peek(0) {
                    None => return Err(self.unterminated("quoted string", start)),
                    Some('\'') if self.peek(1) == Some('\'') => {
                        text.push('\'').map_err(|e| e.at(start + 1))?;
                        self.at += 2;
                    }
                    Some('\'') => {
                        self.at += 1;
                        break;
                    }
                    Some('\\') if escapes => self.escape(start, &mut text)?,
                    Some(c) => {
                        text.push(c).map_err(|e| e.at(start + 1))?;
                        self.at += 1;
                    }
                }
            }
            if !self.continues() {
                return text.finish().map_err(|e| e.or_at(Some(start + 1)));
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

    /// `\n`, `\x41`, `\u0041` and the like.
    fn escape(&mut self, start: usize, text: &mut Escaped) -> Result<()> {
        let place = self.at + 1;
        self.at += 1;
        let Some(c) = self.peek(0) else {
            return Err(self.unterminated("quoted string", start));
        };
        self.at += 1;
        let (radix, most) = match c {
            '0'..='7' => (8, 3),
            'x' if self.peek(0).is_some_and(|c| c.is_ascii_hexdigit()) => (16, 2),
            'u' => (16, 4),
            'U' => (16, 8),
            other => {
                let meant = match other {
                    'b' => '\u{8}',
                    'f' => '\u{c}',
                    'n' => '\n',
                    'r' => '\r',
                    't' => '\t',
                    'v' => '\u{b}',
                    other => other,
                };
                return text.push(meant).map_err(|e| e.at(place));
            }
        };
        if radix == 8 {
            self.at -= 1;
        }
        let (mut value, mut digits) = (0, 0);
        while digits < most
            && let Some(digit) = self.peek(0).and_then(|c| c.to_digit(radix))
        {
            value = value * radix + digit;
            digits += 1;
            self.at += 1;
        }
        if !matches!(c, 'u' | 'U') {
            // as in C, a byte is what is left of a larger number
            return text.push_byte((value & 0xff) as u8).map_err(|e| e.at(place));
        }
        if digits < most {
            let invalid = PgError::new(SqlState::INVALID_ESCAPE_SEQUENCE, "invalid Unicode escape");
            return Err(invalid
                .hint("Unicode escapes must be \\uXXXX or \\UXXXXXXXX.")
                .at(start + 1));
        }
        text.push_code(value).map_err(|e| e.at(place))
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
            self.no_junk("parameter", start, true)?;
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

    fn behind_dot(&self) -> bool {
        self.at.checked_sub(1).and_then(|at| self.chars.get(at)) == Some(&'.')
    }

    fn digits(&mut self) {
        while self.peek(0).is_some_and(|c| c.is_ascii_digit()) {
            self.at += 1;
        }
    }

    fn number(&mut self) -> Result<()> {
        let start = self.at;
        self.digits();
        // `1..10` of a FOR loop is not a decimal point
        if self.peek(0) == Some('.') && self.peek(1) != Some('.') {
            self.at += 1;
            self.digits();
        }
        let mut complete = true;
        if matches!(self.peek(0), Some('e' | 'E')) {
            let sign = usize::from(matches!(self.peek(1), Some('+' | '-')));
            if self.peek(1 + sign).is_some_and(|c| c.is_ascii_digit()) {
                self.at += 1 + sign;
                self.digits();
            } else if sign == 1 {
                self.at += 2;
                complete = false;
            }
        }
        self.no_junk("numeric literal", start, complete)?;
        let text = self.text(start, self.at);
        self.push(Token::Number(text, false), start);
        Ok(())
    }

    /// Nothing may follow a number directly that would belong to a name.
    fn no_junk(&mut self, what: &str, start: usize, complete: bool) -> Result<()> {
        if complete && !self.peek(0).is_some_and(is_identifier_start) {
            return Ok(());
        }
        while complete && self.peek(0).is_some_and(is_identifier_part) {
            self.at += 1;
        }
        let near = self.text(start, self.at);
        let text = format!("trailing junk after {what} at or near \"{near}\"");
        Err(PgError::new(SqlState::SYNTAX_ERROR, text).at(start + 1))
    }

    /// What U& makes of a text, whose escape character may be named behind it.
    fn unicode_escapes(&mut self, text: &str, start: usize) -> Result<String> {
        let escape = self.uescape()?;
        let mut out = Escaped::default();
        let chars: Vec<char> = text.chars().collect();
        let mut at = 0;
        while let Some(c) = chars.get(at).copied() {
            // `U&'` stands before the text
            let place = start + at + 4;
            at += 1;
            if c != escape {
                out.push(c).map_err(|e| e.at(place))?;
                continue;
            }
            if chars.get(at) == Some(&escape) {
                out.push(escape).map_err(|e| e.at(place))?;
                at += 1;
                continue;
            }
            let (skip, take) = if chars.get(at) == Some(&'+') { (1, 6) } else { (0, 4) };
            let digits = chars.get(at + skip..at + skip + take);
            let code = digits.and_then(|digits| {
                digits.iter().try_fold(0, |code, d| Some(code * 16 + d.to_digit(16)?))
            });
            let Some(code) = code else {
                return Err(PgError::new(SqlState::SYNTAX_ERROR, "invalid Unicode escape")
                    .hint("Unicode escapes must be \\XXXX or \\+XXXXXX.")
                    .at(place));
            };
            out.push_code(code).map_err(|e| e.at(place))?;
            at += skip + take;
        }
        out.finish().map_err(|e| e.or_at(Some(start + 1)))
    }

    /// `UESCAPE '!'`, if it follows; else the backslash.
    fn uescape(&mut self) -> Result<char> {
        let before = self.at;
        self.blanks()?;
        let word: String = (0..7).filter_map(|i| self.peek(i)).collect();
        if !word.eq_ignore_ascii_case("uescape") || self.peek(7).is_some_and(is_identifier_part) {
            self.at = before;
            return Ok('\\');
        }
        self.at += 7;
        self.blanks()?;
        let place = self.at;
        let text =
            if self.peek(0) == Some('\'') { self.string(place, false)? } else { String::new() };
        let mut chars = text.chars();
        match (chars.next(), chars.next()) {
            (Some(c), None)
                if !c.is_ascii_hexdigit() && !c.is_whitespace() && !"+'\"".contains(c) =>
            {
                Ok(c)
            }
            _ => {
                let near = self.text(place, self.at);
                let text = format!("invalid Unicode escape character at or near \"{near}\"");
                Err(PgError::new(SqlState::SYNTAX_ERROR, text).at(place + 1))
            }
        }
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
