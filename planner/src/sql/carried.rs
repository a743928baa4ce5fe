//! What sqlparser has no room for: an INSERT's `OVERRIDING SYSTEM VALUE`, the expressions and the
//! predicate of `ON CONFLICT (lower(name)) WHERE active`, the `ONLY` before a table, a select list
//! without items. They travel as
//! names that nothing can have, and are read from them where the names are looked up.

use sqlparser::ast::{Expr, Ident, ObjectName, ObjectNamePart};
use sqlparser::keywords::Keyword as K;
use sqlparser::tokenizer::{Token, TokenWithSpan, Word};
use vicinity_types::Result;

/// Begins a name that is an expression.
const EXPRESSION: &str = "\u{1}expression ";
/// Begins a name that is the predicate.
const PREDICATE: &str = "\u{1}where ";

/// Names that are an OVERRIDING clause.
const SYSTEM: &str = "\u{1}overriding system";
const USER: &str = "\u{1}overriding user";

/// Is all of an empty select list.
const NO_ITEM: &str = "\u{1}nothing";

/// Whether an item of a select list is none.
pub(crate) fn is_no_item(item: &Ident) -> bool {
    item.value == NO_ITEM
}

/// `SELECT` and `SELECT WHERE ...`: a list without items.
fn rewrite_empty(tokens: &mut Vec<TokenWithSpan>) {
    const AFTER: [K; 12] = [
        K::WHERE,
        K::GROUP,
        K::HAVING,
        K::WINDOW,
        K::UNION,
        K::INTERSECT,
        K::EXCEPT,
        K::ORDER,
        K::LIMIT,
        K::OFFSET,
        K::FETCH,
        K::FOR,
    ];
    let mut at = 0;
    while let Some(found) = (at..tokens.len()).find(|i| is(tokens.get(*i), K::SELECT)) {
        at = found + 1;
        // elsewhere it is the name of a right, or a label
        let begins = found.checked_sub(1).and_then(|i| tokens.get(i)).is_none_or(|t| {
            let words = [K::UNION, K::INTERSECT, K::EXCEPT, K::ALL, K::EXPLAIN, K::ANALYZE];
            matches!(t.token, Token::LParen | Token::RParen)
                || words.iter().any(|w| is(Some(t), *w))
        });
        let ends = match tokens.get(at) {
            None => true,
            Some(t) => t.token == Token::RParen || AFTER.iter().any(|w| is(Some(t), *w)),
        };
        if begins
            && ends
            && let Some(span) = tokens.get(found).map(|t| t.span)
        {
            let mark =
                Word { value: NO_ITEM.to_owned(), quote_style: Some('"'), keyword: K::NoKeyword };
            tokens.insert(at, TokenWithSpan { token: Token::Word(mark), span });
        }
    }
}

/// Stands before a table's name.
const ONLY: &str = "\u{1}only";

/// Whether ONLY stands before a table's name.
pub(crate) fn is_only(name: &ObjectName) -> bool {
    name.0.first().and_then(ObjectNamePart::as_ident).is_some_and(is_mark)
}

/// Whether part of a name is that.
pub(crate) fn is_mark(part: &Ident) -> bool {
    part.value == ONLY
}

/// Puts `ONLY table` and `ONLY (table)` into the table's name.
fn rewrite_only(tokens: &mut Vec<TokenWithSpan>) {
    if is(tokens.first(), K::TRUNCATE) || is(tokens.first(), K::LOCK) {
        return;
    }
    let merges = tokens.iter().any(|t| is(Some(t), K::MERGE));
    let mut at = 0;
    while let Some(found) = (at..tokens.len()).find(|i| is(tokens.get(*i), K::ONLY)) {
        at = found + 1;
        let begins = |t: &TokenWithSpan| {
            let words = [K::FROM, K::UPDATE, K::JOIN, K::USING];
            t.token == Token::Comma
                || words.iter().any(|w| is(Some(t), *w))
                || merges && is(Some(t), K::INTO)
        };
        if !found.checked_sub(1).and_then(|i| tokens.get(i)).is_some_and(begins) {
            continue;
        }
        if tokens.get(at).is_some_and(|t| t.token == Token::LParen) {
            let close = tokens.iter().skip(at).position(|t| t.token == Token::RParen);
            let Some(close) = close else { return };
            tokens.remove(at + close);
            tokens.remove(at);
        }
        let Some(span) = tokens.get(at).map(|t| t.span) else { return };
        let mark = Word { value: ONLY.to_owned(), quote_style: Some('"'), keyword: K::NoKeyword };
        let put = [Token::Word(mark), Token::Period].map(|token| TokenWithSpan { token, span });
        tokens.splice(found..=found, put);
    }
}

/// `OVERRIDING ... VALUE`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Overriding {
    System,
    User,
}

/// What a name in an INSERT's list of columns stands for, if it is no column.
pub(crate) fn overriding(name: &ObjectName) -> Option<Overriding> {
    match name.0.last()?.as_ident()?.value.as_str() {
        SYSTEM => Some(Overriding::System),
        USER => Some(Overriding::User),
        _ => None,
    }
}

/// Puts an OVERRIDING clause into the list of columns before it.
fn rewrite_overriding(tokens: &mut Vec<TokenWithSpan>) {
    let word = |at: usize, w: &str| {
        matches!(tokens.get(at).map(|t| &t.token), Some(Token::Word(x))
            if x.quote_style.is_none() && x.value.eq_ignore_ascii_case(w))
    };
    let begins = |at: &usize| {
        word(*at, "overriding")
            && (word(at + 1, "system") || word(at + 1, "user"))
            && word(at + 2, "value")
    };
    if !tokens.iter().any(|t| is(Some(t), K::INSERT)) {
        return;
    }
    let Some(at) = (0..tokens.len()).find(begins) else { return };
    let value = if word(at + 1, "system") { SYSTEM } else { USER };
    let Some(span) = tokens.get(at).map(|t| t.span) else { return };
    let token = |token| TokenWithSpan { token, span };
    let own = token(Token::Word(Word {
        value: value.to_owned(),
        quote_style: Some('"'),
        keyword: K::NoKeyword,
    }));
    let list =
        at.checked_sub(1).and_then(|i| tokens.get(i)).is_some_and(|t| t.token == Token::RParen);
    if list {
        let put = [token(Token::Comma), own, token(Token::RParen)];
        tokens.splice(at - 1..at + 3, put);
    } else {
        tokens.splice(at..at + 3, [token(Token::LParen), own, token(Token::RParen)]);
    }
}

/// A part of an inference clause.
pub(crate) enum Target {
    Column(Ident),
    Expression(Expr),
    Predicate(Expr),
}

/// What a name of a conflict target stands for.
pub(crate) fn target(name: &Ident) -> Result<Target> {
    if let Some(text) = name.value.strip_prefix(EXPRESSION) {
        return super::parse_expression(text).map(Target::Expression);
    }
    if let Some(text) = name.value.strip_prefix(PREDICATE) {
        return super::parse_expression(text).map(Target::Predicate);
    }
    Ok(Target::Column(name.clone()))
}

fn is(token: Option<&TokenWithSpan>, keyword: K) -> bool {
    matches!(token.map(|t| &t.token), Some(Token::Word(w)) if w.keyword == keyword)
}

fn named(prefix: &str, tokens: &[TokenWithSpan]) -> Option<TokenWithSpan> {
    let span = tokens.first()?.span;
    let texts: Vec<String> = tokens.iter().map(|t| t.token.to_string()).collect();
    let value = format!("{prefix}{}", texts.join(" "));
    let word = Word { value, quote_style: Some('"'), keyword: K::NoKeyword };
    Some(TokenWithSpan { token: Token::Word(word), span })
}

/// Rewrites the clauses of a statement.
pub(super) fn rewrite(mut tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    rewrite_overriding(&mut tokens);
    rewrite_empty(&mut tokens);
    rewrite_only(&mut tokens);
    rewrite_inference(tokens)
}

fn rewrite_inference(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let begins = |at: usize| {
        is(tokens.get(at), K::ON)
            && is(tokens.get(at + 1), K::CONFLICT)
            && tokens.get(at + 2).is_some_and(|t| t.token == Token::LParen)
    };
    let Some(at) = (0..tokens.len()).find(|at| begins(*at)) else { return tokens };
    let (head, tail) = tokens.split_at(at + 3);
    let mut out = head.to_vec();
    let Some((mut items, close)) = list(tail) else { return tokens };
    let Some(end) = tail.get(close) else { return tokens };
    let mut rest = tail.get(close + 1..).unwrap_or_default();
    if is(rest.first(), K::WHERE) {
        let done = rest.iter().position(|t| is(Some(t), K::DO)).unwrap_or(rest.len());
        items.extend(named(PREDICATE, rest.get(1..done).unwrap_or_default()));
        rest = rest.get(done..).unwrap_or_default();
    }
    for (i, item) in items.into_iter().enumerate() {
        if i > 0 {
            out.push(TokenWithSpan { token: Token::Comma, span: end.span });
        }
        out.push(item);
    }
    out.push(end.clone());
    out.extend(rewrite_inference(rest.to_vec()));
    out
}

/// The items of a list up to its closing parenthesis, one token each, and where that is.
fn list(tokens: &[TokenWithSpan]) -> Option<(Vec<TokenWithSpan>, usize)> {
    let (mut items, mut begin, mut depth) = (Vec::new(), 0, 0);
    for (at, t) in tokens.iter().enumerate() {
        let ends = depth == 0 && matches!(t.token, Token::Comma | Token::RParen);
        if ends {
            match tokens.get(begin..at)? {
                [one] => items.push(one.clone()),
                many => items.push(named(EXPRESSION, many)?),
            }
            begin = at + 1;
            if t.token == Token::RParen {
                return Some((items, at));
            }
        }
        match t.token {
            Token::LParen => depth += 1,
            Token::RParen => depth -= 1,
            _ => {}
        }
    }
    None
}
