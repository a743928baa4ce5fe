//! PostgreSQL's reserved words: they are never names unless quoted.

use sqlparser::tokenizer::{Token, TokenWithSpan};
use vicinity_types::{PgError, Result};

use super::other::word_is;
use super::{position, tokens};

/// Reserved words an expression may begin with.
const BEGIN_EXPRESSION: &[&str] = &[
    "all",
    "any",
    "array",
    "case",
    "cast",
    "current_catalog",
    "current_date",
    "current_role",
    "current_time",
    "current_timestamp",
    "current_user",
    "default",
    "distinct",
    "false",
    "localtime",
    "localtimestamp",
    "not",
    "null",
    "session_user",
    "some",
    "true",
    "user",
    "variadic",
];

fn among(words: &[&str], word: &str) -> bool {
    words.iter().any(|w| w.eq_ignore_ascii_case(word))
}

fn category(word: &str) -> Option<u8> {
    vicinity_functions::keyword(&word.to_ascii_lowercase()).map(|k| k.category)
}

/// Whether a word cannot be a column's or table's name.
pub(super) fn is_reserved(word: &str) -> bool {
    matches!(category(word), Some(b'R' | b'T'))
}

/// Whether a word can be a column's label without AS.
pub(super) fn is_bare_label(word: &str) -> bool {
    vicinity_functions::keyword(&word.to_ascii_lowercase()).is_none_or(|k| k.bare_label)
}

/// Whether no expression begins with a word. `on` is a value of settings and options, which
/// sqlparser reads as expressions.
pub(super) fn begins_no_expression(word: &str) -> bool {
    begins_no_table(word) && !word.eq_ignore_ascii_case("on")
}

fn begins_no_table(word: &str) -> bool {
    category(word) == Some(b'R') && !among(BEGIN_EXPRESSION, word)
}

/// Names stand where reserved words would be read as names by a grammar that knows no better.
pub(super) fn check(tokens: &[TokenWithSpan]) -> Result<()> {
    for pair in tokens.windows(2) {
        let [before, token] = pair else { continue };
        let Some(word) = plain_word(token) else { continue };
        let table = ["from", "join", "into"].iter().any(|w| word_is(before, w));
        let free = matches!(word.to_ascii_lowercase().as_str(), "only" | "lateral" | "table");
        if table && begins_no_table(word) && !free {
            return Err(misplaced(token));
        }
    }
    check_columns(tokens)
}

/// Columns of CREATE TABLE.
fn check_columns(tokens: &[TokenWithSpan]) -> Result<()> {
    const CLAUSES: &[&str] =
        &["constraint", "primary", "unique", "check", "foreign", "like", "exclude"];
    if !tokens.first().is_some_and(|t| word_is(t, "create"))
        || !tokens.iter().take(4).any(|t| word_is(t, "table"))
    {
        return Ok(());
    }
    let mut depth = 0usize;
    for pair in tokens.windows(2) {
        let [before, token] = pair else { continue };
        // A query's list, or a partition's values.
        if depth == 0 && (word_is(before, "as") || word_is(before, "values")) {
            return Ok(());
        }
        match before.token {
            Token::LParen | Token::LBracket => depth += 1,
            Token::RParen | Token::RBracket => depth = depth.saturating_sub(1),
            _ => {}
        }
        let begins = depth == 1 && matches!(before.token, Token::LParen | Token::Comma);
        if begins
            && let Some(word) = plain_word(token)
            && is_reserved(word)
            && !among(CLAUSES, word)
        {
            return Err(misplaced(token));
        }
        if depth == 0 && matches!(before.token, Token::RParen) {
            break;
        }
    }
    Ok(())
}

fn plain_word(token: &TokenWithSpan) -> Option<&str> {
    match &token.token {
        Token::Word(w) if w.quote_style.is_none() => Some(&w.value),
        _ => None,
    }
}

fn misplaced(token: &TokenWithSpan) -> PgError {
    tokens::syntax_error(&token.token.to_string(), position(token).saturating_sub(1))
}
