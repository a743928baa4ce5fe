//! The tree of a compiled PL/pgSQL function.
//!
//! Variables are slots of one flat frame: scoping is settled while parsing. Pieces of SQL stay
//! text ([`Sql`]) and are planned at their first run, once per function.

use std::collections::BTreeMap;

use vicinity_types::{Severity, SqlState};

use super::plan::Plans;
use crate::bind::Conflict;

/// The place of a variable in the frame.
pub(super) type Slot = usize;

/// A declared variable.
#[derive(Clone, Debug)]
pub(super) struct Variable {
    pub(super) name: String,
    pub(super) kind: VariableKind,
    pub(super) constant: bool,
    pub(super) not_null: bool,
    /// What a bound cursor runs over.
    pub(super) cursor: Option<std::sync::Arc<BoundCursor>>,
}

impl Variable {
    /// A variable that is neither constant nor a cursor.
    pub(super) fn plain(name: &str, kind: VariableKind) -> Variable {
        Variable { name: name.to_owned(), kind, constant: false, not_null: false, cursor: None }
    }
}

/// `name CURSOR (arguments) FOR query`
#[derive(Debug)]
pub(super) struct BoundCursor {
    /// Names and slots of the arguments.
    pub(super) args: Vec<(String, Slot)>,
    pub(super) scroll: Option<bool>,
    pub(super) query: Query,
}

/// What a variable can hold.
#[derive(Clone, Debug)]
pub(super) enum VariableKind {
    /// A value of a type.
    Scalar(crate::call::PgType),
    /// A row of any shape, known once assigned.
    Record,
    /// A row of a table or composite type.
    Row(vicinity_types::Oid),
}

/// A piece of SQL text: an expression or a statement.
#[derive(Debug)]
pub(super) struct Sql {
    pub(super) text: String,
    pub(super) form: Form,
    /// How a name is understood that a variable and a column have.
    pub(super) conflict: Conflict,
    /// Which variables can be seen from here, innermost last.
    pub(super) scope: std::sync::Arc<Scope>,
    /// The plans made of it so far, by the shapes of the records it mentions.
    pub(super) planned: Plans,
}

/// What a piece of SQL is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Form {
    /// Runs as it is written.
    Statement,
    /// What SELECT gives of it is its value.
    Expression,
    /// The same; errors show what it is assigned to.
    Assigned(Box<str>),
}

impl Sql {
    /// What makes a query of it.
    pub(super) fn prefix(&self) -> &'static str {
        if self.form == Form::Statement { "" } else { "SELECT " }
    }

    /// What stands before it where it is shown.
    pub(super) fn lead(&self) -> &str {
        match &self.form {
            Form::Assigned(lead) => lead,
            _ => "",
        }
    }

    /// As errors show it.
    pub(super) fn shown(&self) -> String {
        format!("{}{}", self.lead(), self.text)
    }

    /// As CONTEXT lines call it.
    pub(super) fn described(&self) -> String {
        let what = match self.form {
            Form::Statement => "SQL statement",
            Form::Expression => "SQL expression",
            Form::Assigned(_) => "PL/pgSQL assignment",
        };
        format!("{what} \"{}\"", self.shown())
    }
}

/// Names in sight.
#[derive(Clone, Debug, Default)]
pub(super) struct Scope {
    pub(super) names: BTreeMap<String, Slot>,
    pub(super) labels: BTreeMap<String, BTreeMap<String, Slot>>,
}

/// A block: declarations, statements, handlers.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) label: Option<String>,
    /// Slots to (re)initialise on entry, with their lines and defaults.
    pub(super) inits: Vec<(Slot, usize, Option<Sql>)>,
    pub(super) body: Vec<Statement>,
    pub(super) handlers: Vec<Handler>,
    /// Slots of SQLSTATE and SQLERRM inside handlers.
    pub(super) error_slots: Option<(Slot, Slot)>,
}

/// `WHEN conditions THEN statements`
#[derive(Debug)]
pub(super) struct Handler {
    pub(super) conditions: Vec<Condition>,
    pub(super) body: Vec<Statement>,
}

/// What a handler catches.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Condition {
    Others,
    State(SqlState),
    /// A whole class: a condition name whose code ends in 000.
    Class(SqlState),
}

/// A statement with its line, for CONTEXT.
#[derive(Debug)]
pub(super) struct Statement {
    pub(super) line: usize,
    pub(super) kind: StatementKind,
}

/// Where a row goes.
#[derive(Clone, Debug)]
pub(super) enum Target {
    /// One record or row variable.
    Row(Slot),
    /// Scalars, in order.
    Scalars(Vec<Place>),
}

/// Something assignable.
#[derive(Clone, Debug)]
pub(super) enum Place {
    Variable(Slot),
    Field(Slot, String),
}

/// A step to a part of a value.
#[derive(Debug)]
pub(super) enum Step {
    Field(String),
    Element(Sql),
    Slice(Option<Sql>, Option<Sql>),
}

#[derive(Debug)]
pub(super) enum StatementKind {
    Block(Block),
    /// To what the place holds, or to the part of it that the path leads to.
    Assign {
        place: Place,
        path: Vec<Step>,
        value: Sql,
    },
    If {
        arms: Vec<(Sql, Vec<Statement>)>,
        otherwise: Vec<Statement>,
    },
    /// A simple CASE keeps its operand in a hidden slot.
    Case {
        operand: Option<(Slot, Sql)>,
        arms: Vec<(Sql, Vec<Statement>)>,
        otherwise: Option<Vec<Statement>>,
    },
    Loop {
        label: Option<String>,
        body: Vec<Statement>,
    },
    While {
        label: Option<String>,
        condition: Sql,
        body: Vec<Statement>,
    },
    ForInteger {
        label: Option<String>,
        slot: Slot,
        from: Sql,
        to: Sql,
        by: Option<Sql>,
        reverse: bool,
        body: Vec<Statement>,
    },
    ForQuery {
        label: Option<String>,
        target: Target,
        query: Query,
        /// A statement of the body may end the transaction: rows are kept.
        held: bool,
        body: Vec<Statement>,
    },
    ForEach {
        label: Option<String>,
        target: Target,
        /// Dimensions of the slices that are taken; 0: elements.
        slice: usize,
        array: Sql,
        body: Vec<Statement>,
    },
    ForCursor {
        label: Option<String>,
        /// The loop's own record.
        record: Slot,
        cursor: Slot,
        args: Vec<(Slot, Sql)>,
        body: Vec<Statement>,
    },
    /// OPEN of a bound cursor with its arguments, or of another one for a query.
    Open {
        cursor: Slot,
        args: Vec<(Slot, Sql)>,
        query: Option<(Option<bool>, Query)>,
    },
    /// FETCH, or MOVE without a target.
    Fetch {
        cursor: Slot,
        direction: Where,
        target: Option<Target>,
    },
    Close {
        cursor: Slot,
    },
    Exit {
        label: Option<String>,
        when: Option<Sql>,
        next: bool,
    },
    Return(Option<Sql>),
    /// RETURN of a trigger's function where it is a record or NULL.
    ReturnRow(Option<Slot>),
    ReturnNext(Option<Sql>),
    ReturnQuery(Query),
    Raise(Raise),
    Assert {
        condition: Sql,
        message: Option<Sql>,
    },
    /// SQL run for its effect, or SELECT INTO.
    Execute {
        query: Query,
        into: Option<Into>,
    },
    Perform(Sql),
    /// `CALL`, with the targets of its output arguments.
    Call(Call),
    /// COMMIT or ROLLBACK, AND CHAIN.
    Transaction {
        commit: bool,
        chain: bool,
    },
    Diagnostics {
        stacked: bool,
        items: Vec<(Place, String)>,
    },
    Null,
}

/// A query: text of its own, or made at run time.
#[derive(Debug)]
pub(super) enum Query {
    Static(Sql),
    Dynamic { text: Sql, using: Vec<Sql> },
}

/// The direction of FETCH and MOVE; its number may be computed.
#[derive(Debug)]
pub(super) enum Where {
    Fixed(crate::sql::Direction),
    Counted(fn(i64) -> crate::sql::Direction, Sql),
}

/// `INTO [STRICT] target`
#[derive(Debug)]
pub(super) struct Into {
    pub(super) target: Target,
    pub(super) strict: bool,
}

/// `CALL name(arguments)`
#[derive(Debug)]
pub(super) struct Call {
    pub(super) sql: Sql,
    /// Names of the arguments, and the variables they are.
    pub(super) args: Vec<(Option<String>, Option<Place>)>,
}

/// RAISE.
#[derive(Debug)]
pub(super) struct Raise {
    /// `None`: EXCEPTION.
    pub(super) severity: Option<Severity>,
    pub(super) format: Option<String>,
    pub(super) args: Vec<Sql>,
    pub(super) condition: Option<SqlState>,
    pub(super) options: Vec<(String, Sql)>,
    /// A bare RAISE: throw again.
    pub(super) again: bool,
}
