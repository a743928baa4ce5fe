//! `CREATE INDEX`, with any access method, operator classes and quoted option values.

use sqlparser::ast::{Expr, Ident};
use sqlparser::keywords::Keyword as K;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::Token;

use super::ast::{CreateIndex, IndexKey, Statement};

pub(super) fn parse(p: &mut Parser) -> Result<Statement, ParserError> {
    p.expect_keyword(K::CREATE)?;
    let unique = p.parse_keyword(K::UNIQUE);
    p.expect_keyword(K::INDEX)?;
    let concurrently = p.parse_keyword(K::CONCURRENTLY);
    let if_not_exists = p.parse_keywords(&[K::IF, K::NOT, K::EXISTS]);
    let named = !matches!(&p.peek_token_ref().token, Token::Word(w) if w.keyword == K::ON);
    let name = if named { Some(p.parse_identifier()?) } else { None };
    p.expect_keyword(K::ON)?;
    let only = p.parse_keyword(K::ONLY);
    let table = p.parse_object_name(false)?;
    let method = if p.parse_keyword(K::USING) { Some(p.parse_identifier()?) } else { None };
    p.expect_token(&Token::LParen)?;
    let keys = p.parse_comma_separated(key)?;
    p.expect_token(&Token::RParen)?;
    let include = if p.parse_keyword(K::INCLUDE) {
        // `include column(y,z)` is how the PASE document spells it
        let _ = p.parse_keyword(K::COLUMN);
        p.expect_token(&Token::LParen)?;
        let columns = p.parse_comma_separated(|p| p.parse_identifier())?;
        p.expect_token(&Token::RParen)?;
        columns
    } else {
        Vec::new()
    };
    let mut nulls_not_distinct = false;
    if p.parse_keyword(K::NULLS) {
        nulls_not_distinct = p.parse_keyword(K::NOT);
        p.expect_keyword(K::DISTINCT)?;
    }
    let options = if p.parse_keyword(K::WITH) { options(p)? } else { Vec::new() };
    let tablespace =
        if p.parse_keyword(K::TABLESPACE) { Some(p.parse_identifier()?) } else { None };
    let predicate = if p.parse_keyword(K::WHERE) { Some(p.parse_expr()?) } else { None };
    Ok(Statement::CreateIndex(Box::new(CreateIndex {
        unique,
        concurrently,
        if_not_exists,
        name,
        only,
        table,
        method,
        keys,
        include,
        nulls_not_distinct,
        options,
        tablespace,
        predicate,
    })))
}

/// A key: a column or an expression, with its operator class and order.
pub(super) fn key(p: &mut Parser) -> Result<IndexKey, ParserError> {
    let key = unordered_key(p)?;
    let descending = p.parse_keyword(K::DESC);
    if !descending {
        let _ = p.parse_keyword(K::ASC);
    }
    let nulls_first = if p.parse_keywords(&[K::NULLS, K::FIRST]) {
        Some(true)
    } else if p.parse_keywords(&[K::NULLS, K::LAST]) {
        Some(false)
    } else {
        None
    };
    Ok(IndexKey { descending, nulls_first, ..key })
}

/// The same without an order.
pub(super) fn unordered_key(p: &mut Parser) -> Result<IndexKey, ParserError> {
    let expr = if p.consume_token(&Token::LParen) {
        let inner = p.parse_expr()?;
        p.expect_token(&Token::RParen)?;
        match inner {
            Expr::Identifier(column) => Expr::Identifier(column),
            other => Expr::Nested(Box::new(other)),
        }
    } else if p.peek_nth_token_ref(1).token == Token::LParen {
        // a function call needs no parentheses around it; an operator class may have options,
        // but then a column comes before it
        p.parse_prefix()?
    } else if p.peek_nth_token_ref(1).token == Token::Period {
        let function = p.parse_object_name(false)?;
        p.parse_function(function)?
    } else {
        Expr::Identifier(p.parse_identifier()?)
    };
    let collation =
        if p.parse_keyword(K::COLLATE) { Some(p.parse_object_name(false)?) } else { None };
    let opclass = match &p.peek_token_ref().token {
        Token::Word(w)
            if !matches!(w.keyword, K::ASC | K::DESC | K::NULLS) || w.quote_style.is_some() =>
        {
            Some(p.parse_object_name(false)?)
        }
        _ => None,
    };
    let with_options = opclass.is_some() && p.peek_token_ref().token == Token::LParen;
    let opclass_options = if with_options { options(p)? } else { Vec::new() };
    Ok(IndexKey { expr, collation, opclass, opclass_options, descending: false, nulls_first: None })
}

/// `(name = value, name, ns.name = "value", ...)`; values come without quotes.
pub(super) fn options(p: &mut Parser) -> Result<Vec<(String, String)>, ParserError> {
    p.expect_token(&Token::LParen)?;
    let options = p.parse_comma_separated(|p| {
        let mut name = fold(&p.parse_identifier()?);
        while p.consume_token(&Token::Period) {
            name = format!("{name}.{}", fold(&p.parse_identifier()?));
        }
        if !p.consume_token(&Token::Eq) {
            return Ok((name, "true".to_owned()));
        }
        let mut value = option_value(p)?;
        // `with (addon=y,z)`: a further bare word belongs to the value
        while matches!(p.peek_token_ref().token, Token::Comma)
            && matches!(p.peek_nth_token_ref(1).token, Token::Word(_))
            && matches!(p.peek_nth_token_ref(2).token, Token::Comma | Token::RParen)
            && name == "addon"
        {
            p.next_token();
            value = format!("{value},{}", option_value(p)?);
        }
        Ok((name, value))
    })?;
    p.expect_token(&Token::RParen)?;
    Ok(options)
}

fn option_value(p: &mut Parser) -> Result<String, ParserError> {
    let token = p.next_token();
    match token.token {
        Token::Word(w) => Ok(w.value),
        Token::SingleQuotedString(s) => Ok(s),
        Token::Number(n, _) => Ok(n),
        Token::Minus | Token::Plus => match p.next_token().token {
            Token::Number(n, _) if token.token == Token::Minus => Ok(format!("-{n}")),
            Token::Number(n, _) => Ok(n),
            _ => p.expected("a number", token),
        },
        _ => p.expected("an option's value", token),
    }
}

/// PostgreSQL's case folding of an identifier.
pub(super) fn fold(ident: &Ident) -> String {
    match ident.quote_style {
        Some(_) => ident.value.clone(),
        None => ident.value.to_lowercase(),
    }
}
