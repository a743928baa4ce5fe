//! `GROUPING SETS`, `ROLLUP` and `CUBE`, whose items are expressions or lists of them.

use sqlparser::ast::Expr;
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Token, Word};

use super::dialect::keyword_at;

/// Whether the next word begins one.
pub(super) fn begins(word: &Word, parser: &Parser) -> bool {
    if word.quote_style.is_some() {
        return false;
    }
    match word.keyword {
        Keyword::GROUPING => keyword_at(parser, 1) == Some(Keyword::SETS),
        Keyword::ROLLUP | Keyword::CUBE => parser.peek_nth_token_ref(1).token == Token::LParen,
        _ => false,
    }
}

/// Reads one.
pub(super) fn sets(parser: &mut Parser) -> Result<Expr, ParserError> {
    let make = if parser.parse_keywords(&[Keyword::GROUPING, Keyword::SETS]) {
        Expr::GroupingSets
    } else if parser.parse_keyword(Keyword::CUBE) {
        Expr::Cube
    } else {
        parser.expect_keyword(Keyword::ROLLUP)?;
        Expr::Rollup
    };
    parser.expect_token(&Token::LParen)?;
    let items = parser.parse_comma_separated(Parser::parse_expr)?;
    parser.expect_token(&Token::RParen)?;
    let fields = |item| match item {
        Expr::Tuple(fields) => fields,
        one => vec![one],
    };
    Ok(make(items.into_iter().map(fields).collect()))
}

/// `()`, the set of nothing; None where it can be none.
pub(super) fn nothing(parser: &mut Parser) -> Option<Result<Expr, ParserError>> {
    // It stands behind BY, or among others.
    let before = parser.get_current_token();
    let among = match &before.token {
        Token::Word(w) => w.keyword == Keyword::BY,
        token => matches!(token, Token::Comma | Token::LParen),
    };
    if !among {
        return None;
    }
    parser.next_token();
    parser.next_token();
    Some(Ok(Expr::Tuple(Vec::new())))
}
