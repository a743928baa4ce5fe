//! `CREATE TABLE (LIKE source INCLUDING ..., column type, ...)`: the LIKEs are taken out of the list,
//! with their places, before sqlparser reads the rest.

use sqlparser::keywords::Keyword as K;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::ast::Like;
use super::other::take_word;

/// Words that begin an element which is no column.
const CONSTRAINTS: &[&str] = &["constraint", "primary", "unique", "check", "foreign", "exclude"];

fn begins_with(tokens: &[TokenWithSpan], words: &[&str]) -> bool {
    matches!(tokens.first().map(|t| &t.token), Some(Token::Word(w))
        if w.quote_style.is_none() && words.iter().any(|x| w.value.eq_ignore_ascii_case(x)))
}

/// Takes the LIKE elements out of a statement's first list.
pub(super) fn take(tokens: &mut Vec<TokenWithSpan>) -> Result<Vec<Like>, ParserError> {
    let Some(open) = tokens.iter().position(|t| t.token == Token::LParen) else {
        return Ok(Vec::new());
    };
    let (mut depth, mut begin, mut elements) = (0, open + 1, Vec::new());
    let mut close = None;
    for (at, t) in tokens.iter().enumerate().skip(open) {
        match t.token {
            Token::LParen => depth += 1,
            Token::RParen => depth -= 1,
            _ => {}
        }
        let ends = depth == 0 || (depth == 1 && t.token == Token::Comma);
        if ends {
            elements.push(begin..at);
            begin = at + 1;
        }
        if depth == 0 {
            close = Some(at);
            break;
        }
    }
    if close.is_none() {
        elements.push(begin..tokens.len());
    }
    let part = |r: &std::ops::Range<usize>| tokens.get(r.clone()).unwrap_or_default().to_vec();
    let (mut likes, mut kept, mut columns) = (Vec::new(), Vec::new(), 0);
    for element in elements.iter().map(part) {
        if begins_with(&element, &["like"]) {
            likes.push(read(element, columns)?);
            continue;
        }
        columns += usize::from(!begins_with(&element, CONSTRAINTS));
        kept.push(element);
    }
    if likes.is_empty() {
        return Ok(likes);
    }
    let Some(close) = close else {
        return Err(ParserError::ParserError("Expected: ), found: EOF".to_owned()));
    };
    let span = tokens.get(close).map_or_else(sqlparser::tokenizer::Span::empty, |t| t.span);
    let comma = TokenWithSpan { token: Token::Comma, span };
    let list: Vec<TokenWithSpan> = kept.join(&comma);
    tokens.splice(open + 1..close, list);
    Ok(likes)
}

fn read(tokens: Vec<TokenWithSpan>, at: usize) -> Result<Like, ParserError> {
    let mut p = Parser::new(&super::dialect::VicinityDialect).with_tokens_with_locations(tokens);
    p.expect_keyword(K::LIKE)?;
    let name = p.parse_object_name(false)?;
    let mut like = Like::plain(at, name);
    loop {
        let including = if p.parse_keyword(K::INCLUDING) {
            true
        } else if p.parse_keyword(K::EXCLUDING) {
            false
        } else {
            break;
        };
        let mut found = false;
        let all = take_word(&mut p, "all");
        for (word, flag) in like.flags() {
            if all || (!found && take_word(&mut p, word)) {
                *flag = including;
                found = true;
            }
        }
        if !found && !all {
            return p.expected_ref("what to include", p.peek_token_ref());
        }
    }
    let next = p.peek_token();
    if next.token == Token::EOF { Ok(like) } else { p.expected("end of LIKE", next) }
}
