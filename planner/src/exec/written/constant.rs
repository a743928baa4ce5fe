//! Constants as PostgreSQL writes them (`get_const_expr`), with a label where the text alone would be read
//! as another type.

use sqlparser::ast::{Expr, Value};
use vicinity_storage::catalog::model::TypeKind;
use vicinity_types::io::{text_in, to_text};
use vicinity_types::{Oid, oid};

use super::{Writer, literal};
use crate::call::{PgType, scalar_to_datum};
use crate::names;

/// `B'101'` and `X'1F'`.
pub(super) fn is_bits(value: &Value) -> bool {
    matches!(value, Value::SingleQuotedByteStringLiteral(_) | Value::HexStringLiteral(_))
}

/// Types whose values are objects of the catalog.
fn is_reg(ty: Oid) -> bool {
    matches!(
        ty,
        oid::REGCLASS
            | oid::REGTYPE
            | oid::REGPROC
            | oid::REGPROCEDURE
            | oid::REGOPER
            | oid::REGOPERATOR
            | oid::REGROLE
            | oid::REGNAMESPACE
    )
}

/// A constant's text, and whether it needs a label to be read as its type.
fn labelled(text: String, ty: Oid) -> (String, bool) {
    let digit = text.starts_with(|c: char| c.is_ascii_digit());
    match ty {
        oid::BOOL => ((if text.starts_with('t') { "true" } else { "false" }).to_owned(), false),
        oid::INT4 if digit => (text, false),
        // What looks like an integer would be one.
        oid::NUMERIC if digit && text.contains(['.', 'e', 'E']) => (text, false),
        _ => (format!("'{}'", text.replace('\'', "''")), true),
    }
}

impl Writer<'_> {
    /// A string that is a value of a type, as the type writes it: names in it are today's.
    pub(super) fn typed_literal(&self, e: &Expr, ty: PgType) -> Option<String> {
        let (text, label) = self.literal_value(e, ty)?;
        // What sets the length is written as a cast, and that is label enough.
        let bare = ty.typmod < 0 && !label;
        Some(if bare { text } else { format!("{text}::{}", self.type_name(ty)) })
    }

    /// The value of a string as a type has it, and whether it needs a label.
    fn literal_value(&self, e: &Expr, ty: PgType) -> Option<(String, bool)> {
        let given = literal(e)?;
        let Value::SingleQuotedString(text) = given else { return Some((given.to_string(), true)) };
        let label = self.ctx.catalog.type_def(ty.oid).and_then(|def| match &def.kind {
            TypeKind::Enum { labels } => labels.iter().find(|l| *l.text == **text),
            _ => None,
        });
        let value = match label {
            Some(label) => {
                let now = self.names.catalog().type_def(ty.oid)?;
                let TypeKind::Enum { labels } = &now.kind else { return None };
                labels.iter().find(|l| l.oid == label.oid)?.text.to_string()
            }
            None if is_reg(ty.oid) => self.reg_literal(text, ty.oid)?,
            None => match text_in(ty.oid, -1, text, &self.ctx.io()) {
                Ok(value) => to_text(ty.oid, &value, &self.ctx.io()),
                Err(_) => text.clone(),
            },
        };
        Some(labelled(value, ty.oid))
    }

    /// A `regclass` and its kin: the object's name, in full where the text is kept.
    fn reg_literal(&self, text: &str, ty: Oid) -> Option<String> {
        let (ctx, catalog) = (self.ctx, self.names.catalog());
        let object = names::reg_in(&ctx.catalog, &ctx.session, ty, text).ok()?;
        let in_full = match ty {
            _ if self.names.path().is_some() => None,
            oid::REGCLASS => catalog.relation(object).map(|r| (r.schema, r.name.as_str())),
            oid::REGPROC => catalog.function(object).map(|f| (f.schema, f.name.as_str())),
            oid::REGTYPE if names::is_type(catalog, object) => {
                return Some(names::type_name_in(catalog, None, object, None));
            }
            _ => None,
        };
        let full = in_full.map(|(schema, name)| names::in_schema(catalog, schema, name));
        let text = full.or_else(|| names::reg_out(catalog, &ctx.session, ty, object));
        Some(text.unwrap_or_else(|| object.to_string()))
    }

    /// A number without a sign, as the type it is read as writes it.
    pub(super) fn number(&self, e: &Expr, digits: &str) -> Option<String> {
        let ty = self.bind(e)?.ty;
        Some(self.number_of(ty, digits))
    }

    /// Digits, with a sign perhaps, as a type writes them.
    pub(super) fn number_of(&self, ty: PgType, digits: &str) -> String {
        let text = text_in(ty.oid, -1, digits, &self.ctx.io())
            .map_or_else(|_| digits.to_owned(), |v| to_text(ty.oid, &v, &self.ctx.io()));
        match labelled(text, ty.oid) {
            (text, false) => text,
            (text, true) => format!("{text}::{}", self.type_name(ty)),
        }
    }

    /// A constant with its type.
    pub(super) fn constant(&self, e: &Expr) -> Option<String> {
        let (text, ty) = self.constant_value(e)?;
        Some(format!("{text}::{}", self.type_name(ty)))
    }

    /// A bit string as a value of a type: its length is said by a label of its own.
    pub(super) fn bits(&self, e: &Expr, ty: PgType) -> Option<String> {
        let digits = literal(e).filter(|v| is_bits(v))?;
        let (text, _) = self.constant_value(&Expr::Value(digits.clone().into()))?;
        (ty.oid == oid::BIT).then(|| format!("{text}::{}", self.type_name(ty)))
    }

    /// A constant in quotes, and its type.
    fn constant_value(&self, e: &Expr) -> Option<(String, PgType)> {
        let bound = self.bind(e)?;
        let datafusion::logical_expr::Expr::Literal(value, _) = &bound.expr else { return None };
        let datum = scalar_to_datum(bound.ty.kind, value).ok()?;
        let text = to_text(bound.ty.oid, &datum, &self.ctx.io());
        Some((format!("'{}'", text.replace('\'', "''")), bound.ty))
    }
}
