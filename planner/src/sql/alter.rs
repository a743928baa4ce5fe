//! `ALTER TABLE` and its kin: the actions sqlparser has, one at a time, and those it lacks.

use sqlparser::ast::{self, Expr, ObjectName};
use sqlparser::keywords::Keyword as K;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::ast::{
    AlterAction, AlterDomain, AlterKind, AlterObject, AlterRelation, ColumnAction, CreateDomain,
    DomainAction, ObjectAction, Statement,
};
use super::function;
use super::index::options;
use super::other::{rest, sequence_option, signed, take_word};

fn inner(tokens: Vec<TokenWithSpan>) -> Parser<'static> {
    Parser::new(&super::dialect::VicinityDialect)
        .with_recursion_limit(super::depth::NESTING * 4)
        .with_tokens_with_locations(tokens)
}

/// Cuts at commas outside parentheses.
fn split(tokens: Vec<TokenWithSpan>) -> Vec<Vec<TokenWithSpan>> {
    let (mut out, mut depth) = (vec![Vec::new()], 0);
    for token in tokens {
        match token.token {
            Token::LParen | Token::LBracket => depth += 1,
            Token::RParen | Token::RBracket => depth -= 1,
            _ => {}
        }
        if depth == 0 && token.token == Token::Comma {
            out.push(Vec::new());
        } else if let Some(last) = out.last_mut() {
            last.push(token);
        }
    }
    out
}

pub(super) fn end(p: &mut Parser) -> Result<(), ParserError> {
    let next = p.peek_token();
    if next.token == Token::EOF { Ok(()) } else { p.expected("end of statement", next) }
}

/// `ALTER TABLE | VIEW | MATERIALIZED VIEW | INDEX name action, ...`; the kind's words are read.
pub(super) fn parse_relation(p: &mut Parser, kind: AlterKind) -> Result<Statement, ParserError> {
    let if_exists = p.parse_keywords(&[K::IF, K::EXISTS]);
    let only = kind == AlterKind::Table && p.parse_keyword(K::ONLY);
    let name = p.parse_object_name(false)?;
    let _ = p.consume_token(&Token::Mul);
    let mut actions = Vec::new();
    for tokens in split(rest(p)) {
        actions.push(action(&name, tokens)?);
    }
    Ok(Statement::AlterRelation(AlterRelation { kind, if_exists, only, name, actions }))
}

fn action(name: &ObjectName, tokens: Vec<TokenWithSpan>) -> Result<AlterAction, ParserError> {
    let mut p = inner(tokens.clone());
    if let Some(found) = own_action(&mut p)? {
        end(&mut p)?;
        return Ok(found);
    }
    // sqlparser reads it as the only action of a statement.
    let span = tokens.first().map_or_else(sqlparser::tokenizer::Span::empty, |t| t.span);
    let word = |w: &str| TokenWithSpan { token: Token::make_word(w, None), span };
    let mut whole = vec![word("ALTER"), word("TABLE")];
    for (i, part) in name.0.iter().enumerate() {
        if i > 0 {
            whole.push(TokenWithSpan { token: Token::Period, span });
        }
        if let Some(ident) = part.as_ident() {
            let token = Token::make_word(&ident.value, ident.quote_style);
            whole.push(TokenWithSpan { token, span: ident.span });
        }
    }
    whole.extend(tokens);
    super::identity::order_options(&mut whole);
    super::constraint::mark(&mut whole);
    let mut p = inner(whole);
    let statement = p.parse_statement()?;
    end(&mut p)?;
    match statement {
        ast::Statement::AlterTable(mut a) if a.operations.len() == 1 => {
            Ok(AlterAction::Sql(Box::new(a.operations.remove(0))))
        }
        _ => p.expected("an ALTER TABLE action", p.peek_token()),
    }
}

/// The actions sqlparser does not know.
fn own_action(p: &mut Parser) -> Result<Option<AlterAction>, ParserError> {
    if p.parse_keywords(&[K::SET, K::SCHEMA]) {
        return Ok(Some(AlterAction::SetSchema(p.parse_identifier()?)));
    }
    if let Some(found) = super::partition::action(p)? {
        return Ok(Some(found));
    }
    let next_is_list = |p: &Parser| p.peek_nth_token_ref(1).token == Token::LParen;
    if super::other::is_word(p, "set") && next_is_list(p) {
        p.next_token();
        return Ok(Some(AlterAction::SetOptions(options(p)?)));
    }
    if super::other::is_word(p, "reset") && next_is_list(p) {
        p.next_token();
        let names = options(p)?.into_iter().map(|(n, _)| n).collect();
        return Ok(Some(AlterAction::ResetOptions(names)));
    }
    for (words, logged) in [(["set", "logged"], true), (["set", "unlogged"], false)] {
        if take_words(p, &words) {
            return Ok(Some(AlterAction::SetLogged(logged)));
        }
    }
    for words in [&["set", "without", "oids"][..], &["set", "without", "cluster"]] {
        if take_words(p, words) {
            return Ok(Some(AlterAction::Nothing));
        }
    }
    if take_words(p, &["owner", "to"]) {
        return Ok(Some(AlterAction::OwnerTo(p.parse_identifier()?)));
    }
    if take_words(p, &["alter", "constraint"]) {
        let name = p.parse_identifier()?;
        let (mut deferrable, mut deferred) = (None, None);
        loop {
            if take_words(p, &["not", "deferrable"]) {
                deferrable = Some(false);
            } else if take_word(p, "deferrable") {
                deferrable = Some(true);
            } else if take_words(p, &["initially", "deferred"]) {
                deferred = Some(true);
            } else if take_words(p, &["initially", "immediate"]) {
                deferred = Some(false);
            } else {
                break;
            }
        }
        let deferred = deferred.unwrap_or(false);
        let deferrable = deferrable.unwrap_or(deferred);
        return Ok(Some(AlterAction::AlterConstraint { name, deferrable, deferred }));
    }
    if !super::other::is_word(p, "alter") {
        return Ok(None);
    }
    p.next_token();
    let _ = p.parse_keyword(K::COLUMN);
    let column = p.parse_identifier()?;
    Ok(column_action(p)?.map(|action| AlterAction::Column { column, action }))
}

/// Takes these words, if they come next.
pub(super) fn take_words(p: &mut Parser, words: &[&str]) -> bool {
    let matches = words.iter().enumerate().all(|(i, w)| {
        matches!(&p.peek_nth_token_ref(i).token,
            Token::Word(t) if t.quote_style.is_none() && t.value.eq_ignore_ascii_case(w))
    });
    if matches {
        words.iter().for_each(|_| drop(p.next_token()));
    }
    matches
}

fn column_action(p: &mut Parser) -> Result<Option<ColumnAction>, ParserError> {
    let word = |p: &mut Parser| p.parse_identifier().map(|i| i.value.to_lowercase());
    if take_words(p, &["set", "storage"]) {
        return Ok(Some(ColumnAction::Storage(word(p)?)));
    }
    if take_words(p, &["set", "compression"]) {
        return Ok(Some(ColumnAction::Compression(word(p)?)));
    }
    if take_words(p, &["set", "statistics"]) {
        return Ok(Some(ColumnAction::Statistics(signed(p)?.unwrap_or(-1))));
    }
    if super::other::is_word(p, "set") && p.peek_nth_token_ref(1).token == Token::LParen {
        p.next_token();
        return Ok(Some(ColumnAction::Options(options(p)?)));
    }
    if take_words(p, &["reset"]) {
        let names = options(p)?.into_iter().map(|(n, _)| n).collect();
        return Ok(Some(ColumnAction::ResetOptions(names)));
    }
    for (what, expression) in [("expression", true), ("identity", false)] {
        if take_words(p, &["drop", what]) {
            let if_exists = p.parse_keywords(&[K::IF, K::EXISTS]);
            return Ok(Some(match expression {
                true => ColumnAction::DropExpression { if_exists },
                false => ColumnAction::DropIdentity { if_exists },
            }));
        }
    }
    if take_words(p, &["add", "generated"]) {
        return add_identity(p).map(Some);
    }
    identity(p)
}

/// `{ALWAYS | BY DEFAULT} AS IDENTITY (...)`
fn add_identity(p: &mut Parser) -> Result<ColumnAction, ParserError> {
    let always = take_word(p, "always");
    if !always {
        p.expect_keywords(&[K::BY, K::DEFAULT])?;
    }
    p.expect_keywords(&[K::AS, K::IDENTITY])?;
    let (mut sequence, mut options) = (None, Vec::new());
    if p.consume_token(&Token::LParen) {
        while !p.consume_token(&Token::RParen) {
            match take_words(p, &["sequence", "name"]) {
                true => sequence = Some(p.parse_object_name(false)?),
                false => options.push(sequence_option(p)?),
            }
        }
    }
    Ok(ColumnAction::AddIdentity { always, sequence, options })
}

/// `SET GENERATED ... | SET option | RESTART [WITH n]`, any number of them.
fn identity(p: &mut Parser) -> Result<Option<ColumnAction>, ParserError> {
    let (mut always, mut options, mut restart) = (None, Vec::new(), None);
    let plain = ["not", "default", "data", "schema"];
    loop {
        if take_words(p, &["set", "generated"]) {
            always = Some(if take_word(p, "always") {
                true
            } else {
                p.expect_keywords(&[K::BY, K::DEFAULT])?;
                false
            });
        } else if super::other::is_word(p, "restart") {
            p.next_token();
            let _ = p.parse_keyword(K::WITH);
            restart = Some(signed(p)?);
        } else if super::other::is_word(p, "set")
            && !matches!(&p.peek_nth_token_ref(1).token, Token::Word(w)
                if plain.iter().any(|x| w.value.eq_ignore_ascii_case(x)))
        {
            p.next_token();
            if take_word(p, "restart") {
                let _ = p.parse_keyword(K::WITH);
                restart = Some(signed(p)?);
            } else {
                options.push(sequence_option(p)?);
            }
        } else {
            break;
        }
    }
    let any = always.is_some() || !options.is_empty() || restart.is_some();
    Ok(any.then_some(ColumnAction::Identity { always, options, restart }))
}

/// `CREATE DOMAIN`
pub(super) fn parse_create_domain(p: &mut Parser) -> Result<Statement, ParserError> {
    p.expect_keywords(&[K::CREATE, K::DOMAIN])?;
    let name = p.parse_object_name(false)?;
    let _ = p.parse_keyword(K::AS);
    let ty = p.parse_data_type()?;
    let mut d = CreateDomain {
        name,
        ty,
        collation: None,
        default: None,
        not_null: false,
        checks: Vec::new(),
    };
    loop {
        if p.parse_keyword(K::COLLATE) {
            d.collation = Some(p.parse_object_name(false)?);
            continue;
        }
        if p.parse_keyword(K::DEFAULT) {
            d.default = Some(super::dialect::b_expr(p)?);
            continue;
        }
        let own = if take_word(p, "constraint") { Some(p.parse_identifier()?) } else { None };
        if p.parse_keywords(&[K::NOT, K::NULL]) {
            d.not_null = true;
        } else if super::other::is_word(p, "check") {
            let check = check(p)?;
            d.checks.push((own, check));
        } else if !p.parse_keyword(K::NULL) {
            break;
        }
    }
    end(p)?;
    Ok(Statement::CreateDomain(Box::new(d)))
}

/// `ALTER DOMAIN`
pub(super) fn parse_domain(p: &mut Parser) -> Result<Statement, ParserError> {
    let name = p.parse_object_name(false)?;
    let action = if take_words(p, &["set", "default"]) {
        DomainAction::Default(Some(p.parse_expr()?))
    } else if take_words(p, &["drop", "default"]) {
        DomainAction::Default(None)
    } else if take_words(p, &["set", "not", "null"]) {
        DomainAction::NotNull(true)
    } else if take_words(p, &["drop", "not", "null"]) {
        DomainAction::NotNull(false)
    } else if take_words(p, &["add"]) {
        let own = if take_word(p, "constraint") { Some(p.parse_identifier()?) } else { None };
        let check = check(p)?;
        let not_valid = take_words(p, &["not", "valid"]);
        DomainAction::Add { name: own, check, not_valid }
    } else if take_words(p, &["drop", "constraint"]) {
        let if_exists = p.parse_keywords(&[K::IF, K::EXISTS]);
        let own = p.parse_identifier()?;
        let _ = p.parse_one_of_keywords(&[K::CASCADE, K::RESTRICT]);
        DomainAction::Drop { name: own, if_exists }
    } else if take_words(p, &["rename", "constraint"]) {
        let from = p.parse_identifier()?;
        p.expect_keyword(K::TO)?;
        DomainAction::RenameConstraint(from, p.parse_identifier()?)
    } else if take_words(p, &["validate", "constraint"]) {
        DomainAction::Validate(p.parse_identifier()?)
    } else {
        DomainAction::Object(object_action(p)?)
    };
    end(p)?;
    Ok(Statement::AlterDomain(Box::new(AlterDomain { name, action })))
}

fn check(p: &mut Parser) -> Result<Expr, ParserError> {
    p.expect_keyword(K::CHECK)?;
    p.expect_token(&Token::LParen)?;
    let check = p.parse_expr()?;
    p.expect_token(&Token::RParen)?;
    Ok(check)
}

fn object_action(p: &mut Parser) -> Result<ObjectAction, ParserError> {
    if take_words(p, &["rename", "to"]) {
        Ok(ObjectAction::Rename(p.parse_identifier()?))
    } else if take_words(p, &["owner", "to"]) {
        Ok(ObjectAction::Owner(p.parse_identifier()?))
    } else if take_words(p, &["set", "schema"]) {
        Ok(ObjectAction::Schema(p.parse_identifier()?))
    } else {
        p.expected("an ALTER action", p.peek_token())
    }
}

/// `ALTER FUNCTION | PROCEDURE | ROUTINE | TYPE name RENAME | OWNER | SET SCHEMA`.
pub(super) fn parse_object(p: &mut Parser, kind: K) -> Result<Statement, ParserError> {
    let function = kind != K::TYPE;
    let (name, args) = if function {
        let desc = function_desc(p)?;
        (desc.name, desc.args)
    } else {
        (p.parse_object_name(false)?, None)
    };
    let action = match p.maybe_parse(object_action)? {
        Some(action) => action,
        None if function => function::options(p)?,
        None => object_action(p)?,
    };
    end(p)?;
    let procedure = kind == K::PROCEDURE;
    Ok(Statement::AlterObject(Box::new(AlterObject { function, procedure, name, args, action })))
}

/// A function's name and argument types, as DROP FUNCTION has them.
pub(super) fn function_desc(p: &mut Parser) -> Result<ast::FunctionDesc, ParserError> {
    let (mut tokens, mut depth) = (Vec::new(), 0);
    loop {
        let next = p.peek_token();
        match next.token {
            Token::EOF => break,
            Token::Comma if depth == 0 => break,
            Token::LParen => depth += 1,
            Token::RParen => depth -= 1,
            Token::Word(_) if depth == 0 && !tokens.is_empty() => {
                let joined =
                    matches!(tokens.last(), Some(TokenWithSpan { token: Token::Period, .. }));
                if !joined {
                    break;
                }
            }
            _ => {}
        }
        tokens.push(p.next_token());
    }
    let span = tokens.first().map_or_else(sqlparser::tokenizer::Span::empty, |t| t.span);
    let word = |w: &str| TokenWithSpan { token: Token::make_word(w, None), span };
    tokens.splice(0..0, [word("DROP"), word("FUNCTION")]);
    let mut p = inner(tokens);
    match p.parse_statement()? {
        ast::Statement::DropFunction(mut d) if d.func_desc.len() == 1 => Ok(d.func_desc.remove(0)),
        _ => p.expected("a function", p.peek_token()),
    }
}

/// `DROP DOMAIN`, of which sqlparser reads but one name.
pub(super) fn parse_drop_domain(p: &mut Parser) -> Result<Statement, ParserError> {
    p.expect_keywords(&[K::DROP, K::DOMAIN])?;
    let if_exists = p.parse_keywords(&[K::IF, K::EXISTS]);
    let names = p.parse_comma_separated(|p| p.parse_object_name(false))?;
    let cascade = take_word(p, "cascade");
    let _ = !cascade && take_word(p, "restrict");
    Ok(Statement::DropDomain { names, if_exists, cascade })
}

/// `DROP ROUTINE`, whose words are read: it goes on as DROP FUNCTION does.
pub(super) fn drop_routine(p: &mut Parser) -> Result<Statement, ParserError> {
    let span = p.peek_token_ref().span;
    let word = |w: &str| TokenWithSpan { token: Token::make_word(w, None), span };
    let mut tokens = vec![word("DROP"), word("FUNCTION")];
    while p.peek_token_ref().token != Token::EOF {
        tokens.push(p.next_token());
    }
    let mut p = inner(tokens);
    let ast::Statement::DropFunction(drop) = p.parse_statement()? else {
        return p.expected("a routine", p.peek_token());
    };
    end(&mut p)?;
    Ok(Statement::DropRoutine(drop))
}

/// Whether `ALTER TYPE name` goes on with something every object can be told.
pub(super) fn is_object_action(p: &Parser) -> bool {
    (0..8).any(|i| {
        let is = |n: usize, w: &str| {
            matches!(&p.peek_nth_token_ref(n).token,
                Token::Word(t) if t.quote_style.is_none() && t.value.eq_ignore_ascii_case(w))
        };
        (is(i, "owner") && is(i + 1, "to")) || (is(i, "set") && is(i + 1, "schema"))
    })
}
