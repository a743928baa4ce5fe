//! Calls that are no function of `pg_proc`: conversions, constructors, subscripts.

use std::any::Any;
use std::fmt::{self, Debug};
use std::sync::Arc;

use datafusion::logical_expr::Expr;
use vicinity_functions::{proc_by_oid, type_by_oid};
use vicinity_storage::Catalog;
use vicinity_types::array::{Array, Dim, Elements};
use vicinity_types::{Datum, PgError, Result, SqlState, oid};

use crate::call::{Callable, PgType, Typed, Volatility, call_expr, callable_of};
use crate::context::ExecContext;

type Run = Box<dyn Fn(&ExecContext, &[Datum]) -> Result<Datum> + Send + Sync>;
type Deparse = Box<dyn Fn(&[String]) -> String + Send + Sync>;

/// A call made of a closure.
pub(super) struct Special {
    name: &'static str,
    ret: PgType,
    args: Vec<PgType>,
    strict: bool,
    volatility: Volatility,
    /// What distinguishes it from others of its name and types.
    detail: String,
    run: Run,
    deparse: Deparse,
    /// What an array's elements are compared by, and whether one that is true is enough.
    quantifies: Option<(Arc<dyn Callable>, bool)>,
}

impl Special {
    /// A strict, immutable call shown as `name(args)`.
    pub(super) fn new(
        name: &'static str,
        args: Vec<PgType>,
        ret: PgType,
        run: impl Fn(&ExecContext, &[Datum]) -> Result<Datum> + Send + Sync + 'static,
    ) -> Special {
        Special {
            name,
            ret,
            args,
            strict: true,
            volatility: Volatility::Immutable,
            detail: String::new(),
            run: Box::new(run),
            deparse: Box::new(move |args| format!("{name}({})", args.join(", "))),
            quantifies: None,
        }
    }

    /// NULL arguments are given to it.
    #[must_use]
    pub(super) fn lenient(mut self) -> Special {
        self.strict = false;
        self
    }

    /// It asks the session.
    #[must_use]
    pub(super) fn stable(mut self) -> Special {
        self.volatility = Volatility::Stable;
        self
    }

    /// What else distinguishes it.
    #[must_use]
    pub(super) fn detail(mut self, detail: impl Into<String>) -> Special {
        self.detail = detail.into();
        self
    }

    /// How EXPLAIN shows it.
    #[must_use]
    pub(super) fn shown(
        mut self,
        deparse: impl Fn(&[String]) -> String + Send + Sync + 'static,
    ) -> Special {
        self.deparse = Box::new(deparse);
        self
    }

    /// The call over arguments.
    pub(super) fn over(self, args: Vec<Expr>) -> Typed {
        let ty = self.ret;
        Typed::new(call_expr(Arc::new(self), args), ty)
    }
}

impl Debug for Special {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.identity())
    }
}

impl Callable for Special {
    fn name(&self) -> &str {
        self.name
    }

    fn ret(&self) -> PgType {
        self.ret
    }

    fn args(&self) -> &[PgType] {
        &self.args
    }

    fn strict(&self) -> bool {
        self.strict
    }

    fn volatility(&self) -> Volatility {
        self.volatility
    }

    fn call(&self, ctx: &ExecContext, args: &[Datum]) -> Result<Datum> {
        if self.strict && args.iter().any(Datum::is_null) {
            return Ok(Datum::Null);
        }
        (self.run)(ctx, args)
    }

    fn identity(&self) -> String {
        let args: Vec<String> =
            self.args.iter().map(|a| format!("{}/{}", a.oid, a.typmod)).collect();
        format!(
            "{} {} {} {}/{}",
            self.name,
            self.detail,
            args.join(","),
            self.ret.oid,
            self.ret.typmod
        )
    }

    fn deparse(&self, args: &[String]) -> String {
        (self.deparse)(args)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

fn first(args: &[Datum]) -> Datum {
    args.first().cloned().unwrap_or(Datum::Null)
}

/// `value::type` shown in PostgreSQL's way.
fn cast_text(args: &[String], target: &str) -> String {
    format!("({})::{target}", args.concat())
}

/// A value read from its text as one of another type, without that one's modifier.
fn through_text(name: &'static str, source: PgType, target: PgType, shown: String) -> Special {
    let target = target.typmod(-1);
    Special::new(name, vec![source], target, move |ctx, args| {
        let io = ctx.io();
        let text = vicinity_types::io::as_text(source.oid, &first(args), &io)?;
        vicinity_types::text_in(target.oid, -1, &text, &io)
    })
    .shown(move |args| cast_text(args, &shown))
}

/// A conversion through the types' text forms.
pub(super) fn coerce_via_io(value: Typed, target: PgType, name: String) -> Typed {
    let procs =
        [type_by_oid(value.ty.oid).map(|t| t.output), type_by_oid(target.oid).map(|t| t.input)];
    let is_fixed = |proc| proc_by_oid(proc).is_some_and(|p| p.volatility == b'i');
    let fixed = procs.into_iter().all(|proc| proc.is_some_and(is_fixed));
    let made = through_text("coerce_via_io", value.ty, target, name);
    if fixed { made } else { made.stable() }.over(vec![value.expr])
}

/// The same value under another type that holds it otherwise: `text` as `character(n)`, `integer` as `oid`.
pub(super) fn relabel(value: Typed, target: PgType, name: String) -> Typed {
    through_text("relabel", value.ty, target, name).over(vec![value.expr])
}

/// A constant's text, read when the statement runs: what it means depends on the session.
pub(super) fn read_text(text: &str, target: PgType, name: String) -> Result<Typed> {
    let source = PgType::new(oid::TEXT);
    let literal = crate::call::literal(&Datum::text(text), source)?;
    Ok(Special::new("read_text", vec![source], target, move |ctx, args| match first(args) {
        Datum::Text(text) => vicinity_types::text_in(target.oid, -1, &text, &ctx.io()),
        _ => Ok(Datum::Null),
    })
    .stable()
    .shown(move |args| format!("{}::{name}", args.concat()))
    .over(vec![literal]))
}

/// A value of a domain's base type as one of the domain, checked if the domain asks for anything;
/// `shown` is the domain it becomes in the end.
pub(super) fn domain(catalog: &Catalog, value: Typed, target: PgType, shown: u32) -> Typed {
    let target = PgType { typmod: -1, ..target };
    let Some(asked) = crate::domain::Asked::of(catalog, target.oid, shown) else {
        return Typed::new(value.expr, target);
    };
    let detail = asked.identity();
    let check = move |ctx: &ExecContext, args: &[Datum]| {
        let value = args.first().cloned().unwrap_or_default();
        asked.check(ctx, &value)?;
        Ok(value)
    };
    Special::new("domain", vec![value.ty], target, check)
        .lenient()
        .stable()
        .detail(detail)
        .shown(|args| args.join(", "))
        .over(vec![value.expr])
}

/// Applies a type's modifier: `varchar(3)`, `numeric(10,2)`, `time(0)`.
pub(super) fn apply_typmod(value: Typed, target: PgType, explicit: bool) -> Typed {
    Special::new("apply_typmod", vec![value.ty], target, move |_, args| {
        vicinity_types::apply_typmod(target.oid, target.typmod, first(args), explicit)
    })
    .detail(if explicit { "e" } else { "a" })
    .shown(move |args| {
        cast_text(args, &vicinity_types::format_type(target.oid, Some(target.typmod)))
    })
    .over(vec![value.expr])
}

/// Converts each element with a call that takes and gives the elements' types.
pub(super) fn array_coerce(
    value: Typed,
    target: PgType,
    elem: Typed,
    elem_oid: u32,
    name: String,
) -> Typed {
    let target = target.typmod(-1);
    let detail = callable_of(&elem.expr).map(|(c, _)| c.identity()).unwrap_or_default();
    let chain = chain_of(&elem.expr);
    let fixed = chain.iter().all(|call| call.volatility() == Volatility::Immutable);
    let made = Special::new("array_coerce", vec![value.ty], target, move |ctx, args| {
        let Datum::Array(array) = first(args) else { return Ok(Datum::Null) };
        let mut values = Vec::with_capacity(array.len());
        for element in array.iter() {
            let mut element = element;
            for call in &chain {
                if element.is_null() && call.strict() {
                    break;
                }
                element = call.call(ctx, &[element])?;
            }
            values.push(element);
        }
        Ok(Datum::Array(Arc::new(shaped(elem_oid, array.dims.clone(), values))))
    })
    .detail(detail)
    .shown(move |args| cast_text(args, &name));
    if fixed { made } else { made.stable() }.over(vec![value.expr])
}

/// The calls around a column, innermost first.
fn chain_of(expr: &Expr) -> Vec<Arc<dyn Callable>> {
    let mut chain = Vec::new();
    let mut at = expr;
    while let Some((call, args)) = callable_of(at) {
        chain.push(call.clone());
        let Some(inner) = args.first() else { break };
        at = inner;
    }
    chain.reverse();
    chain
}

/// An array of a shape; float4 elements without NULLs are kept packed.
pub(super) fn shaped(elem: u32, dims: Vec<Dim>, values: Vec<Datum>) -> Array {
    if elem == oid::FLOAT4 {
        let packed: Option<Vec<f32>> = values
            .iter()
            .map(|v| match v {
                Datum::Float4(x) => Some(*x),
                _ => None,
            })
            .collect();
        if let Some(packed) = packed {
            return Array { elem, dims, elements: Elements::Float4(packed) };
        }
    }
    Array { elem, dims, elements: Elements::Datums(values) }
}

/// `ARRAY[...]` of elements, or of arrays where `nested`.
pub(super) fn array_ctor(args: Vec<Typed>, target: PgType, elem: u32, nested: bool) -> Typed {
    let types = args.iter().map(|a| a.ty).collect();
    Special::new("array", types, target, move |_, args| {
        if nested {
            nest(elem, args)
        } else {
            let len = i32::try_from(args.len()).map_err(|_| too_large())?;
            let dims = if len == 0 { Vec::new() } else { vec![Dim { len, lower: 1 }] };
            Ok(Datum::Array(Arc::new(shaped(elem, dims, args.to_vec()))))
        }
    })
    .lenient()
    .detail(if nested { "nested" } else { "" })
    .shown(|args| format!("ARRAY[{}]", args.join(", ")))
    .over(args.into_iter().map(|a| a.expr).collect())
}

fn too_large() -> PgError {
    PgError::new(SqlState::PROGRAM_LIMIT_EXCEEDED, "array size exceeds the maximum allowed")
}

fn nest(elem: u32, args: &[Datum]) -> Result<Datum> {
    let unlike = || {
        PgError::new(
            SqlState::ARRAY_SUBSCRIPT_ERROR,
            "multidimensional arrays must have array expressions with matching dimensions",
        )
    };
    let mut dims: Option<Vec<Dim>> = None;
    let mut values = Vec::new();
    let mut count = 0i32;
    for arg in args {
        let Datum::Array(array) = arg else { continue };
        if array.is_empty() {
            continue;
        }
        vicinity_types::io::array::check_dims(array.dims.len() + 1)?;
        match &dims {
            Some(have) if *have != array.dims => return Err(unlike()),
            _ => dims = Some(array.dims.clone()),
        }
        values.extend(array.iter());
        count += 1;
    }
    let Some(inner) = dims else {
        return Ok(Datum::Array(Arc::new(shaped(elem, Vec::new(), Vec::new()))));
    };
    if usize::try_from(count).unwrap_or(0) != args.len() {
        return Err(unlike());
    }
    let mut dims = vec![Dim { len: count, lower: 1 }];
    dims.extend(inner);
    Ok(Datum::Array(Arc::new(shaped(elem, dims, values))))
}

/// What stands in brackets behind an array.
pub(super) enum Subscripts {
    Element(Vec<Typed>),
    /// A lower and an upper bound each, where they were not left out.
    Slice(Vec<(Option<Typed>, Option<Typed>)>),
}

/// `array[i][j]`: arguments are the array and its subscripts.
pub(super) fn subscript(array: Typed, indices: Vec<Typed>, ret: PgType) -> Typed {
    let mut types = vec![array.ty];
    types.extend(indices.iter().map(|i| i.ty));
    let mut exprs = vec![array.expr];
    exprs.extend(indices.into_iter().map(|i| i.expr));
    Special::new("subscript", types, ret, |_, args| {
        Ok(match args.split_first() {
            Some((array @ Datum::Array(_), indices)) => crate::store::read(array, indices),
            Some((fixed, [Datum::Int4(index)])) => part(fixed, *index),
            _ => Datum::Null,
        })
    })
    .shown(|args| match args.split_first() {
        Some((array, indices)) => {
            let indices: Vec<String> = indices.iter().map(|i| format!("[{i}]")).collect();
            format!("{array}{}", indices.concat())
        }
        None => String::new(),
    })
    .over(exprs)
}

/// A part of a value of fixed length, counted from 0.
fn part(value: &Datum, index: i32) -> Datum {
    match (value, index) {
        (Datum::Point(p), 0) => Datum::Float8(p.x),
        (Datum::Point(p), 1) => Datum::Float8(p.y),
        (Datum::Line(l), 0) => Datum::Float8(l.a),
        (Datum::Line(l), 1) => Datum::Float8(l.b),
        (Datum::Line(l), 2) => Datum::Float8(l.c),
        (Datum::Lseg(l), 0) => Datum::Point(l.a),
        (Datum::Lseg(l), 1) => Datum::Point(l.b),
        (Datum::Box(b), 0) => Datum::Point(b.high),
        (Datum::Box(b), 1) => Datum::Point(b.low),
        (Datum::Text(name), at @ 0..64) => {
            let at = usize::try_from(at).unwrap_or_default();
            Datum::text(name.as_bytes().get(at).map_or_else(String::new, |b| match b.is_ascii() {
                true => char::from(*b).to_string(),
                false => format!("\\{b:03o}"),
            }))
        }
        _ => Datum::Null,
    }
}

/// `array[a:b][c:d]`: arguments are the array and a lower and an upper bound each (NULL where it
/// was left out).
pub(super) fn slice(array: Typed, bounds: Vec<(Option<Typed>, Option<Typed>)>) -> Result<Typed> {
    let ret = array.ty;
    let int4 = PgType::new(oid::INT4);
    let mut types = vec![array.ty];
    let mut exprs = vec![array.expr];
    let mut given = Vec::new();
    for bound in bounds.into_iter().flat_map(|(a, b)| [a, b]) {
        types.push(int4);
        given.push(bound.is_some());
        exprs.push(match bound {
            Some(bound) => bound.expr,
            None => crate::call::literal(&Datum::Null, int4)?,
        });
    }
    let detail = format!("{given:?}");
    Ok(Special::new("slice", types, ret, move |_, args| {
        let Some((Datum::Array(array), bounds)) = args.split_first() else {
            return Ok(Datum::Null);
        };
        cut(array, bounds, &given)
    })
    .lenient()
    .detail(detail)
    .over(exprs))
}

fn cut(array: &Array, bounds: &[Datum], given: &[bool]) -> Result<Datum> {
    let empty = || Ok(Datum::Array(Arc::new(shaped(array.elem, Vec::new(), Vec::new()))));
    if bounds.len() / 2 > array.dims.len() {
        return empty();
    }
    let mut ranges = Vec::new();
    for (i, dim) in array.dims.iter().enumerate() {
        let (low, high) = (i64::from(dim.lower), i64::from(dim.lower) + i64::from(dim.len) - 1);
        let bound = |at: usize, missing: i64| match (given.get(at), bounds.get(at)) {
            (Some(true), Some(Datum::Int4(v))) => Some(i64::from(*v)),
            (Some(true), _) => None,
            _ => Some(missing),
        };
        let (Some(from), Some(to)) = (bound(2 * i, low), bound(2 * i + 1, high)) else {
            return Ok(Datum::Null);
        };
        let (from, to) = (from.max(low), to.min(high));
        if from > to {
            return empty();
        }
        ranges.push((from - low, to - low));
    }
    let mut offsets = vec![0usize];
    for (dim, (from, to)) in array.dims.iter().zip(&ranges) {
        let len = usize::try_from(dim.len).unwrap_or(0);
        let mut next = Vec::new();
        for base in offsets {
            for at in *from..=*to {
                next.push(base * len + usize::try_from(at).unwrap_or(0));
            }
        }
        offsets = next;
    }
    let dims = ranges
        .iter()
        .map(|(from, to)| Dim { len: i32::try_from(to - from + 1).unwrap_or(0), lower: 1 })
        .collect();
    let values = offsets.into_iter().map(|at| array.get(at)).collect();
    Ok(Datum::Array(Arc::new(shaped(array.elem, dims, values))))
}

/// `(composite).field`
pub(super) fn field_select(value: Typed, index: usize, name: String, ret: PgType) -> Typed {
    Special::new("field", vec![value.ty], ret, move |_, args| match args.first() {
        Some(Datum::Record(r)) => {
            Ok(r.fields.get(index).map_or(Datum::Null, |(_, value)| value.clone()))
        }
        _ => Ok(Datum::Null),
    })
    .detail(index.to_string())
    .shown(move |args| format!("({}).{name}", args.concat()))
    .over(vec![value.expr])
}

/// `x op ANY (array)` and `x op ALL (array)`: the array's elements and `x` are of the operator's types.
pub(super) fn array_op(
    left: Typed,
    array: Typed,
    call: Arc<dyn Callable>,
    op: String,
    any: bool,
) -> Typed {
    let detail = format!("{} {}", call.identity(), if any { "any" } else { "all" });
    let quantifies = Some((call.clone(), any));
    let comparison = Special::new(
        "scalar_array_op",
        vec![left.ty, array.ty],
        PgType::new(oid::BOOL),
        move |ctx, args| {
            let [left, Datum::Array(array)] = args else { return Ok(Datum::Null) };
            let mut unknown = false;
            for element in array.iter() {
                if call.strict() && (left.is_null() || element.is_null()) {
                    unknown = true;
                    continue;
                }
                match call.call(ctx, &[left.clone(), element])? {
                    Datum::Bool(b) if b == any => return Ok(Datum::Bool(any)),
                    Datum::Bool(_) => {}
                    _ => unknown = true,
                }
            }
            Ok(if unknown { Datum::Null } else { Datum::Bool(!any) })
        },
    )
    .lenient()
    .detail(detail)
    .shown(move |args| {
        let word = if any { "ANY" } else { "ALL" };
        match args {
            [left, array] => format!("({left} {op} {word} ({array}))"),
            _ => String::new(),
        }
    });
    Special { quantifies, ..comparison }.over(vec![left.expr, array.expr])
}

/// `value op ANY (array)`, or ALL.
pub(crate) struct Quantified<'e> {
    pub(crate) value: &'e Expr,
    pub(crate) array: &'e Expr,
    /// What compares the value with each element.
    pub(crate) comparison: &'e dyn Callable,
    /// ANY and not ALL.
    pub(crate) any: bool,
}

impl Quantified<'_> {
    /// The parts of such an expression.
    pub(crate) fn of(expr: &Expr) -> Option<Quantified<'_>> {
        let (callable, [value, array]) = callable_of(expr)? else { return None };
        let special = callable.as_any().downcast_ref::<Special>()?;
        let (comparison, any) = special.quantifies.as_ref()?;
        Some(Quantified { value, array, comparison: &**comparison, any: *any })
    }
}

const HELD: &str = "held";

/// A value with a type of its own, where it stands among others of another type. `stable`: it is one of them only for a
/// session.
pub(crate) fn held(value: Expr, ty: PgType, stable: bool) -> Expr {
    let first = |_: &ExecContext, args: &[Datum]| Ok(args.first().cloned().unwrap_or_default());
    let call = Special::new(HELD, vec![ty], ty, first);
    if stable { call.stable() } else { call }.over(vec![value]).expr
}

/// Whether a call is such a value.
pub(crate) fn is_held(callable: &dyn Callable) -> bool {
    callable.as_any().downcast_ref::<Special>().is_some_and(|s| s.name == HELD)
}

/// GREATEST and LEAST over values of one type; `worse` tells whether the first of two gives way.
pub(super) fn greatest_least(
    name: &'static str,
    args: Vec<Typed>,
    ty: PgType,
    worse: Arc<dyn Callable>,
) -> Typed {
    let types = args.iter().map(|a| a.ty).collect();
    let word = name.to_uppercase();
    Special::new(name, types, ty, move |ctx, args| {
        let mut best = Datum::Null;
        for value in args.iter().filter(|a| !a.is_null()) {
            // The first of equal values: 1.0 and 1 are.
            let takes = best.is_null()
                || matches!(worse.call(ctx, &[best.clone(), value.clone()])?, Datum::Bool(true));
            if takes {
                best = value.clone();
            }
        }
        Ok(best)
    })
    .lenient()
    .shown(move |args| format!("{word}({})", args.join(", ")))
    .over(args.into_iter().map(|a| a.expr).collect())
}

/// `IS [NOT] DISTINCT FROM`, of values of one type: by its operator where values that differ may be equal.
pub(super) fn distinct_from(
    left: Typed,
    right: Typed,
    negated: bool,
    operator: Option<Arc<dyn Callable>>,
) -> Typed {
    let detail = if negated { "not" } else { "" };
    Special::new("distinct", vec![left.ty, right.ty], PgType::new(oid::BOOL), move |ctx, args| {
        let [left, right] = args else { return Ok(Datum::Null) };
        let same = match (left.is_null(), right.is_null(), &operator) {
            (true, true, _) => true,
            (false, false, Some(operator)) => {
                matches!(operator.call(ctx, args)?, Datum::Bool(true))
            }
            (false, false, None) => vicinity_types::equal(left, right),
            _ => false,
        };
        Ok(Datum::Bool(same == negated))
    })
    .lenient()
    .detail(detail)
    .shown(move |args| {
        let word = if negated { "IS NOT DISTINCT FROM" } else { "IS DISTINCT FROM" };
        format!("({})", args.join(&format!(" {word} ")))
    })
    .over(vec![left.expr, right.expr])
}

/// `row IS NULL`, `row IS NOT NULL`: of all its fields.
pub(super) fn row_is_null(value: Typed, want_null: bool) -> Typed {
    Special::new("row_is_null", vec![value.ty], PgType::new(oid::BOOL), move |_, args| {
        Ok(Datum::Bool(match args.first() {
            Some(Datum::Record(r)) => r.fields.iter().all(|(_, v)| v.is_null() == want_null),
            Some(Datum::Null) | None => want_null,
            Some(_) => !want_null,
        }))
    })
    .lenient()
    .detail(if want_null { "null" } else { "not null" })
    .over(vec![value.expr])
}

/// Whether two rows are equal (or unequal, where `negated`), field by field: unknown if only NULLs
/// leave it open.
fn row_equal(left: Typed, right: Typed, negated: bool) -> Typed {
    Special::new("row_equal", vec![left.ty, right.ty], PgType::new(oid::BOOL), move |_, args| {
        let [Datum::Record(a), Datum::Record(b)] = args else { return Ok(Datum::Null) };
        let mut unknown = false;
        for ((_, x), (_, y)) in a.fields.iter().zip(&b.fields) {
            if x.is_null() || y.is_null() {
                unknown = true;
            } else if !vicinity_types::equal(x, y) {
                return Ok(Datum::Bool(negated));
            }
        }
        Ok(if unknown { Datum::Null } else { Datum::Bool(!negated) })
    })
    .detail(if negated { "not" } else { "" })
    .shown(move |args| format!("({})", args.join(if negated { " <> " } else { " = " })))
    .over(vec![left.expr, right.expr])
}

/// A comparison of two rows by an operator's name.
pub(super) fn row_test(left: Typed, right: Typed, name: &str) -> Result<Typed> {
    Ok(match name {
        "=" => row_equal(left, right, false),
        "<>" | "!=" => row_equal(left, right, true),
        "<" => row_compare(left, right, "<"),
        "<=" => row_compare(left, right, "<="),
        ">" => row_compare(left, right, ">"),
        ">=" => row_compare(left, right, ">="),
        other => {
            return Err(PgError::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                format!("could not determine interpretation of row comparison operator {other}"),
            )
            .hint("Row comparison operators must be associated with btree operator families."));
        }
    })
}

/// Compares two rows field by field (`<`, `<=`, `>`, `>=` of rows).
fn row_compare(left: Typed, right: Typed, op: &'static str) -> Typed {
    Special::new("row_compare", vec![left.ty, right.ty], PgType::new(oid::BOOL), move |_, args| {
        let [Datum::Record(a), Datum::Record(b)] = args else { return Ok(Datum::Null) };
        for ((_, x), (_, y)) in a.fields.iter().zip(&b.fields) {
            if x.is_null() || y.is_null() {
                return Ok(Datum::Null);
            }
            let order = vicinity_types::compare(x, y);
            if order.is_ne() {
                return Ok(Datum::Bool(match op {
                    "<" | "<=" => order.is_lt(),
                    _ => order.is_gt(),
                }));
            }
        }
        Ok(Datum::Bool(matches!(op, "<=" | ">=")))
    })
    .detail(op)
    .shown(move |args| format!("({})", args.join(&format!(" {op} "))))
    .over(vec![left.expr, right.expr])
}
