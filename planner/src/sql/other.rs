//! `DO`, `CREATE [UNLOGGED] TABLE`, `VACUUM`, `REINDEX` and other small statements.

use sqlparser::ast;
use sqlparser::keywords::Keyword as K;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::ast::{AlterSequence, Statement, Vacuum};
use super::index::fold;

/// Whether the next token is this word, in any case.
pub(super) fn is_word(p: &Parser, word: &str) -> bool {
    matches!(&p.peek_token_ref().token,
        Token::Word(w) if w.quote_style.is_none() && w.value.eq_ignore_ascii_case(word))
}

/// Takes the next token if it is this word.
pub(super) fn take_word(p: &mut Parser, word: &str) -> bool {
    let found = is_word(p, word);
    if found {
        p.next_token();
    }
    found
}

/// Where the text of the string that comes next begins in the query string: behind `'`, or `$tag$`;
/// unknown where it has escapes.
pub(super) fn body_place(p: &Parser) -> Option<usize> {
    let next = p.peek_token_ref();
    let Token::SingleQuotedString(text) = &next.token else { return None };
    let (start, end) = (next.span.start.column, next.span.end.column);
    let around = (end - start).checked_sub(text.chars().count() as u64)?;
    // The quotes of `'it''s'` are written twice; `$$` is four characters, too.
    let doubled = around > 4 && around == text.matches('\'').count() as u64 + 2;
    let plain = around >= 2 && around.is_multiple_of(2) && !doubled;
    usize::try_from(start - 1 + around / 2).ok().filter(|_| plain)
}

pub(super) fn parse_do(p: &mut Parser) -> Result<Statement, ParserError> {
    p.expect_keyword(K::DO)?;
    let mut language = None;
    let (mut body, mut body_at) = (None, None);
    loop {
        if p.parse_keyword(K::LANGUAGE) {
            language = Some(match p.peek_token().token {
                Token::SingleQuotedString(_) => p.parse_literal_string()?.to_lowercase(),
                _ => fold(&p.parse_identifier()?),
            });
        } else if matches!(p.peek_token_ref().token, Token::SingleQuotedString(_)) {
            body_at = body_place(p);
            body = Some(p.parse_literal_string()?);
        } else {
            break;
        }
    }
    let Some(body) = body else {
        return p.expected_ref("a block", p.peek_token_ref());
    };
    Ok(Statement::Do { language: language.unwrap_or_else(|| "plpgsql".to_owned()), body, body_at })
}

/// `CREATE [TEMP | UNLOGGED] TABLE ...`: UNLOGGED and WITH [NO] DATA are ours, the rest sqlparser's.
pub(super) fn parse_create_table(p: &mut Parser) -> Result<Statement, ParserError> {
    let mut tokens = rest(p);
    let unlogged = tokens.get(1).is_some_and(|t| word_is(t, "unlogged"));
    if unlogged {
        tokens.remove(1);
    }
    let no_data = take_data(&mut tokens);
    let partition_by = super::partition::take(&mut tokens)?;
    let columns = take_columns(&mut tokens);
    super::partition::fill_types(&mut tokens);
    super::constraint::mark(&mut tokens);
    let likes = super::like::take(&mut tokens)?;
    super::identity::order_options(&mut tokens);
    let mut inner = Parser::new(&super::dialect::VicinityDialect)
        .with_recursion_limit(super::depth::NESTING * 4)
        .with_tokens_with_locations(tokens);
    let statement = inner.parse_statement()?;
    let next = inner.peek_token();
    if next.token != Token::EOF {
        return inner.expected("end of statement", next);
    }
    match statement {
        ast::Statement::CreateTable(mut table) => {
            table.columns.extend(columns.into_iter().map(|name| ast::ColumnDef {
                name,
                data_type: ast::DataType::Unspecified,
                options: Vec::new(),
            }));
            let table = Box::new(table);
            let select_into = false;
            Ok(Statement::CreateTable {
                table,
                unlogged,
                no_data,
                likes,
                partition_by,
                select_into,
            })
        }
        other => Ok(Statement::Sql(Box::new(other))),
    }
}

/// Takes the names out of `CREATE TABLE t (a, b) AS`: sqlparser wants columns with types there.
fn take_columns(tokens: &mut Vec<TokenWithSpan>) -> Vec<ast::Ident> {
    let Some(open) = tokens.iter().position(|t| t.token == Token::LParen) else {
        return Vec::new();
    };
    let list = tokens.get(open + 1..).unwrap_or_default();
    let Some(len) = list.iter().position(|t| t.token == Token::RParen) else { return Vec::new() };
    let mut depth = 0;
    let is_query = list.iter().skip(len).any(|t| {
        match t.token {
            Token::LParen => depth += 1,
            Token::RParen => depth -= 1,
            _ => {}
        }
        depth == -1 && word_is(t, "as")
    });
    let before = open.checked_sub(1).and_then(|at| tokens.get(at));
    if !is_query || before.is_some_and(|t| word_is(t, "with") || word_is(t, "as")) {
        return Vec::new();
    }
    let mut names = Vec::new();
    for (at, t) in list.iter().take(len).enumerate() {
        match &t.token {
            Token::Word(w) if at % 2 == 0 => names.push(w.clone().into_ident(t.span)),
            Token::Comma if at % 2 == 1 => {}
            _ => return Vec::new(),
        }
    }
    tokens.drain(open..open + len + 2);
    names
}

/// `CREATE SCHEMA`, with what is to be made in it.
pub(super) fn parse_create_schema(p: &mut Parser) -> Result<Statement, ParserError> {
    let mut parts: Vec<Vec<TokenWithSpan>> = vec![Vec::new()];
    for (at, token) in rest(p).into_iter().enumerate() {
        let before = parts.last().map_or(&[][..], |last| last);
        let begins = at > 0 && (word_is(&token, "create") || word_is(&token, "grant"));
        // `WITH GRANT OPTION`, `GRANT CREATE, USAGE`
        let within = before
            .last()
            .is_some_and(|t| t.token == Token::Comma || word_is(t, "with") || word_is(t, "grant"));
        if begins && !within && depth_of(before) == 0 {
            parts.push(Vec::new());
        }
        if let Some(last) = parts.last_mut() {
            last.push(token);
        }
    }
    let mut parts = parts.into_iter().map(|tokens| {
        Parser::new(&super::dialect::VicinityDialect)
            .with_recursion_limit(super::depth::NESTING * 4)
            .with_tokens_with_locations(tokens)
    });
    let Some(mut head) = parts.next() else { return super::sql(p) };
    let schema = head.parse_statement()?;
    let next = head.peek_token();
    if next.token != Token::EOF {
        return head.expected("end of statement", next);
    }
    let mut elements = Vec::new();
    for mut inner in parts {
        elements.push(super::statement(&mut inner)?);
        let next = inner.peek_token();
        if next.token != Token::EOF {
            return inner.expected("end of statement", next);
        }
    }
    if elements.is_empty() {
        return Ok(Statement::Sql(Box::new(schema)));
    }
    Ok(Statement::CreateSchema { schema: Box::new(schema), elements })
}

/// How many parentheses are open at the end.
fn depth_of(tokens: &[TokenWithSpan]) -> i32 {
    tokens.iter().fold(0, |depth, t| match t.token {
        Token::LParen => depth + 1,
        Token::RParen => depth - 1,
        _ => depth,
    })
}

/// Takes `WITH [NO] DATA` off the end; whether there is to be none.
fn take_data(tokens: &mut Vec<TokenWithSpan>) -> bool {
    let tail = |n: usize| tokens.len().checked_sub(n).and_then(|i| tokens.get(i));
    let data = tail(1).is_some_and(|t| word_is(t, "data"));
    let no_data = data
        && tail(2).is_some_and(|t| word_is(t, "no"))
        && tail(3).is_some_and(|t| word_is(t, "with"));
    let with_data = data && tail(2).is_some_and(|t| word_is(t, "with"));
    let cut = if no_data {
        3
    } else if with_data {
        2
    } else {
        0
    };
    tokens.truncate(tokens.len() - cut);
    no_data
}

/// `CREATE MATERIALIZED VIEW`: WITH [NO] DATA is ours.
pub(super) fn parse_create_materialized(p: &mut Parser) -> Result<Statement, ParserError> {
    let mut tokens = rest(p);
    let no_data = take_data(&mut tokens);
    let mut inner = Parser::new(&super::dialect::VicinityDialect)
        .with_recursion_limit(super::depth::NESTING * 4)
        .with_tokens_with_locations(tokens);
    let statement = inner.parse_statement()?;
    let next = inner.peek_token();
    match statement {
        ast::Statement::CreateView(view) if next.token == Token::EOF => {
            Ok(Statement::CreateMaterializedView { view: Box::new(view), no_data })
        }
        _ => inner.expected("end of statement", next),
    }
}

/// Takes everything that is left.
pub(super) fn rest(p: &mut Parser) -> Vec<TokenWithSpan> {
    let mut tokens = Vec::new();
    loop {
        let token = p.next_token();
        if token.token == Token::EOF {
            return tokens;
        }
        tokens.push(token);
    }
}

pub(super) fn word_is(token: &TokenWithSpan, word: &str) -> bool {
    matches!(&token.token, Token::Word(w) if w.value.eq_ignore_ascii_case(word))
}

pub(super) fn parse_vacuum(p: &mut Parser) -> Result<Statement, ParserError> {
    let mut v = Vacuum::default();
    if p.parse_keyword(K::ANALYZE) {
        v.analyze = true;
    } else {
        p.expect_keyword(K::VACUUM)?;
        v.vacuum = true;
    }
    if p.consume_token(&Token::LParen) {
        let options = p.parse_comma_separated(|p| {
            let name = fold(&p.parse_identifier()?);
            let value = match p.peek_token().token {
                Token::Comma | Token::RParen => "true".to_owned(),
                Token::Word(w) => w.value.to_lowercase(),
                Token::Number(n, _) => n,
                _ => return p.expected_ref("an option's value", p.peek_token_ref()),
            };
            if !matches!(p.peek_token_ref().token, Token::Comma | Token::RParen) {
                p.next_token();
            }
            Ok((name, value))
        })?;
        p.expect_token(&Token::RParen)?;
        for (name, value) in options {
            let on = matches!(value.as_str(), "true" | "on" | "1");
            match name.as_str() {
                "full" => v.full = on,
                "freeze" => v.freeze = on,
                "verbose" => v.verbose = on,
                "analyze" => v.analyze = on,
                _ => v.options.push((name, value)),
            }
        }
    } else {
        v.full = p.parse_keyword(K::FULL);
        v.freeze = p.parse_keyword(K::FREEZE);
        v.verbose = p.parse_keyword(K::VERBOSE);
        v.analyze |= p.parse_keyword(K::ANALYZE);
    }
    if p.peek_token_ref().token != Token::EOF {
        v.tables = p.parse_comma_separated(|p| {
            let name = p.parse_object_name(false)?;
            let mut columns = Vec::new();
            if p.consume_token(&Token::LParen) {
                columns = p.parse_comma_separated(|p| p.parse_identifier())?;
                p.expect_token(&Token::RParen)?;
            }
            Ok((name, columns))
        })?;
    }
    Ok(Statement::Vacuum(v))
}

pub(super) fn parse_reindex(p: &mut Parser) -> Result<Statement, ParserError> {
    p.expect_keyword(K::REINDEX)?;
    if p.peek_token_ref().token == Token::LParen {
        super::index::options(p)?;
    }
    let kind = fold(&p.parse_identifier()?).to_uppercase();
    let concurrently = p.parse_keyword(K::CONCURRENTLY);
    let named = p.peek_token_ref().token != Token::EOF;
    let name = if named { Some(p.parse_object_name(false)?) } else { None };
    Ok(Statement::Reindex { kind, name, concurrently })
}

fn parse_set_constraints(p: &mut Parser) -> Result<Statement, ParserError> {
    p.expect_keyword(K::SET)?;
    p.next_token();
    let names = if p.parse_keyword(K::ALL) {
        None
    } else {
        Some(p.parse_comma_separated(|p| p.parse_object_name(false))?)
    };
    let deferred = take_word(p, "deferred");
    if !deferred && !take_word(p, "immediate") {
        return p.expected_ref("DEFERRED or IMMEDIATE", p.peek_token_ref());
    }
    Ok(Statement::SetConstraints { names, deferred })
}

pub(super) fn parse_alter_sequence(p: &mut Parser) -> Result<Statement, ParserError> {
    p.expect_keyword(K::ALTER)?;
    p.expect_keyword(K::SEQUENCE)?;
    let if_exists = p.parse_keywords(&[K::IF, K::EXISTS]);
    let name = p.parse_object_name(false)?;
    let mut a = AlterSequence {
        if_exists,
        name,
        ty: None,
        options: Vec::new(),
        owned_by: None,
        restart: None,
        rename_to: None,
        owner_to: None,
        set_schema: None,
    };
    while p.peek_token_ref().token != Token::EOF {
        if p.parse_keyword(K::AS) {
            a.ty = Some(p.parse_data_type()?);
        } else if take_word(p, "rename") {
            p.expect_keyword(K::TO)?;
            a.rename_to = Some(p.parse_identifier()?);
        } else if p.parse_keywords(&[K::OWNER, K::TO]) {
            a.owner_to = Some(p.parse_identifier()?);
        } else if p.parse_keywords(&[K::SET, K::SCHEMA]) {
            a.set_schema = Some(p.parse_identifier()?);
        } else if p.parse_keywords(&[K::OWNED, K::BY]) {
            a.owned_by = Some(p.parse_object_name(false)?);
        } else if p.parse_keyword(K::RESTART) {
            let _ = p.parse_keyword(K::WITH);
            a.restart = Some(signed(p)?);
        } else {
            a.options.push(sequence_option(p)?);
        }
    }
    Ok(Statement::AlterSequence(a))
}

/// `CREATE SEQUENCE`, its options in any order.
pub(super) fn parse_create_sequence(p: &mut Parser) -> Result<Statement, ParserError> {
    p.expect_keyword(K::CREATE)?;
    let temporary = p.parse_one_of_keywords(&[K::TEMP, K::TEMPORARY]).is_some();
    p.expect_keyword(K::SEQUENCE)?;
    let if_not_exists = p.parse_keywords(&[K::IF, K::NOT, K::EXISTS]);
    let name = p.parse_object_name(false)?;
    let (mut data_type, mut owned_by) = (None, None);
    let mut sequence_options = Vec::new();
    while p.peek_token_ref().token != Token::EOF {
        if p.parse_keyword(K::AS) {
            data_type = Some(p.parse_data_type()?);
        } else if p.parse_keywords(&[K::OWNED, K::BY]) {
            owned_by = Some(p.parse_object_name(false)?);
        } else {
            sequence_options.push(sequence_option(p)?);
        }
    }
    Ok(Statement::Sql(Box::new(ast::Statement::CreateSequence {
        temporary,
        if_not_exists,
        name,
        data_type,
        sequence_options,
        owned_by,
    })))
}

/// A number with its sign, if one is next.
pub(super) fn signed(p: &mut Parser) -> Result<Option<i64>, ParserError> {
    let minus = p.consume_token(&Token::Minus);
    let Token::Number(text, _) = p.peek_token().token else {
        return if minus { p.expected_ref("a number", p.peek_token_ref()) } else { Ok(None) };
    };
    let text = if minus { format!("-{text}") } else { text };
    match text.parse() {
        Ok(value) => {
            p.next_token();
            Ok(Some(value))
        }
        Err(_) => p.expected_ref("a bigint", p.peek_token_ref()),
    }
}

pub(super) fn sequence_option(p: &mut Parser) -> Result<ast::SequenceOptions, ParserError> {
    use ast::SequenceOptions as S;
    if p.parse_keyword(K::INCREMENT) {
        let by = p.parse_keyword(K::BY);
        return Ok(S::IncrementBy(p.parse_expr()?, by));
    }
    if p.parse_keyword(K::MINVALUE) {
        return Ok(S::MinValue(Some(p.parse_expr()?)));
    }
    if p.parse_keyword(K::MAXVALUE) {
        return Ok(S::MaxValue(Some(p.parse_expr()?)));
    }
    if p.parse_keyword(K::START) {
        let with = p.parse_keyword(K::WITH);
        return Ok(S::StartWith(p.parse_expr()?, with));
    }
    if p.parse_keyword(K::CACHE) {
        return Ok(S::Cache(p.parse_expr()?));
    }
    if p.parse_keyword(K::CYCLE) {
        return Ok(S::Cycle(false));
    }
    p.expect_keyword(K::NO)?;
    match p.expect_one_of_keywords(&[K::MINVALUE, K::MAXVALUE, K::CYCLE])? {
        K::MINVALUE => Ok(S::MinValue(None)),
        K::MAXVALUE => Ok(S::MaxValue(None)),
        _ => Ok(S::Cycle(true)),
    }
}

/// Statements whose first word is no keyword of sqlparser's; all others are sqlparser's.
pub(super) fn by_spelling(p: &mut Parser) -> Result<Statement, ParserError> {
    if take_word(p, "checkpoint") {
        return Ok(Statement::Checkpoint);
    }
    if is_word(p, "refresh") {
        p.next_token();
        p.expect_keywords(&[K::MATERIALIZED, K::VIEW])?;
        let concurrently = p.parse_keyword(K::CONCURRENTLY);
        let name = p.parse_object_name(false)?;
        let no_data = p.parse_keywords(&[K::WITH, K::NO, K::DATA]);
        let _ = !no_data && p.parse_keywords(&[K::WITH, K::DATA]);
        return Ok(Statement::Refresh { name, no_data, concurrently });
    }
    if take_word(p, "abort") {
        for word in ["work", "transaction"] {
            take_word(p, word);
        }
        return Ok(Statement::Sql(Box::new(ast::Statement::Rollback {
            chain: false,
            savepoint: None,
        })));
    }
    let constraints = matches!(&p.peek_nth_token_ref(1).token,
        Token::Word(w) if w.value.eq_ignore_ascii_case("constraints"));
    if is_word(p, "set") && constraints {
        return parse_set_constraints(p);
    }
    if is_word(p, "move") {
        return super::cursor::parse_fetch(p, true);
    }
    super::sql(p)
}
