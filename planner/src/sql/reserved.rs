//! PostgreSQL's reserved words: they are never names unless quoted.

use sqlparser::tokenizer::{Token, TokenWithSpan};
use vicinity_types::{PgError, Result};

use super::other::word_is;
use super::{position, tokens};

/// Reserved, as `pg_get_keywords` has them (category R).
const RESERVED: &[&str] = &[
    "all", "analyse", "analyze", "and", "any", "array", "as", "asc", "asymmetric", "both", "case",
    "cast", "check", "collate", "column", "constraint", "create", "current_catalog",
    "current_date", "current_role", "current_time", "current_timestamp", "current_user", "default",
    "deferrable", "desc", "distinct", "do", "else", "end", "except", "false", "fetch", "for",
    "foreign", "from", "grant", "group", "having", "in", "initially", "intersect", "into",
    "lateral", "leading", "limit", "localtime", "localtimestamp", "not", "null", "offset", "on",
    "only", "or", "order", "placing", "primary", "references", "returning", "select",
    "session_user", "some", "symmetric", "table", "then", "to", "trailing", "true", "union",
    "unique", "user", "using", "variadic", "when", "where", "window", "with",
];

/// Reserved, but names of functions and types (category T).
const FUNCTIONS: &[&str] = &[
    "authorization", "binary", "collation", "concurrently", "cross", "current_schema", "freeze",
    "full", "ilike", "inner", "is", "isnull", "join", "left", "like", "natural", "notnull",
    "outer", "overlaps", "right", "similar", "tablesample", "verbose",
];

/// Words that are no column's label without AS.
const NO_BARE_LABEL: &[&str] = &[
    "array", "as", "char", "character", "create", "day", "except", "fetch", "filter", "for",
    "from", "grant", "group", "having", "hour", "intersect", "into", "isnull", "limit", "minute",
    "month", "notnull", "offset", "on", "order", "over", "overlaps", "precision", "returning",
    "second", "to", "union", "varying", "where", "window", "with", "within", "without", "year",
];

/// Reserved words an expression may begin with.
const BEGIN_EXPRESSION: &[&str] = &[
    "all", "any", "array", "case", "cast", "current_catalog", "current_date", "current_role",
    "current_time", "current_timestamp", "current_user", "default", "distinct", "false",
    "localtime", "localtimestamp", "not", "null", "session_user", "some", "true", "user",
    "variadic",
];

fn among(words: &[&str], word: &str) -> bool {
    words.iter().any(|w| w.eq_ignore_ascii_case(word))
}

/// Whether a word cannot be a column's or table's name.
pub(super) fn is_reserved(word: &str) -> bool {
    among(RESERVED, word) || among(FUNCTIONS, word)
}

/// Whether a word can be a column's label without AS.
pub(super) fn is_bare_label(word: &str) -> bool {
    !among(NO_BARE_LABEL, word)
}

/// Whether no expression begins with a word.
pub(super) fn begins_no_expression(word: &str) -> bool {
    among(RESERVED, word) && !among(BEGIN_EXPRESSION, word)
}

/// Names stand where reserved words would be read as names by a grammar that knows no better.
pub(super) fn check(tokens: &[TokenWithSpan]) -> Result<()> {
    for pair in tokens.windows(2) {
        let [before, token] = pair else { continue };
        let Some(word) = plain_word(token) else { continue };
        let table = ["from", "join", "into", "update"].iter().any(|w| word_is(before, w));
        let free = matches!(word.to_ascii_lowercase().as_str(), "only" | "lateral" | "table");
        if table && begins_no_expression(word) && !free {
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
        || tokens.iter().any(|t| word_is(t, "select") || word_is(t, "execute"))
    {
        return Ok(());
    }
    let mut depth = 0usize;
    for pair in tokens.windows(2) {
        let [before, token] = pair else { continue };
        match before.token {
            Token::LParen => depth += 1,
            Token::RParen => depth = depth.saturating_sub(1),
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
