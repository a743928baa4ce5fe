//! Which way through a table answers a filter and an order best.

use std::sync::Arc;

use datafusion::common::tree_node::TreeNode;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator, SortExpr, Volatility};
use vicinity_storage::Catalog;
use vicinity_storage::catalog::model::{IndexDef, IndexMethod, Relation};
use vicinity_types::Kind;

use super::spec::{AccessSpec, KeyBound};
use crate::call::{GroupKey, callable_of};
use crate::df::source::{Origin, StorageSource};

/// What a scan could not leave to the index, and what it could.
pub struct Choice {
    /// The way.
    pub access: AccessSpec,
    /// Conjuncts left to check.
    pub filter: Vec<Expr>,
    /// Whether rows come in the order asked for.
    pub ordered: bool,
}

/// Splits a filter at its ANDs.
pub fn conjuncts(filter: &Expr, out: &mut Vec<Expr>) {
    match filter {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => {
            conjuncts(left, out);
            conjuncts(right, out);
        }
        other => out.push(other.clone()),
    }
}

/// Whether an expression can be evaluated once before the scan: no columns, nothing volatile.
pub fn is_row_free(expr: &Expr) -> bool {
    !expr
        .exists(|e| {
            Ok(match e {
                Expr::Column(_)
                | Expr::OuterReferenceColumn(..)
                | Expr::ScalarSubquery(_)
                | Expr::Exists(_)
                | Expr::InSubquery(_) => true,
                e => callable_of(e).is_some_and(|(c, _)| c.volatility() == Volatility::Volatile),
            })
        })
        .unwrap_or(true)
}

/// A conjunct an index column can answer.
enum Match {
    Equal(Vec<Expr>),
    Low(KeyBound),
    High(KeyBound),
    Both(KeyBound, KeyBound),
}

/// The stored column an expression is.
fn stored(source: &StorageSource, expr: &Expr) -> Option<(usize, Kind)> {
    match expr {
        Expr::Column(c) => {
            let column = source.columns().iter().find(|s| s.name == c.name)?;
            match column.origin {
                Origin::Stored(i) => Some((i, column.ty.kind)),
                Origin::System(_) => None,
            }
        }
        Expr::Alias(a) => stored(source, &a.expr),
        other => {
            let (callable, args) = callable_of(other)?;
            callable.as_any().downcast_ref::<GroupKey>()?;
            stored(source, args.first()?)
        }
    }
}

/// A comparison as column, operator, value; the operator turned round if the column was right.
fn comparison(source: &StorageSource, expr: &Expr) -> Option<(usize, Operator, Expr)> {
    let (left, op, right) = match expr {
        Expr::BinaryExpr(b) => ((*b.left).clone(), b.op, (*b.right).clone()),
        other => {
            let (callable, args) = callable_of(other)?;
            let op = match callable.operator()?.name {
                "=" => Operator::Eq,
                "<" => Operator::Lt,
                "<=" => Operator::LtEq,
                ">" => Operator::Gt,
                ">=" => Operator::GtEq,
                _ => return None,
            };
            let [left, right] = args else { return None };
            let [l, r] = callable.args() else { return None };
            let whole = |k| matches!(k, Kind::Int2 | Kind::Int4 | Kind::Int8);
            if l.kind != r.kind && !(whole(l.kind) && whole(r.kind)) {
                return None;
            }
            (left.clone(), op, right.clone())
        }
    };
    if let Some((column, _)) = stored(source, &left)
        && is_row_free(&right)
    {
        return Some((column, op, right));
    }
    if let Some((column, _)) = stored(source, &right)
        && is_row_free(&left)
    {
        return Some((column, op.swap()?, left));
    }
    None
}

fn match_column(source: &StorageSource, expr: &Expr, column: usize) -> Option<Match> {
    match expr {
        Expr::InList(list) if !list.negated && list.list.iter().all(is_row_free) => {
            let (c, _) = stored(source, &list.expr)?;
            return (c == column).then(|| Match::Equal(list.list.clone()));
        }
        Expr::Between(b) if !b.negated && is_row_free(&b.low) && is_row_free(&b.high) => {
            let (c, _) = stored(source, &b.expr)?;
            let bound = |e: &Expr| KeyBound { value: e.clone(), inclusive: true };
            return (c == column).then(|| Match::Both(bound(&b.low), bound(&b.high)));
        }
        // The optimiser writes short IN lists as ORs.
        Expr::BinaryExpr(BinaryExpr { op: Operator::Or, .. }) => {
            let mut values = Vec::new();
            return any_of(source, expr, column, &mut values).then_some(Match::Equal(values));
        }
        _ => {}
    }
    let (c, op, value) = comparison(source, expr)?;
    if c != column {
        return None;
    }
    Some(match op {
        Operator::Eq => Match::Equal(vec![value]),
        Operator::Gt => Match::Low(KeyBound { value, inclusive: false }),
        Operator::GtEq => Match::Low(KeyBound { value, inclusive: true }),
        Operator::Lt => Match::High(KeyBound { value, inclusive: false }),
        Operator::LtEq => Match::High(KeyBound { value, inclusive: true }),
        _ => return None,
    })
}

/// Whether an OR is nothing but `column = value`s.
fn any_of(source: &StorageSource, expr: &Expr, column: usize, values: &mut Vec<Expr>) -> bool {
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => {
            any_of(source, left, column, values) && any_of(source, right, column, values)
        }
        other => match comparison(source, other) {
            Some((c, Operator::Eq, value)) if c == column => {
                values.push(value);
                true
            }
            _ => false,
        },
    }
}

/// What a btree can do for a filter.
struct Fit {
    equal: Vec<Vec<Expr>>,
    low: Option<KeyBound>,
    high: Option<KeyBound>,
    /// Which conjuncts it answers.
    used: Vec<usize>,
    single: bool,
}

fn fit(source: &StorageSource, def: &IndexDef, conjuncts: &[Expr]) -> Fit {
    let mut fit = Fit { equal: Vec::new(), low: None, high: None, used: Vec::new(), single: true };
    'columns: for key in &def.keys {
        let Some(column) = usize::try_from(key.column).ok().and_then(|c| c.checked_sub(1)) else {
            break;
        };
        let found = conjuncts.iter().enumerate().filter(|(i, _)| !fit.used.contains(i));
        let mut matches: Vec<(usize, Match)> =
            found.filter_map(|(i, e)| Some((i, match_column(source, e, column)?))).collect();
        // A single value beats a list: only the last column may have one.
        matches.sort_by_key(|(_, m)| match m {
            Match::Equal(values) => values.len(),
            _ => usize::MAX,
        });
        for (i, found) in matches {
            match found {
                Match::Equal(values) => {
                    let list = values.len() != 1;
                    fit.single &= !list;
                    fit.equal.push(values);
                    fit.used.push(i);
                    if list {
                        break 'columns;
                    }
                    continue 'columns;
                }
                Match::Low(bound) if fit.low.is_none() => {
                    fit.low = Some(bound);
                    fit.used.push(i);
                }
                Match::High(bound) if fit.high.is_none() => {
                    fit.high = Some(bound);
                    fit.used.push(i);
                }
                Match::Both(low, high) if fit.low.is_none() && fit.high.is_none() => {
                    fit.low = Some(low);
                    fit.high = Some(high);
                    fit.used.push(i);
                }
                _ => {}
            }
        }
        break;
    }
    fit
}

/// Whether index order after the equal columns is the order asked for; `Some(true)` if backwards.
fn order_of(
    source: &StorageSource,
    def: &IndexDef,
    equal: usize,
    sort: &[SortExpr],
) -> Option<bool> {
    let table = source.relation().table()?;
    let mut reverse = None;
    let mut keys = def.keys.iter().enumerate();
    for want in sort {
        let (column, _) = stored(source, &want.expr)?;
        let number = i16::try_from(column + 1).ok()?;
        // Columns equal to one value order nothing.
        if def.keys.iter().take(equal).any(|k| k.column == number) {
            continue;
        }
        let (_, key) = keys.find(|(i, k)| *i >= equal || k.column == number)?;
        if key.column != number {
            return None;
        }
        let backwards = want.asc == key.descending;
        let not_null = table.columns.get(column).is_some_and(|c| c.not_null);
        if !not_null && want.nulls_first != (key.nulls_first != backwards) {
            return None;
        }
        if *reverse.get_or_insert(backwards) != backwards {
            return None;
        }
    }
    Some(reverse.unwrap_or(false))
}

fn usable(relation: &Relation) -> Option<&IndexDef> {
    relation.index().filter(|def| def.valid)
}

/// The vector index that gives an order, if the order is one of nearness.
fn nearest(catalog: &Catalog, source: &StorageSource, sort: &[SortExpr]) -> Option<AccessSpec> {
    let [only] = sort else { return None };
    if !only.asc || only.nulls_first {
        return None;
    }
    let (callable, args) = callable_of(&only.expr)?;
    if callable.name() != "pase_order" {
        return None;
    }
    let [vector, query] = args else { return None };
    let (column, _) = stored(source, vector)?;
    if !is_row_free(query) {
        return None;
    }
    let number = i16::try_from(column + 1).ok()?;
    // `<?>` is the operator of pase_hnsw, `<#>` of pase_ivfflat; either index gives the order, the
    // operator's own first.
    let prefers = |method: IndexMethod| match callable.operator().map(|o| o.name) {
        Some("<#>") => method == IndexMethod::Ivfflat,
        Some("<?>") => method == IndexMethod::Hnsw,
        _ => true,
    };
    let mut found: Vec<(&Arc<Relation>, &IndexDef)> = catalog
        .indexes_of(source.relation().oid)
        .filter_map(|r| Some((r, usable(r)?)))
        .filter(|(_, d)| matches!(d.method, IndexMethod::Hnsw | IndexMethod::Ivfflat))
        .filter(|(_, d)| d.keys.first().is_some_and(|k| k.column == number))
        .collect();
    found.sort_by_key(|(r, d)| (!prefers(d.method), std::cmp::Reverse(r.oid)));
    let (index, _) = found.first()?;
    Some(AccessSpec::Vector {
        index: (*index).clone(),
        query: query.clone(),
        order: only.expr.clone(),
    })
}

/// Chooses the way through a table.
pub fn choose(
    catalog: &Catalog,
    source: &StorageSource,
    filters: &[Expr],
    sort: &[SortExpr],
    limited: bool,
) -> Choice {
    let mut parts = Vec::new();
    filters.iter().for_each(|f| conjuncts(f, &mut parts));
    let mut best: Option<(usize, &Arc<Relation>, Fit, Option<bool>)> = None;
    for relation in catalog.indexes_of(source.relation().oid) {
        let Some(def) = usable(relation) else { continue };
        if !matches!(def.method, IndexMethod::Btree | IndexMethod::Hash) {
            continue;
        }
        let fit = fit(source, def, &parts);
        if def.method == IndexMethod::Hash && fit.equal.len() < def.keys.len() {
            continue;
        }
        let singles = if fit.single { fit.equal.len() } else { 0 };
        let order = if sort.is_empty() || def.method == IndexMethod::Hash {
            None
        } else {
            order_of(source, def, singles, sort)
        };
        let score = score(def, &fit, order.is_some(), limited);
        if score > 0 && best.as_ref().is_none_or(|(s, ..)| score > *s) {
            best = Some((score, relation, fit, order));
        }
    }
    let selective = best.as_ref().is_some_and(|(_, _, fit, _)| !fit.equal.is_empty());
    if limited
        && !selective
        && let Some(access) = nearest(catalog, source, sort)
    {
        return Choice { access, filter: parts, ordered: true };
    }
    let Some((_, relation, fit, order)) = best else {
        return Choice { access: AccessSpec::Seq, filter: parts, ordered: false };
    };
    let mut conditions = Vec::new();
    let mut filter = Vec::new();
    for (i, part) in parts.into_iter().enumerate() {
        if fit.used.contains(&i) { conditions.push(part) } else { filter.push(part) }
    }
    Choice {
        access: AccessSpec::Btree {
            index: relation.clone(),
            equal: fit.equal,
            low: fit.low,
            high: fit.high,
            reverse: order == Some(true),
            conditions,
        },
        filter,
        ordered: order.is_some(),
    }
}

/// How good a btree is: a whole unique key, then more columns, then ranges, then a wanted order.
fn score(def: &IndexDef, fit: &Fit, ordered: bool, limited: bool) -> usize {
    let unique = usize::from(def.unique && fit.equal.len() == def.keys.len());
    let range = usize::from(fit.low.is_some()) + usize::from(fit.high.is_some());
    let order = if ordered && (limited || !fit.equal.is_empty() || range > 0) { 5 } else { 0 };
    unique * 1000 + fit.equal.len() * 100 + range * 10 + order
}
