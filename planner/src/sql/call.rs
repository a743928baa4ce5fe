//! Calls with a grammar of their own, as far as sqlparser lacks it.

use sqlparser::ast::{self, Expr, Ident};
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Token, Word};

use super::dialect::keyword_at;

/// `trim(FROM x)` and `trim(LEADING FROM x)`: blanks are trimmed.
pub(super) fn trim(parser: &mut Parser) -> Option<Result<Expr, ParserError>> {
    if parser.peek_nth_token_ref(1).token != Token::LParen {
        return None;
    }
    let side = match keyword_at(parser, 2) {
        Some(Keyword::LEADING) => Some(ast::TrimWhereField::Leading),
        Some(Keyword::TRAILING) => Some(ast::TrimWhereField::Trailing),
        Some(Keyword::BOTH) => Some(ast::TrimWhereField::Both),
        _ => None,
    };
    let words = 2 + usize::from(side.is_some());
    if keyword_at(parser, words) != Some(Keyword::FROM) {
        return None;
    }
    (0..=words).for_each(|_| drop(parser.next_token()));
    Some(parser.parse_expr().and_then(|expr| {
        parser.expect_token(&Token::RParen)?;
        Ok(Expr::Trim {
            expr: Box::new(expr),
            trim_where: side,
            trim_what: None,
            trim_characters: None,
        })
    }))
}

/// A call of a function by name.
fn function(name: &str, args: Vec<Expr>) -> Expr {
    let arg = |e| ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(e));
    Expr::Function(ast::Function {
        name: ast::ObjectName::from(vec![Ident::new("pg_catalog"), Ident::new(name)]),
        uses_odbc_syntax: false,
        parameters: ast::FunctionArguments::None,
        args: ast::FunctionArguments::List(ast::FunctionArgumentList {
            duplicate_treatment: None,
            args: args.into_iter().map(arg).collect(),
            clauses: Vec::new(),
        }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}

/// `substring(x SIMILAR pattern ESCAPE escape)`, and `FOR` before `FROM`.
pub(super) fn substring(parser: &mut Parser) -> Option<Result<Expr, ParserError>> {
    if parser.peek_nth_token_ref(1).token != Token::LParen {
        return None;
    }
    Some(parse_substring(parser))
}

fn parse_substring(parser: &mut Parser) -> Result<Expr, ParserError> {
    parser.next_token();
    parser.next_token();
    let expr = parser.parse_expr()?;
    if parser.parse_keyword(Keyword::SIMILAR) {
        let pattern = parser.parse_expr()?;
        parser.expect_keyword(Keyword::ESCAPE)?;
        let escape = parser.parse_expr()?;
        parser.expect_token(&Token::RParen)?;
        return Ok(function("substring", vec![expr, pattern, escape]));
    }
    let special = parser.consume_token(&Token::Comma);
    let (from, length) = if special {
        let from = parser.parse_expr()?;
        let more = parser.consume_token(&Token::Comma);
        (Some(from), if more { Some(parser.parse_expr()?) } else { None })
    } else {
        from_and_for(parser)?
    };
    parser.expect_token(&Token::RParen)?;
    Ok(Expr::Substring {
        expr: Box::new(expr),
        substring_from: from.map(Box::new),
        substring_for: length.map(Box::new),
        special,
        shorthand: false,
    })
}

/// `FROM x` and `FOR y`, in either order.
fn from_and_for(parser: &mut Parser) -> Result<(Option<Expr>, Option<Expr>), ParserError> {
    let (mut from, mut length) = (None, None);
    loop {
        if from.is_none() && parser.parse_keyword(Keyword::FROM) {
            from = Some(parser.parse_expr()?);
        } else if length.is_none() && parser.parse_keyword(Keyword::FOR) {
            length = Some(parser.parse_expr()?);
        } else {
            return Ok((from, length));
        }
    }
}

/// Whether a word begins `normalize(x, NFD)`.
pub(super) fn is_normalize(word: &Word) -> bool {
    word.quote_style.is_none() && word.value.eq_ignore_ascii_case("normalize")
}

/// `normalize(x)` and `normalize(x, form)`, whose form is a word.
pub(super) fn normalize(parser: &mut Parser) -> Option<Result<Expr, ParserError>> {
    if parser.peek_nth_token_ref(1).token != Token::LParen {
        return None;
    }
    parser.next_token();
    parser.next_token();
    Some(parser.parse_expr().and_then(|expr| {
        let mut args = vec![expr];
        if parser.consume_token(&Token::Comma) {
            let form = parser.parse_one_of_keywords(&[
                Keyword::NFC,
                Keyword::NFD,
                Keyword::NFKC,
                Keyword::NFKD,
            ]);
            let Some(form) = form else {
                let met = parser.peek_token();
                return parser.expected("a normal form", met);
            };
            let form = ast::Value::SingleQuotedString(format!("{form:?}"));
            args.push(Expr::Value(form.into()));
        }
        parser.expect_token(&Token::RParen)?;
        Ok(function("normalize", args))
    }))
}
