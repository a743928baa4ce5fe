//! `CREATE TRIGGER` and `ALTER TRIGGER`.

use sqlparser::ast::{Ident, ObjectName};
use sqlparser::keywords::Keyword as K;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::Token;

use super::ast::{CreateTrigger, Statement, TriggerEvent, TriggerTiming};
use super::function::expect_words;
use super::other::{is_word, take_word};

pub(super) fn parse(p: &mut Parser) -> Result<Statement, ParserError> {
    p.expect_keyword(K::CREATE)?;
    let or_replace = p.parse_keywords(&[K::OR, K::REPLACE]);
    let constraint = p.parse_keyword(K::CONSTRAINT);
    p.expect_keyword(K::TRIGGER)?;
    let name = p.parse_identifier()?;
    let timing = timing(p)?;
    let mut events = vec![event(p)?];
    while p.parse_keyword(K::OR) {
        events.push(event(p)?);
    }
    p.expect_keyword(K::ON)?;
    let table = p.parse_object_name(false)?;
    let from =
        if constraint && take_word(p, "from") { Some(p.parse_object_name(false)?) } else { None };
    let (deferrable, deferred) = if constraint { deferral(p)? } else { (false, false) };
    let (old_table, new_table) = referencing(p)?;
    let mut for_each_row = false;
    if p.parse_keyword(K::FOR) {
        let _ = p.parse_keyword(K::EACH);
        for_each_row = p.expect_one_of_keywords(&[K::ROW, K::STATEMENT])? == K::ROW;
    }
    let when = if p.parse_keyword(K::WHEN) {
        p.expect_token(&Token::LParen)?;
        let expr = p.parse_expr()?;
        p.expect_token(&Token::RParen)?;
        Some(expr)
    } else {
        None
    };
    p.expect_keyword(K::EXECUTE)?;
    p.expect_one_of_keywords(&[K::FUNCTION, K::PROCEDURE])?;
    let (function, args) = call(p)?;
    Ok(Statement::CreateTrigger(Box::new(CreateTrigger {
        or_replace,
        constraint,
        name,
        timing,
        events,
        table,
        from,
        deferrable,
        deferred,
        old_table,
        new_table,
        for_each_row,
        when,
        function,
        args,
    })))
}

fn timing(p: &mut Parser) -> Result<TriggerTiming, ParserError> {
    if p.parse_keyword(K::BEFORE) {
        return Ok(TriggerTiming::Before);
    }
    if p.parse_keyword(K::AFTER) {
        return Ok(TriggerTiming::After);
    }
    p.expect_keyword(K::INSTEAD)?;
    p.expect_keyword(K::OF)?;
    Ok(TriggerTiming::InsteadOf)
}

fn event(p: &mut Parser) -> Result<TriggerEvent, ParserError> {
    Ok(match p.expect_one_of_keywords(&[K::INSERT, K::DELETE, K::UPDATE, K::TRUNCATE])? {
        K::INSERT => TriggerEvent::Insert,
        K::DELETE => TriggerEvent::Delete,
        K::TRUNCATE => TriggerEvent::Truncate,
        _ if p.parse_keyword(K::OF) => {
            TriggerEvent::Update(p.parse_comma_separated(|p| p.parse_identifier())?)
        }
        _ => TriggerEvent::Update(Vec::new()),
    })
}

/// `[NOT] DEFERRABLE`, `INITIALLY DEFERRED` or `IMMEDIATE`, in any order.
fn deferral(p: &mut Parser) -> Result<(bool, bool), ParserError> {
    let (mut deferrable, mut deferred) = (None, false);
    loop {
        if take_word(p, "deferrable") {
            deferrable = Some(true);
        } else if is_word(p, "not") {
            expect_words(p, &["not", "deferrable"])?;
            deferrable = Some(false);
        } else if take_word(p, "initially") {
            deferred = take_word(p, "deferred");
            if !deferred {
                expect_words(p, &["immediate"])?;
            }
        } else {
            break;
        }
    }
    if deferred && deferrable == Some(false) {
        return p.expected_ref("DEFERRABLE", p.peek_token_ref());
    }
    Ok((deferrable.unwrap_or(deferred), deferred))
}

type Tables = (Option<Ident>, Option<Ident>);

/// `REFERENCING OLD TABLE AS name NEW TABLE AS name`
fn referencing(p: &mut Parser) -> Result<Tables, ParserError> {
    let (mut old, mut new) = (None, None);
    if !take_word(p, "referencing") {
        return Ok((old, new));
    }
    while is_word(p, "old") || is_word(p, "new") {
        let slot = if take_word(p, "old") {
            &mut old
        } else {
            take_word(p, "new");
            &mut new
        };
        p.expect_keyword(K::TABLE)?;
        let _ = p.parse_keyword(K::AS);
        *slot = Some(p.parse_identifier()?);
    }
    Ok((old, new))
}

fn call(p: &mut Parser) -> Result<(ObjectName, Vec<String>), ParserError> {
    let function = p.parse_object_name(false)?;
    p.expect_token(&Token::LParen)?;
    if p.consume_token(&Token::RParen) {
        return Ok((function, Vec::new()));
    }
    let args = p.parse_comma_separated(|p| {
        let token = p.next_token();
        match token.token {
            Token::Word(w) if w.quote_style.is_none() => Ok(w.value.to_lowercase()),
            Token::Word(w) => Ok(w.value),
            Token::SingleQuotedString(s) | Token::EscapedStringLiteral(s) => Ok(s),
            Token::DollarQuotedString(s) => Ok(s.value),
            Token::Number(n, _) => Ok(n),
            _ => p.expected("an argument", token),
        }
    })?;
    p.expect_token(&Token::RParen)?;
    Ok((function, args))
}

/// `ALTER TRIGGER name ON table RENAME TO name`
pub(super) fn parse_alter(p: &mut Parser) -> Result<Statement, ParserError> {
    p.expect_keyword(K::ALTER)?;
    p.expect_keyword(K::TRIGGER)?;
    let name = p.parse_identifier()?;
    p.expect_keyword(K::ON)?;
    let table = p.parse_object_name(false)?;
    p.expect_keyword(K::RENAME)?;
    p.expect_keyword(K::TO)?;
    Ok(Statement::RenameTrigger { name, table, to: p.parse_identifier()? })
}
