//! Which way through a table answers a filter and an order best.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::tree_node::TreeNode;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator, SortExpr, Volatility, binary_expr};
use vicinity_storage::Catalog;
use vicinity_storage::catalog::model::{IndexDef, IndexMethod, Relation};
use vicinity_types::{Kind, Result};

use super::computed::Computed;
use super::spatial::SpatialFit;
use super::spec::{AccessSpec, KeyBound, KeyValues};
use crate::bind::{Quantified, held};
use crate::call::{Builtin, Callable, GroupKey, PgType, callable_of};
use crate::df::source::{Origin, StorageSource};
use crate::exec::stored::plain;
use crate::key_value::{asks_zone, is_family, is_whole};
use crate::nearness::Nearness;
use crate::session_state::Steering;

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
    Equal(KeyValues),
    Low(KeyBound),
    High(KeyBound),
    Both(KeyBound, KeyBound),
}

/// The stored column an expression is.
pub(super) fn stored(source: &StorageSource, expr: &Expr) -> Option<(usize, Kind)> {
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

/// What a key of an index is over.
#[derive(Clone, Copy)]
pub(super) enum KeyOver<'a> {
    Column(usize),
    Expression(&'a Expr),
}

impl KeyOver<'_> {
    pub(super) fn of<'c>(def: &IndexDef, computed: &'c Computed, at: usize) -> Option<KeyOver<'c>> {
        if let Some(expr) = computed.key(at) {
            return Some(KeyOver::Expression(expr));
        }
        let column = usize::try_from(def.keys.get(at)?.column).ok()?.checked_sub(1)?;
        Some(KeyOver::Column(column))
    }

    /// Whether an expression is what the key is over, or that as a wider integer.
    pub(super) fn is(self, source: &StorageSource, expr: &Expr) -> bool {
        match self {
            KeyOver::Column(column) => {
                stored(source, unwidened(expr)).is_some_and(|(c, _)| c == column)
            }
            KeyOver::Expression(own) => {
                let bare = match callable_of(expr) {
                    Some((c, [inner])) if c.as_any().is::<GroupKey>() => inner,
                    _ => expr,
                };
                [bare, unwidened(bare)].into_iter().any(|e| plain(e).is_ok_and(|e| e == *own))
            }
        }
    }
}

/// The number that an expression widens, to compare it with a wider one: its order is the same, and keys are sought
/// by values of any width.
fn unwidened(expr: &Expr) -> &Expr {
    let wide = |ty: &DataType| matches!(ty, DataType::Int32 | DataType::Int64 | DataType::Float64);
    match expr {
        Expr::Cast(cast) if wide(cast.field.data_type()) => &cast.expr,
        expr => match callable_of(expr) {
            Some((call, [inner])) if widens(&**call) => inner,
            _ => expr,
        },
    }
}

fn widens(call: &dyn Callable) -> bool {
    let ([from], to) = (call.args(), call.ret()) else { return false };
    let is_cast = |call: &Builtin| {
        vicinity_functions::cast(from.oid, to.oid).is_some_and(|cast| cast.func == call.proc().oid)
    };
    is_whole(from.kind)
        && is_whole(to.kind)
        && from.kind.width() < to.kind.width()
        && call.as_any().downcast_ref::<Builtin>().is_some_and(is_cast)
}

/// A comparison of a key with a value of another type of its family, with both as they are. It is not run: what it
/// means is known to who looks for keys.
pub(super) fn across(part: &Expr, is_key: impl Fn(&Expr) -> bool) -> Option<Expr> {
    let (callable, [left, right]) = callable_of(part)? else { return None };
    let [l, r] = *callable.args() else { return None };
    if l.kind == r.kind || !is_family(l.kind, r.kind) {
        return None;
    }
    let op = super::comparison(&**callable)?;
    let zone = asks_zone(l.kind, r.kind);
    let value = |e: &Expr, ty: PgType| match is_key(e) {
        true => e.clone(),
        false => held(e.clone(), ty, zone),
    };
    Some(binary_expr(value(left, l), op, value(right, r)))
}

/// Whether an index finds what an operator of these types compares.
fn comparable(callable: &dyn Callable) -> bool {
    let [l, r] = callable.args() else { return false };
    l.kind == r.kind || is_family(l.kind, r.kind)
}

/// The array that what a key is over is to be an element of.
fn element_of(source: &StorageSource, expr: &Expr, key: KeyOver<'_>) -> Option<Expr> {
    let Quantified { value, array, comparison, any } = Quantified::of(expr)?;
    let found = any
        && super::comparison(comparison) == Some(Operator::Eq)
        && comparable(comparison)
        && key.is(source, value)
        && is_row_free(array);
    found.then(|| array.clone())
}

/// A comparison with what a key is over: operator, value; turned round if the key was right.
fn comparison(source: &StorageSource, expr: &Expr, key: KeyOver<'_>) -> Option<(Operator, Expr)> {
    let across = across(expr, |e| key.is(source, e));
    let (left, op, right) = match across.as_ref().unwrap_or(expr) {
        Expr::BinaryExpr(b) => ((*b.left).clone(), b.op, (*b.right).clone()),
        other => {
            let (callable, args) = callable_of(other)?;
            let op = super::comparison(&**callable)?;
            let [left, right] = args else { return None };
            if !comparable(&**callable) {
                return None;
            }
            (left.clone(), op, right.clone())
        }
    };
    if key.is(source, &left) && is_row_free(&right) {
        return Some((op, right));
    }
    if key.is(source, &right) && is_row_free(&left) {
        return Some((op.swap()?, left));
    }
    None
}

fn match_key(source: &StorageSource, expr: &Expr, key: KeyOver<'_>) -> Option<Match> {
    match expr {
        Expr::InList(list) if !list.negated && list.list.iter().all(is_row_free) => {
            let values = || Match::Equal(KeyValues::Listed(list.list.clone()));
            return key.is(source, &list.expr).then(values);
        }
        Expr::Between(b) if !b.negated && is_row_free(&b.low) && is_row_free(&b.high) => {
            let bound = |e: &Expr| KeyBound { value: e.clone(), inclusive: true };
            return key.is(source, &b.expr).then(|| Match::Both(bound(&b.low), bound(&b.high)));
        }
        Expr::BinaryExpr(BinaryExpr { op: Operator::Or, .. }) => {
            let mut values = Vec::new();
            return any_of(source, expr, key, &mut values)
                .then_some(Match::Equal(KeyValues::Listed(values)));
        }
        other => {
            if let Some(array) = element_of(source, other, key) {
                return Some(Match::Equal(KeyValues::Elements(array)));
            }
        }
    }
    let (op, value) = comparison(source, expr, key)?;
    Some(match op {
        Operator::Eq => Match::Equal(KeyValues::Listed(vec![value])),
        Operator::Gt => Match::Low(KeyBound { value, inclusive: false }),
        Operator::GtEq => Match::Low(KeyBound { value, inclusive: true }),
        Operator::Lt => Match::High(KeyBound { value, inclusive: false }),
        Operator::LtEq => Match::High(KeyBound { value, inclusive: true }),
        _ => return None,
    })
}

/// Whether an OR is nothing but `key = value`s.
fn any_of(source: &StorageSource, expr: &Expr, key: KeyOver<'_>, values: &mut Vec<Expr>) -> bool {
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => {
            any_of(source, left, key, values) && any_of(source, right, key, values)
        }
        other => match comparison(source, other, key) {
            Some((Operator::Eq, value)) => {
                values.push(value);
                true
            }
            _ => false,
        },
    }
}

/// What a btree can do for a filter.
pub(super) struct Fit {
    pub(super) equal: Vec<KeyValues>,
    pub(super) low: Option<KeyBound>,
    pub(super) high: Option<KeyBound>,
    /// Which conjuncts it answers.
    used: Vec<usize>,
    single: bool,
}

/// What a btree can do for these conjuncts.
pub(super) fn fit(
    source: &StorageSource,
    def: &IndexDef,
    computed: &Computed,
    conjuncts: &[Expr],
) -> Fit {
    let mut fit = Fit { equal: Vec::new(), low: None, high: None, used: Vec::new(), single: true };
    'columns: for at in 0..def.keys.len() {
        let Some(key) = KeyOver::of(def, computed, at) else { break };
        let found = conjuncts.iter().enumerate().filter(|(i, _)| !fit.used.contains(i));
        let mut matches: Vec<(usize, Match)> =
            found.filter_map(|(i, e)| Some((i, match_key(source, e, key)?))).collect();
        // A single value beats a list: only the last column may have one.
        matches.sort_by_key(|(_, m)| match m {
            Match::Equal(values) => values.count(),
            _ => usize::MAX,
        });
        for (i, found) in matches {
            match found {
                Match::Equal(values) => {
                    let list = !values.is_one();
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
    computed: &Computed,
    equal: usize,
    sort: &[SortExpr],
) -> Option<bool> {
    let table = source.relation().table()?;
    let mut reverse = None;
    let mut keys = def.keys.iter().enumerate();
    for want in sort {
        let is = |at| KeyOver::of(def, computed, at).is_some_and(|k| k.is(source, &want.expr));
        // Keys equal to one value order nothing.
        if (0..equal).any(is) {
            continue;
        }
        let (at, key) = keys.find(|(i, _)| *i >= equal)?;
        if !is(at) {
            return None;
        }
        let backwards = want.asc == key.descending;
        let column = usize::try_from(key.column).ok().and_then(|c| c.checked_sub(1));
        let not_null = column.and_then(|c| table.columns.get(c)).is_some_and(|c| c.not_null);
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

/// The vector index that gives an order of nearness, or its first key: rows that tie are sorted inside the scan.
fn nearest(catalog: &Catalog, source: &StorageSource, sort: &[SortExpr]) -> Option<AccessSpec> {
    let (first, others) = sort.split_first()?;
    if !first.asc || first.nulls_first || !others.iter().all(|s| is_in_scan(&s.expr)) {
        return None;
    }
    let (callable, args) = callable_of(&first.expr)?;
    let nearness = callable.as_any().downcast_ref::<Nearness>()?;
    let [vector, query] = args else { return None };
    let (column, _) = stored(source, vector)?;
    if !is_row_free(query) {
        return None;
    }
    let number = i16::try_from(column + 1).ok()?;
    // Any vector index of the column gives the order, one of the operator's own method first.
    let (index, def) = catalog
        .indexes_of(source.relation().oid)
        .filter_map(|r| Some((r, usable(r)?)))
        .filter(|(_, d)| matches!(d.method, IndexMethod::Hnsw | IndexMethod::Ivfflat))
        .filter(|(_, d)| d.keys.first().is_some_and(|k| k.column == number))
        .max_by_key(|(r, d)| (nearness.is_of(d.method), r.oid))?;
    Some(AccessSpec::Vector {
        index: index.clone(),
        query: query.clone(),
        kind: callable.args().get(1)?.kind,
        order: first.expr.clone(),
        tuned: nearness.is_of(def.method),
    })
}

/// The best index so far: its score, what it does for the filter and the order, and for each
/// conjunct whether its predicate says the same.
type Best<'a> = (usize, &'a Arc<Relation>, Fit, Option<bool>, Vec<bool>);

/// Whether a sort key can be evaluated where rows are scanned.
fn is_in_scan(expr: &Expr) -> bool {
    let volatile =
        |e: &Expr| Ok(callable_of(e).is_some_and(|(c, _)| c.volatility() == Volatility::Volatile));
    super::can_run_in_scan(expr) && !expr.exists(volatile).unwrap_or(true)
}

/// Chooses the way through a table.
pub fn choose(
    catalog: &Catalog,
    source: &StorageSource,
    filters: &[Expr],
    sort: &[SortExpr],
    limited: bool,
    steering: Steering,
) -> Choice {
    let mut parts = Vec::new();
    filters.iter().for_each(|f| conjuncts(f, &mut parts));
    if steering.no_index {
        return Choice { access: AccessSpec::Seq, filter: parts, ordered: false };
    }
    let limited = limited || steering.in_order;
    let mut best: Option<Best<'_>> = None;
    let mut bare: Vec<Expr> = Vec::new();
    for relation in catalog.indexes_of(source.relation().oid) {
        let Some(def) = usable(relation) else { continue };
        if !matches!(def.method, IndexMethod::Btree | IndexMethod::Hash) {
            continue;
        }
        let Some(computed) = Computed::of(catalog, source.relation(), def) else { continue };
        if def.predicate.is_some() && bare.is_empty() {
            bare = parts.iter().map(plain).collect::<Result<_>>().unwrap_or_default();
        }
        if !computed.implied_by(&bare) {
            continue;
        }
        let fit = fit(source, def, &computed, &parts);
        if def.method == IndexMethod::Hash && fit.equal.len() < def.keys.len() {
            continue;
        }
        let singles = if fit.single { fit.equal.len() } else { 0 };
        let order = if sort.is_empty() || def.method == IndexMethod::Hash {
            None
        } else {
            order_of(source, def, &computed, singles, sort)
        };
        let score = score(def, &fit, order.is_some(), limited);
        if score > 0 && best.as_ref().is_none_or(|(s, ..)| score > *s) {
            let held = bare.iter().map(|b| computed.predicate.contains(b)).collect();
            best = Some((score, relation, fit, order, held));
        }
    }
    let selective = best.as_ref().is_some_and(|(_, _, fit, ..)| !fit.equal.is_empty());
    if limited
        && !selective
        && let Some(access) = nearest(catalog, source, sort)
    {
        return Choice { access, filter: parts, ordered: true };
    }
    if !selective && let Some(fit) = placed(catalog, source, &parts, sort, limited) {
        return spatial(fit, parts);
    }
    let Some((_, relation, fit, order, held)) = best else {
        return Choice { access: AccessSpec::Seq, filter: parts, ordered: false };
    };
    let mut conditions = Vec::new();
    let mut filter = Vec::new();
    for (i, part) in parts.into_iter().enumerate() {
        if fit.used.contains(&i) {
            conditions.push(part);
        } else if !held.get(i).copied().unwrap_or(false) {
            // What a partial index's predicate says holds for every row that it gives.
            filter.push(part);
        }
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

/// The spatial index that answers most conditions; one that gives the order before others.
fn placed(
    catalog: &Catalog,
    source: &StorageSource,
    parts: &[Expr],
    sort: &[SortExpr],
    limited: bool,
) -> Option<SpatialFit> {
    let in_scan = sort.iter().skip(1).all(|s| is_in_scan(&s.expr));
    let bare: Vec<Expr> = parts.iter().map(plain).collect::<Result<_>>().unwrap_or_default();
    let fits = catalog.indexes_of(source.relation().oid).filter_map(|relation| {
        let def = usable(relation)?;
        // Entries are of any version: what a predicate says of the one that is seen stays in the filter.
        let computed = Computed::of(catalog, source.relation(), def)?;
        if !computed.implied_by(&bare) {
            return None;
        }
        let mut fit = SpatialFit::of(catalog, source, (relation, def, &computed), parts, sort)?;
        // All rows of a table in order are sorted faster than looked up.
        if !in_scan || (!limited && fit.used.is_empty()) {
            fit.near = None;
        }
        (fit.near.is_some() || !fit.used.is_empty()).then_some(fit)
    });
    fits.max_by_key(|fit| (fit.near.is_some(), fit.used.len(), fit.index.oid))
}

fn spatial(fit: SpatialFit, parts: Vec<Expr>) -> Choice {
    let rest = parts.into_iter().enumerate().filter(|(i, _)| !fit.used.contains(i));
    Choice {
        filter: rest.map(|(_, part)| part).collect(),
        ordered: fit.near.is_some(),
        access: AccessSpec::Spatial(fit),
    }
}

/// How good a btree is: a whole unique key, then more columns, then ranges, then a wanted order.
fn score(def: &IndexDef, fit: &Fit, ordered: bool, limited: bool) -> usize {
    let unique = usize::from(def.unique && fit.equal.len() == def.keys.len());
    let range = usize::from(fit.low.is_some()) + usize::from(fit.high.is_some());
    let order = if ordered && (limited || !fit.equal.is_empty() || range > 0) { 5 } else { 0 };
    // A part of the rows is less than all of them.
    let partial = usize::from(def.predicate.is_some());
    unique * 1000 + fit.equal.len() * 100 + range * 10 + order + partial
}
