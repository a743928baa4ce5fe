//! `DECLARE`, `FETCH`, `MOVE`, `CLOSE`.

use sqlparser::ast::{Ident, Query};
use sqlparser::keywords::Keyword as K;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::Token;

use super::ast::Statement;
use super::other::take_word;

/// `DECLARE name CURSOR FOR query`
#[derive(Clone, Debug)]
pub struct Declare {
    /// The cursor's name.
    pub name: Ident,
    /// `BINARY`
    pub binary: bool,
    /// `SCROLL` or `NO SCROLL`
    pub scroll: Option<bool>,
    /// `WITH HOLD`
    pub hold: bool,
    /// What it runs over.
    pub query: Box<Query>,
    /// The query string it stands in.
    pub text: String,
}

/// Where `FETCH` and `MOVE` go; `ALL` is the largest number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// So many rows on, `NEXT` and `FORWARD`.
    Forward(i64),
    /// So many rows back, `PRIOR` and `BACKWARD`.
    Backward(i64),
    /// To a row by its number, from the end if negative; `FIRST` and `LAST`.
    Absolute(i64),
    /// To a row by its distance.
    Relative(i64),
}

/// All rows of a direction.
pub const ALL: i64 = i64::MAX;

/// `FETCH` and `MOVE`
#[derive(Clone, Debug)]
pub struct Fetch {
    /// The cursor's name.
    pub name: Ident,
    /// Where to.
    pub direction: Direction,
    /// `MOVE`: without rows.
    pub moves: bool,
}

pub(super) fn parse_declare(p: &mut Parser) -> Result<Statement, ParserError> {
    p.expect_keyword(K::DECLARE)?;
    let name = p.parse_identifier()?;
    let (mut binary, mut scroll) = (false, None);
    loop {
        if p.parse_keyword(K::BINARY) {
            binary = true;
        } else if p.parse_keyword(K::SCROLL) {
            scroll = Some(true);
        } else if p.parse_keywords(&[K::NO, K::SCROLL]) {
            scroll = Some(false);
        } else if !take_word(p, "insensitive") && !take_word(p, "asensitive") {
            break;
        }
    }
    p.expect_keyword(K::CURSOR)?;
    let hold = p.parse_keywords(&[K::WITH, K::HOLD]);
    if !hold {
        let _ = p.parse_keywords(&[K::WITHOUT, K::HOLD]);
    }
    p.expect_keyword(K::FOR)?;
    let query = p.parse_query()?;
    let text = String::new();
    Ok(Statement::Declare(Box::new(Declare { name, binary, scroll, hold, query, text })))
}

/// `FETCH` and `MOVE`: the words are the same.
pub(super) fn parse_fetch(p: &mut Parser, moves: bool) -> Result<Statement, ParserError> {
    p.next_token();
    // A word that ends the statement is the cursor's name, whatever it is.
    let alone = p.peek_nth_token_ref(1).token == Token::EOF;
    let direction = if alone { Direction::Forward(1) } else { parse_direction(p)? };
    if !alone {
        let _ = p.parse_one_of_keywords(&[K::FROM, K::IN]);
    }
    let name = p.parse_identifier()?;
    Ok(Statement::Fetch(Fetch { name, direction, moves }))
}

/// A direction if one is written, else the next row.
pub(super) fn parse_direction(p: &mut Parser) -> Result<Direction, ParserError> {
    use Direction as D;
    Ok(if take_word(p, "next") {
        D::Forward(1)
    } else if take_word(p, "prior") {
        D::Backward(1)
    } else if take_word(p, "first") {
        D::Absolute(1)
    } else if take_word(p, "last") {
        D::Absolute(-1)
    } else if take_word(p, "absolute") {
        D::Absolute(count(p)?)
    } else if take_word(p, "relative") {
        D::Relative(count(p)?)
    } else if take_word(p, "all") {
        D::Forward(ALL)
    } else if take_word(p, "forward") {
        D::Forward(optional_count(p)?)
    } else if take_word(p, "backward") {
        D::Backward(optional_count(p)?)
    } else if is_number(p) {
        D::Forward(count(p)?)
    } else {
        D::Forward(1)
    })
}

fn is_number(p: &Parser) -> bool {
    matches!(p.peek_token_ref().token, Token::Number(..) | Token::Minus | Token::Plus)
}

fn optional_count(p: &mut Parser) -> Result<i64, ParserError> {
    if take_word(p, "all") {
        return Ok(ALL);
    }
    if is_number(p) { count(p) } else { Ok(1) }
}

fn count(p: &mut Parser) -> Result<i64, ParserError> {
    let minus = p.consume_token(&Token::Minus);
    let _ = !minus && p.consume_token(&Token::Plus);
    let Token::Number(text, _) = p.peek_token().token else {
        return p.expected_ref("a number", p.peek_token_ref());
    };
    match text.parse::<i32>() {
        Ok(n) => {
            p.next_token();
            Ok(if minus { -i64::from(n) } else { i64::from(n) })
        }
        Err(_) => p.expected_ref("an integer", p.peek_token_ref()),
    }
}

pub(super) fn parse_close(p: &mut Parser) -> Result<Statement, ParserError> {
    p.expect_keyword(K::CLOSE)?;
    if p.parse_keyword(K::ALL) {
        return Ok(Statement::Close(None));
    }
    Ok(Statement::Close(Some(p.parse_identifier()?)))
}
