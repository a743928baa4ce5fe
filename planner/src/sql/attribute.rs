//! `ALTER TYPE ... ATTRIBUTE`

use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::Token;

use super::alter::{end, take_words};
use super::ast::{AlterAttributes, AttributeAction, Statement};
use super::other::take_word;

/// Whether `ALTER TYPE name` goes on with an attribute.
pub(super) fn is_next(p: &Parser) -> bool {
    let is = |n: usize, w: &str| {
        matches!(&p.peek_nth_token_ref(n).token,
            Token::Word(t) if t.quote_style.is_none() && t.value.eq_ignore_ascii_case(w))
    };
    let begins = |n| ["add", "drop", "alter", "rename"].into_iter().any(|w| is(n, w));
    // ALTER TYPE a.b.c
    [3, 5, 7].into_iter().any(|n| begins(n) && is(n + 1, "attribute"))
}

/// Behind `ALTER TYPE`.
pub(super) fn parse(p: &mut Parser) -> Result<Statement, ParserError> {
    let name = p.parse_object_name(false)?;
    let actions = if take_words(p, &["rename", "attribute"]) {
        let from = p.parse_identifier()?;
        if !take_word(p, "to") {
            return p.expected("TO", p.peek_token());
        }
        let to = p.parse_identifier()?;
        let _ = cascade(p);
        vec![AttributeAction::Rename { from, to }]
    } else {
        p.parse_comma_separated(action)?
    };
    end(p)?;
    Ok(Statement::AlterAttributes(Box::new(AlterAttributes { name, actions })))
}

fn cascade(p: &mut Parser) -> bool {
    take_word(p, "cascade") || {
        let _ = take_word(p, "restrict");
        false
    }
}

fn action(p: &mut Parser) -> Result<AttributeAction, ParserError> {
    if take_words(p, &["add", "attribute"]) {
        let (name, ty, collation) = (p.parse_identifier()?, p.parse_data_type()?, collation(p)?);
        let _ = cascade(p);
        return Ok(AttributeAction::Add { name, ty, collation });
    }
    if take_words(p, &["drop", "attribute"]) {
        let if_exists = take_words(p, &["if", "exists"]);
        let name = p.parse_identifier()?;
        return Ok(AttributeAction::Drop { name, if_exists, cascade: cascade(p) });
    }
    if take_words(p, &["alter", "attribute"]) {
        let name = p.parse_identifier()?;
        if !take_words(p, &["set", "data", "type"]) && !take_word(p, "type") {
            return p.expected("TYPE", p.peek_token());
        }
        let (ty, collation) = (p.parse_data_type()?, collation(p)?);
        let _ = cascade(p);
        return Ok(AttributeAction::Type { name, ty, collation });
    }
    p.expected("an attribute", p.peek_token())
}

fn collation(p: &mut Parser) -> Result<Option<sqlparser::ast::ObjectName>, ParserError> {
    if take_word(p, "collate") { p.parse_object_name(false).map(Some) } else { Ok(None) }
}
