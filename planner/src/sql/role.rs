//! `CREATE` and `ALTER` of roles and of the database, and what else is said of what roles have:
//! `DROP OWNED`, `REASSIGN OWNED`, `ALTER DEFAULT PRIVILEGES`.

use sqlparser::ast::Ident;
use sqlparser::keywords::Keyword as K;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::Token;

use super::alter::take_words;
use super::ast::Statement;
use super::function::expect_words;
use super::grant::{self, Grant};
use super::other::{is_word, signed, take_word};

/// What a role is or may be told to be.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum RoleOption {
    Superuser(bool),
    CreateDb(bool),
    CreateRole(bool),
    Inherit(bool),
    Login(bool),
    Replication(bool),
    BypassRls(bool),
    ConnectionLimit(i64),
    Password(Option<String>),
    ValidUntil(String),
    /// `IN ROLE`: the groups it joins.
    In(Vec<Ident>),
    /// `ROLE`, `ADMIN`: who joins it.
    Members(Vec<Ident>),
}

/// `CREATE ROLE | USER | GROUP`
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct CreateRole {
    pub name: Ident,
    /// A user may log in.
    pub user: bool,
    pub options: Vec<RoleOption>,
}

/// `ALTER ROLE | USER | GROUP`; a setting of `None` is for `ALL`.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub enum AlterRole {
    Options { name: Ident, options: Vec<RoleOption> },
    Rename { name: Ident, to: Ident },
    Setting { name: Option<Ident>, database: Option<Ident>, change: SettingChange },
    Members { group: Ident, members: Vec<Ident>, add: bool },
}

/// `SET` and `RESET` for sessions to come.
#[derive(Clone, Debug)]
pub enum SettingChange {
    /// `SET name TO value, ...`
    Set(String, Vec<String>),
    /// `SET name FROM CURRENT`
    FromCurrent(String),
    /// `RESET name`, `SET name TO DEFAULT`
    Reset(String),
    /// `RESET ALL`
    ResetAll,
}

/// `ALTER DATABASE`
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub enum AlterDatabase {
    Setting(SettingChange),
    /// What cannot be done, by its words.
    Other(String),
}

/// `ALTER DEFAULT PRIVILEGES`
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct DefaultPrivileges {
    pub roles: Vec<Ident>,
    pub schemas: Vec<Ident>,
    /// `tables`, `sequences`, `functions`, `types` or `schemas`.
    pub kind: &'static str,
    pub grant: Grant,
}

fn identifiers(p: &mut Parser) -> Result<Vec<Ident>, ParserError> {
    p.parse_comma_separated(Parser::parse_identifier)
}

/// `CREATE ROLE`: the words before the name are read.
pub(super) fn parse_create(p: &mut Parser, user: bool) -> Result<Statement, ParserError> {
    let name = p.parse_identifier()?;
    let _ = p.parse_keyword(K::WITH);
    let mut options = Vec::new();
    while p.peek_token_ref().token != Token::EOF {
        options.push(option(p)?);
    }
    Ok(Statement::CreateRole(CreateRole { name, user, options }))
}

fn option(p: &mut Parser) -> Result<RoleOption, ParserError> {
    use RoleOption as O;
    type Flag = fn(bool) -> RoleOption;
    const FLAGS: [(&str, &str, Flag); 7] = [
        ("superuser", "nosuperuser", O::Superuser),
        ("createdb", "nocreatedb", O::CreateDb),
        ("createrole", "nocreaterole", O::CreateRole),
        ("inherit", "noinherit", O::Inherit),
        ("login", "nologin", O::Login),
        ("replication", "noreplication", O::Replication),
        ("bypassrls", "nobypassrls", O::BypassRls),
    ];
    for (on, off, flag) in FLAGS {
        if take_word(p, on) {
            return Ok(flag(true));
        }
        if take_word(p, off) {
            return Ok(flag(false));
        }
    }
    if take_words(p, &["encrypted", "password"]) || take_word(p, "password") {
        let none = take_word(p, "null");
        return Ok(O::Password(if none { None } else { Some(p.parse_literal_string()?) }));
    }
    if take_words(p, &["connection", "limit"]) {
        return match signed(p)? {
            Some(n) => Ok(O::ConnectionLimit(n)),
            None => p.expected_ref("a number", p.peek_token_ref()),
        };
    }
    if take_words(p, &["valid", "until"]) {
        return Ok(O::ValidUntil(p.parse_literal_string()?));
    }
    if take_words(p, &["in", "role"]) || take_words(p, &["in", "group"]) {
        return Ok(O::In(identifiers(p)?));
    }
    if ["role", "user", "admin"].into_iter().any(|w| take_word(p, w)) {
        return Ok(O::Members(identifiers(p)?));
    }
    p.expected_ref("an option of a role", p.peek_token_ref())
}

/// `ALTER ROLE`: the words before the name are read.
pub(super) fn parse_alter(p: &mut Parser) -> Result<Statement, ParserError> {
    let all = is_word(p, "all");
    let name = p.parse_identifier()?;
    let alter = if take_words(p, &["rename", "to"]) {
        AlterRole::Rename { name, to: p.parse_identifier()? }
    } else if take_words(p, &["add", "user"]) {
        AlterRole::Members { group: name, members: identifiers(p)?, add: true }
    } else if take_words(p, &["drop", "user"]) {
        AlterRole::Members { group: name, members: identifiers(p)?, add: false }
    } else {
        let database = match take_words(p, &["in", "database"]) {
            true => Some(p.parse_identifier()?),
            false => None,
        };
        match setting_change(p)? {
            Some(change) => AlterRole::Setting { name: (!all).then_some(name), database, change },
            None => {
                let _ = p.parse_keyword(K::WITH);
                let mut options = Vec::new();
                while p.peek_token_ref().token != Token::EOF {
                    options.push(option(p)?);
                }
                AlterRole::Options { name, options }
            }
        }
    };
    Ok(Statement::AlterRole(alter))
}

fn setting_change(p: &mut Parser) -> Result<Option<SettingChange>, ParserError> {
    if take_word(p, "reset") {
        if take_word(p, "all") {
            return Ok(Some(SettingChange::ResetAll));
        }
        return Ok(Some(SettingChange::Reset(setting_name(p)?)));
    }
    if !take_word(p, "set") {
        return Ok(None);
    }
    let name = setting_name(p)?;
    if take_words(p, &["from", "current"]) {
        return Ok(Some(SettingChange::FromCurrent(name)));
    }
    let zone = name == "TimeZone" && !is_word(p, "to");
    if !p.consume_token(&Token::Eq) && !zone {
        expect_words(p, &["to"])?;
    }
    if take_word(p, "default") {
        return Ok(Some(SettingChange::Reset(name)));
    }
    Ok(Some(SettingChange::Set(name, p.parse_comma_separated(value)?)))
}

fn setting_name(p: &mut Parser) -> Result<String, ParserError> {
    if take_words(p, &["time", "zone"]) {
        return Ok("TimeZone".to_owned());
    }
    let name = p.parse_object_name(false)?;
    let parts = name.0.iter().filter_map(|part| part.as_ident());
    Ok(parts.map(super::index::fold).collect::<Vec<_>>().join("."))
}

/// A value of a setting as text.
fn value(p: &mut Parser) -> Result<String, ParserError> {
    let minus = p.consume_token(&Token::Minus);
    let token = p.next_token();
    match token.token {
        Token::Number(n, _) if minus => Ok(format!("-{n}")),
        Token::Number(n, _) => Ok(n),
        Token::SingleQuotedString(s) | Token::EscapedStringLiteral(s) if !minus => Ok(s),
        Token::Word(w) if !minus && w.quote_style.is_some() => Ok(w.value),
        Token::Word(w) if !minus => Ok(w.value.to_lowercase()),
        _ => p.expected("a value", token),
    }
}

/// `ALTER DATABASE`: the words before the name are read.
pub(super) fn parse_alter_database(p: &mut Parser) -> Result<Statement, ParserError> {
    let name = p.parse_identifier()?;
    let alter = match setting_change(p)? {
        Some(change) => AlterDatabase::Setting(change),
        None => {
            let words: Vec<String> = super::other::rest(p)
                .iter()
                .map_while(|t| match &t.token {
                    Token::Word(w) => Some(w.value.to_uppercase()),
                    _ => None,
                })
                .take(2)
                .collect();
            AlterDatabase::Other(format!("ALTER DATABASE ... {}", words.join(" ")))
        }
    };
    Ok(Statement::AlterDatabase { name, alter })
}

/// `DROP OWNED BY`, `REASSIGN OWNED BY ... TO`; the first word is read.
pub(super) fn parse_owned(p: &mut Parser, drop: bool) -> Result<Statement, ParserError> {
    expect_words(p, &["owned", "by"])?;
    let roles = identifiers(p)?;
    if drop {
        let cascade = take_word(p, "cascade");
        let _ = !cascade && take_word(p, "restrict");
        return Ok(Statement::DropOwned { roles, cascade });
    }
    expect_words(p, &["to"])?;
    Ok(Statement::ReassignOwned { roles, to: p.parse_identifier()? })
}

/// `ALTER DEFAULT PRIVILEGES`: these words are read.
pub(super) fn parse_default_privileges(p: &mut Parser) -> Result<Statement, ParserError> {
    let (mut roles, mut schemas) = (Vec::new(), Vec::new());
    loop {
        if take_words(p, &["for", "role"]) || take_words(p, &["for", "user"]) {
            roles = identifiers(p)?;
        } else if take_words(p, &["in", "schema"]) {
            schemas = identifiers(p)?;
        } else {
            break;
        }
    }
    let (grant, kind) = grant::parse_default(p)?;
    Ok(Statement::DefaultPrivileges(Box::new(DefaultPrivileges { roles, schemas, kind, grant })))
}
