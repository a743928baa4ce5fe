//! Statements.

use vicinity_types::{PgError, Result, Severity, SqlState};

use super::{Around, Gives, Parser, named_condition};
use crate::call::PgType;
use crate::plpgsql::ast::{
    Call, Form, Place, Query, Raise, Scope, Slot, Sql, Statement, StatementKind, Step, Variable,
    VariableKind,
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

    fn loops(&mut self, label: Option<String>) -> Result<StatementKind> {
        self.deeper()?;
        self.around.push(Around { label: label.clone(), is_loop: true });
        if self.keyword("loop") {
            let body = self.loop_body(label.as_deref())?;
            return Ok(StatementKind::Loop { label, body });
        }
        if self.keyword("while") {
            let condition = self.sql_until(&["loop"], &[])?;
            self.expect_word("loop")?;
            let body = self.loop_body(label.as_deref())?;
            return Ok(StatementKind::While { label, condition, body });
        }
        if self.keyword("foreach") {
            let known = matches!(self.token(), Token::Param(_)) || self.is_known();
            if !known {
                return Err(self.wrong(
                    "loop variable of FOREACH must be a known variable or list of variables",
                ));
            }
            let target = self.target()?;
            let slice = if self.keyword("slice") { self.whole_number()? } else { 0 };
            self.expect_word("in")?;
            self.expect_word("array")?;
            let array = self.sql_until(&["loop"], &[])?;
            self.expect_word("loop")?;
            let body = self.loop_body(label.as_deref())?;
            return Ok(StatementKind::ForEach { label, target, slice, array, body });
        }
        self.expect_word("for")?;
        self.for_loop(label)
    }

    pub(super) fn loop_body(&mut self, label: Option<&str>) -> Result<Vec<Statement>> {
        let body = self.statements(&["end"])?;
        self.expect_word("end")?;
        self.expect_word("loop")?;
        self.end_label(label)?;
        self.expect_symbol(";")?;
        self.around.pop();
        self.depth -= 1;
        Ok(body)
    }

    fn for_loop(&mut self, label: Option<String>) -> Result<StatementKind> {
        if self.is_range() {
            return self.for_integer(label);
        }
        if let Some(cursor) = self.cursor_of_loop() {
            return self.for_cursor(label, cursor);
        }
        if !self.is_known() {
            return Err(self.wrong(
                "loop variable of loop over rows must be a record variable or list of scalar \
                 variables",
            ));
        }
        let target = self.target()?;
        self.expect_word("in")?;
        let query = if self.keyword("execute") {
            self.dynamic(&["loop"])?.0
        } else {
            Query::Static(self.query_until(&["loop"], &[])?)
        };
        self.expect_word("loop")?;
        let ends = self.ends;
        let body = self.loop_body(label.as_deref())?;
        let held = self.ends > ends;
        Ok(StatementKind::ForQuery { label, target, query, held, body })
    }

    /// Whether `..` comes before LOOP, outside parentheses.
    fn is_range(&self) -> bool {
        let mut depth = 0_usize;
        let mut ahead = 0;
        loop {
            match self.token_at(ahead) {
                Token::Symbol("(" | "[") => depth += 1,
                Token::Symbol(")" | "]") => depth = depth.saturating_sub(1),
                Token::Symbol("..") if depth == 0 => return true,
                Token::Word(w) if w == "loop" && depth == 0 => return false,
                Token::End | Token::Symbol(";") => return false,
                _ => {}
            }
            ahead += 1;
        }
    }

    fn for_integer(&mut self, label: Option<String>) -> Result<StatementKind> {
        let name = self.word()?;
        self.expect_word("in")?;
        let reverse = self.keyword("reverse");
        let from = self.sql_until(&[], &[".."])?;
        self.expect_symbol("..")?;
        let to = self.sql_until(&["loop", "by"], &[])?;
        let by = if self.keyword("by") { Some(self.sql_until(&["loop"], &[])?) } else { None };
        self.expect_word("loop")?;
        let int4 = PgType::new(vicinity_types::oid::INT4);
        let slot = self.hidden(&name, VariableKind::Scalar(int4));
        let mut scope = Scope::default();
        scope.names.insert(name.clone(), slot);
        if let Some(label) = &label {
            scope.labels.entry(label.clone()).or_default().insert(name, slot);
        }
        self.enter_scope(scope);
        let body = self.loop_body(label.as_deref())?;
        self.leave_scope();
        Ok(StatementKind::ForInteger { label, slot, from, to, by, reverse, body })
    }

    fn exit(&mut self) -> Result<StatementKind> {
        let from = self.at;
        let next = self.word()? == "continue";
        let label = match self.token() {
            Token::Word(w) if w != "when" => Some(self.label_around(next)?),
            Token::Quoted(_) => Some(self.label_around(next)?),
            _ if self.around.iter().any(|a| a.is_loop) => None,
            _ => {
                let message = match next {
                    true => "CONTINUE cannot be used outside a loop",
                    false => "EXIT cannot be used outside a loop, unless it has a label",
                };
                return Err(PgError::new(SqlState::SYNTAX_ERROR, message).at(self.column(from)));
            }
        };
        let when = if self.keyword("when") { Some(self.sql_until(&[], &[";"])?) } else { None };
        self.expect_symbol(";")?;
        Ok(StatementKind::Exit { label, when, next })
    }

    /// The label of a block or loop around EXIT, or a loop around CONTINUE.
    fn label_around(&mut self, of_loop: bool) -> Result<String> {
        let at = self.column(self.at);
        let label = self.word()?;
        let own = |a: &&Around| a.label.as_deref() == Some(label.as_str());
        let message = match self.around.iter().rev().find(own) {
            Some(found) if found.is_loop || !of_loop => return Ok(label),
            Some(_) => format!("block label \"{label}\" cannot be used in CONTINUE"),
            None => format!(
                "there is no label \"{label}\" attached to any block or loop enclosing this \
                 statement"
            ),
        };
        Err(PgError::new(SqlState::SYNTAX_ERROR, message).at(at))
    }

    fn return_statement(&mut self) -> Result<StatementKind> {
        let from = self.at;
        self.advance();
        let kind = if self.keyword("next") {
            let outs = self.gives_set("NEXT", from)?;
            StatementKind::ReturnNext(match outs {
                true => self.no_value("RETURN NEXT", "function with OUT parameters")?,
                false => Some(self.sql_until(&[], &[";"])?),
            })
        } else if self.keyword("query") {
            self.gives_set("QUERY", from)?;
            let query = if self.keyword("execute") {
                self.dynamic(&[])?.0
            } else {
                Query::Static(self.query_until(&[], &[";"])?)
            };
            StatementKind::ReturnQuery(query)
        } else {
            match self.returned_row() {
                Some(row) => StatementKind::ReturnRow(row),
                None => StatementKind::Return(self.returned()?),
            }
        };
        self.expect_symbol(";")?;
        Ok(kind)
    }

    /// RETURN NEXT and RETURN QUERY are for functions that give sets; whether their rows are OUT
    /// parameters.
    fn gives_set(&self, what: &str, from: usize) -> Result<bool> {
        match self.gives {
            Gives::Set { outs } => Ok(outs),
            _ => Err(PgError::new(
                SqlState::DATATYPE_MISMATCH,
                format!("cannot use RETURN {what} in a non-SETOF function"),
            )
            .at(self.column(from))),
        }
    }

    fn returned(&mut self) -> Result<Option<Sql>> {
        let what = match self.gives {
            Gives::Value | Gives::Trigger => return self.sql_until(&[], &[";"]).map(Some),
            Gives::Set { .. } => {
                return self
                    .no_value("RETURN", "function returning set")
                    .map_err(|e| e.hint("Use RETURN NEXT or RETURN QUERY."));
            }
            Gives::Outs => "function with OUT parameters",
            Gives::Nothing => "function returning void",
            Gives::Procedure => "a procedure",
        };
        self.no_value("RETURN", what)
    }

    fn no_value(&self, statement: &str, what: &str) -> Result<Option<Sql>> {
        if matches!(self.token(), Token::Symbol(";")) {
            return Ok(None);
        }
        let code = match self.gives {
            Gives::Procedure => SqlState::SYNTAX_ERROR,
            _ => SqlState::DATATYPE_MISMATCH,
        };
        let text = format!("{statement} cannot have a parameter in {what}");
        Err(PgError::new(code, text).at(self.column(self.at)))
    }

    /// `NEW;`, `OLD;` or `NULL;` behind a trigger's RETURN needs no plan.
    fn returned_row(&mut self) -> Option<Option<Slot>> {
        let Token::Word(name) = self.token() else { return None };
        if self.gives != Gives::Trigger || !matches!(self.token_at(1), Token::Symbol(";")) {
            return None;
        }
        let row = match self.find(name) {
            None if name == "null" => None,
            Some(slot) => match self.variables.get(slot)?.kind {
                VariableKind::Scalar(_) => return None,
                _ => Some(slot),
            },
            None => return None,
        };
        self.advance();
        Some(row)
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

    fn diagnostics(&mut self) -> Result<StatementKind> {
        let from = self.at;
        self.advance();
        let stacked = self.keyword("stacked");
        if !stacked {
            self.keyword("current");
        }
        self.expect_word("diagnostics")?;
        let mut items = Vec::new();
        loop {
            let begin = self.at;
            let place = self.place()?;
            self.check_constant(&place, begin)?;
            if !self.symbol("=") && !self.symbol(":=") {
                return Err(self.unexpected());
            }
            let known = |items: &[&str]| items.iter().any(|i| self.is_word(i));
            if !known(&CURRENT_ITEMS) && !known(&STACKED_ITEMS) {
                return Err(self.complaint("unrecognized GET DIAGNOSTICS item"));
            }
            items.push((place, self.word()?));
            if !self.symbol(",") {
                break;
            }
        }
        self.expect_symbol(";")?;
        let (kind, allowed) = match stacked {
            true => ("STACKED", &STACKED_ITEMS[..]),
            false => ("CURRENT", &CURRENT_ITEMS[..]),
        };
        if let Some((_, item)) = items.iter().find(|(_, item)| !allowed.contains(&item.as_str())) {
            let item = item.to_uppercase();
            return Err(PgError::new(
                SqlState::SYNTAX_ERROR,
                format!("diagnostics item {item} is not allowed in GET {kind} DIAGNOSTICS"),
            )
            .at(self.column(from)));
        }
        Ok(StatementKind::Diagnostics { stacked, items })
    }

    fn raise(&mut self) -> Result<StatementKind> {
        self.advance();
        let mut raise = Raise {
            severity: None,
            format: None,
            args: Vec::new(),
            condition: None,
            options: Vec::new(),
            again: false,
        };
        if self.symbol(";") {
            raise.again = true;
            return Ok(StatementKind::Raise(raise));
        }
        let levels = [
            ("debug", Severity::Debug),
            ("log", Severity::Log),
            ("info", Severity::Info),
            ("notice", Severity::Notice),
            ("warning", Severity::Warning),
        ];
        if !self.keyword("exception")
            && let Some((word, level)) = levels.iter().find(|(w, _)| self.is_word(w))
        {
            self.keyword(word);
            raise.severity = Some(*level);
        }
        match self.token().clone() {
            Token::Text(format) => {
                self.advance();
                raise.format = Some(format);
                while self.symbol(",") {
                    raise.args.push(self.sql_until(&["using"], &[",", ";"])?);
                }
            }
            Token::Word(w) if w == "sqlstate" => {
                self.advance();
                raise.condition = Some(self.sqlstate()?);
            }
            Token::Word(w) if w != "using" => {
                self.advance();
                raise.condition = Some(named_condition(&w)?);
            }
            _ => {}
        }
        if self.keyword("using") {
            self.raise_options(&mut raise)?;
        }
        self.expect_symbol(";")?;
        check_placeholders(&raise)?;
        Ok(StatementKind::Raise(raise))
    }

    fn raise_options(&mut self, raise: &mut Raise) -> Result<()> {
        loop {
            let known = [
                "errcode",
                "message",
                "detail",
                "hint",
                "column",
                "constraint",
                "datatype",
                "table",
                "schema",
            ];
            if !known.iter().any(|k| self.is_word(k)) {
                return Err(self.complaint("unrecognized RAISE statement option"));
            }
            let name = self.word()?;
            if !self.symbol("=") && !self.symbol(":=") {
                return Err(self.unexpected());
            }
            raise.options.push((name, self.sql_until(&[], &[",", ";"])?));
            if !self.symbol(",") {
                return Ok(());
            }
        }
    }
}

/// What GET DIAGNOSTICS tells.
const CURRENT_ITEMS: [&str; 2] = ["row_count", "pg_context"];

/// What GET STACKED DIAGNOSTICS tells.
const STACKED_ITEMS: [&str; 10] = [
    "returned_sqlstate",
    "message_text",
    "pg_exception_detail",
    "pg_exception_hint",
    "pg_exception_context",
    "column_name",
    "constraint_name",
    "pg_datatype_name",
    "table_name",
    "schema_name",
];

/// RAISE wants as many arguments as its format has `%`, `%%` aside.
fn check_placeholders(raise: &Raise) -> Result<()> {
    let Some(format) = &raise.format else { return Ok(()) };
    let wanted = format.replace("%%", "").matches('%').count();
    let message = match raise.args.len().cmp(&wanted) {
        std::cmp::Ordering::Greater => "too many parameters specified for RAISE",
        std::cmp::Ordering::Less => "too few parameters specified for RAISE",
        std::cmp::Ordering::Equal => return Ok(()),
    };
    Err(PgError::new(SqlState::SYNTAX_ERROR, message))
}
