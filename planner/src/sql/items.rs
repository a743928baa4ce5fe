//! The items of IN, where the first is or begins with a query in parentheses: `x IN ((SELECT 1), 2)`.
//! sqlparser takes the query for all that there is.

use sqlparser::ast::Expr;
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::Token;

use super::dialect::keyword_at;

/// Whether `[NOT] IN ((...)` follows, and behind these inner parentheses something that makes them a
/// part of a list. It is looked for in the tokens: what is parsed to see what it is, is parsed twice at
/// every level of such queries in each other.
pub(super) fn begin_with_query(parser: &Parser) -> bool {
    let at = usize::from(keyword_at(parser, 0) == Some(Keyword::NOT));
    let opens = |n: usize| parser.peek_nth_token_ref(n).token == Token::LParen;
    if keyword_at(parser, at) != Some(Keyword::IN) || !opens(at + 1) || !opens(at + 2) {
        return false;
    }
    let mut depth = 0usize;
    let mut closed = false;
    for index in parser.index().. {
        match &parser.token_at(index).token {
            Token::EOF => return false,
            Token::Whitespace(_) => {}
            token if closed => return !ends_query(token),
            Token::LParen => depth += 1,
            Token::RParen => {
                depth = depth.saturating_sub(1);
                closed = depth == 1;
            }
            _ => {}
        }
    }
    false
}

/// What may follow a query in parentheses that is all of IN's, or part of a greater query.
fn ends_query(token: &Token) -> bool {
    match token {
        Token::RParen => true,
        Token::Word(w) => matches!(
            w.keyword,
            Keyword::UNION
                | Keyword::INTERSECT
                | Keyword::EXCEPT
                | Keyword::ORDER
                | Keyword::LIMIT
                | Keyword::OFFSET
                | Keyword::FETCH
                | Keyword::FOR
        ),
        _ => false,
    }
}

/// `[NOT] IN (items)`
pub(super) fn parse(parser: &mut Parser, expr: &Expr) -> Result<Expr, ParserError> {
    let expr = Box::new(expr.clone());
    let negated = parser.parse_keyword(Keyword::NOT);
    parser.expect_keyword(Keyword::IN)?;
    parser.expect_token(&Token::LParen)?;
    let list = parser.parse_comma_separated(Parser::parse_expr)?;
    parser.expect_token(&Token::RParen)?;
    Ok(Expr::InList { expr, list, negated })
}
