//! `COPY`, with today's options and those of old.

use sqlparser::ast::{Expr, Ident, ObjectName, Statement as Ast};
use sqlparser::keywords::Keyword as K;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::Token;

use super::ast::Statement;
use super::index::fold;
use super::other::{is_word, take_word};

/// `COPY`
#[derive(Clone, Debug)]
pub struct Copy {
    /// What is copied.
    pub subject: CopySubject,
    /// `TO`, not `FROM`.
    pub to: bool,
    /// The other end.
    pub end: CopyEnd,
    /// As written, in order.
    pub options: Vec<CopyOption>,
    /// `WHERE`
    pub filter: Option<Expr>,
    /// Where that stands, one-based.
    pub filter_at: Option<usize>,
}

/// What is copied.
#[derive(Clone, Debug)]
pub enum CopySubject {
    /// A table, its columns if named.
    Table(ObjectName, Vec<Ident>),
    /// The rows of a query or of a write's RETURNING.
    Query(Box<Ast>),
}

/// Where the data comes from or goes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CopyEnd {
    /// `STDIN` or `STDOUT`
    Client,
    /// A file of the server.
    File(String),
    /// A command run by the server.
    Program(String),
}

/// An option.
#[derive(Clone, Debug)]
pub struct CopyOption {
    /// Its name, lower case.
    pub name: String,
    /// What it is given.
    pub value: CopyValue,
    /// Its one-based place in the query string.
    pub at: Option<usize>,
}

/// What an option is given.
#[derive(Clone, Debug, PartialEq)]
pub enum CopyValue {
    /// Nothing.
    None,
    /// A word, a number or a string.
    Text(String),
    /// `*`
    All,
    /// Columns.
    Columns(Vec<Ident>),
}

fn place(p: &Parser) -> Option<usize> {
    usize::try_from(p.peek_token_ref().span.start.column).ok()
}

pub(super) fn parse(p: &mut Parser) -> Result<Statement, ParserError> {
    p.expect_keyword(K::COPY)?;
    let mut options = Vec::new();
    let subject = if p.consume_token(&Token::LParen) {
        let query = p.parse_statement()?;
        p.expect_token(&Token::RParen)?;
        CopySubject::Query(Box::new(query))
    } else {
        let at = place(p);
        let more = matches!(p.peek_nth_token_ref(1).token, Token::Word(_))
            && !matches!(&p.peek_nth_token_ref(1).token, Token::Word(w)
                if matches!(w.keyword, K::FROM | K::TO));
        if more && take_word(p, "binary") {
            options.push(option("format", CopyValue::Text("binary".to_owned()), at));
        }
        let name = p.parse_object_name(false)?;
        let columns = match p.peek_token_ref().token {
            Token::LParen => {
                p.parse_parenthesized_column_list(sqlparser::parser::IsOptional::Mandatory, false)?
            }
            _ => Vec::new(),
        };
        CopySubject::Table(name, columns)
    };
    let is_query = matches!(subject, CopySubject::Query(_));
    let to = if is_query {
        p.expect_keyword(K::TO)?;
        true
    } else {
        p.expect_one_of_keywords(&[K::FROM, K::TO])? == K::TO
    };
    let end = parse_end(p)?;
    if is_word(p, "delimiters") || is_word(p, "using") {
        take_word(p, "using");
        let at = place(p);
        if !take_word(p, "delimiters") {
            return p.expected_ref("DELIMITERS", p.peek_token_ref());
        }
        options.push(option("delimiter", text(p)?, at));
    }
    let _ = p.parse_keyword(K::WITH);
    if p.consume_token(&Token::LParen) {
        options.extend(p.parse_comma_separated(generic_option)?);
        p.expect_token(&Token::RParen)?;
    } else {
        while let Some(old) = old_option(p)? {
            options.push(old);
        }
    }
    let filter_at = place(p);
    let filter = match !is_query && p.parse_keyword(K::WHERE) {
        true => Some(p.parse_expr()?),
        false => None,
    };
    Ok(Statement::Copy(Box::new(Copy { subject, to, end, options, filter, filter_at })))
}

fn option(name: &str, value: CopyValue, at: Option<usize>) -> CopyOption {
    CopyOption { name: name.to_owned(), value, at }
}

/// The standard streams are one to the server, whichever is named.
fn parse_end(p: &mut Parser) -> Result<CopyEnd, ParserError> {
    if p.parse_one_of_keywords(&[K::STDIN, K::STDOUT]).is_some() {
        return Ok(CopyEnd::Client);
    }
    if p.parse_keyword(K::PROGRAM) {
        return Ok(CopyEnd::Program(p.parse_literal_string()?));
    }
    Ok(CopyEnd::File(p.parse_literal_string()?))
}

/// `[AS] 'text'`
fn text(p: &mut Parser) -> Result<CopyValue, ParserError> {
    let _ = p.parse_keyword(K::AS);
    Ok(CopyValue::Text(p.parse_literal_string()?))
}

/// `name [value]` between the parentheses.
fn generic_option(p: &mut Parser) -> Result<CopyOption, ParserError> {
    let at = place(p);
    let name = fold(&p.parse_identifier()?);
    let value = match p.peek_token().token {
        Token::Comma | Token::RParen => CopyValue::None,
        Token::Mul => {
            p.next_token();
            CopyValue::All
        }
        Token::LParen => CopyValue::Columns(
            p.parse_parenthesized_column_list(sqlparser::parser::IsOptional::Mandatory, false)?,
        ),
        Token::Word(w) if w.quote_style.is_none() => {
            p.next_token();
            CopyValue::Text(w.value.to_lowercase())
        }
        Token::Number(n, _) => {
            p.next_token();
            CopyValue::Text(n)
        }
        _ => CopyValue::Text(p.parse_literal_string()?),
    };
    Ok(CopyOption { name, value, at })
}

/// An option of the syntax before parentheses.
fn old_option(p: &mut Parser) -> Result<Option<CopyOption>, ParserError> {
    let at = place(p);
    let on = || CopyValue::Text("true".to_owned());
    let format = |name: &str| option("format", CopyValue::Text(name.to_owned()), at);
    Ok(Some(if take_word(p, "binary") {
        format("binary")
    } else if take_word(p, "csv") {
        format("csv")
    } else if take_word(p, "freeze") {
        option("freeze", on(), at)
    } else if take_word(p, "header") {
        option("header", on(), at)
    } else if take_word(p, "delimiter") {
        option("delimiter", text(p)?, at)
    } else if p.parse_keyword(K::NULL) {
        option("null", text(p)?, at)
    } else if take_word(p, "quote") {
        option("quote", text(p)?, at)
    } else if take_word(p, "escape") {
        option("escape", text(p)?, at)
    } else if take_word(p, "encoding") {
        option("encoding", text(p)?, at)
    } else if take_word(p, "force") {
        force(p, at)?
    } else {
        return Ok(None);
    }))
}

/// `FORCE QUOTE`, `FORCE NOT NULL`, `FORCE NULL`
fn force(p: &mut Parser, at: Option<usize>) -> Result<CopyOption, ParserError> {
    let name = if take_word(p, "quote") {
        "force_quote"
    } else if p.parse_keywords(&[K::NOT, K::NULL]) {
        "force_not_null"
    } else {
        p.expect_keyword(K::NULL)?;
        "force_null"
    };
    if name == "force_quote" && p.consume_token(&Token::Mul) {
        return Ok(option(name, CopyValue::All, at));
    }
    let columns = p.parse_comma_separated(|p| p.parse_identifier())?;
    Ok(option(name, CopyValue::Columns(columns), at))
}
