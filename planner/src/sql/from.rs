//! Forms of FROM that sqlparser's grammar lacks, put into words it knows.

use sqlparser::tokenizer::{Span, Token, TokenWithSpan, Word};

use super::other::word_is;

/// What `ROWS FROM` is called in the syntax tree: a function's name with a space in front.
pub(crate) const ROWS_FROM: &str = " rows from";

/// Rewrites the tokens of a statement.
pub(super) fn rewrite(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    named_definitions(rows_from(tokens))
}

fn quoted(name: &str, span: Span) -> TokenWithSpan {
    let word = Word {
        value: name.to_owned(),
        quote_style: Some('"'),
        keyword: sqlparser::keywords::Keyword::NoKeyword,
    };
    TokenWithSpan { token: Token::Word(word), span }
}

/// `ROWS FROM (f(..), g(..))` as a call of those calls.
fn rows_from(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    if !tokens.iter().any(|t| word_is(t, "rows")) {
        return tokens;
    }
    let mut out: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len());
    let mut rest = tokens.into_iter().peekable();
    while let Some(token) = rest.next() {
        let begins = word_is(&token, "rows") && rest.peek().is_some_and(|t| word_is(t, "from"));
        if !begins {
            out.push(token);
            continue;
        }
        let from = rest.next();
        if rest.peek().is_some_and(|t| t.token == Token::LParen) {
            out.push(quoted(ROWS_FROM, token.span));
        } else {
            out.push(token);
            out.extend(from);
        }
    }
    out
}

/// `f(..) AS (a int, b text)`: the columns of a function without an alias, which gets its own name.
fn named_definitions(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    if !tokens.iter().any(|t| word_is(t, "as")) {
        return tokens;
    }
    let mut out: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len());
    for (i, token) in tokens.iter().enumerate() {
        out.push(token.clone());
        let is = |at: usize, wanted: &Token| tokens.get(at).is_some_and(|t| t.token == *wanted);
        let after_call = word_is(token, "as")
            && i.checked_sub(1).is_some_and(|p| is(p, &Token::RParen))
            && is(i + 1, &Token::LParen);
        if after_call
            && defines_columns(tokens.get(i + 2..).unwrap_or_default())
            && let Some(function) = called(tokens.get(..i).unwrap_or_default())
        {
            out.push(TokenWithSpan { token: function.token.clone(), span: token.span });
        }
    }
    out
}

/// Whether a column and its type follow, rather than a query.
fn defines_columns(tokens: &[TokenWithSpan]) -> bool {
    const QUERIES: &[&str] = &["select", "with", "values", "insert", "update", "delete", "table"];
    match tokens {
        [name, ty, ..] => {
            let is_word = |t: &TokenWithSpan| matches!(t.token, Token::Word(_));
            is_word(name) && is_word(ty) && !QUERIES.iter().any(|q| word_is(name, q))
        }
        _ => false,
    }
}

/// The function whose call ends the tokens.
fn called(tokens: &[TokenWithSpan]) -> Option<&TokenWithSpan> {
    let mut depth = 0usize;
    for (i, token) in tokens.iter().enumerate().rev() {
        match token.token {
            Token::RParen => depth += 1,
            Token::LParen => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    let name = tokens.get(i.checked_sub(1)?)?;
                    return matches!(name.token, Token::Word(_)).then_some(name);
                }
            }
            _ => {}
        }
    }
    None
}
