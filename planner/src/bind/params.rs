//! Parameters: their types as declared or as their use tells.

use vicinity_types::{Oid, PgError, Result, SqlState, oid};

use crate::call::PgType;
use crate::resolve::Types;

/// Variables of a calling language: PL/pgSQL's, SQL functions' arguments by name.
pub trait Variables {
    /// The variable a possibly qualified name means: the number of its parameter (from 1) and type.
    fn lookup(&self, parts: &[&str]) -> Option<(usize, PgType)>;

    /// The fields of a record variable, each as a parameter: what `name.*` means.
    fn fields(&self, _name: &str) -> Option<Vec<(String, usize, PgType)>> {
        None
    }

    /// What a name means that a column has, too.
    fn conflict(&self) -> Conflict {
        Conflict::Column
    }

    /// The columns of a transition table.
    fn transition(&self, _name: &str) -> Option<Vec<(String, PgType)>> {
        None
    }

    /// Types of the parameters met so far, where the variables number them; `None` if the numbers
    /// are those of declared parameters.
    fn types(&self) -> Option<Vec<Oid>> {
        None
    }
}

/// How a name is understood that a variable and a column have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Conflict {
    /// Not at all (42702).
    #[default]
    Error,
    /// As the variable.
    Variable,
    /// As the column.
    Column,
}

/// The protocol counts parameters in 16 bits.
const MOST: usize = 65_535;

/// `42P18`
pub(crate) fn undetermined(number: usize) -> PgError {
    PgError::new(
        SqlState::INDETERMINATE_DATATYPE,
        format!("could not determine data type of parameter ${number}"),
    )
}

/// The types of a statement's parameters.
#[derive(Clone, Debug, Default)]
pub struct ParamTypes {
    types: Vec<Oid>,
    /// Numbers past the declared ones are errors instead of new parameters.
    fixed: bool,
}

impl ParamTypes {
    /// Parameters of a prepared statement: 0 where the type is to be inferred; more may come.
    pub fn declared(types: &[Oid]) -> ParamTypes {
        ParamTypes { types: types.to_vec(), fixed: false }
    }

    /// Exactly these: a function's arguments.
    pub fn fixed(types: &[Oid]) -> ParamTypes {
        ParamTypes { types: types.to_vec(), fixed: true }
    }

    /// No parameters.
    pub fn none() -> ParamTypes {
        ParamTypes { types: Vec::new(), fixed: true }
    }

    /// The type of parameter `$number`, `unknown` while nothing told it.
    pub(crate) fn get(&mut self, number: usize) -> Result<Oid> {
        let missing = || {
            PgError::new(SqlState::UNDEFINED_PARAMETER, format!("there is no parameter ${number}"))
        };
        if number == 0 || (self.fixed && number > self.types.len()) {
            return Err(missing());
        }
        if number > MOST {
            // Not all of those before can have a type.
            let first = self.types.iter().position(|ty| *ty == 0).unwrap_or(self.types.len());
            return Err(undetermined(first + 1));
        }
        if self.types.len() < number {
            self.types.resize(number, 0);
        }
        Ok(match self.types.get(number - 1) {
            Some(0) | None => oid::UNKNOWN,
            Some(ty) => *ty,
        })
    }

    /// Its use told the type of `$number`.
    pub(crate) fn infer(&mut self, number: usize, ty: Oid, types: &Types) -> Result<()> {
        let have = self.get(number)?;
        if have != oid::UNKNOWN && have != ty {
            return Err(PgError::new(
                SqlState::AMBIGUOUS_PARAMETER,
                format!("inconsistent types deduced for parameter ${number}"),
            )
            .detail(format!("{} versus {}", types.name(have), types.name(ty))));
        }
        if let Some(slot) = self.types.get_mut(number - 1) {
            *slot = ty;
        }
        Ok(())
    }

    /// Takes over what binding a part of the statement told.
    pub(crate) fn adopt(&mut self, types: &[Oid]) {
        if self.types.len() < types.len() {
            self.types.resize(types.len(), 0);
        }
        for (own, told) in self.types.iter_mut().zip(types) {
            if *own == 0 {
                *own = *told;
            }
        }
    }

    /// All types; an error if one stayed unknown.
    pub(crate) fn finish(&self) -> Result<Vec<Oid>> {
        match self.types.iter().position(|ty| *ty == 0 || *ty == oid::UNKNOWN) {
            Some(i) => Err(PgError::new(
                SqlState::INDETERMINATE_DATATYPE,
                format!("could not determine data type of parameter ${}", i + 1),
            )),
            None => Ok(self.types.clone()),
        }
    }

    /// All types so far.
    pub(crate) fn so_far(&self) -> Vec<Oid> {
        self.types.clone()
    }
}
