//! What stands behind a value: fields and subscripts, and chains of them.

use sqlparser::ast::{self, AccessExpr};
use vicinity_types::{Kind, PgError, Result, SqlState, oid};

use crate::bind::{Binder, fold, position, special};
use crate::call::Typed;
use crate::sql::star::ALL_FIELDS;

impl Binder<'_> {
    /// `a[1]`, `a[1:2]`, `(c).f`, and chains of them.
    pub(super) fn access(&mut self, root: &ast::Expr, chain: &[AccessExpr]) -> Result<Typed> {
        let place = self.place(root);
        if let (ast::Expr::Array(_), Some(AccessExpr::Subscript(_))) = (root, chain.first()) {
            // Only in parentheses.
            let text = "syntax error at or near \"[\"";
            return Err(PgError::new(SqlState::SYNTAX_ERROR, text));
        }
        let (mut value, mut rest) = self.access_root(root, chain)?;
        while let Some(step) = rest.first() {
            match step {
                AccessExpr::Dot(field) => {
                    value = self.field(value, field, place)?;
                    rest = rest.get(1..).unwrap_or_default();
                }
                AccessExpr::Subscript(_) => {
                    let count =
                        rest.iter().take_while(|s| matches!(s, AccessExpr::Subscript(_))).count();
                    let (subscripts, tail) = rest.split_at(count);
                    value = self.subscripts(value, subscripts).map_err(|e| e.or_at(place))?;
                    rest = tail;
                }
            }
        }
        Ok(value)
    }

    /// `t.a[1]` begins with a column, `(t.a).b` with a value.
    fn access_root<'c>(
        &mut self,
        root: &ast::Expr,
        chain: &'c [AccessExpr],
    ) -> Result<(Typed, &'c [AccessExpr])> {
        if let ast::Expr::Identifier(first) = root {
            let mut idents = vec![first.clone()];
            for step in chain {
                match step {
                    AccessExpr::Dot(ast::Expr::Identifier(ident)) => idents.push(ident.clone()),
                    _ => break,
                }
            }
            for count in (1..=idents.len()).rev() {
                let Some(part) = idents.get(..count) else { continue };
                match self.column(part) {
                    Ok(value) => return Ok((value, chain.get(count - 1..).unwrap_or_default())),
                    Err(e) if count == 1 => return Err(e),
                    Err(_) => {}
                }
            }
        }
        Ok((self.expr(root)?, chain))
    }

    /// A field of a value that stands at `place`.
    fn field(&mut self, value: Typed, field: &ast::Expr, place: Option<usize>) -> Result<Typed> {
        let ast::Expr::Identifier(ident) = field else {
            return Err(PgError::unsupported("this field selection"));
        };
        let name = fold(ident);
        if name == ALL_FIELDS {
            let text = "row expansion via \"*\" is not supported here";
            let place = position(ident.span);
            return Err(PgError::new(SqlState::FEATURE_NOT_SUPPORTED, text).or_at(place));
        }
        let fields = self.row_fields(&value);
        let found = fields.iter().position(|(n, _)| *n == name);
        if let Some((i, ty)) = found.and_then(|i| fields.get(i).map(|(_, ty)| (i, *ty))) {
            self.note_field(value.ty.oid, i);
            return Ok(special::field_select(value, i, name, ty));
        }
        match self.function_of(&name, &value) {
            Some(value) => Ok(value),
            None if fields.is_empty() && value.ty.kind != Kind::Record => Err(PgError::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!(
                    "column notation .{name} applied to type {}, which is not a composite type",
                    self.types.name(value.ty.oid)
                ),
            )
            .or_at(place)),
            None if value.ty.oid == oid::RECORD => Err(PgError::new(
                SqlState::UNDEFINED_COLUMN,
                format!("could not identify column \"{name}\" in record data type"),
            )
            .or_at(place)),
            None => Err(PgError::new(
                SqlState::UNDEFINED_COLUMN,
                format!(
                    "column \"{name}\" not found in data type {}",
                    self.types.name(value.ty.oid)
                ),
            )
            .or_at(place)),
        }
    }
}
