//! `GRANT` and `REVOKE`.

use sqlparser::ast::{FunctionDesc, Ident, ObjectName};
use sqlparser::keywords::Keyword as K;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::Token;

use super::alter::function_desc;
use super::ast::Statement;
use super::index::fold;
use super::other::{is_word, take_word};

/// `GRANT` or `REVOKE`.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Grant {
    pub revoke: bool,
    /// `REVOKE GRANT OPTION FOR`
    pub option_only: bool,
    /// In lower case, with their columns; `None` is ALL. Of `Roles` the roles themselves.
    pub privileges: Option<Vec<(String, Vec<Ident>)>>,
    /// Columns of `ALL (...)`.
    pub all_columns: Vec<Ident>,
    pub on: GrantOn,
    /// `public` and `current_user` are names like others here.
    pub roles: Vec<Ident>,
    /// `WITH GRANT OPTION`, `WITH ADMIN OPTION`
    pub with_option: bool,
    pub granted_by: Option<Ident>,
    pub cascade: bool,
}

/// What rights are on.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub enum GrantOn {
    Tables(Vec<ObjectName>),
    Sequences(Vec<ObjectName>),
    Functions(Vec<FunctionDesc>),
    Schemas(Vec<Ident>),
    Databases(Vec<Ident>),
    Languages(Vec<Ident>),
    Types(Vec<ObjectName>),
    /// `ALL TABLES IN SCHEMA`: `tables`, `sequences` or `functions`.
    All(&'static str, Vec<Ident>),
    /// Membership.
    Roles,
}

pub(super) fn parse(p: &mut Parser) -> Result<Statement, ParserError> {
    let grant = read(p, |p| if take_word(p, "on") { objects(p) } else { Ok(GrantOn::Roles) })?;
    Ok(Statement::Grant(Box::new(grant)))
}

/// The GRANT or REVOKE of ALTER DEFAULT PRIVILEGES: it is about a kind of objects.
pub(super) fn parse_default(p: &mut Parser) -> Result<(Grant, &'static str), ParserError> {
    let mut kind = "tables";
    let grant = read(p, |p| {
        expect_word(p, "on")?;
        const KINDS: [(&str, &str); 6] = [
            ("tables", "tables"),
            ("sequences", "sequences"),
            ("functions", "functions"),
            ("routines", "functions"),
            ("types", "types"),
            ("schemas", "schemas"),
        ];
        let Some((_, found)) = KINDS.iter().find(|(word, _)| take_word(p, word)) else {
            return p.expected_ref("TABLES", p.peek_token_ref());
        };
        kind = found;
        Ok(GrantOn::Roles)
    })?;
    Ok((grant, kind))
}

fn read(
    p: &mut Parser,
    on: impl FnOnce(&mut Parser) -> Result<GrantOn, ParserError>,
) -> Result<Grant, ParserError> {
    let revoke = take_word(p, "revoke");
    if !revoke {
        p.expect_keyword(K::GRANT)?;
    }
    let option_only = revoke && option_for(p)?;
    let (privileges, all_columns) = privileges(p)?;
    let on = on(p)?;
    if revoke {
        p.expect_keyword(K::FROM)?;
    } else {
        p.expect_keyword(K::TO)?;
    }
    let roles = p.parse_comma_separated(role)?;
    let mut grant = Grant {
        revoke,
        option_only,
        privileges,
        all_columns,
        on,
        roles,
        with_option: false,
        granted_by: None,
        cascade: false,
    };
    loop {
        if !revoke && take_word(p, "with") {
            if !take_word(p, "grant") && !take_word(p, "admin") {
                return p.expected_ref("GRANT", p.peek_token_ref());
            }
            expect_word(p, "option")?;
            grant.with_option = true;
        } else if take_word(p, "granted") {
            p.expect_keyword(K::BY)?;
            grant.granted_by = Some(role(p)?);
        } else if revoke && take_word(p, "cascade") {
            grant.cascade = true;
        } else if revoke && take_word(p, "restrict") {
            grant.cascade = false;
        } else {
            return Ok(grant);
        }
    }
}

fn expect_word(p: &mut Parser, word: &'static str) -> Result<(), ParserError> {
    if take_word(p, word) { Ok(()) } else { p.expected_ref(word, p.peek_token_ref()) }
}

/// `GRANT OPTION FOR`, `ADMIN OPTION FOR`
fn option_for(p: &mut Parser) -> Result<bool, ParserError> {
    if !is_word(p, "grant") && !is_word(p, "admin") {
        return Ok(false);
    }
    let second = &p.peek_nth_token_ref(1).token;
    if !matches!(second, Token::Word(w) if w.value.eq_ignore_ascii_case("option")) {
        return Ok(false);
    }
    p.next_token();
    p.next_token();
    expect_word(p, "for")?;
    Ok(true)
}

type Wanted = (Option<Vec<(String, Vec<Ident>)>>, Vec<Ident>);

fn privileges(p: &mut Parser) -> Result<Wanted, ParserError> {
    if take_word(p, "all") {
        take_word(p, "privileges");
        return Ok((None, columns(p)?));
    }
    let one = |p: &mut Parser| {
        let name = p.parse_identifier()?;
        Ok((fold(&name), columns(p)?))
    };
    Ok((Some(p.parse_comma_separated(one)?), Vec::new()))
}

fn columns(p: &mut Parser) -> Result<Vec<Ident>, ParserError> {
    if p.peek_token_ref().token != Token::LParen {
        return Ok(Vec::new());
    }
    p.next_token();
    let columns = p.parse_comma_separated(Parser::parse_identifier)?;
    p.expect_token(&Token::RParen)?;
    Ok(columns)
}

fn role(p: &mut Parser) -> Result<Ident, ParserError> {
    if is_word(p, "group") {
        p.next_token();
    }
    p.parse_identifier()
}

fn objects(p: &mut Parser) -> Result<GrantOn, ParserError> {
    let names = |p: &mut Parser| p.parse_comma_separated(|p| p.parse_object_name(false));
    let idents = |p: &mut Parser| p.parse_comma_separated(Parser::parse_identifier);
    if take_word(p, "all") {
        let what = ["tables", "sequences", "functions", "procedures", "routines"];
        let Some(what) = what.into_iter().find(|w| take_word(p, w)) else {
            return p.expected_ref("TABLES", p.peek_token_ref());
        };
        p.expect_keyword(K::IN)?;
        p.expect_keyword(K::SCHEMA)?;
        return Ok(GrantOn::All(what, idents(p)?));
    }
    if take_word(p, "sequence") {
        return Ok(GrantOn::Sequences(names(p)?));
    }
    if ["function", "procedure", "routine"].into_iter().any(|w| take_word(p, w)) {
        return Ok(GrantOn::Functions(p.parse_comma_separated(function_desc)?));
    }
    if take_word(p, "schema") {
        return Ok(GrantOn::Schemas(idents(p)?));
    }
    if take_word(p, "database") {
        return Ok(GrantOn::Databases(idents(p)?));
    }
    if take_word(p, "language") {
        return Ok(GrantOn::Languages(idents(p)?));
    }
    if take_word(p, "type") || take_word(p, "domain") {
        return Ok(GrantOn::Types(names(p)?));
    }
    take_word(p, "table");
    Ok(GrantOn::Tables(names(p)?))
}
