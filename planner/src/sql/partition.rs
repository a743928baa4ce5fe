//! `PARTITION BY`, `ATTACH` and `DETACH PARTITION`, `INHERIT`.

use sqlparser::ast;
use sqlparser::keywords::Keyword as K;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::alter::take_words;
use super::ast::{AlterAction, DetachKind, PartitionBy};
use super::index;
use super::other::{rest, take_word};

fn is_word(token: Option<&TokenWithSpan>, word: &str) -> bool {
    matches!(token.map(|t| &t.token), Some(Token::Word(w))
        if w.quote_style.is_none() && w.value.eq_ignore_ascii_case(word))
}

/// Takes `PARTITION BY strategy (keys)` out of a CREATE TABLE.
pub(super) fn take(tokens: &mut Vec<TokenWithSpan>) -> Result<Option<PartitionBy>, ParserError> {
    let mut depth = 0;
    let mut begin = None;
    for (at, t) in tokens.iter().enumerate() {
        match t.token {
            Token::LParen => depth += 1,
            Token::RParen => depth -= 1,
            _ if depth == 0
                && is_word(Some(t), "partition")
                && is_word(tokens.get(at + 1), "by") =>
            {
                begin = Some(at);
                break;
            }
            _ => {}
        }
    }
    let Some(begin) = begin else { return Ok(None) };
    let behind = tokens.split_off(begin);
    let mut p = Parser::new(&super::dialect::VicinityDialect)
        .with_recursion_limit(super::depth::NESTING * 4)
        .with_tokens_with_locations(behind);
    p.expect_keywords(&[K::PARTITION, K::BY])?;
    let strategy = p.parse_identifier()?;
    p.expect_token(&Token::LParen)?;
    let keys = p.parse_comma_separated(index::unordered_key)?;
    p.expect_token(&Token::RParen)?;
    tokens.append(&mut rest(&mut p));
    Ok(Some(PartitionBy { strategy, keys }))
}

/// Is the type of a column that a partition has from its table.
const INHERITED: &str = "\u{1}inherited";

/// Whether a column is one that a partition has anyway, with something more said of it.
pub(crate) fn is_inherited(ty: &ast::DataType) -> bool {
    matches!(ty, ast::DataType::Custom(name, _)
        if name.0.first().and_then(|p| p.as_ident()).is_some_and(|i| i.value == INHERITED))
}

/// The columns of PARTITION OF have no type, which sqlparser wants: they get one.
pub(super) fn fill_types(tokens: &mut Vec<TokenWithSpan>) {
    let begins =
        |at: usize| is_word(tokens.get(at), "partition") && is_word(tokens.get(at + 1), "of");
    let Some(of) = (0..tokens.len()).find(|at| begins(*at)) else { return };
    let behind = tokens.iter().skip(of).position(|t| t.token == Token::LParen);
    let bound =
        tokens.iter().skip(of).position(|t| is_word(Some(t), "for") || is_word(Some(t), "default"));
    let Some(open) = behind.filter(|at| bound.is_none_or(|b| *at < b)).map(|at| of + at) else {
        return;
    };
    let constraints = ["constraint", "primary", "unique", "check", "foreign", "exclude"];
    let (mut depth, mut at, mut begins) = (0, open, false);
    while let Some(t) = tokens.get(at).cloned() {
        match t.token {
            Token::LParen => depth += 1,
            Token::RParen => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return;
        }
        if begins && !constraints.iter().any(|w| is_word(Some(&t), w)) {
            let token = Token::make_word(INHERITED, Some('"'));
            tokens.insert(at + 1, TokenWithSpan { token, span: t.span });
            if is_word(tokens.get(at + 2), "with") && is_word(tokens.get(at + 3), "options") {
                tokens.drain(at + 2..at + 4);
            }
            at += 1;
        }
        begins = depth == 1
            && tokens.get(at).is_some_and(|t| matches!(t.token, Token::Comma | Token::LParen));
        at += 1;
    }
}

/// `ATTACH PARTITION`, `DETACH PARTITION`, `[NO] INHERIT`.
pub(super) fn action(p: &mut Parser) -> Result<Option<AlterAction>, ParserError> {
    if take_words(p, &["attach", "partition"]) {
        let name = p.parse_object_name(false)?;
        let bound = if p.peek_token_ref().token == Token::EOF { None } else { Some(bound(p)?) };
        return Ok(Some(AlterAction::Attach { name, bound }));
    }
    if take_words(p, &["detach", "partition"]) {
        let name = p.parse_object_name(false)?;
        let how = match () {
            () if take_word(p, "concurrently") => DetachKind::Concurrently,
            () if take_word(p, "finalize") => DetachKind::Finalize,
            () => DetachKind::Plain,
        };
        return Ok(Some(AlterAction::Detach(name, how)));
    }
    for (words, begin) in [(&["inherit"][..], true), (&["no", "inherit"], false)] {
        if take_words(p, words) {
            return Ok(Some(AlterAction::Inherit { parent: p.parse_object_name(false)?, begin }));
        }
    }
    Ok(None)
}

/// `FOR VALUES ... | DEFAULT`, as sqlparser reads it behind PARTITION OF.
fn bound(p: &mut Parser) -> Result<ast::ForValues, ParserError> {
    let behind = rest(p);
    let span = behind.first().map_or_else(sqlparser::tokenizer::Span::empty, |t| t.span);
    let word = |w: &str| TokenWithSpan { token: Token::make_word(w, None), span };
    let mut whole: Vec<TokenWithSpan> =
        ["create", "table", "p", "partition", "of", "p"].map(word).into();
    whole.extend(behind);
    let mut p = Parser::new(&super::dialect::VicinityDialect)
        .with_recursion_limit(super::depth::NESTING * 4)
        .with_tokens_with_locations(whole);
    let statement = p.parse_statement()?;
    let next = p.peek_token();
    match statement {
        ast::Statement::CreateTable(t) if next.token == Token::EOF => match t.for_values {
            Some(bound) => Ok(bound),
            None => p.expected("FOR VALUES", next),
        },
        _ => p.expected("end of statement", next),
    }
}
