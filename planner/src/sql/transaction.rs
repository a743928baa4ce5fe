//! Transaction control that sqlparser lacks: DEFERRABLE, snapshots of others, two-phase commit.

use sqlparser::keywords::Keyword as K;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::Token;
use vicinity_storage::Isolation;

use super::alter::take_words;
use super::ast::Statement;
use super::other::take_word;

/// What BEGIN or SET TRANSACTION asks; of two modes of a kind the later.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Modes {
    /// `ISOLATION LEVEL`
    pub isolation: Option<Isolation>,
    /// `READ ONLY` (true) or `READ WRITE`.
    pub read_only: Option<bool>,
    /// `[NOT] DEFERRABLE`
    pub deferrable: Option<bool>,
}

/// A statement of transaction control.
#[derive(Clone, Debug)]
pub enum Control {
    /// `BEGIN`, or `START TRANSACTION`.
    Begin {
        /// How.
        modes: Modes,
        /// It was written as `START TRANSACTION`.
        start: bool,
    },
    /// `SET TRANSACTION`
    Set(Modes),
    /// `SET TRANSACTION SNAPSHOT`
    Snapshot(String),
    /// `PREPARE TRANSACTION`
    Prepare(String),
    /// `COMMIT PREPARED`
    CommitPrepared(String),
    /// `ROLLBACK PREPARED`
    RollbackPrepared(String),
}

/// Reads a statement of transaction control, if the next one is one of ours.
pub(super) fn parse(p: &mut Parser) -> Option<Result<Statement, ParserError>> {
    let control = |control| Ok(Statement::Transaction(control));
    if take_words(p, &["prepare", "transaction"]) {
        return Some(p.parse_literal_string().and_then(|id| control(Control::Prepare(id))));
    }
    if take_words(p, &["commit", "prepared"]) {
        return Some(p.parse_literal_string().and_then(|id| control(Control::CommitPrepared(id))));
    }
    if take_words(p, &["rollback", "prepared"]) {
        return Some(
            p.parse_literal_string().and_then(|id| control(Control::RollbackPrepared(id))),
        );
    }
    if take_words(p, &["start", "transaction"]) {
        return Some(modes(p).and_then(|modes| control(Control::Begin { modes, start: true })));
    }
    if take_word(p, "begin") {
        let _ = take_word(p, "work") || take_word(p, "transaction");
        return Some(modes(p).and_then(|modes| control(Control::Begin { modes, start: false })));
    }
    let characteristics = ["set", "session", "characteristics", "as", "transaction"];
    if take_words(p, &characteristics) {
        return Some(some_modes(p).map(Statement::Characteristics));
    }
    let plain = take_words(p, &["set", "transaction"])
        || take_words(p, &["set", "local", "transaction"])
        || take_words(p, &["set", "session", "transaction"]);
    if !plain {
        return None;
    }
    if take_word(p, "snapshot") {
        return Some(p.parse_literal_string().and_then(|id| control(Control::Snapshot(id))));
    }
    Some(some_modes(p).and_then(|modes| control(Control::Set(modes))))
}

fn some_modes(p: &mut Parser) -> Result<Modes, ParserError> {
    if p.peek_token_ref().token == Token::EOF {
        return p.expected_ref("a transaction mode", p.peek_token_ref());
    }
    modes(p)
}

/// Modes to the end of the statement, with commas between or not.
fn modes(p: &mut Parser) -> Result<Modes, ParserError> {
    let mut out = Modes::default();
    let mut comma = false;
    while comma || p.peek_token_ref().token != Token::EOF {
        mode(p, &mut out)?;
        comma = p.consume_token(&Token::Comma);
    }
    Ok(out)
}

fn mode(p: &mut Parser, out: &mut Modes) -> Result<(), ParserError> {
    if take_word(p, "deferrable") {
        out.deferrable = Some(true);
    } else if take_words(p, &["not", "deferrable"]) {
        out.deferrable = Some(false);
    } else if take_words(p, &["read", "only"]) {
        out.read_only = Some(true);
    } else if take_words(p, &["read", "write"]) {
        out.read_only = Some(false);
    } else if p.parse_keywords(&[K::ISOLATION, K::LEVEL]) {
        out.isolation = Some(level(p)?);
    } else {
        return p.expected_ref("a transaction mode", p.peek_token_ref());
    }
    Ok(())
}

fn level(p: &mut Parser) -> Result<Isolation, ParserError> {
    if take_words(p, &["read", "uncommitted"]) || take_words(p, &["read", "committed"]) {
        Ok(Isolation::ReadCommitted)
    } else if take_words(p, &["repeatable", "read"]) {
        Ok(Isolation::RepeatableRead)
    } else if take_word(p, "serializable") {
        Ok(Isolation::Serializable)
    } else {
        p.expected_ref("isolation level", p.peek_token_ref())
    }
}
