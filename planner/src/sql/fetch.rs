//! `FETCH FIRST (expression) ROWS`: sqlparser's grammar has numbers there only, and expressions behind LIMIT.

use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::other::word_is;

/// Rewrites the tokens of a statement: the expression goes behind a LIMIT, and the FETCH stays if it is WITH TIES.
pub(super) fn rewrite(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    if !tokens.iter().any(|t| word_is(t, "fetch")) {
        return tokens;
    }
    let mut out: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len());
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        let Some(count) = parenthesised(tokens.get(at..).unwrap_or_default()) else {
            out.push(token.clone());
            at += 1;
            continue;
        };
        // FETCH FIRST (...) ROWS
        let (begin, end) = (at + 2, at + 2 + count);
        let word = |w: &str| TokenWithSpan { token: Token::make_word(w, None), span: token.span };
        out.push(word("LIMIT"));
        out.extend_from_slice(tokens.get(begin..end).unwrap_or_default());
        if tokens.get(end + 1).is_some_and(|t| word_is(t, "only")) {
            at = end + 2;
        } else {
            out.extend([word("FETCH"), word("FIRST")]);
            at = end;
        }
    }
    out
}

/// How many tokens the parenthesis has with which a FETCH goes on that begins here.
fn parenthesised(tokens: &[TokenWithSpan]) -> Option<usize> {
    let [fetch, first, rest @ ..] = tokens else { return None };
    let begins = word_is(fetch, "fetch")
        && (word_is(first, "first") || word_is(first, "next"))
        && rest.first()?.token == Token::LParen;
    let mut depth = 0_usize;
    let ends = |t: &TokenWithSpan| {
        match t.token {
            Token::LParen => depth += 1,
            Token::RParen => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0
    };
    let count = rest.iter().position(ends).filter(|_| begins)? + 1;
    rest.get(count).filter(|t| word_is(t, "row") || word_is(t, "rows")).map(|_| count)
}
