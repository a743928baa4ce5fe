//! `CREATE FUNCTION` and `CREATE PROCEDURE`.

use sqlparser::ast::{DataType, Ident};
use sqlparser::keywords::Keyword as K;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::Token;

use super::ast::{ArgMode, CreateFunction, FunctionArg, ObjectAction, Returns, Statement};
use super::index::fold;
use super::other::{body_place, take_word};

pub(super) fn parse(p: &mut Parser) -> Result<Statement, ParserError> {
    p.expect_keyword(K::CREATE)?;
    let or_replace = p.parse_keywords(&[K::OR, K::REPLACE]);
    let procedure = p.expect_one_of_keywords(&[K::FUNCTION, K::PROCEDURE])? == K::PROCEDURE;
    let mut f = CreateFunction { or_replace, procedure, ..CreateFunction::default() };
    f.name = Some(p.parse_object_name(false)?);
    p.expect_token(&Token::LParen)?;
    if !p.consume_token(&Token::RParen) {
        f.args = p.parse_comma_separated(argument)?;
        p.expect_token(&Token::RParen)?;
    }
    if p.parse_keyword(K::RETURNS) {
        f.returns = Some(returns(p)?);
    }
    while clause(p, &mut f)? {}
    Ok(Statement::CreateFunction(Box::new(f)))
}

fn mode(p: &mut Parser) -> Result<Option<ArgMode>, ParserError> {
    Ok(Some(if p.parse_keyword(K::IN) {
        if p.parse_keyword(K::OUT) { ArgMode::InOut } else { ArgMode::In }
    } else if p.parse_keyword(K::OUT) {
        ArgMode::Out
    } else if p.parse_keyword(K::INOUT) {
        ArgMode::InOut
    } else if take_word(p, "variadic") {
        ArgMode::Variadic
    } else {
        return Ok(None);
    }))
}

fn argument(p: &mut Parser) -> Result<FunctionArg, ParserError> {
    let first = mode(p)?;
    let (name, second, ty) = name_and_type(p)?;
    let mode = first.or(second).unwrap_or(ArgMode::In);
    let default = if p.parse_keyword(K::DEFAULT) || p.consume_token(&Token::Eq) {
        Some(p.parse_expr()?)
    } else {
        None
    };
    Ok(FunctionArg { mode, name, ty, default })
}

/// `[name [mode]] type`: a name is there if a whole type still fits after it.
fn name_and_type(
    p: &mut Parser,
) -> Result<(Option<Ident>, Option<ArgMode>, DataType), ParserError> {
    let named = p.maybe_parse(|p| {
        let name = p.parse_identifier()?;
        let mode = mode(p)?;
        let ty = p.parse_data_type()?;
        match p.peek_token_ref().token {
            Token::Comma | Token::RParen | Token::Eq => Ok((name, mode, ty)),
            Token::Word(ref w) if w.keyword == K::DEFAULT => Ok((name, mode, ty)),
            _ => p.expected_ref("end of the argument", p.peek_token_ref()),
        }
    })?;
    match named {
        // `double precision`, `character varying` are types of two words, not a name and a type
        Some((name, mode, ty)) if mode.is_some() || !is_type_word(&name) => {
            Ok((Some(name), mode, ty))
        }
        Some((name, _, ty)) => Ok(two_word_type(name, ty)),
        None => Ok((None, None, p.parse_data_type()?)),
    }
}

fn is_type_word(name: &Ident) -> bool {
    name.quote_style.is_none()
        && ["double", "character", "char", "national", "bit", "timestamp", "time", "interval"]
            .contains(&name.value.to_lowercase().as_str())
}

fn two_word_type(name: Ident, ty: DataType) -> (Option<Ident>, Option<ArgMode>, DataType) {
    let text = format!("{} {ty}", name.value);
    match super::parse_type(&text) {
        Ok(whole) => (None, None, whole),
        Err(_) => (Some(name), None, ty),
    }
}

fn returns(p: &mut Parser) -> Result<Returns, ParserError> {
    if p.parse_keyword(K::TABLE) {
        p.expect_token(&Token::LParen)?;
        let columns =
            p.parse_comma_separated(|p| Ok((p.parse_identifier()?, p.parse_data_type()?)))?;
        p.expect_token(&Token::RParen)?;
        return Ok(Returns::Table(columns));
    }
    let set = take_word(p, "setof");
    Ok(Returns::Type { ty: p.parse_data_type()?, set })
}

/// One clause after the signature; false at the end.
fn clause(p: &mut Parser, f: &mut CreateFunction) -> Result<bool, ParserError> {
    let next = p.peek_token();
    let Token::Word(word) = &next.token else {
        return if next.token == Token::EOF { Ok(false) } else { p.expected("a clause", next) };
    };
    let word = word.value.to_lowercase();
    p.next_token();
    match word.as_str() {
        "language" => f.language = Some(name_or_string(p)?),
        "as" => {
            f.body_at = body_place(p);
            f.body = Some(p.parse_literal_string()?);
            if p.consume_token(&Token::Comma) {
                f.symbol = Some(p.parse_literal_string()?);
            }
        }
        "return" => f.return_expr = Some(p.parse_expr()?),
        "immutable" => f.volatility = Some('i'),
        "stable" => f.volatility = Some('s'),
        "volatile" => f.volatility = Some('v'),
        "strict" => f.strict = Some(true),
        "called" => {
            expect_words(p, &["on", "null", "input"])?;
            f.strict = Some(false);
        }
        "returns" => {
            expect_words(p, &["null", "on", "null", "input"])?;
            f.strict = Some(true);
        }
        "leakproof" => f.leakproof = Some(true),
        "not" => {
            expect_words(p, &["leakproof"])?;
            f.leakproof = Some(false);
        }
        "external" | "security" => {
            if word == "external" {
                expect_words(p, &["security"])?;
            }
            let definer = take_word(p, "definer");
            if !definer {
                expect_words(p, &["invoker"])?;
            }
            f.security_definer = Some(definer);
        }
        "window" => f.window = true,
        "parallel" => {
            let level = name_or_string(p)?;
            f.parallel = level.chars().next();
        }
        "cost" => f.cost = Some(p.parse_number_value()?.to_string()),
        "rows" => f.rows = Some(p.parse_number_value()?.to_string()),
        "support" => {
            p.parse_object_name(false)?;
        }
        "set" => f.config.push(setting(p)?),
        _ => return p.expected("a clause", next),
    }
    Ok(true)
}

/// `ALTER FUNCTION ... IMMUTABLE SET name = value RESET name`
pub(super) fn options(p: &mut Parser) -> Result<ObjectAction, ParserError> {
    let mut clauses = Box::new(CreateFunction::default());
    let mut reset = Vec::new();
    loop {
        let next = p.peek_token();
        if take_word(p, "reset") {
            let all = p.parse_keyword(K::ALL);
            reset.push(if all { None } else { Some(p.parse_object_name(false)?.to_string()) });
            continue;
        }
        if take_word(p, "restrict") || !clause(p, &mut clauses)? {
            break;
        }
        let made = &clauses;
        if made.language.is_some()
            || made.body.is_some()
            || made.return_expr.is_some()
            || made.window
        {
            return p.expected("a clause of ALTER FUNCTION", next);
        }
    }
    Ok(ObjectAction::Options { clauses, reset })
}

fn setting(p: &mut Parser) -> Result<(String, String), ParserError> {
    let name = p.parse_object_name(false)?.to_string();
    if take_word(p, "from") {
        expect_words(p, &["current"])?;
        return Ok((name, String::new()));
    }
    if !p.consume_token(&Token::Eq) {
        expect_words(p, &["to"])?;
    }
    let values = p.parse_comma_separated(|p| {
        let token = p.next_token();
        match token.token {
            Token::Word(w) => Ok(w.value),
            Token::SingleQuotedString(s) => Ok(s),
            Token::Number(n, _) => Ok(n),
            _ => p.expected("a value", token),
        }
    })?;
    Ok((name, values.join(", ")))
}

fn name_or_string(p: &mut Parser) -> Result<String, ParserError> {
    if let Token::SingleQuotedString(text) = p.peek_token().token {
        p.next_token();
        return Ok(text.to_lowercase());
    }
    Ok(fold(&p.parse_identifier()?))
}

pub(super) fn expect_words(p: &mut Parser, words: &[&str]) -> Result<(), ParserError> {
    for word in words {
        if !take_word(p, word) {
            return p.expected_ref(word, p.peek_token_ref());
        }
    }
    Ok(())
}
