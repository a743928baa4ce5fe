//! Operators (`oper()` in `parse_oper.c`).

use vicinity_functions::catalog::{self as builtin, Operator};
use vicinity_types::{Oid, PgError, Result, SqlState, oid};

use super::function::select_candidate;
use super::{CoerceContext, Resolver, polymorphic};

/// A resolved operator with the types its operands are coerced to.
#[derive(Clone, Copy, Debug)]
pub struct Op {
    /// `pg_operator`'s row.
    pub op: &'static Operator,
    /// Left operand's type; 0 for a prefix operator.
    pub left: Oid,
    /// Right operand's type.
    pub right: Oid,
    /// The result's.
    pub result: Oid,
}

impl Resolver<'_> {
    /// Finds an operator for operand types; `left` is `None` for a prefix operator.
    ///
    /// # Errors
    /// 42883 `operator does not exist: integer + text`, 42725 when it is not unique.
    pub fn operator(
        &self,
        schema: Option<&str>,
        name: &str,
        left: Option<Oid>,
        right: Oid,
    ) -> Result<Op> {
        // `!=` is read as `<>`.
        let name = if name == "!=" { "<>" } else { name };
        let namespace = match schema {
            None => None,
            Some(s) => Some(self.session.schema_oid(self.catalog, s).ok_or_else(|| {
                PgError::new(
                    SqlState::INVALID_SCHEMA_NAME,
                    format!("schema \"{s}\" does not exist"),
                )
            })?),
        };
        let wanted_kind = if left.is_some() { b'b' } else { b'l' };
        let candidates: Vec<&'static Operator> = builtin::operators_named(name)
            .filter(|o| o.kind == wanted_kind && !o.is_shell())
            .filter(|o| self.present(o.extension))
            .filter(|o| namespace.is_none_or(|n| o.namespace == n))
            .collect();
        match self.pick(&candidates, left, right)? {
            Some(op) => self.settle_operator(op, left, right),
            None => Err(self.no_operator(name, left, right)),
        }
    }

    fn pick(
        &self,
        candidates: &[&'static Operator],
        left: Option<Oid>,
        right: Oid,
    ) -> Result<Option<&'static Operator>> {
        let exact = |l: Oid, r: Oid| candidates.iter().find(|o| o.left == l && o.right == r);
        let Some(left) = left else {
            if let Some(op) = exact(0, self.base_type(right)) {
                return Ok(Some(op));
            }
            let lists: Vec<Vec<Oid>> = candidates.iter().map(|o| vec![o.right]).collect();
            return Ok(select_candidate(self, &lists, &[right])
                .ok()
                .and_then(|i| candidates.get(i).copied()));
        };
        // An unknown literal takes the other side's type if that makes an exact match.
        let (mut l, mut r) = (self.base_type(left), self.base_type(right));
        if l == oid::UNKNOWN && r != oid::UNKNOWN {
            l = r;
        } else if r == oid::UNKNOWN && l != oid::UNKNOWN {
            r = l;
        }
        if let Some(op) = exact(l, r) {
            return Ok(Some(op));
        }
        let lists: Vec<Vec<Oid>> = candidates.iter().map(|o| vec![o.left, o.right]).collect();
        Ok(select_candidate(self, &lists, &[left, right])
            .ok()
            .and_then(|i| candidates.get(i).copied()))
    }

    fn settle_operator(
        &self,
        op: &'static Operator,
        left: Option<Oid>,
        right: Oid,
    ) -> Result<Op> {
        let (declared, actual) = match left {
            Some(left) => (vec![op.left, op.right], vec![left, right]),
            None => (vec![op.right], vec![right]),
        };
        let (args, result) = polymorphic::settle(self, &declared, &actual, op.result)?;
        Ok(match args.as_slice() {
            [l, r] => Op { op, left: *l, right: *r, result },
            [r] => Op { op, left: 0, right: *r, result },
            _ => return Err(PgError::internal("operator with no operands")),
        })
    }

    fn no_operator(&self, name: &str, left: Option<Oid>, right: Oid) -> PgError {
        let text = match left {
            Some(left) => format!("{} {name} {}", self.type_name(left), self.type_name(right)),
            None => format!("{name} {}", self.type_name(right)),
        };
        let plural = if left.is_some() { "types" } else { "type" };
        PgError::new(SqlState::UNDEFINED_FUNCTION, format!("operator does not exist: {text}")).hint(
            format!(
                "No operator matches the given name and argument {plural}. You might need to add \
                 explicit type casts."
            ),
        )
    }

    /// Whether an operator of this name takes these types as they are or by implicit casts.
    pub fn has_operator(&self, name: &str, left: Oid, right: Oid) -> bool {
        self.operator(None, name, Some(left), right)
            .is_ok_and(|o| self.can_coerce(left, o.left, CoerceContext::Implicit))
    }
}
