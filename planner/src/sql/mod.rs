//! SQL text to statements: PostgreSQL's lexer, sqlparser's grammar with PostgreSQL's dialect, and
//! the statements sqlparser lacks.

mod alter;
mod ast;
mod attribute;
mod call;
pub(crate) mod carried;
mod comment;
pub(crate) mod constraint;
mod copy;
mod cursor;
mod depth;
mod descendants;
mod dialect;
mod escaped;
mod explain;
mod fetch;
pub(crate) mod from;
mod function;
mod grant;
mod grouping;
mod identity;
mod index;
mod items;
mod lift;
mod like;
pub(crate) mod locks;
mod merge;
mod other;
pub(crate) mod part;
pub(crate) mod partition;
mod reserved;
mod role;
mod select_into;
pub(crate) mod star;
#[cfg(test)]
mod tests;
pub(crate) mod tokens;
mod transaction;
mod trigger;
mod unsupported;
mod view;
pub(crate) mod window;
mod words;

use std::sync::Arc;

use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Token, TokenWithSpan};
use vicinity_types::{Notice, PgError, Result, SqlState};

pub(crate) use self::tokens::LONGEST_NAME;

pub use ast::{
    AlterAction, AlterAttributes, AlterDomain, AlterKind, AlterObject, AlterRelation,
    AlterSequence, ArgMode, AttributeAction, ColumnAction, CreateDomain, CreateFunction,
    CreateIndex, CreateTrigger, DetachKind, DomainAction, FunctionArg, IndexKey, Like,
    ObjectAction, PartitionBy, Returns, Statement, TriggerEvent, TriggerTiming, Vacuum,
};
pub(crate) use carried::{is_mark, is_no_item, is_only};
pub use comment::CommentOn;

pub use copy::{Copy, CopyEnd, CopyOption, CopySubject, CopyValue};
pub use cursor::{ALL, Declare, Direction, Fetch};
use depth::NESTING;
pub(crate) use depth::too_deep;
pub use dialect::CURRENT_OF;
pub use grant::{Grant, GrantOn};
pub(crate) use lift::{Constant, Lifted};
pub use transaction::{Control, Modes};

pub use role::{
    AlterDatabase, AlterRole, CreateRole, DefaultPrivileges, RoleOption, SettingChange,
};

/// One statement of a query string.
#[derive(Clone, Debug)]
pub struct Parsed {
    /// What it says. Its spans are `line` 1, `column` = one-based character position in the whole
    /// query string, the number an error's position field has.
    pub stmt: Arc<Statement>,
    /// Its own text, without the semicolon and surrounding space.
    pub text: String,
    /// Zero-based character position of `text` in the whole query string.
    pub offset: usize,
    /// What reading the query string has to say; the first statement has it.
    pub notices: Vec<Notice>,
    /// The same without its constants; `None` if it has none, or needs them.
    pub(crate) lifted: Option<Arc<Lifted>>,
    /// `stmt` is what `lifted` says: its text was known.
    pub(crate) known: bool,
}

/// A statement's text, where errors look for words no syntax tree has a place for.
#[derive(Debug)]
pub struct Source {
    chars: Vec<char>,
    offset: usize,
}

impl Source {
    /// The text between two zero-based positions of the whole query string.
    pub(crate) fn between(&self, from: usize, to: usize) -> Option<&[char]> {
        self.chars.get(from.checked_sub(self.offset)?..to.checked_sub(self.offset)?)
    }
}

impl Parsed {
    /// Its text as it stood in the query string.
    pub fn source(&self) -> Source {
        Source { chars: self.text.chars().collect(), offset: self.offset }
    }
}

/// Reads a query string: any number of statements, the empty ones left out.
pub fn parse(sql: &str) -> Result<Vec<Parsed>> {
    parse_knowing(sql, &mut |_, _, _| None)
}

/// Tells the statement of a text at an offset, or of the same without its constants: which, and whether it is the
/// latter.
pub(crate) type Known<'a> =
    dyn FnMut(&str, usize, Option<&Lifted>) -> Option<(Arc<Statement>, bool)> + 'a;

/// The same where statements may be `known`: those are not parsed.
pub(crate) fn parse_knowing(sql: &str, known: &mut Known<'_>) -> Result<Vec<Parsed>> {
    let (tokens, mut notices) = tokens::tokenize_noting(sql)?;
    let mut out = Vec::new();
    for (statement, semicolon) in split(tokens) {
        depth::check(&statement)?;
        let (Some(first), Some(last)) = (statement.first(), statement.last()) else { continue };
        let offset = position(first).saturating_sub(1);
        let end = usize::try_from(last.span.end.column).unwrap_or(1).saturating_sub(1);
        let text: String = sql.chars().skip(offset).take(end.saturating_sub(offset)).collect();
        let lifted = lift::lift(&text, offset, &statement).map(Arc::new);
        if let Some((stmt, known)) = known(&text, offset, lifted.as_deref()) {
            let notices = std::mem::take(&mut notices);
            out.push(Parsed { stmt, text, offset, lifted, known, notices });
            continue;
        }
        let parsed = unsupported::check(&statement)
            .and_then(|()| check_colons(&statement))
            .and_then(|()| reserved::check(&statement))
            .and_then(|()| constraint::check(&statement))
            .and_then(|()| parse_tokens(rewrite(statement)));
        let mut stmt = parsed.map(select_into::rewrite).map_err(|e| match semicolon {
            // the grammar wanted more: PostgreSQL's met the semicolon instead
            Some(at) if e.message() == AT_END => tokens::syntax_error(";", at),
            _ => e,
        })?;
        if let Statement::Declare(declare) = &mut stmt {
            // `pg_cursors` shows the string it came in.
            declare.text = sql.to_owned();
        }
        let notices = std::mem::take(&mut notices);
        let stmt = Arc::new(stmt);
        out.push(Parsed { stmt, text, offset, lifted, known: false, notices });
    }
    Ok(out)
}

/// Reads one expression, as stored for defaults, checks and the like.
pub fn parse_expression(sql: &str) -> Result<sqlparser::ast::Expr> {
    let tokens = tokens::tokenize(sql)?;
    depth::check(&tokens)?;
    run(tokens, |parser| parser.parse_expr())
}

/// Reads a type name as written in SQL (`numeric(10,2)[]`).
pub fn parse_type(sql: &str) -> Result<sqlparser::ast::DataType> {
    run(tokens::tokenize(sql)?, |parser| parser.parse_data_type())
}

/// One-based position of a token.
fn position(token: &TokenWithSpan) -> usize {
    usize::try_from(token.span.start.column).unwrap_or(1)
}

/// A statement's tokens, and where the semicolon after them stands (zero-based).
type Cut = (Vec<TokenWithSpan>, Option<usize>);

/// Cuts at semicolons outside parentheses and `BEGIN ATOMIC` bodies.
fn split(tokens: Vec<TokenWithSpan>) -> Vec<Cut> {
    let mut out: Vec<Cut> = vec![(Vec::new(), None)];
    let mut depth = 0i32;
    for token in tokens {
        match token.token {
            Token::LParen => depth += 1,
            Token::RParen => depth -= 1,
            _ => {}
        }
        if token.token == Token::SemiColon && depth <= 0 {
            if let Some((_, semicolon)) = out.last_mut() {
                *semicolon = Some(position(&token).saturating_sub(1));
            }
            out.push((Vec::new(), None));
        } else if let Some((last, _)) = out.last_mut() {
            last.push(token);
        }
    }
    out
}

/// A colon stands between the bounds of a slice and nowhere else; sqlparser would take it for a parameter's.
fn check_colons(statement: &[TokenWithSpan]) -> Result<()> {
    let mut depth = 0usize;
    for token in statement {
        match token.token {
            Token::LBracket => depth += 1,
            Token::RBracket => depth = depth.saturating_sub(1),
            Token::Colon if depth == 0 => {
                return Err(tokens::syntax_error(":", position(token).saturating_sub(1)));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Puts what sqlparser's grammar lacks into words it knows.
fn rewrite(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let tokens = fetch::rewrite(tokens);
    let tokens = descendants::rewrite(merge::rewrite(part::rewrite(tokens)));
    carried::rewrite(from::rewrite(locks::rewrite(star::rewrite(words::rewrite(tokens)))))
}

fn parse_tokens(tokens: Vec<TokenWithSpan>) -> Result<Statement> {
    run(tokens, statement)
}

/// Runs a grammar rule over all of the tokens.
fn run<T>(
    tokens: Vec<TokenWithSpan>,
    rule: impl FnOnce(&mut Parser) -> Result<T, ParserError>,
) -> Result<T> {
    let mut parser = Parser::new(&dialect::VicinityDialect)
        .with_recursion_limit(NESTING * 4)
        .with_tokens_with_locations(window::mark_excludes(tokens));
    match rule(&mut parser) {
        Ok(value) => {
            let next = parser.peek_token();
            if next.token == Token::EOF { Ok(value) } else { Err(near(&next, &[])) }
        }
        Err(error) => Err(convert(error, parser)),
    }
}

fn statement(parser: &mut Parser) -> Result<Statement, ParserError> {
    use Keyword as K;
    if let Some(found) = of_roles(parser) {
        return found;
    }
    let word = |n: usize, parser: &Parser| match &parser.peek_nth_token_ref(n).token {
        Token::Word(w) => Some(w.keyword),
        _ => None,
    };
    if let Some(K::BEGIN | K::START | K::SET | K::PREPARE | K::COMMIT | K::ROLLBACK) =
        word(0, parser)
        && let Some(found) = transaction::parse(parser)
    {
        return found;
    }
    match (word(0, parser), word(1, parser)) {
        (Some(K::DO), _) => other::parse_do(parser),
        (Some(K::GRANT | K::REVOKE), _) => grant::parse(parser),
        (Some(K::EXPLAIN), _) => explain::parse(parser),
        (Some(K::COPY), _) => copy::parse(parser),
        (Some(K::DECLARE), _) => cursor::parse_declare(parser),
        (Some(K::FETCH), _) => cursor::parse_fetch(parser, false),
        (Some(K::CLOSE), _) => cursor::parse_close(parser),
        (Some(K::CREATE), Some(second)) => match (second, word(2, parser), word(3, parser)) {
            (K::UNLOGGED, _, _)
            | (K::TABLE, _, _)
            | (K::TEMP | K::TEMPORARY, Some(K::TABLE), _)
            | (K::GLOBAL | K::LOCAL, Some(K::TEMP | K::TEMPORARY), _) => {
                other::parse_create_table(parser)
            }
            (K::SEQUENCE, _, _) | (K::TEMP | K::TEMPORARY, Some(K::SEQUENCE), _) => {
                other::parse_create_sequence(parser)
            }
            (K::DOMAIN, _, _) => alter::parse_create_domain(parser),
            (K::MATERIALIZED, Some(K::VIEW), _) => other::parse_create_materialized(parser),
            (K::SCHEMA, _, _) => other::parse_create_schema(parser),
            _ if view::begins(parser) => view::parse(parser),
            (K::INDEX, _, _) | (K::UNIQUE, Some(K::INDEX), _) => index::parse(parser),
            (K::FUNCTION | K::PROCEDURE, _, _)
            | (K::OR, Some(K::REPLACE), Some(K::FUNCTION | K::PROCEDURE)) => {
                function::parse(parser)
            }
            (K::TRIGGER, _, _)
            | (K::CONSTRAINT, Some(K::TRIGGER), _)
            | (K::OR, Some(K::REPLACE), Some(K::TRIGGER | K::CONSTRAINT)) => trigger::parse(parser),
            _ => sql(parser),
        },
        (Some(K::VACUUM | K::ANALYZE), _) => other::parse_vacuum(parser),
        (Some(K::REINDEX), _) => other::parse_reindex(parser),
        (Some(K::DROP), Some(K::DOMAIN)) => alter::parse_drop_domain(parser),
        (Some(K::ALTER), Some(K::SEQUENCE)) => other::parse_alter_sequence(parser),
        (Some(K::ALTER), Some(K::TRIGGER)) => trigger::parse_alter(parser),
        (Some(K::ALTER), Some(second)) => {
            let kind = match (second, word(2, parser)) {
                (K::TABLE, _) => Some((AlterKind::Table, 2)),
                (K::VIEW, _) => Some((AlterKind::View, 2)),
                (K::MATERIALIZED, Some(K::VIEW)) => Some((AlterKind::MaterializedView, 3)),
                (K::INDEX, _) => Some((AlterKind::Index, 2)),
                _ => None,
            };
            let skip =
                |parser: &mut Parser, n: usize| (0..n).for_each(|_| drop(parser.next_token()));
            match (kind, second) {
                (Some((kind, words)), _) => {
                    skip(parser, words);
                    alter::parse_relation(parser, kind)
                }
                (None, K::DOMAIN) => {
                    skip(parser, 2);
                    alter::parse_domain(parser)
                }
                (None, K::FUNCTION | K::PROCEDURE) => {
                    skip(parser, 2);
                    alter::parse_object(parser, second)
                }
                (None, K::TYPE) if attribute::is_next(parser) => {
                    skip(parser, 2);
                    attribute::parse(parser)
                }
                (None, K::TYPE) if alter::is_object_action(parser) => {
                    skip(parser, 2);
                    alter::parse_object(parser, second)
                }
                _ => sql(parser),
            }
        }
        (Some(K::COMMENT), Some(K::ON)) => match comment::parse(parser)? {
            Some(found) => Ok(found),
            None => sql(parser),
        },
        _ => other::by_spelling(parser),
    }
}

/// Statements about roles and what they have, and about routines of any kind.
fn of_roles(p: &mut Parser) -> Option<Result<Statement, ParserError>> {
    use alter::take_words;
    for (kind, user) in [("role", false), ("group", false), ("user", true)] {
        if take_words(p, &["create", kind]) {
            return Some(role::parse_create(p, user));
        }
        if take_words(p, &["alter", kind]) {
            return Some(role::parse_alter(p));
        }
    }
    if take_words(p, &["alter", "database"]) {
        return Some(role::parse_alter_database(p));
    }
    if take_words(p, &["alter", "default", "privileges"]) {
        return Some(role::parse_default_privileges(p));
    }
    if other::is_word(p, "drop") && word_at(p, 1, "owned") {
        p.next_token();
        return Some(role::parse_owned(p, true));
    }
    if take_words(p, &["drop", "routine"]) {
        return Some(alter::drop_routine(p));
    }
    take_words(p, &["reassign"]).then(|| role::parse_owned(p, false))
}

fn word_at(p: &Parser, at: usize, wanted: &str) -> bool {
    matches!(&p.peek_nth_token_ref(at).token, Token::Word(w) if w.value.eq_ignore_ascii_case(wanted))
}

/// Leaves the statement to sqlparser.
fn sql(parser: &mut Parser) -> Result<Statement, ParserError> {
    Ok(Statement::Sql(Box::new(parser.parse_statement()?)))
}

/// `syntax error at or near "x"`, where sqlparser met it.
fn near(token: &TokenWithSpan, all: &[TokenWithSpan]) -> PgError {
    match &token.token {
        Token::EOF => at_end(all),
        Token::SingleQuotedString(s) => {
            tokens::syntax_error(&format!("'{s}'"), position(token).saturating_sub(1))
        }
        other => tokens::syntax_error(&other.to_string(), position(token).saturating_sub(1)),
    }
}

/// sqlparser's complaint in PostgreSQL's words: its text ends in the place.
fn convert(error: ParserError, parser: Parser) -> PgError {
    let text = match error {
        ParserError::RecursionLimitExceeded => return too_deep(),
        ParserError::TokenizerError(text) | ParserError::ParserError(text) => text,
    };
    let column = text.rsplit_once(", Column: ").and_then(|(_, n)| n.trim().parse::<u64>().ok());
    let tokens = parser.into_tokens();
    let met = column.and_then(|column| tokens.iter().find(|t| t.span.start.column == column));
    match met {
        Some(token) => near(token, &tokens),
        None if text.contains("found: EOF") => at_end(&tokens),
        None => PgError::new(SqlState::SYNTAX_ERROR, format!("syntax error: {text}")),
    }
}

fn at_end(tokens: &[TokenWithSpan]) -> PgError {
    let end = tokens.last().and_then(|t| usize::try_from(t.span.end.column).ok()).unwrap_or(1);
    PgError::new(SqlState::SYNTAX_ERROR, AT_END).at(end)
}

const AT_END: &str = "syntax error at end of input";
