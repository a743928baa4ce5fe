//! The PL/pgSQL parser: blocks and statements; SQL stays text until it runs.

mod cursor;
mod declare;
mod diagnostics;
mod loops;
mod query;
mod raise;
mod returns;
mod statement;

use std::sync::Arc;

use vicinity_types::{PgError, Result, SqlState};

use super::ast::{
    Block, Condition, Form, Handler, Scope, Slot, Sql, Statement, Variable, VariableKind,
};
use super::lexer::{Lexeme, Token, lex};
use super::plan::Plans;
use crate::bind::Conflict;
use crate::call::PgType;

/// Finds types by the text of their names: the binder does that with the catalog at hand.
pub(super) trait TypeLookup {
    /// The type written as `text`, e.g. `numeric(10,2)` or `float4[]`.
    fn type_named(&self, text: &str) -> Result<PgType>;
    /// The type of `table.column`, for `%TYPE`.
    fn column_type(&self, path: &[String]) -> Result<PgType>;
    /// The row type of a table, for `%ROWTYPE`, or `None` where there is no such table.
    fn row_type(&self, path: &[String]) -> Result<vicinity_types::Oid>;
}

/// Most nested blocks and loops a body may have.
const MAX_DEPTH: usize = 200;

/// What RETURN may say in a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gives {
    /// One value.
    Value,
    /// Rows; with OUT parameters it is they that are the row.
    Set {
        /// There are OUT parameters.
        outs: bool,
    },
    /// The values of OUT parameters.
    Outs,
    /// Nothing: a DO block or a function returning `void`.
    Nothing,
    /// Nothing: a procedure.
    Procedure,
    /// The row of a trigger.
    Trigger,
}

/// A block or loop around what is being read.
struct Around {
    label: Option<String>,
    is_loop: bool,
}

pub(super) struct Parser<'a> {
    body: &'a str,
    tokens: Vec<Lexeme>,
    at: usize,
    depth: usize,
    types: &'a dyn TypeLookup,
    /// What RETURN may say.
    pub(super) gives: Gives,
    /// Whether the syntax of the SQL in it is looked at now.
    pub(super) checks: bool,
    conflict: Conflict,
    pub(super) variables: Vec<Variable>,
    /// Scopes from the function's arguments inwards.
    scopes: Vec<Scope>,
    /// Names in sight, until more are declared.
    visible: Option<Arc<Scope>>,
    around: Vec<Around>,
    /// Statements read that may end the transaction.
    ends: usize,
}

impl<'a> Parser<'a> {
    pub(super) fn new(body: &'a str, types: &'a dyn TypeLookup) -> Result<Self> {
        Ok(Parser {
            body,
            tokens: lex(body)?,
            at: 0,
            depth: 0,
            types,
            gives: Gives::Nothing,
            checks: false,
            conflict: Conflict::Error,
            variables: Vec::new(),
            scopes: vec![Scope::default()],
            visible: None,
            around: Vec::new(),
            ends: 0,
        })
    }

    /// Declares an argument or another variable that is there from the start.
    pub(super) fn predeclare(
        &mut self,
        names: &[&str],
        label: Option<&str>,
        kind: VariableKind,
    ) -> Slot {
        let name = names.first().copied().unwrap_or("").to_owned();
        let slot = self.add_variable(Variable::plain(&name, kind));
        self.visible = None;
        if let Some(scope) = self.scopes.last_mut() {
            for name in names {
                scope.names.insert((*name).to_owned(), slot);
                if let Some(label) = label {
                    scope
                        .labels
                        .entry(label.to_owned())
                        .or_default()
                        .insert((*name).to_owned(), slot);
                }
            }
        }
        slot
    }

    /// The whole body: one block.
    pub(super) fn function(&mut self) -> Result<Block> {
        while self.symbol("#") {
            self.option()?;
        }
        let block = self.block()?;
        self.symbol(";");
        if self.token() != &Token::End {
            return Err(self.unexpected());
        }
        Ok(block)
    }

    /// `#variable_conflict use_column` and the like.
    fn option(&mut self) -> Result<()> {
        let values: &[&str] = match self.token() {
            Token::Word(w) if w == "variable_conflict" => &["error", "use_variable", "use_column"],
            Token::Word(w) if w == "print_strict_params" => &["on", "off"],
            Token::Word(w) if w == "option" => &["dump"],
            _ => return Err(self.unexpected()),
        };
        self.advance();
        let Some(value) = values.iter().find(|v| self.is_word(v)) else {
            return Err(self.unexpected());
        };
        self.conflict = match *value {
            "error" => Conflict::Error,
            "use_variable" => Conflict::Variable,
            "use_column" => Conflict::Column,
            _ => self.conflict,
        };
        self.advance();
        Ok(())
    }

    fn add_variable(&mut self, variable: Variable) -> Slot {
        self.variables.push(variable);
        self.variables.len() - 1
    }

    // Tokens.

    fn lexeme(&self, ahead: usize) -> Option<&Lexeme> {
        self.tokens.get(self.at + ahead).or(self.tokens.last())
    }

    fn token(&self) -> &Token {
        self.lexeme(0).map_or(&Token::End, |l| &l.token)
    }

    fn token_at(&self, ahead: usize) -> &Token {
        self.lexeme(ahead).map_or(&Token::End, |l| &l.token)
    }

    fn advance(&mut self) {
        self.at = (self.at + 1).min(self.tokens.len().saturating_sub(1));
    }

    fn is_word(&self, word: &str) -> bool {
        matches!(self.token(), Token::Word(w) if w == word)
    }

    fn is_words(&self, words: &[&str]) -> bool {
        words.iter().enumerate().all(|(i, w)| matches!(self.token_at(i), Token::Word(t) if t == w))
    }

    fn keyword(&mut self, word: &str) -> bool {
        let found = self.is_word(word);
        if found {
            self.advance();
        }
        found
    }

    fn keywords(&mut self, words: &[&str]) -> bool {
        let found = self.is_words(words);
        if found {
            self.at += words.len();
        }
        found
    }

    fn symbol(&mut self, symbol: &str) -> bool {
        let found = matches!(self.token(), Token::Symbol(s) if *s == symbol);
        if found {
            self.advance();
        }
        found
    }

    fn expect_word(&mut self, word: &str) -> Result<()> {
        if self.keyword(word) { Ok(()) } else { Err(self.unexpected()) }
    }

    fn expect_symbol(&mut self, symbol: &str) -> Result<()> {
        if self.symbol(symbol) { Ok(()) } else { Err(self.unexpected()) }
    }

    /// A name, quoted or not.
    fn word(&mut self) -> Result<String> {
        match self.token().clone() {
            Token::Word(w) | Token::Quoted(w) => {
                self.advance();
                Ok(w)
            }
            _ => Err(self.unexpected()),
        }
    }

    fn unexpected(&self) -> PgError {
        self.complaint("syntax error")
    }

    /// What is wrong with the next token.
    fn complaint(&self, what: &str) -> PgError {
        let message = match self.lexeme(0) {
            Some(Lexeme { token: Token::End, .. }) | None => format!("{what} at end of input"),
            Some(l) => {
                let text = self.body.get(l.start..l.end).unwrap_or("");
                format!("{what} at or near \"{text}\"")
            }
        };
        self.wrong(message)
    }

    /// An error at the next token.
    fn wrong(&self, message: impl Into<String>) -> PgError {
        PgError::new(SqlState::SYNTAX_ERROR, message).at(self.column(self.at))
    }

    /// The character a token begins with, from one.
    fn column(&self, token: usize) -> usize {
        self.tokens.get(token).or(self.tokens.last()).map_or(1, |l| l.column)
    }

    pub(super) fn line(&self) -> usize {
        let start = self.lexeme(0).map_or(0, |l| l.start);
        self.line_of(start)
    }

    fn line_of(&self, byte: usize) -> usize {
        1 + self.body.get(..byte).unwrap_or("").matches('\n').count()
    }

    // Pieces of SQL.

    /// An expression up to, not including, a word of `words` or a symbol of `symbols` outside
    /// parentheses.
    fn sql_until(&mut self, words: &[&str], symbols: &[&str]) -> Result<Sql> {
        self.piece_until(words, symbols, Form::Expression)
    }

    /// A query up to the same.
    fn query_until(&mut self, words: &[&str], symbols: &[&str]) -> Result<Sql> {
        self.piece_until(words, symbols, Form::Statement)
    }

    fn piece_until(&mut self, words: &[&str], symbols: &[&str], form: Form) -> Result<Sql> {
        let from = self.at;
        let mut depth = 0_usize;
        // CASE ... END inside an expression has THEN and END of its own.
        let mut cases = 0_usize;
        loop {
            match self.token() {
                Token::Symbol("(" | "[") => depth += 1,
                Token::Symbol(")" | "]") if depth > 0 => depth -= 1,
                Token::Symbol(s) if depth == 0 && cases == 0 && symbols.contains(s) => break,
                Token::Symbol(")" | "]") => return Err(self.complaint("mismatched parentheses")),
                Token::Symbol(";") | Token::End => {
                    return Err(self.missing(depth > 0, words, symbols, &form));
                }
                Token::Word(w) if depth == 0 && cases == 0 && words.contains(&w.as_str()) => break,
                Token::Word(w) if w == "case" => cases += 1,
                Token::Word(w) if w == "end" && cases > 0 => cases -= 1,
                _ => {}
            }
            self.advance();
        }
        if self.at == from {
            return Err(self.complaint(match form {
                Form::Statement => "missing SQL statement",
                _ => "missing expression",
            }));
        }
        let text = self.text_between(from, self.at).to_owned();
        self.sql(text, form, self.column(from))
    }

    /// The piece ends where it should not.
    fn missing(&self, inside: bool, words: &[&str], symbols: &[&str], form: &Form) -> PgError {
        if inside {
            return self.complaint("mismatched parentheses");
        }
        let words = words.iter().map(|w| w.to_uppercase());
        let symbols = symbols.iter().map(|s| (*s).to_owned());
        let wanted: Vec<String> = words.chain(symbols).collect();
        let piece = if *form == Form::Statement { "statement" } else { "expression" };
        self.wrong(format!("missing \"{}\" at end of SQL {piece}", wanted.join(" or ")))
    }

    /// A piece of SQL whose text begins at a character of the body.
    fn sql(&mut self, text: String, form: Form, column: usize) -> Result<Sql> {
        let conflict = self.conflict;
        let sql = Sql { text, form, conflict, scope: self.visible(), planned: Plans::default() };
        if self.checks {
            check_syntax(&sql, column)?;
        }
        Ok(sql)
    }

    /// All names in sight, inner ones over outer ones.
    fn visible(&mut self) -> Arc<Scope> {
        if let Some(known) = &self.visible {
            return known.clone();
        }
        let mut all = Scope::default();
        for scope in &self.scopes {
            all.names.extend(scope.names.iter().map(|(n, s)| (n.clone(), *s)));
            all.labels.extend(scope.labels.iter().map(|(l, n)| (l.clone(), n.clone())));
        }
        self.visible.insert(Arc::new(all)).clone()
    }

    fn enter_scope(&mut self, scope: Scope) {
        self.visible = None;
        self.scopes.push(scope);
    }

    fn leave_scope(&mut self) {
        self.visible = None;
        self.scopes.pop();
    }

    /// Whether a name occurs in the body.
    pub(super) fn mentions(&self, name: &str) -> bool {
        self.tokens
            .iter()
            .any(|l| matches!(&l.token, Token::Word(w) | Token::Quoted(w) if w == name))
    }

    fn find(&self, name: &str) -> Option<Slot> {
        self.scopes.iter().rev().find_map(|s| s.names.get(name).copied())
    }

    fn find_labelled(&self, label: &str, name: &str) -> Option<Slot> {
        self.scopes.iter().rev().find_map(|s| s.labels.get(label)?.get(name).copied())
    }

    // Blocks.

    /// `[<<label>>] [DECLARE ...] BEGIN ... [EXCEPTION ...] END [label]`
    fn block(&mut self) -> Result<Block> {
        let label = self.label()?;
        self.block_after_label(label)
    }

    fn label(&mut self) -> Result<Option<String>> {
        if !self.symbol("<<") {
            return Ok(None);
        }
        let label = self.word()?;
        self.expect_symbol(">>")?;
        Ok(Some(label))
    }

    fn block_after_label(&mut self, label: Option<String>) -> Result<Block> {
        self.deeper()?;
        self.enter_scope(Scope::default());
        self.around.push(Around { label: label.clone(), is_loop: false });
        let inits =
            if self.keyword("declare") { self.declarations(label.as_deref())? } else { Vec::new() };
        self.expect_word("begin")?;
        let body = self.statements(&["end", "exception"])?;
        let mut error_slots = None;
        let mut handlers = Vec::new();
        if self.keyword("exception") {
            self.enter_scope(Scope::default());
            let text = || VariableKind::Scalar(PgType::new(vicinity_types::oid::TEXT));
            error_slots = Some((
                self.predeclare(&["sqlstate"], None, text()),
                self.predeclare(&["sqlerrm"], None, text()),
            ));
            while self.keyword("when") {
                handlers.push(self.handler()?);
            }
            self.leave_scope();
        }
        self.expect_word("end")?;
        self.end_label(label.as_deref())?;
        self.leave_scope();
        self.around.pop();
        self.depth -= 1;
        Ok(Block { label, inits, body, handlers, error_slots })
    }

    fn deeper(&mut self) -> Result<()> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(PgError::new(
                SqlState::STATEMENT_TOO_COMPLEX,
                "stack depth limit exceeded",
            ));
        }
        Ok(())
    }

    /// The label repeated after END must be the block's.
    fn end_label(&mut self, label: Option<&str>) -> Result<()> {
        if !matches!(self.token(), Token::Word(_) | Token::Quoted(_)) {
            return Ok(());
        }
        let at = self.column(self.at);
        let found = self.word()?;
        let message = match label {
            Some(l) if l == found => return Ok(()),
            Some(l) => format!("end label \"{found}\" differs from block's label \"{l}\""),
            None => format!("end label \"{found}\" specified for unlabeled block"),
        };
        Err(PgError::new(SqlState::SYNTAX_ERROR, message).at(at))
    }

    fn handler(&mut self) -> Result<Handler> {
        let mut conditions = Vec::new();
        loop {
            conditions.extend(self.condition()?);
            if !self.keyword("or") {
                break;
            }
        }
        self.expect_word("then")?;
        Ok(Handler { conditions, body: self.statements(&["when", "end"])? })
    }

    fn condition(&mut self) -> Result<Vec<Condition>> {
        let name = self.word()?;
        if name == "others" {
            return Ok(vec![Condition::Others]);
        }
        if name == "sqlstate" {
            let state = self.sqlstate()?;
            return Ok(vec![condition_of(state)]);
        }
        Ok(vec![condition_of(named_condition(&name)?)])
    }

    /// A quoted SQLSTATE.
    fn sqlstate(&mut self) -> Result<SqlState> {
        let Token::Text(code) = self.token().clone() else { return Err(self.unexpected()) };
        let state =
            SqlState::parse(&code).ok_or_else(|| self.complaint("invalid SQLSTATE code"))?;
        self.advance();
        Ok(state)
    }

    /// Statements up to one of `ends`, which is not taken.
    fn statements(&mut self, ends: &[&str]) -> Result<Vec<Statement>> {
        let mut found = Vec::new();
        while !ends.iter().any(|e| self.is_word(e)) {
            found.push(self.statement()?);
        }
        Ok(found)
    }
}

/// The syntax of a piece of SQL, not its names; places in errors are those in the body.
fn check_syntax(sql: &Sql, column: usize) -> Result<()> {
    let prefix = sql.prefix().len();
    match crate::sql::parse(&format!("{}{}", sql.prefix(), sql.text)) {
        Err(mut e) if e.code() == SqlState::SYNTAX_ERROR => {
            let report = e.report_mut();
            let place = report.position.map(|p| (p + column).saturating_sub(prefix + 1));
            report.position = place.or(Some(column));
            Err(e)
        }
        _ => Ok(()),
    }
}

fn condition_of(state: SqlState) -> Condition {
    if state.0.ends_with(b"000") { Condition::Class(state) } else { Condition::State(state) }
}

/// The code behind a condition name such as `unique_violation`.
fn named_condition(name: &str) -> Result<SqlState> {
    SqlState::CONDITIONS
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(name))
        .map(|(_, state)| *state)
        .ok_or_else(|| {
            PgError::new(
                SqlState::UNDEFINED_OBJECT,
                format!("unrecognized exception condition \"{name}\""),
            )
        })
}
