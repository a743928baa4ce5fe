//! Locking clauses: sqlparser's grammar knows two modes, and one table a clause.

use sqlparser::ast::{LockClause, ObjectName, ObjectNamePart};
use sqlparser::tokenizer::{Span, Token, TokenWithSpan};

use super::other::word_is;

/// A name that nothing can have, before the tables of OF: `FOR NO KEY UPDATE` is a FOR UPDATE, and
/// `FOR KEY SHARE` a FOR SHARE, of it.
const KEY: &str = "\u{1}key";

fn is_key(part: &ObjectNamePart) -> bool {
    matches!(part, ObjectNamePart::Identifier(ident) if ident.value == KEY)
}

/// Whether a clause says `NO KEY` or `KEY`.
pub(crate) fn of_key(clause: &LockClause) -> bool {
    clause.of.as_ref().and_then(|name| name.0.first()).is_some_and(is_key)
}

/// What stands behind OF.
pub(crate) fn tables(of: &ObjectName) -> &[ObjectNamePart] {
    match of.0.split_first() {
        Some((first, rest)) if is_key(first) => rest,
        _ => &of.0,
    }
}

/// A clause becomes one of those sqlparser knows; one for several tables becomes one for each; those before LIMIT,
/// OFFSET and FETCH go behind them.
pub(super) fn rewrite(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    // Long lists of values are not copied for nothing.
    if !tokens.iter().any(|t| word_is(t, "for")) {
        return tokens;
    }
    let mut out: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len());
    let mut late: Vec<(usize, Vec<TokenWithSpan>)> = Vec::new();
    let (mut at, mut depth) = (0, 0_usize);
    while let Some(token) = tokens.get(at) {
        let rest = tokens.get(at..).unwrap_or_default();
        let Some((mode, key, length)) = lock_mode(rest) else {
            match token.token {
                Token::LParen => depth += 1,
                Token::RParen => {
                    out.extend(late.pop_if(|(of, _)| *of == depth).into_iter().flat_map(|l| l.1));
                    depth = depth.saturating_sub(1);
                }
                _ => {}
            }
            out.push(token.clone());
            at += 1;
            continue;
        };
        let (tables, more) = lock_tables(rest.get(length..).unwrap_or_default());
        let tail = rest.get(length + more..).unwrap_or_default();
        let wait = match tail {
            [a, ..] if word_is(a, "nowait") => 1,
            [a, b, ..] if word_is(a, "skip") && word_is(b, "locked") => 2,
            _ => 0,
        };
        let clause = |table: Option<&TokenWithSpan>| {
            let mut clause = vec![token.clone(), word(mode, token.span)];
            if key || table.is_some() {
                clause.push(word("OF", token.span));
            }
            if key {
                let name = Token::make_word(KEY, Some('"'));
                clause.push(TokenWithSpan { token: name, span: token.span });
            }
            if let Some(table) = table {
                if key {
                    clause.push(TokenWithSpan { token: Token::Period, span: token.span });
                }
                clause.push(table.clone());
            }
            clause.extend_from_slice(tail.get(..wait).unwrap_or_default());
            clause
        };
        let mut clauses = Vec::new();
        if tables.is_empty() {
            clauses.extend(clause(None));
        }
        tables.iter().for_each(|table| clauses.extend(clause(Some(table))));
        let limits = ["limit", "offset", "fetch"];
        match late.last_mut() {
            Some((of, held)) if *of == depth => held.extend(clauses),
            _ if tail.get(wait).is_some_and(|t| limits.iter().any(|w| word_is(t, w))) => {
                late.push((depth, clauses));
            }
            _ => out.extend(clauses),
        }
        at += length + more + wait;
    }
    out.extend(late.into_iter().rev().flat_map(|(_, clauses)| clauses));
    out
}

/// The mode of a locking clause, whether it is of the key, and the words it takes.
fn lock_mode(tokens: &[TokenWithSpan]) -> Option<(&'static str, bool, usize)> {
    let is = |i: usize, w: &str| tokens.get(i).is_some_and(|t| word_is(t, w));
    if !is(0, "for") {
        return None;
    }
    if is(1, "update") {
        return Some(("UPDATE", false, 2));
    }
    if is(1, "share") {
        return Some(("SHARE", false, 2));
    }
    if is(1, "no") && is(2, "key") && is(3, "update") {
        return Some(("UPDATE", true, 4));
    }
    (is(1, "key") && is(2, "share")).then_some(("SHARE", true, 3))
}

/// The tables of `OF a, b`, and the tokens that takes; none for a qualified name, which is an error.
fn lock_tables(tokens: &[TokenWithSpan]) -> (Vec<TokenWithSpan>, usize) {
    let mut tables = Vec::new();
    let mut at = 1;
    if !tokens.first().is_some_and(|t| word_is(t, "of")) {
        return (tables, 0);
    }
    while let Some(table) = tokens.get(at).filter(|t| matches!(t.token, Token::Word(_))) {
        if tokens.get(at + 1).is_some_and(|t| t.token == Token::Period) {
            return (Vec::new(), 0);
        }
        tables.push(table.clone());
        at += 1;
        if tokens.get(at).is_none_or(|t| t.token != Token::Comma) {
            return (tables, at);
        }
        at += 1;
    }
    (Vec::new(), 0)
}

fn word(text: &str, span: Span) -> TokenWithSpan {
    TokenWithSpan { token: Token::make_word(text, None), span }
}
