//! What a filter says about a key, AND by AND and OR by OR: what partitions are cut by
//! (`gen_partprune_steps`).

use datafusion::common::ScalarValue;
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator, lit};
use vicinity_storage::Catalog;
use vicinity_storage::catalog::model::IndexDef;

use super::access::{Fit, KeyOver, across, conjuncts, fit, is_row_free, stored};
use super::computed::Computed;
use super::spec::{KeyBound, KeyValues};
use crate::bind::Quantified;
use crate::df::source::StorageSource;

/// Conditions that all hold.
#[derive(Default)]
pub(crate) struct KeyFilter {
    /// A value each of the leading columns.
    pub(crate) equal: Vec<Expr>,
    /// Bounds of the column behind those.
    pub(crate) low: Option<KeyBound>,
    pub(crate) high: Option<KeyBound>,
    /// Values that the first column has not.
    pub(crate) unequal: Vec<Expr>,
    /// Arrays, one value of each is the first column's.
    pub(crate) any_of: Vec<Expr>,
    /// Arrays of values that the first column has not.
    pub(crate) none_of: Vec<Expr>,
    /// Columns that are NULL.
    pub(crate) null: Vec<usize>,
    /// Columns that are not.
    pub(crate) not_null: Vec<usize>,
    /// Of each of these one alternative at least.
    pub(crate) any: Vec<Vec<KeyFilter>>,
    /// They contradict each other.
    pub(crate) never: bool,
}

/// What stands for NULL among the values of a key: a comparison with a NULL is never true, and IS NULL is.
pub(crate) fn is_null_key(value: &Expr) -> bool {
    matches!(value, Expr::IsNull(_))
}

fn null_key() -> Expr {
    Expr::IsNull(Box::new(lit(ScalarValue::Null)))
}

impl KeyFilter {
    /// What filters say about a key.
    pub(crate) fn of(
        catalog: &Catalog,
        source: &StorageSource,
        key: &IndexDef,
        filters: &[Expr],
    ) -> KeyFilter {
        let Some(computed) = Computed::of(catalog, source.relation(), key) else {
            return KeyFilter::default();
        };
        let mut parts = Vec::new();
        filters.iter().for_each(|f| conjuncts(f, &mut parts));
        Reader { source, key, computed: &computed }.all(parts)
    }

    /// Whether it says nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.equal.is_empty()
            && self.low.is_none()
            && self.high.is_none()
            && self.unequal.is_empty()
            && self.any_of.is_empty()
            && self.none_of.is_empty()
            && self.null.is_empty()
            && self.not_null.is_empty()
            && self.any.is_empty()
            && !self.never
    }

    /// The values it speaks of, each with the place of its column in the key.
    pub(crate) fn values(&self) -> Vec<(usize, &Expr)> {
        let next = self.equal.len();
        let ends = self.low.iter().chain(&self.high).map(|b| (next, &b.value));
        let equal = self.equal.iter().enumerate().filter(|(_, v)| !is_null_key(v));
        let unequal = self.unequal.iter().map(|v| (0, v));
        let own = equal.chain(ends).chain(unequal);
        own.chain(self.any.iter().flatten().flat_map(KeyFilter::values)).collect()
    }

    /// The arrays it speaks of.
    pub(crate) fn arrays(&self) -> Vec<&Expr> {
        let own = self.any_of.iter().chain(&self.none_of);
        own.chain(self.any.iter().flatten().flat_map(KeyFilter::arrays)).collect()
    }
}

struct Reader<'a> {
    source: &'a StorageSource,
    key: &'a IndexDef,
    computed: &'a Computed,
}

impl Reader<'_> {
    /// The place in the key of what an expression is.
    fn column(&self, expr: &Expr) -> Option<usize> {
        let is = |at: &usize| {
            KeyOver::of(self.key, self.computed, *at).is_some_and(|k| k.is(self.source, expr))
        };
        (0..self.key.keys.len()).find(is)
    }

    fn is_column(&self, expr: &Expr) -> bool {
        matches!(expr, Expr::Column(_)) && stored(self.source, expr).is_some()
    }

    fn all(&self, parts: Vec<Expr>) -> KeyFilter {
        let mut out = KeyFilter::default();
        let mut compared = Vec::new();
        for part in parts {
            self.take(part, &mut compared, &mut out);
        }
        let Fit { equal, low, high, .. } = fit(self.source, self.key, self.computed, &compared);
        out.equal = equal.into_iter().filter_map(KeyValues::into_one).collect();
        (out.low, out.high) = (low, high);
        let tested = |at: &usize| {
            let test = |e: &Expr| self.tested(e) == Some(*at);
            out.not_null.contains(at)
                || compared.iter().any(test)
                || (*at == 0 && !out.unequal.is_empty())
        };
        out.never |= out.null.iter().any(tested);
        out
    }

    /// The column that a comparison is true of only where it is not NULL.
    fn tested(&self, part: &Expr) -> Option<usize> {
        match part {
            Expr::BinaryExpr(b) if is_null_key(&b.left) || is_null_key(&b.right) => None,
            Expr::BinaryExpr(b) if b.op.returns_null_on_null() => {
                self.column(&b.left).or_else(|| self.column(&b.right))
            }
            _ => None,
        }
    }

    fn take(&self, part: Expr, compared: &mut Vec<Expr>, out: &mut KeyFilter) {
        match part {
            Expr::Literal(ScalarValue::Boolean(None | Some(false)), _) => out.never = true,
            Expr::BinaryExpr(BinaryExpr { op: Operator::Or, .. }) => {
                let mut alternatives = Vec::new();
                disjuncts(&part, &mut alternatives);
                self.any(alternatives, out);
            }
            Expr::BinaryExpr(BinaryExpr { ref left, op: Operator::NotEq, ref right }) => {
                let pair = [(left, right), (right, left)];
                let found = pair.iter().find(|(l, r)| self.column(l) == Some(0) && is_row_free(r));
                out.unequal.extend(found.map(|(_, value)| (***value).clone()));
            }
            Expr::InList(list) if list.list.iter().all(is_row_free) => {
                self.list(list, compared, out)
            }
            Expr::IsNotTrue(e) if self.is_column(&e) => self.other_than(*e, true, out),
            Expr::IsNotFalse(e) if self.is_column(&e) => self.other_than(*e, false, out),
            Expr::IsNotNull(e) => out.not_null.extend(self.column(&e)),
            Expr::IsNull(e) if self.column(&e).is_some() => {
                out.null.extend(self.column(&e));
                compared.push((*e).eq(null_key()));
            }
            Expr::IsTrue(e) if self.is_column(&e) => compared.push((*e).eq(lit(true))),
            Expr::Not(e) | Expr::IsFalse(e) if self.is_column(&e) => {
                compared.push((*e).eq(lit(false)))
            }
            e if self.is_column(&e) => compared.push(e.eq(lit(true))),
            e => match self.array(&e) {
                Some((array, true)) => out.any_of.push(array),
                Some((array, false)) => out.none_of.push(array),
                None => {
                    let across = across(&e, |e| self.column(e).is_some());
                    compared.push(across.unwrap_or(e));
                }
            },
        }
    }

    /// The array one value of which the first column is, or none of them.
    fn array(&self, part: &Expr) -> Option<(Expr, bool)> {
        let Quantified { value, array, comparison, any } = Quantified::of(part)?;
        let wanted = if any { "=" } else { "<>" };
        let is = comparison.operator()?.name == wanted && self.column(value) == Some(0);
        (is && is_row_free(array)).then(|| (array.clone(), any))
    }

    /// `x IS NOT TRUE`, or FALSE.
    fn other_than(&self, column: Expr, value: bool, out: &mut KeyFilter) {
        let null = Expr::IsNull(Box::new(column.clone()));
        self.any(vec![column.eq(lit(!value)), null], out);
    }

    fn list(&self, list: InList, compared: &mut Vec<Expr>, out: &mut KeyFilter) {
        let InList { expr, list, negated } = list;
        let equal = |value: Expr| (*expr).clone().eq(value);
        match self.column(&expr) {
            Some(0) if negated => out.unequal.extend(list),
            Some(_) if !negated && list.len() == 1 => {
                compared.extend(list.into_iter().map(equal));
            }
            Some(_) if !negated => {
                self.any(list.into_iter().map(equal).collect(), out);
            }
            _ => {}
        }
    }

    /// One of several. What can never be true is none of them.
    fn any(&self, alternatives: Vec<Expr>, out: &mut KeyFilter) {
        let mut kept = Vec::with_capacity(alternatives.len());
        for alternative in alternatives {
            let mut parts = Vec::new();
            conjuncts(&alternative, &mut parts);
            let read = self.all(parts);
            if read.is_empty() {
                return;
            }
            if !read.never {
                kept.push(read);
            }
        }
        out.never |= kept.is_empty();
        out.any.push(kept);
    }
}

/// Splits an expression at its ORs.
fn disjuncts(expr: &Expr, out: &mut Vec<Expr>) {
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => {
            disjuncts(left, out);
            disjuncts(right, out);
        }
        other => out.push(other.clone()),
    }
}
