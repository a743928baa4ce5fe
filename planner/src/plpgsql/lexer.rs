//! Words of a PL/pgSQL body, with the places they stand at.
//!
//! They are SQL's tokens: the interpreter hands SQL to the binder as text, and all it needs to know
//! of it is where a piece ends.

use sqlparser::tokenizer::{Token as Sql, TokenWithSpan};
use vicinity_types::{PgError, Result, SqlState};

use crate::sql::tokens::tokenize;

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
    /// What the language itself is made of.
    Symbol(&'static str),
    /// What only SQL knows.
    Other,
    /// The end of the body.
    End,
}

/// A token and the bytes of the body it takes.
#[derive(Clone, Debug)]
pub(super) struct Lexeme {
    pub(super) token: Token,
    pub(super) start: usize,
    pub(super) end: usize,
    /// The character it begins with, from one.
    pub(super) column: usize,
}

/// Splits a body.
pub(super) fn lex(body: &str) -> Result<Vec<Lexeme>> {
    let mut bytes: Vec<usize> = body.char_indices().map(|(at, _)| at).collect();
    bytes.push(body.len());
    // a token's columns count characters from one
    let byte = |column: u64| {
        let at = usize::try_from(column).ok().and_then(|c| c.checked_sub(1));
        at.and_then(|at| bytes.get(at)).copied().unwrap_or(body.len())
    };
    let mut found: Vec<Lexeme> = Vec::new();
    for TokenWithSpan { token, span } in tokenize(body)? {
        let (start, end) = (byte(span.start.column), byte(span.end.column));
        let column = usize::try_from(span.start.column).unwrap_or(1);
        let token = own(token)?;
        match found.last_mut() {
            Some(last)
                if token == Token::Symbol(".") && last.token == token && last.end == start =>
            {
                *last = Lexeme { token: Token::Symbol(".."), end, ..last.clone() };
            }
            _ => found.push(Lexeme { token, start, end, column }),
        }
    }
    let (end, column) = (body.len(), bytes.len());
    found.push(Lexeme { token: Token::End, start: end, end, column });
    Ok(found)
}

fn own(token: Sql) -> Result<Token> {
    Ok(match token {
        Sql::Word(w) if w.quote_style.is_some() => Token::Quoted(w.value),
        Sql::Word(w) => Token::Word(w.value.to_lowercase()),
        Sql::SingleQuotedString(text) => Token::Text(text),
        Sql::Number(text, _) => Token::Number(text),
        Sql::Placeholder(text) => {
            let number = text.trim_start_matches('$').parse().map_err(|_| {
                PgError::new(SqlState::UNDEFINED_PARAMETER, "there is no such parameter")
            })?;
            Token::Param(number)
        }
        other => symbol(&other).map_or(Token::Other, Token::Symbol),
    })
}

fn symbol(token: &Sql) -> Option<&'static str> {
    Some(match token {
        Sql::Assignment => ":=",
        Sql::SemiColon => ";",
        Sql::Comma => ",",
        Sql::LParen => "(",
        Sql::RParen => ")",
        Sql::LBracket => "[",
        Sql::RBracket => "]",
        Sql::Period => ".",
        Sql::Eq => "=",
        Sql::RArrow => "=>",
        Sql::Mod => "%",
        Sql::Colon => ":",
        Sql::Mul => "*",
        Sql::CustomBinaryOperator(name) => match name.as_str() {
            "<<" => "<<",
            ">>" => ">>",
            "#" => "#",
            _ => return None,
        },
        _ => return None,
    })
}
