//! `COMMENT ON` what sqlparser cannot name: constraints, triggers, functions with their arguments.

use sqlparser::ast::{FunctionDesc, Ident, ObjectName};
use sqlparser::keywords::Keyword as K;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::Token;

use super::ast::Statement;
use super::other::take_word;

/// What a comment is on.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub enum CommentOn {
    Constraint { name: Ident, table: ObjectName },
    DomainConstraint { name: Ident, domain: ObjectName },
    Trigger { name: Ident, table: ObjectName },
    Function { desc: FunctionDesc, procedure: bool },
    MaterializedView(ObjectName),
}

/// Reads one of these; `None`, with nothing read, if it is another's.
pub(super) fn parse(p: &mut Parser) -> Result<Option<Statement>, ParserError> {
    let word = |n: usize| match &p.peek_nth_token_ref(n).token {
        Token::Word(w) if w.quote_style.is_none() => w.value.to_ascii_lowercase(),
        _ => String::new(),
    };
    let what = word(2);
    if !matches!(
        what.as_str(),
        "constraint" | "trigger" | "function" | "procedure" | "materialized"
    ) {
        return Ok(None);
    }
    (0..3).for_each(|_| drop(p.next_token()));
    let on = match what.as_str() {
        "constraint" => {
            let name = p.parse_identifier()?;
            p.expect_keyword(K::ON)?;
            let domain = take_word(p, "domain");
            let other = p.parse_object_name(false)?;
            match domain {
                true => CommentOn::DomainConstraint { name, domain: other },
                false => CommentOn::Constraint { name, table: other },
            }
        }
        "trigger" => {
            let name = p.parse_identifier()?;
            p.expect_keyword(K::ON)?;
            CommentOn::Trigger { name, table: p.parse_object_name(false)? }
        }
        "materialized" => {
            p.expect_keyword(K::VIEW)?;
            CommentOn::MaterializedView(p.parse_object_name(false)?)
        }
        _ => {
            let desc = super::alter::function_desc(p)?;
            CommentOn::Function { desc, procedure: what == "procedure" }
        }
    };
    p.expect_keyword(K::IS)?;
    let text = if p.parse_keyword(K::NULL) { None } else { Some(p.parse_literal_string()?) };
    Ok(Some(Statement::Comment { on: Box::new(on), text }))
}
