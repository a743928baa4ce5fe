//! Statements.

use vicinity_types::{PgError, Result, SqlState};

use super::Parser;
use crate::plpgsql::ast::{
    Call, Form, Place, Statement, StatementKind, Step, Variable, VariableKind,
};
use crate::plpgsql::lexer::Token;

impl Parser<'_> {
    pub(super) fn statement(&mut self) -> Result<Statement> {
        let line = self.line();
        let label = self.label()?;
        let kind = match self.token().clone() {
            Token::Word(w) if !self.is_assignment() => self.keyword_statement(&w, label)?,
            Token::Word(_) | Token::Quoted(_) | Token::Param(_) => self.assignment()?,
            _ => return Err(self.unexpected()),
        };
        Ok(Statement { line, kind })
    }

    /// Whether a statement begins with a known variable that is assigned to: keywords are not
    /// reserved, `exit := 1` is an assignment.
    fn is_assignment(&self) -> bool {
        let Token::Word(name) = self.token() else { return false };
        let known = self.find(name).is_some() || matches!(self.token_at(1), Token::Symbol("."));
        if !known {
            return false;
        }
        let mut ahead = 1;
        let mut depth = 0_usize;
        loop {
            match self.token_at(ahead) {
                Token::Symbol("[") => depth += 1,
                Token::Symbol("]") => depth = depth.saturating_sub(1),
                Token::Symbol(":=" | "=") if depth == 0 => return true,
                Token::Symbol(".") => {}
                Token::Word(_) | Token::Quoted(_)
                    if depth == 0 && matches!(self.token_at(ahead - 1), Token::Symbol(".")) => {}
                Token::End | Token::Symbol(";") => return false,
                _ if depth == 0 => return false,
                _ => {}
            }
            ahead += 1;
        }
    }

    fn keyword_statement(&mut self, word: &str, label: Option<String>) -> Result<StatementKind> {
        if matches!(word, "declare" | "begin") {
            let block = self.block_after_label(label)?;
            self.expect_symbol(";")?;
            return Ok(StatementKind::Block(block));
        }
        match word {
            "loop" | "while" | "for" | "foreach" => return self.loops(label),
            _ if label.is_some() => return Err(self.unexpected()),
            _ => {}
        }
        match word {
            "if" => self.if_statement(),
            "case" => self.case_statement(),
            "exit" | "continue" => self.exit(),
            "return" => self.return_statement(),
            "raise" => self.raise(),
            "assert" => self.assert(),
            "perform" => self.perform(),
            "execute" => {
                self.advance();
                let (query, into) = self.dynamic(&[])?;
                self.expect_symbol(";")?;
                Ok(StatementKind::Execute { query, into })
            }
            "null" => {
                self.advance();
                self.expect_symbol(";")?;
                Ok(StatementKind::Null)
            }
            "get" => self.diagnostics(),
            "commit" | "rollback" => self.transaction(word == "commit"),
            "call" => self.call(),
            _ if matches!(self.token_at(1), Token::Symbol(":=" | "=")) => {
                Err(self.wrong(format!("\"{word}\" is not a known variable")))
            }
            "open" => self.open(),
            "fetch" => self.fetch(false),
            "move" => self.fetch(true),
            "close" => self.close(),
            _ => self.sql_statement(),
        }
    }

    fn assignment(&mut self) -> Result<StatementKind> {
        let from = self.at;
        let place = self.place()?;
        let path = self.path()?;
        if !self.symbol(":=") && !self.symbol("=") {
            return Err(self.unexpected());
        }
        self.check_constant(&place, from)?;
        let begin = self.lexeme(0).map_or(0, |l| l.start);
        let start = self.tokens.get(from).map_or(begin, |l| l.start);
        let lead = self.body.get(start..begin).unwrap_or("").into();
        let value = self.piece_until(&[], &[";"], Form::Assigned(lead))?;
        self.expect_symbol(";")?;
        Ok(StatementKind::Assign { place, path, value })
    }

    /// The way to a part of what is assigned to.
    fn path(&mut self) -> Result<Vec<Step>> {
        let mut path = Vec::new();
        loop {
            if self.symbol(".") {
                path.push(Step::Field(self.word()?));
            } else if self.symbol("[") {
                let at = |me: &Self, symbol: &str| matches!(me.token(), Token::Symbol(s) if *s == symbol);
                let from =
                    if at(self, ":") { None } else { Some(self.sql_until(&[], &["]", ":"])?) };
                path.push(match (self.symbol(":"), from) {
                    (false, Some(index)) => Step::Element(index),
                    (_, from) => {
                        let to =
                            if at(self, "]") { None } else { Some(self.sql_until(&[], &["]"])?) };
                        Step::Slice(from, to)
                    }
                });
                self.expect_symbol("]")?;
            } else {
                return Ok(path);
            }
        }
    }

    /// What is written to must not be a constant; `from` is the token it begins with.
    pub(super) fn check_constant(&self, place: &Place, from: usize) -> Result<()> {
        let (Place::Variable(slot) | Place::Field(slot, _)) = place;
        match self.variables.get(*slot) {
            Some(v) if v.constant => Err(PgError::new(
                SqlState(*b"22005"),
                format!("variable \"{}\" is declared CONSTANT", v.name),
            )
            .at(self.column(from))),
            _ => Ok(()),
        }
    }

    fn if_statement(&mut self) -> Result<StatementKind> {
        self.deeper()?;
        self.advance();
        let mut arms = Vec::new();
        let mut otherwise = Vec::new();
        loop {
            let condition = self.sql_until(&["then"], &[])?;
            self.expect_word("then")?;
            arms.push((condition, self.statements(&["elsif", "elseif", "else", "end"])?));
            if self.keyword("elsif") || self.keyword("elseif") {
                continue;
            }
            if self.keyword("else") {
                otherwise = self.statements(&["end"])?;
            }
            break;
        }
        self.end_of("if")?;
        Ok(StatementKind::If { arms, otherwise })
    }

    fn end_of(&mut self, word: &str) -> Result<()> {
        self.expect_word("end")?;
        self.expect_word(word)?;
        self.expect_symbol(";")?;
        self.depth -= 1;
        Ok(())
    }

    fn case_statement(&mut self) -> Result<StatementKind> {
        self.deeper()?;
        self.advance();
        let operand = if self.is_word("when") {
            None
        } else {
            let operand = self.sql_until(&["when"], &[])?;
            Some((self.hidden("case operand", VariableKind::Record), operand))
        };
        let mut arms = Vec::new();
        while self.keyword("when") {
            let condition = self.sql_until(&["then"], &[])?;
            self.expect_word("then")?;
            arms.push((condition, self.statements(&["when", "else", "end"])?));
        }
        let otherwise = if self.keyword("else") { Some(self.statements(&["end"])?) } else { None };
        self.end_of("case")?;
        Ok(StatementKind::Case { operand, arms, otherwise })
    }

    pub(super) fn hidden(&mut self, name: &str, kind: VariableKind) -> usize {
        self.add_variable(Variable::plain(name, kind))
    }

    /// `PERFORM x` is `SELECT x`.
    fn perform(&mut self) -> Result<StatementKind> {
        let from = self.at;
        self.advance();
        let checks = std::mem::take(&mut self.checks);
        let query = self.query_until(&[], &[";"]);
        self.checks = checks;
        query?;
        let text = self.text_between(from, self.at);
        let text = format!("SELECT{}", text.get("perform".len()..).unwrap_or(""));
        let sql = self.sql(text, Form::Statement, self.column(from) + 1)?;
        self.expect_symbol(";")?;
        Ok(StatementKind::Perform(sql))
    }

    /// `COMMIT` and `ROLLBACK [AND [NO] CHAIN]`
    fn transaction(&mut self, commit: bool) -> Result<StatementKind> {
        self.ends += 1;
        self.advance();
        let chain = self.keyword("and") && {
            let chain = !self.keyword("no");
            self.expect_word("chain")?;
            chain
        };
        self.expect_symbol(";")?;
        Ok(StatementKind::Transaction { commit, chain })
    }

    /// `CALL name(arguments)`: where an argument is a variable, output goes there.
    fn call(&mut self) -> Result<StatementKind> {
        self.ends += 1;
        let from = self.at;
        let mut args = Vec::new();
        while !matches!(self.token(), Token::Symbol("(" | ";") | Token::End) {
            self.advance();
        }
        let open = self.symbol("(");
        while open && !matches!(self.token(), Token::Symbol(")" | ";") | Token::End) {
            let named = matches!(self.token(), Token::Word(_) | Token::Quoted(_))
                && matches!(self.token_at(1), Token::Symbol(":=" | "=>"));
            let name = if named { Some(self.word()?) } else { None };
            if named {
                self.advance();
            }
            let begin = self.at;
            let place = self.place().ok();
            let whole = matches!(self.token(), Token::Symbol("," | ")"));
            self.at = begin;
            args.push((name, place.filter(|_| whole)));
            let mut depth = 0_usize;
            loop {
                match self.token() {
                    Token::Symbol("(" | "[") => depth += 1,
                    Token::Symbol(")" | "," | "]") if depth == 0 => break,
                    Token::Symbol(")" | "]") => depth -= 1,
                    Token::Symbol(";") | Token::End => break,
                    _ => {}
                }
                self.advance();
            }
            self.symbol(",");
        }
        self.symbol(")");
        if !matches!(self.token(), Token::Symbol(";")) {
            return Err(self.unexpected());
        }
        let text = self.text_between(from, self.at).to_owned();
        let sql = self.sql(text, Form::Statement, self.column(from))?;
        self.expect_symbol(";")?;
        Ok(StatementKind::Call(Call { sql, args }))
    }

    fn assert(&mut self) -> Result<StatementKind> {
        self.advance();
        let condition = self.sql_until(&[], &[",", ";"])?;
        let message = if self.symbol(",") { Some(self.sql_until(&[], &[";"])?) } else { None };
        self.expect_symbol(";")?;
        Ok(StatementKind::Assert { condition, message })
    }
}
