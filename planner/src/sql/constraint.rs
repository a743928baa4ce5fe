//! What may follow a constraint and sqlparser has no room for: `NO INHERIT`, `NOT VALID`,
//! `INCLUDE (...)`, a column's `NULLS NOT DISTINCT`, the columns of `ON DELETE SET NULL (...)`. They
//! are taken out of the statement and travel in the constraint's name, with a mark that nothing else
//! can have.

use sqlparser::ast::Ident;
use sqlparser::keywords::Keyword as K;
use sqlparser::tokenizer::{Token, TokenWithSpan, Word};
use vicinity_types::{PgError, Result, SqlState};

use super::index::fold;
use super::position;

/// Begins a name with more in it.
const MARK: char = '\u{1}';
/// Stands between the columns of a list.
const COMMA: char = '\u{2}';

/// What followed a constraint.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tail {
    pub(crate) no_inherit: bool,
    pub(crate) not_valid: bool,
    pub(crate) nulls_not_distinct: bool,
    pub(crate) include: Vec<String>,
    /// The columns of `ON DELETE SET NULL (...)` and `SET DEFAULT (...)`.
    pub(crate) set_on_delete: Vec<String>,
}

/// A constraint's own name, and what followed it.
pub(crate) fn tail(name: Option<&Ident>) -> (Option<String>, Tail) {
    let Some(name) = name.map(fold) else { return (None, Tail::default()) };
    let Some(rest) = name.strip_prefix(MARK) else { return (Some(name), Tail::default()) };
    let mut parts = rest.splitn(4, MARK);
    let flags = parts.next().unwrap_or("");
    let mut list = || {
        let columns = parts.next().unwrap_or("").split(COMMA).filter(|c| !c.is_empty());
        columns.map(str::to_owned).collect::<Vec<_>>()
    };
    let (include, set_on_delete) = (list(), list());
    let own = parts.next().filter(|n| !n.is_empty()).map(str::to_owned);
    let tail = Tail {
        no_inherit: flags.contains('i'),
        not_valid: flags.contains('v'),
        nulls_not_distinct: flags.contains('n'),
        include,
        set_on_delete,
    };
    (own, tail)
}

fn write(tail: &Tail, own: &str) -> String {
    let flags = [(tail.no_inherit, 'i'), (tail.not_valid, 'v'), (tail.nulls_not_distinct, 'n')];
    let flags: String = flags.iter().filter(|(set, _)| *set).map(|(_, c)| *c).collect();
    let list = |columns: &[String]| columns.join(&COMMA.to_string());
    let (include, set) = (list(&tail.include), list(&tail.set_on_delete));
    format!("{MARK}{flags}{MARK}{include}{MARK}{set}{MARK}{own}")
}

/// Whether these words come at a place.
fn words(tokens: &[TokenWithSpan], at: usize, wanted: &[&str]) -> bool {
    wanted.iter().enumerate().all(|(i, w)| {
        matches!(tokens.get(at + i).map(|t| &t.token), Some(Token::Word(x))
            if x.quote_style.is_none() && x.value.eq_ignore_ascii_case(w))
    })
}

fn is(tokens: &[TokenWithSpan], at: usize, token: &Token) -> bool {
    tokens.get(at).is_some_and(|t| t.token == *token)
}

/// The place behind the parenthesis that closes the one there.
fn behind(tokens: &[TokenWithSpan], open: usize) -> Option<usize> {
    let mut depth = 0usize;
    for (at, t) in tokens.iter().enumerate().skip(open) {
        match t.token {
            Token::LParen => depth += 1,
            Token::RParen => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return Some(at + 1);
        }
    }
    None
}

/// Takes words away if they are there.
fn take(tokens: &mut Vec<TokenWithSpan>, at: usize, wanted: &[&str]) -> bool {
    let found = words(tokens, at, wanted);
    if found {
        tokens.drain(at..at + wanted.len());
    }
    found
}

/// Takes `INCLUDE (a, b)` away.
fn take_include(tokens: &mut Vec<TokenWithSpan>, at: usize) -> Vec<String> {
    if !words(tokens, at, &["include"]) || !is(tokens, at + 1, &Token::LParen) {
        return Vec::new();
    }
    let Some(end) = behind(tokens, at + 1) else { return Vec::new() };
    tokens.drain(at..end).filter_map(|t| column(&t)).skip(1).collect()
}

/// The name that a word is.
fn column(token: &TokenWithSpan) -> Option<String> {
    match &token.token {
        Token::Word(w) if w.quote_style.is_some() => Some(w.value.clone()),
        Token::Word(w) => Some(w.value.to_lowercase()),
        _ => None,
    }
}

/// Takes `(a, b)` away; what is no list of columns stays, for the grammar to complain of.
fn take_columns(tokens: &mut Vec<TokenWithSpan>, at: usize) -> Vec<String> {
    let Some(end) = behind(tokens, at).filter(|_| is(tokens, at, &Token::LParen)) else {
        return Vec::new();
    };
    let within = tokens.get(at + 1..end - 1).unwrap_or_default();
    let columns: Option<Vec<String>> =
        within.split(|t| t.token == Token::Comma).map(one_column).collect();
    let Some(columns) = columns else { return Vec::new() };
    tokens.drain(at..end);
    columns
}

fn one_column(tokens: &[TokenWithSpan]) -> Option<String> {
    match tokens {
        [one] => column(one),
        _ => None,
    }
}

/// The place behind `name(columns)` of REFERENCES.
fn behind_referred(tokens: &[TokenWithSpan], name: usize) -> Option<usize> {
    let mut at = name + 1;
    while is(tokens, at, &Token::Period) {
        at += 2;
    }
    if is(tokens, at, &Token::LParen) { behind(tokens, at) } else { Some(at) }
}

/// Takes the columns of ON DELETE that follow what is referred to.
fn take_set_columns(tokens: &mut Vec<TokenWithSpan>, mut at: usize) -> Vec<String> {
    if words(tokens, at, &["match"]) {
        at += 2;
    }
    while words(tokens, at, &["on"]) {
        let sets = words(tokens, at + 2, &["set"]);
        let two_words = sets || words(tokens, at + 2, &["no", "action"]);
        let end = at + if two_words { 4 } else { 3 };
        if sets && words(tokens, at + 1, &["delete"]) && is(tokens, end, &Token::LParen) {
            return take_columns(tokens, end);
        }
        at = end;
    }
    Vec::new()
}

/// Takes what follows a foreign key.
fn take_foreign_tail(tokens: &mut Vec<TokenWithSpan>, at: usize) -> Option<Tail> {
    let references = match () {
        () if words(tokens, at, &["references"]) => at,
        () if words(tokens, at, &["foreign", "key"]) && is(tokens, at + 2, &Token::LParen) => {
            behind(tokens, at + 2)?
        }
        () => return None,
    };
    if !words(tokens, references, &["references"]) {
        return None;
    }
    let end = behind_referred(tokens, references + 1)?;
    Some(Tail { set_on_delete: take_set_columns(tokens, end), ..Tail::default() })
}

/// An error (0A000) where ON UPDATE has columns: only ON DELETE may.
pub(super) fn check(tokens: &[TokenWithSpan]) -> Result<()> {
    for (at, token) in tokens.iter().enumerate() {
        let listed = is(tokens, at + 4, &Token::LParen);
        let action = match () {
            () if listed && words(tokens, at, &["on", "update", "set", "null"]) => "NULL",
            () if listed && words(tokens, at, &["on", "update", "set", "default"]) => "DEFAULT",
            () => continue,
        };
        let text =
            format!("a column list with SET {action} is only supported for ON DELETE actions");
        return Err(PgError::new(SqlState::FEATURE_NOT_SUPPORTED, text).at(position(token)));
    }
    Ok(())
}

/// Takes what follows the constraint that begins at a place.
fn take_tail(tokens: &mut Vec<TokenWithSpan>, at: usize) -> Option<Tail> {
    let mut tail = Tail::default();
    if words(tokens, at, &["check"]) && is(tokens, at + 1, &Token::LParen) {
        let end = behind(tokens, at + 1)?;
        loop {
            if take(tokens, end, &["no", "inherit"]) {
                tail.no_inherit = true;
            } else if take(tokens, end, &["not", "valid"]) {
                tail.not_valid = true;
            } else {
                break;
            }
        }
        return Some(tail);
    }
    let mut end = match () {
        () if words(tokens, at, &["unique"]) => at + 1,
        () if words(tokens, at, &["primary", "key"]) => at + 2,
        () => return take_foreign_tail(tokens, at),
    };
    tail.nulls_not_distinct = take(tokens, end, &["nulls", "not", "distinct"]);
    let _ = take(tokens, end, &["nulls", "distinct"]);
    if is(tokens, end, &Token::LParen) {
        end = behind(tokens, end)?;
        tail.include = take_include(tokens, end);
    }
    Some(tail)
}

/// Puts what follows constraints into their names.
pub(super) fn mark(tokens: &mut Vec<TokenWithSpan>) {
    let mut at = 0;
    while at < tokens.len() {
        let found = take_tail(tokens, at).filter(|t| *t != Tail::default());
        at += 1;
        let (Some(tail), Some(span)) = (found, tokens.get(at - 1).map(|t| t.span)) else {
            continue;
        };
        let named = |own: &str| {
            let (value, quote_style) = (write(&tail, own), Some('"'));
            Token::Word(Word { value, quote_style, keyword: K::NoKeyword })
        };
        if at > 2
            && words(tokens, at - 3, &["constraint"])
            && let Some(before) = tokens.get_mut(at - 2)
            && let Token::Word(w) = &before.token
        {
            let own =
                if w.quote_style.is_some() { w.value.clone() } else { w.value.to_lowercase() };
            before.token = named(&own);
            continue;
        }
        let put = [Token::make_word("CONSTRAINT", None), named("")];
        tokens.splice(at - 1..at - 1, put.map(|token| TokenWithSpan { token, span }));
        at += 2;
    }
}
