//! `CREATE VIEW`: RECURSIVE, options without a value and CHECK OPTION are put into words that
//! sqlparser knows.

use sqlparser::ast;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::ast::Statement;
use super::other::{rest, word_is};

/// Whether a view is to be created.
pub(super) fn begins(p: &Parser) -> bool {
    let words = ["create", "or", "replace", "temp", "temporary", "local", "recursive"];
    let before = |t: &TokenWithSpan| words.iter().any(|w| word_is(t, w));
    let at = (0..words.len()).find(|at| !before(p.peek_nth_token_ref(*at)));
    at.is_some_and(|at| word_is(p.peek_nth_token_ref(at), "view"))
}

fn word(tokens: &[TokenWithSpan], at: usize, wanted: &str) -> bool {
    tokens.get(at).is_some_and(|t| word_is(t, wanted))
}

/// Where a list ends that may begin at a place: behind its parenthesis.
fn list_end(tokens: &[TokenWithSpan], at: usize) -> usize {
    let list = tokens.get(at..).unwrap_or_default();
    match list.first() {
        Some(t) if t.token == Token::LParen => {
            list.iter().position(|t| t.token == Token::RParen).map_or(tokens.len(), |n| at + n + 1)
        }
        _ => at,
    }
}

pub(super) fn parse(p: &mut Parser) -> Result<Statement, ParserError> {
    let mut tokens = rest(p);
    let check_option = take_check_option(&mut tokens);
    let recursive = tokens.iter().position(|t| word_is(t, "view")).and_then(|at| at.checked_sub(1));
    let recursive = recursive.filter(|at| word(&tokens, *at, "recursive"));
    if let Some(at) = recursive {
        tokens.remove(at);
    }
    let begin = tokens.iter().position(|t| word_is(t, "view")).map_or(0, |at| at + 1);
    let mut name_end = begin + if word(&tokens, begin, "if") { 3 } else { 0 };
    while tokens.get(name_end + 1).is_some_and(|t| t.token == Token::Period) {
        name_end += 2;
    }
    let name = name_end;
    let columns = name + 1..list_end(&tokens, name + 1);
    let mut end = columns.end;
    if word(&tokens, end, "with") {
        fill_options(&mut tokens, end + 1);
        end = list_end(&tokens, end + 1);
    }
    if recursive.is_some() && word(&tokens, end, "as") {
        name_itself(&mut tokens, name, columns, end + 1);
    }
    let mut inner = Parser::new(&super::dialect::VicinityDialect)
        .with_recursion_limit(super::depth::NESTING * 4)
        .with_tokens_with_locations(tokens);
    let statement = inner.parse_statement()?;
    let next = inner.peek_token();
    match statement {
        ast::Statement::CreateView(mut view) if next.token == Token::EOF => {
            if let Some(value) = check_option {
                add_option(&mut view.options, value);
            }
            Ok(Statement::Sql(Box::new(ast::Statement::CreateView(view))))
        }
        _ => inner.expected("end of statement", next),
    }
}

/// Takes `WITH [CASCADED | LOCAL] CHECK OPTION` off the end.
fn take_check_option(tokens: &mut Vec<TokenWithSpan>) -> Option<&'static str> {
    let at = |n: usize| tokens.len().checked_sub(n).unwrap_or(usize::MAX);
    if !word(tokens, at(1), "option") || !word(tokens, at(2), "check") {
        return None;
    }
    let (kind, len) = match () {
        () if word(tokens, at(3), "with") => ("cascaded", 3),
        () if word(tokens, at(3), "cascaded") => ("cascaded", 4),
        () if word(tokens, at(3), "local") => ("local", 4),
        () => return None,
    };
    word(tokens, at(len), "with").then(|| tokens.truncate(tokens.len() - len))?;
    Some(kind)
}

fn add_option(options: &mut ast::CreateTableOptions, value: &str) {
    let option = ast::SqlOption::KeyValue {
        key: ast::Ident::new("check_option"),
        value: ast::Expr::Identifier(ast::Ident::new(value)),
    };
    match options {
        ast::CreateTableOptions::With(list) => list.push(option),
        other => *other = ast::CreateTableOptions::With(vec![option]),
    }
}

/// An option without a value is true.
fn fill_options(tokens: &mut Vec<TokenWithSpan>, open: usize) {
    let end = list_end(tokens, open);
    let mut at = open + 1;
    let mut last = end;
    while at < last {
        let ends = |at: usize| {
            tokens.get(at).is_some_and(|t| matches!(t.token, Token::Comma | Token::RParen))
        };
        let bare =
            matches!(tokens.get(at - 1).map(|t| &t.token), Some(Token::LParen | Token::Comma))
                && ends(at + 1);
        if let (true, Some(span)) = (bare, tokens.get(at).map(|t| t.span)) {
            let put = [Token::Eq, Token::make_word("true", None)];
            tokens.splice(at + 1..at + 1, put.map(|token| TokenWithSpan { token, span }));
            last += 2;
        }
        at += 1;
    }
}

/// `RECURSIVE VIEW v (a) AS query` is `VIEW v (a) AS WITH RECURSIVE v (a) AS (query) SELECT a FROM v`.
fn name_itself(
    tokens: &mut Vec<TokenWithSpan>,
    name: usize,
    columns: std::ops::Range<usize>,
    query: usize,
) {
    let Some(own) = tokens.get(name).cloned() else { return };
    let list = tokens.get(columns).unwrap_or_default().to_vec();
    let span = own.span;
    let put = |token| TokenWithSpan { token, span };
    let word = |k: &str| put(Token::make_word(k, None));
    let query = tokens.split_off(query);
    tokens.extend([word("WITH"), word("RECURSIVE"), own.clone()]);
    tokens.extend(list.iter().cloned());
    tokens.extend([word("AS"), put(Token::LParen)]);
    tokens.extend(query);
    tokens.extend([put(Token::RParen), word("SELECT")]);
    let names = list.into_iter().filter(|t| !matches!(t.token, Token::LParen | Token::RParen));
    tokens.extend(names);
    tokens.extend([word("FROM"), own]);
}
