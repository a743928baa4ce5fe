//! `EXPLAIN`: sqlparser's own rule takes what it cannot read for a table to describe.

use sqlparser::ast::{self, DescribeAlias};
use sqlparser::keywords::Keyword as K;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::Token;

use super::ast::Statement;

pub(super) fn parse(p: &mut Parser) -> Result<Statement, ParserError> {
    p.expect_keyword(K::EXPLAIN)?;
    let (mut analyze, mut verbose, mut options) = (false, false, None);
    if has_options(p) {
        options = Some(p.parse_utility_options()?);
    } else {
        analyze = p.parse_keyword(K::ANALYZE);
        verbose = p.parse_keyword(K::VERBOSE);
    }
    let statement = Box::new(p.parse_statement()?);
    Ok(Statement::Sql(Box::new(ast::Statement::Explain {
        describe_alias: DescribeAlias::Explain,
        analyze,
        verbose,
        query_plan: false,
        estimate: false,
        statement,
        format: None,
        options,
    })))
}

/// A parenthesis may also begin a query.
fn has_options(p: &Parser) -> bool {
    let query = |token: &Token| match token {
        Token::Word(w) => matches!(w.keyword, K::SELECT | K::WITH | K::VALUES | K::TABLE),
        token => *token == Token::LParen,
    };
    p.peek_token_ref().token == Token::LParen && !query(&p.peek_nth_token_ref(1).token)
}
