//! Constant folding and the laws of three-valued logic.
//!
//! This stands in the place of DataFusion's own rule, which joins lists and equalities over one value and takes what
//! is unknown for false: right for a filter's own conjuncts, not below a NOT or in a result.

use arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result as DfResult, ScalarValue};
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{
    BinaryExpr, Case, Cast, Expr, ExprSchemable, LogicalPlan, Operator, Volatility, lit,
};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};

use super::physical::one_zero_among;
use super::simplify_logic::{condition, junction, negation, truth};
use crate::call::{callable_of, external, literal};

/// The rule.
#[derive(Debug)]
pub(super) struct Simplify;

impl OptimizerRule for Simplify {
    fn name(&self) -> &str {
        "simplify"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn rewrite(
        &self,
        plan: LogicalPlan,
        _config: &dyn OptimizerConfig,
    ) -> DfResult<Transformed<LogicalPlan>> {
        let schema = schema_below(&plan)?;
        let names = NamePreserver::new(&plan);
        let filters = matches!(plan, LogicalPlan::Filter(_) | LogicalPlan::TableScan(_));
        let mut each = |expr: Expr| {
            let name = names.save(&expr);
            let done = simplified(expr, &schema)?;
            let done = if filters { done.transform_data(|e| Ok(condition(e)))? } else { done };
            Ok(done.update_data(|e| name.restore(e)))
        };
        plan.map_expressions(|expr| match expr {
            // The names of grouping sets are made of those of their keys.
            Expr::GroupingSet(_) => expr.map_children(&mut each),
            expr => each(expr),
        })
    }
}

/// What a plan's expressions are over.
fn schema_below(plan: &LogicalPlan) -> DfResult<DFSchema> {
    Ok(match plan {
        LogicalPlan::TableScan(scan) => {
            DFSchema::try_from_qualified_schema(scan.table_name.clone(), &scan.source.schema())?
        }
        plan => merge_schema(&plan.inputs()),
    })
}

/// An expression with its constants folded.
pub(crate) fn simplified(expr: Expr, schema: &DFSchema) -> DfResult<Transformed<Expr>> {
    expr.transform_up(|e| step(e, schema))
}

/// One node whose children are done.
fn step(expr: Expr, schema: &DFSchema) -> DfResult<Transformed<Expr>> {
    match expr {
        Expr::BinaryExpr(BinaryExpr { op: Operator::And | Operator::Or, .. }) => Ok(junction(expr)),
        Expr::Not(inner) => Ok(negation(*inner)),
        Expr::Case(case) => Ok(chosen(case)),
        expr if is_constant(&expr) => Ok(folded(expr)),
        expr if is_null_of_null(&expr) => null_of(expr, schema),
        Expr::BinaryExpr(b) => Ok(comparison(b, schema)),
        Expr::InList(list) => Ok(in_list(list, schema)),
        other => Ok(Transformed::no(other)),
    }
}

pub(super) fn is_volatile(expr: &Expr) -> bool {
    let volatile =
        |e: &Expr| Ok(callable_of(e).is_some_and(|(c, _)| c.volatility() == Volatility::Volatile));
    expr.exists(volatile).unwrap_or(true)
}

/// Whether an expression can be evaluated now: over constants, with nothing that a session may answer.
fn is_constant(expr: &Expr) -> bool {
    let kind = match expr {
        Expr::ScalarFunction(_) => {
            callable_of(expr).is_some_and(|(c, _)| c.volatility() == Volatility::Immutable)
        }
        Expr::BinaryExpr(_)
        | Expr::Cast(_)
        | Expr::Negative(_)
        | Expr::InList(_)
        | Expr::Between(_)
        | Expr::IsNull(_)
        | Expr::IsNotNull(_)
        | Expr::IsTrue(_)
        | Expr::IsFalse(_)
        | Expr::IsUnknown(_)
        | Expr::IsNotTrue(_)
        | Expr::IsNotFalse(_)
        | Expr::IsNotUnknown(_) => true,
        _ => false,
    };
    let mut constant = kind;
    let looked = expr.apply_children(|child| {
        constant &= matches!(child, Expr::Literal(..));
        Ok(datafusion::common::tree_node::TreeNodeRecursion::Continue)
    });
    constant && looked.is_ok()
}

/// The value of an expression over constants; itself where that is an error, which belongs to whoever runs it.
fn folded(expr: Expr) -> Transformed<Expr> {
    let evaluated = match expr.clone() {
        Expr::InList(list) => Expr::InList(one_zero_among(list)),
        other => other,
    };
    let evaluator = ExprSimplifier::new(SimplifyContext::default()).with_canonicalize(false);
    match evaluator.simplify(evaluated) {
        Ok(value @ Expr::Literal(..)) => Transformed::yes(value),
        _ => Transformed::no(expr),
    }
}

pub(super) fn is_null(expr: &Expr) -> bool {
    matches!(expr, Expr::Literal(value, _) if value.is_null())
}

/// Whether an operand makes the whole NULL.
fn is_null_of_null(expr: &Expr) -> bool {
    match expr {
        Expr::BinaryExpr(b) => {
            b.op.returns_null_on_null() && (is_null(&b.left) || is_null(&b.right))
        }
        Expr::InList(list) => is_null(&list.expr) && !list.list.is_empty(),
        Expr::ScalarFunction(_) => {
            callable_of(expr).is_some_and(|(c, args)| c.strict() && args.iter().any(is_null))
        }
        _ => false,
    }
}

fn null_of(expr: Expr, schema: &DFSchema) -> DfResult<Transformed<Expr>> {
    let null = match callable_of(&expr) {
        Some((callable, _)) => {
            literal(&vicinity_types::Datum::Null, callable.ret()).map_err(external)?
        }
        None => Expr::Literal(ScalarValue::try_new_null(&expr.get_type(schema)?)?, None),
    };
    Ok(Transformed::yes(null))
}

/// `CASE` without the branches that cannot be reached.
fn chosen(mut case: Case) -> Transformed<Expr> {
    if case.expr.is_some() {
        return Transformed::no(Expr::Case(case));
    }
    let before = case.when_then_expr.len();
    let known = |when: &Expr| match when {
        Expr::Literal(ScalarValue::Boolean(value), _) => Some(value.unwrap_or(false)),
        _ => None,
    };
    if let Some(always) = case.when_then_expr.iter().position(|(w, _)| known(w) == Some(true)) {
        case.when_then_expr.truncate(always + 1);
        case.else_expr = case.when_then_expr.pop().map(|(_, then)| then);
    }
    case.when_then_expr.retain(|(when, _)| known(when) != Some(false));
    match case.else_expr.take() {
        Some(only) if case.when_then_expr.is_empty() => Transformed::yes(*only),
        other => {
            case.else_expr = other;
            let changed = case.when_then_expr.len() != before;
            Transformed::new_transformed(Expr::Case(case), changed)
        }
    }
}

/// A comparison: of a truth value with a constant one, or of a widened column.
fn comparison(b: BinaryExpr, schema: &DFSchema) -> Transformed<Expr> {
    let equal = match b.op {
        Operator::Eq => true,
        Operator::NotEq => false,
        _ => return narrowed(b, schema),
    };
    let (value, wanted) = match (truth(&b.left), truth(&b.right)) {
        (_, Some(wanted)) => (b.left, wanted),
        (Some(wanted), _) => (b.right, wanted),
        _ => return narrowed(b, schema),
    };
    if wanted == equal { Transformed::yes(*value) } else { negation(*value) }
}

/// The integer column or expression below a cast that widens it, and its own type.
fn below_widening(expr: &Expr, schema: &DFSchema) -> Option<(Expr, DataType)> {
    let Expr::Cast(Cast { expr: inner, field }) = expr else { return None };
    let width = |ty: &DataType| match ty {
        DataType::Int16 => Some(2),
        DataType::Int32 => Some(4),
        DataType::Int64 => Some(8),
        _ => None,
    };
    let own = inner.get_type(schema).ok()?;
    (width(&own)? < width(field.data_type())?).then(|| ((**inner).clone(), own))
}

/// A constant as a narrower integer type, if it is one of its values.
fn as_narrower(constant: &Expr, to: &DataType) -> Option<Expr> {
    let Expr::Literal(value, _) = constant else { return None };
    if value.is_null() {
        return Some(Expr::Literal(ScalarValue::try_new_null(to).ok()?, None));
    }
    let whole = match value {
        ScalarValue::Int16(Some(v)) => i64::from(*v),
        ScalarValue::Int32(Some(v)) => i64::from(*v),
        ScalarValue::Int64(Some(v)) => *v,
        _ => return None,
    };
    Some(match to {
        DataType::Int16 => lit(i16::try_from(whole).ok()?),
        DataType::Int32 => lit(i32::try_from(whole).ok()?),
        _ => return None,
    })
}

/// A comparison of a widened column with a constant as one of the column itself, which an index may know.
fn narrowed(b: BinaryExpr, schema: &DFSchema) -> Transformed<Expr> {
    if let Some((own, ty)) = below_widening(&b.left, schema)
        && let Some(constant) = as_narrower(&b.right, &ty)
    {
        let narrow = BinaryExpr::new(Box::new(own), b.op, Box::new(constant));
        return Transformed::yes(Expr::BinaryExpr(narrow));
    }
    if let Some((own, ty)) = below_widening(&b.right, schema)
        && let Some(constant) = as_narrower(&b.left, &ty)
    {
        let narrow = BinaryExpr::new(Box::new(constant), b.op, Box::new(own));
        return Transformed::yes(Expr::BinaryExpr(narrow));
    }
    Transformed::no(Expr::BinaryExpr(b))
}

/// A list over a widened column as one over the column itself.
fn in_list(list: InList, schema: &DFSchema) -> Transformed<Expr> {
    if let Some((own, ty)) = below_widening(&list.expr, schema) {
        let items: Option<Vec<Expr>> = list.list.iter().map(|i| as_narrower(i, &ty)).collect();
        if let Some(items) = items {
            let narrow = InList::new(Box::new(own), items, list.negated);
            return Transformed::yes(Expr::InList(narrow));
        }
    }
    Transformed::no(Expr::InList(list))
}
