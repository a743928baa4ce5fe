//! Assignments to parts of columns, as expressions: the column's new value is its old one with the
//! part replaced.

use sqlparser::ast::{self, AccessExpr, Subscript};
use vicinity_types::{Datum, Kind, PgError, Result, SqlState, oid};

use super::special::{self, Special};
use super::{Binder, Scope, fold};
use crate::call::{PgType, Typed};
use crate::resolve::Context;
use crate::store;

/// What is assigned, and to what.
pub(crate) struct Part<'s> {
    /// The column's name, for errors.
    pub(crate) column: &'s str,
    /// The way to the part.
    pub(crate) path: &'s [AccessExpr],
    pub(crate) value: Typed,
    /// Where the value was written.
    pub(crate) place: Option<usize>,
}

/// One step of a path, its subscripts bound.
enum Step {
    Field { at: usize, name: String, ty: PgType, fields: Vec<u32> },
    Element { indices: Vec<Typed>, elem: PgType },
    Slice { bounds: Vec<(Option<Typed>, Option<Typed>)>, elem: u32 },
    Json { keys: Vec<Typed> },
}

impl Step {
    /// The type of the part.
    fn ty(&self, container: PgType) -> PgType {
        match self {
            Step::Field { ty, .. } => *ty,
            Step::Element { elem, .. } => *elem,
            Step::Slice { .. } | Step::Json { .. } => container,
        }
    }
}

fn mismatch(text: String) -> PgError {
    PgError::new(SqlState::DATATYPE_MISMATCH, text)
}

impl Binder<'_> {
    /// A column's value with a part replaced. Subscripts are bound over `scope`.
    pub(crate) fn store(&mut self, old: Typed, part: Part<'_>, scope: &Scope) -> Result<Typed> {
        let path = part.path;
        self.over(scope, "this expression", |me| me.store_in(old, &part, path))
    }

    /// The type of what a path leads to; the column's own if it leads nowhere.
    pub(crate) fn part_type(
        &mut self,
        column: PgType,
        path: &[AccessExpr],
        scope: &Scope,
    ) -> PgType {
        let null = crate::call::literal(&Datum::Null, column);
        let Ok(mut value) = null.map(|null| Typed::new(null, column)) else { return column };
        let mut rest = path;
        while !rest.is_empty() {
            let step = self.over(scope, "this expression", |me| me.step(&value, rest, ""));
            let Ok((step, tail)) = step else { return column };
            value.ty = step.ty(self.base_type(value.ty));
            rest = tail;
        }
        value.ty
    }

    /// A domain's base type; any other type as it is.
    fn base_type(&self, ty: PgType) -> PgType {
        let base = self.types.base(ty.oid);
        if base == ty.oid { ty } else { self.ty(base) }
    }

    fn store_in(&mut self, old: Typed, part: &Part<'_>, path: &[AccessExpr]) -> Result<Typed> {
        let whole = old.ty;
        let old = Typed::new(old.expr, self.base_type(whole));
        let (step, rest) = self.step(&old, path, part.column)?;
        let ty = step.ty(old.ty);
        let value = if rest.is_empty() {
            self.part_value(part, path, ty)?
        } else {
            self.store_in(read(&old, &step)?, part, rest)?
        };
        let made = write(old, step, value)?;
        if made.ty.oid == whole.oid {
            return Ok(Typed::new(made.expr, whole));
        }
        self.coerce(made, whole, Context::Assignment, None)
    }

    /// The value, as the part's type.
    fn part_value(&mut self, part: &Part<'_>, path: &[AccessExpr], ty: PgType) -> Result<Typed> {
        let given = part.value.ty.oid;
        let fits = given == oid::UNKNOWN
            || crate::resolve::cast::can_coerce(
                &self.types,
                &[given],
                &[ty.oid],
                Context::Assignment,
            );
        if fits {
            return self.coerce(part.value.clone(), ty, Context::Assignment, part.place);
        }
        let (wanted, given) = (self.types.name(ty.oid), self.types.name(given));
        let text = match path.last() {
            Some(AccessExpr::Dot(ast::Expr::Identifier(field))) => {
                let own = fold(field);
                format!("subfield \"{own}\" is of type {wanted} but expression is of type {given}")
            }
            _ => format!(
                "subscripted assignment to \"{}\" requires type {wanted} but expression is of \
                 type {given}",
                part.column
            ),
        };
        Err(mismatch(text)
            .hint("You will need to rewrite or cast the expression.")
            .or_at(part.place))
    }

    /// The first step of a path, and what comes behind it. Subscripts go together.
    fn step<'p>(
        &mut self,
        container: &Typed,
        path: &'p [AccessExpr],
        column: &str,
    ) -> Result<(Step, &'p [AccessExpr])> {
        let is_subscript = |step: &&AccessExpr| matches!(step, AccessExpr::Subscript(_));
        match path.split_first() {
            Some((AccessExpr::Dot(ast::Expr::Identifier(field)), rest)) => {
                Ok((self.field_step(container, field, column)?, rest))
            }
            Some((AccessExpr::Subscript(_), _)) => {
                let (subscripts, rest) =
                    path.split_at(path.iter().take_while(is_subscript).count());
                let step = if self.types.base(container.ty.oid) == oid::JSONB {
                    self.json_step(subscripts)?
                } else {
                    self.subscript_step(container, subscripts)?
                };
                Ok((step, rest))
            }
            _ => Err(PgError::unsupported("this assignment")),
        }
    }

    fn field_step(&mut self, container: &Typed, field: &ast::Ident, column: &str) -> Result<Step> {
        let name = fold(field);
        let shown = self.types.name(container.ty.oid);
        let cannot = format!("cannot assign to field \"{name}\" of column \"{column}\" because");
        let fields = self.row_fields(container);
        if fields.is_empty() && container.ty.kind != Kind::Record {
            let text = format!("{cannot} its type {shown} is not a composite type");
            return Err(mismatch(text));
        }
        let types = fields.iter().map(|(_, ty)| ty.oid).collect();
        let found = fields.into_iter().enumerate().find(|(_, (own, _))| *own == name);
        let Some((at, (name, ty))) = found else {
            let text = format!("{cannot} there is no such column in data type {shown}");
            return Err(PgError::new(SqlState::UNDEFINED_COLUMN, text));
        };
        Ok(Step::Field { at, name, ty, fields: types })
    }

    fn subscript_step(&mut self, container: &Typed, subscripts: &[AccessExpr]) -> Result<Step> {
        let elem = self.subscripted(container.ty.oid)?;
        Ok(match self.array_subscripts(subscripts)? {
            special::Subscripts::Element(indices) => {
                Step::Element { indices, elem: self.ty(elem).typmod(container.ty.typmod) }
            }
            special::Subscripts::Slice(bounds) => Step::Slice { bounds, elem },
        })
    }

    fn json_step(&mut self, subscripts: &[AccessExpr]) -> Result<Step> {
        let mut keys = Vec::with_capacity(subscripts.len());
        for subscript in subscripts {
            let AccessExpr::Subscript(Subscript::Index { index }) = subscript else {
                return Err(mismatch("jsonb subscript does not support slices".to_owned()));
            };
            let place = self.place(index);
            let key = self.expr(index)?;
            let ty = if key.ty.oid == oid::INT4 { oid::INT4 } else { oid::TEXT };
            keys.push(self.coerce(key, PgType::new(ty), Context::Assignment, place)?);
        }
        Ok(Step::Json { keys })
    }
}

/// The part as it is.
fn read(container: &Typed, step: &Step) -> Result<Typed> {
    let container = container.clone();
    match step {
        Step::Field { at, name, ty, .. } => {
            Ok(special::field_select(container, *at, name.clone(), *ty))
        }
        Step::Element { indices, elem } => {
            Ok(special::subscript(container, indices.clone(), *elem))
        }
        Step::Slice { bounds, .. } => special::slice(container, bounds.clone()),
        Step::Json { .. } => {
            Err(mismatch("jsonb subscript does not lead to a composite type".to_owned()))
        }
    }
}

/// The container with the part replaced.
fn write(container: Typed, step: Step, value: Typed) -> Result<Typed> {
    let ret = container.ty;
    let (mut types, mut args) = (vec![ret, value.ty], vec![container.expr, value.expr]);
    let mut more = |value: Typed| {
        types.push(value.ty);
        args.push(value.expr);
    };
    let call = match step {
        Step::Field { at, fields, .. } => {
            Special::new("store_field", types, ret, move |_, args| match args {
                [row, value] => store::field(row, ret.oid, &fields, at, value.clone()),
                _ => Ok(Datum::Null),
            })
            .detail(at.to_string())
        }
        Step::Element { indices, elem } => {
            indices.into_iter().for_each(more);
            Special::new("store_element", types, ret, move |_, args| match args {
                [array, value, subscripts @ ..] => {
                    store::element(array, ret.kind, elem.oid, value.clone(), subscripts)
                }
                _ => Ok(Datum::Null),
            })
        }
        Step::Slice { bounds, elem } => {
            let int4 = PgType::new(oid::INT4);
            let mut given = Vec::new();
            for bound in bounds.into_iter().flat_map(|(from, to)| [from, to]) {
                given.push(bound.is_some());
                more(match bound {
                    Some(bound) => bound,
                    None => Typed::new(crate::call::literal(&Datum::Null, int4)?, int4),
                });
            }
            let detail = format!("{given:?}");
            Special::new("store_slice", types, ret, move |_, args| match args {
                [array, source, bounds @ ..] => store::slice(array, elem, source, bounds, &given),
                _ => Ok(Datum::Null),
            })
            .detail(detail)
        }
        Step::Json { keys } => {
            let list = keys.first().is_some_and(|key| key.ty.oid == oid::INT4);
            keys.into_iter().for_each(more);
            Special::new("store_json", types, ret, move |_, args| match args {
                [document, value, keys @ ..] => store::json(document, value, keys, list),
                _ => Ok(Datum::Null),
            })
            .detail(if list { "list" } else { "" })
        }
    };
    Ok(call.lenient().over(args))
}
