//! Spatial indexes: which conditions and orders over points, boxes, circles and polygons they answer.

use std::sync::Arc;

use datafusion::logical_expr::utils::split_binary;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator as Native, SortExpr};
use vicinity_functions::{Operator, operator_by_oid, proc_by_oid, procs_named};
use vicinity_indexes::spatial::Region;
use vicinity_storage::Catalog;
use vicinity_storage::catalog::model::{IndexDef, IndexMethod, Relation};
use vicinity_types::geo::{Circle, EPSILON, Point, Polygon};
use vicinity_types::{Datum, Kind};

use super::access::{KeyOver, conjuncts, is_row_free};
use super::computed::Computed;
use crate::call::{Builtin, PgType, call_expr, callable_of};
use crate::df::source::{Origin, SourceColumn, StorageSource};

/// A condition on the indexed column that the index narrows its search by: `column op value`.
#[derive(Clone, Debug)]
pub struct SpatialCondition {
    /// The operator's name, the column on its left.
    pub operator: &'static str,
    /// The value: free of columns.
    pub value: Expr,
    /// How the value is held.
    pub kind: Kind,
    /// The condition as PostgreSQL shows it.
    pub shown: Expr,
    /// Whether the index alone can tell, for points that are in it.
    pub exact: bool,
}

/// One condition or another: the index is asked for each.
#[derive(Clone, Debug)]
pub struct Either {
    /// What narrows the search, for each of them.
    pub ways: Vec<Vec<SpatialCondition>>,
    /// All of it as PostgreSQL shows it.
    pub shown: Expr,
}

/// What a spatial index does for a scan.
#[derive(Clone)]
pub struct SpatialFit {
    /// The index.
    pub index: Arc<Relation>,
    /// The kind of what it is over.
    pub kind: Kind,
    /// What it narrows the search by.
    pub conditions: Vec<SpatialCondition>,
    /// And by one of these.
    pub either: Option<Either>,
    /// Which conjuncts those are.
    pub used: Vec<usize>,
    /// The point rows are ordered by their distance from, and the order as PostgreSQL shows it.
    pub near: Option<(Expr, Expr)>,
}

impl SpatialFit {
    /// What an index does for a filter and an order; `None` if nothing.
    pub(super) fn of(
        catalog: &Catalog,
        source: &StorageSource,
        (relation, def, computed): (&Arc<Relation>, &IndexDef, &Computed),
        parts: &[Expr],
        sort: &[SortExpr],
    ) -> Option<SpatialFit> {
        let key = def.keys.first().filter(|_| def.method == IndexMethod::Spatial)?;
        let over = KeyOver::of(def, computed, 0)?;
        let is = |e: &Expr| over.is(source, e);
        let kind = match (&key.expr, over) {
            (Some(expr), _) => catalog.kind_of(expr.type_oid),
            (None, KeyOver::Column(column)) => {
                let own = |c: &&SourceColumn| c.origin == Origin::Stored(column);
                source.columns().iter().find(own)?.ty.kind
            }
            _ => return None,
        };
        let (mut conditions, mut either, mut used) = (Vec::new(), None, Vec::new());
        let mut circles = 0;
        for (i, part) in parts.iter().enumerate() {
            let Some(mut found) = narrowing(part, kind, &is) else {
                if either.is_none() {
                    either = Either::of(part, kind, &is);
                    used.extend(either.is_some().then_some(i));
                }
                continue;
            };
            // The index looks at one circle; rows are checked against others.
            circles += usize::from(found.kind == Kind::Circle);
            found.exact &= found.kind != Kind::Circle || circles == 1;
            conditions.push(found);
            used.push(i);
        }
        let near = match sort.first() {
            Some(first) if first.asc && !first.nulls_first => nearness(&first.expr, kind, &is),
            _ => None,
        };
        let fit = SpatialFit { index: relation.clone(), kind, conditions, either, used, near };
        (!fit.used.is_empty() || fit.near.is_some()).then_some(fit)
    }

    /// The conditions it answers, as PostgreSQL shows them.
    pub fn shown(&self) -> Vec<Expr> {
        let plain = self.conditions.iter().map(|c| &c.shown);
        plain.chain(self.either.iter().map(|e| &e.shown)).cloned().collect()
    }

    /// Those of them that rows are to be checked for still.
    pub fn inexact(&self) -> impl Iterator<Item = &Expr> {
        let plain = self.conditions.iter().filter(|c| !c.exact).map(|c| &c.shown);
        plain.chain(self.either.iter().map(|e| &e.shown))
    }
}

impl Either {
    /// An OR, if the index has something for whatever it asks for.
    fn of(expr: &Expr, kind: Kind, is: &dyn Fn(&Expr) -> bool) -> Option<Either> {
        let Expr::BinaryExpr(BinaryExpr { op: Native::Or, .. }) = expr else { return None };
        let mut ways = Vec::new();
        for way in split_binary(expr, Native::Or) {
            let mut parts = Vec::new();
            conjuncts(way, &mut parts);
            let way: Vec<_> = parts.iter().filter_map(|p| narrowing(p, kind, is)).collect();
            if way.is_empty() {
                return None;
            }
            ways.push(way);
        }
        Some(Either { ways, shown: expr.clone() })
    }
}

/// What a condition narrows a search by.
fn narrowing(expr: &Expr, kind: Kind, is: &dyn Fn(&Expr) -> bool) -> Option<SpatialCondition> {
    condition(expr, kind, is).or_else(|| within(expr, kind, is))
}

/// The operands of an operator with the column on the left, its name then, and its text in plans.
fn turned(
    expr: &Expr,
    is: &dyn Fn(&Expr) -> bool,
) -> Option<(&'static Operator, Expr, PgType, Expr)> {
    let (callable, args) = callable_of(expr)?;
    let operator = callable.operator()?;
    let ([left, right], [l, r]) = (args, callable.args()) else { return None };
    if is(left) && is_row_free(right) {
        return Some((operator, right.clone(), *r, expr.clone()));
    }
    if !is(right) || !is_row_free(left) {
        return None;
    }
    let commuted = operator_by_oid(operator.com)?;
    let proc = proc_by_oid(commuted.code)?;
    let call = Builtin::new(proc, Some(commuted), vec![*r, *l], callable.ret(), false).ok()?;
    let shown = call_expr(Arc::new(call), vec![right.clone(), left.clone()]);
    Some((commuted, left.clone(), *l, shown))
}

fn condition(expr: &Expr, kind: Kind, is: &dyn Fn(&Expr) -> bool) -> Option<SpatialCondition> {
    let (operator, value, ty, shown) = turned(expr, is)?;
    let known = match (kind, ty.kind, operator.name) {
        (Kind::Point, Kind::Circle | Kind::Box | Kind::Polygon, "<@") => true,
        (Kind::Point, Kind::Point, "<<" | ">>" | "<<|" | "|>>" | "<^" | ">^" | "~=") => true,
        (Kind::Box | Kind::Circle | Kind::Polygon, other, name) => {
            let plain = ["<<", "&<", "&&", "&>", ">>", "~=", "@>", "<@"].contains(&name);
            other == kind && (plain || ["&<|", "<<|", "|>>", "|&>"].contains(&name))
        }
        _ => false,
    };
    let exact = matches!((kind, ty.kind), (Kind::Point, Kind::Circle | Kind::Box));
    known.then_some(SpatialCondition {
        operator: operator.name,
        value,
        kind: ty.kind,
        shown,
        exact,
    })
}

/// `column <-> point < distance`, and with `<=`: what lies in the circle, and is looked at again.
fn within(expr: &Expr, kind: Kind, is: &dyn Fn(&Expr) -> bool) -> Option<SpatialCondition> {
    let Expr::BinaryExpr(comparison) = expr else { return None };
    let (distance, radius) = match comparison.op {
        Native::Lt | Native::LtEq => (&comparison.left, &comparison.right),
        Native::Gt | Native::GtEq => (&comparison.right, &comparison.left),
        _ => return None,
    };
    if kind != Kind::Point || !is_row_free(radius) {
        return None;
    }
    let (point, _) = nearness(distance, kind, is)?;
    let proc = procs_named("circle").find(|p| p.src == "cr_circle")?;
    let (types, ret) = (proc.args.iter().copied().map(PgType::new), PgType::new(proc.ret));
    let circle = Builtin::new(proc, None, types.collect(), ret, false).ok()?;
    Some(SpatialCondition {
        operator: "<->",
        value: call_expr(Arc::new(circle), vec![point, (**radius).clone()]),
        kind: Kind::Circle,
        shown: expr.clone(),
        exact: false,
    })
}

/// The point of `column <-> point`, and the order's text.
fn nearness(expr: &Expr, kind: Kind, is: &dyn Fn(&Expr) -> bool) -> Option<(Expr, Expr)> {
    let (operator, value, ty, shown) = turned(expr, is)?;
    let known = matches!(kind, Kind::Point | Kind::Box | Kind::Circle | Kind::Polygon)
        && ty.kind == Kind::Point
        && operator.name == "<->"
        && operator.extension.is_none();
    known.then_some((value, shown))
}

/// Least and largest coordinates of the box around a value: low x, low y, high x, high y.
#[derive(Clone, Copy)]
pub struct Bounds {
    /// The least.
    pub low: [f64; 4],
    /// The largest.
    pub high: [f64; 4],
}

impl Bounds {
    /// Everything.
    pub fn all() -> Bounds {
        Bounds { low: [f64::NEG_INFINITY; 4], high: [f64::INFINITY; 4] }
    }

    fn raise(&mut self, at: usize, v: f64) {
        if let Some(low) = self.low.get_mut(at)
            && v > *low
        {
            *low = v;
        }
    }

    fn lower(&mut self, at: usize, v: f64) {
        if let Some(high) = self.high.get_mut(at)
            && v < *high
        {
            *high = v;
        }
    }

    /// Narrows to boxes that can satisfy `box op around`, comparisons being as tolerant as PostgreSQL's.
    pub fn narrow(&mut self, operator: &str, around: [f64; 4]) {
        // Several tolerances add up in radii and centers, and the last digits of a distance are as
        // large as what is far from the origin makes them; a little more does no harm.
        let far = around.iter().fold(0.0, |far: f64, v| far.max(v.abs()));
        let slack = 10.0 * EPSILON + far * 1e-9;
        let less = around.map(|v| v - slack);
        let more = around.map(|v| v + slack);
        let ([llx, lly, lhx, lhy], [mlx, mly, mhx, mhy]) = (less, more);
        let steps: &[(usize, bool, f64)] = match operator {
            "<<" => &[(2, true, mlx)],
            "&<" => &[(2, true, mhx)],
            ">>" => &[(0, false, lhx)],
            "&>" => &[(0, false, llx)],
            "<<|" => &[(3, true, mly)],
            "&<|" => &[(3, true, mhy)],
            "|>>" => &[(1, false, lhy)],
            "|&>" => &[(1, false, lly)],
            "&&" => &[(0, true, mhx), (2, false, llx), (1, true, mhy), (3, false, lly)],
            "@>" => &[(0, true, mlx), (1, true, mly), (2, false, lhx), (3, false, lhy)],
            "<@" => &[(0, false, llx), (1, false, lly), (2, true, mhx), (3, true, mhy)],
            "~=" => &[
                (0, false, llx),
                (0, true, mlx),
                (1, false, lly),
                (1, true, mly),
                (2, false, lhx),
                (2, true, mhx),
                (3, false, lhy),
                (3, true, mhy),
            ],
            _ => &[],
        };
        for (at, upper, v) in steps {
            if *upper { self.lower(*at, *v) } else { self.raise(*at, *v) }
        }
    }
}

/// The box around a value; everything, in what has a NaN or a negative radius: no comparison is to be relied on then.
pub fn around(value: &Datum) -> [f64; 4] {
    let all = [f64::NAN; 4];
    let points = |points: &[Point]| {
        let fold = |f: fn(f64, f64) -> f64, start, of: fn(&Point) -> f64| {
            points.iter().map(of).fold(start, f)
        };
        if points.iter().any(|p| p.x.is_nan() || p.y.is_nan()) {
            return all;
        }
        [
            fold(f64::min, f64::INFINITY, |p| p.x),
            fold(f64::min, f64::INFINITY, |p| p.y),
            fold(f64::max, f64::NEG_INFINITY, |p| p.x),
            fold(f64::max, f64::NEG_INFINITY, |p| p.y),
        ]
    };
    match value {
        Datum::Point(p) => points(&[*p]),
        Datum::Box(b) => points(&[b.low, b.high]),
        Datum::Circle(Circle { center: c, radius: r }) if *r >= 0.0 => {
            points(&[Point { x: c.x - r, y: c.y - r }, Point { x: c.x + r, y: c.y + r }])
        }
        Datum::Polygon(p) => {
            let Polygon { points: corners } = &**p;
            points(corners)
        }
        _ => all,
    }
}

/// Narrows a region of points by `point op value`.
pub fn narrow(region: Region, operator: &str, value: &Datum) -> Region {
    match (operator, value) {
        ("<@", Datum::Box(b)) => region.in_box([b.low.x, b.low.y], [b.high.x, b.high.y]),
        // Every distance is below NaN.
        ("<->", Datum::Circle(c)) if c.radius.is_nan() => region,
        ("<@" | "<->", Datum::Circle(c)) => {
            let reached = region.in_circle([c.center.x, c.center.y], c.radius);
            reached.unwrap_or(region)
        }
        _ => {
            // A point is the box of one point; what is said of either corner is said of it.
            let mut bounds = Bounds::all();
            let name = match operator {
                "<^" => "<<|",
                ">^" => "|>>",
                other => other,
            };
            bounds.narrow(name, around(value));
            let ([lx, ly, lu, lv], [hx, hy, hu, hv]) = (bounds.low, bounds.high);
            region.near_box([lx.max(lu), ly.max(lv)], [hx.min(hu), hy.min(hv)])
        }
    }
}
