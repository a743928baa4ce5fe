//! `PARTITION BY`, `ATTACH` and `DETACH PARTITION`, `INHERIT`.

use sqlparser::ast;
use sqlparser::keywords::Keyword as K;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::alter::take_words;
use super::ast::{AlterAction, PartitionBy};
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
    let keys = p.parse_comma_separated(index::key)?;
    p.expect_token(&Token::RParen)?;
    tokens.append(&mut rest(&mut p));
    Ok(Some(PartitionBy { strategy, keys }))
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
        let _ = take_word(p, "concurrently") || take_word(p, "finalize");
        return Ok(Some(AlterAction::Detach(name)));
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
