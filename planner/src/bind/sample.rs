//! TABLESAMPLE.

use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder};
use sqlparser::ast::{Expr as Ast, TableSample, TableSampleKind, TableSampleMethod};
use vicinity_functions::Env;
use vicinity_types::{Datum, PgError, Result, SqlState, oid};

use super::Binder;
use super::scope::Item;
use super::special::Special;
use crate::call::{PgType, internal};
use crate::resolve::Context;

/// Rows that SYSTEM takes or leaves together.
const BLOCK: u64 = 64;

impl Binder<'_> {
    /// A sample of a table's rows.
    pub(super) fn sampled(
        &mut self,
        plan: LogicalPlan,
        item: &Item,
        sample: &TableSampleKind,
    ) -> Result<LogicalPlan> {
        let (TableSampleKind::BeforeTableAlias(sample) | TableSampleKind::AfterTableAlias(sample)) =
            sample;
        let Some(ctid) = item.columns.iter().find(|c| c.hidden && c.name == "ctid") else {
            return Err(PgError::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                "TABLESAMPLE clause can only be applied to tables and materialized views",
            ));
        };
        let block = match sample.name {
            Some(TableSampleMethod::Bernoulli) => 1,
            Some(TableSampleMethod::System) => BLOCK,
            _ => return Err(PgError::unsupported("this TABLESAMPLE method")),
        };
        let TableSample { quantity: Some(quantity), bucket: None, offset: None, .. } = &**sample
        else {
            return Err(PgError::unsupported("this form of TABLESAMPLE"));
        };
        let mut args = vec![ctid.typed(), self.sample_number(&quantity.value)?];
        if let Some(seed) = &sample.seed {
            args.push(self.sample_number(&Ast::Value(seed.value.clone()))?);
        }
        let types = args.iter().map(|a| a.ty).collect();
        let exprs = args.into_iter().map(|a| a.expr).collect();
        let kept = Special::new("tablesample", types, PgType::new(oid::BOOL), move |ctx, args| {
            let seed = match args.get(2) {
                Some(Datum::Float8(seed)) => seed.to_bits(),
                Some(_) => return Err(null_seed()),
                None => ctx.statement_time().cast_unsigned(),
            };
            keeps(args, block, seed).map(Datum::Bool)
        })
        .lenient()
        .stable()
        .detail(block.to_string())
        .over(exprs);
        LogicalPlanBuilder::from(plan)
            .filter(kept.expr)
            .and_then(LogicalPlanBuilder::build)
            .map_err(internal)
    }

    fn sample_number(&mut self, expr: &Ast) -> Result<crate::call::Typed> {
        let place = self.place(expr);
        let value = self.expr(expr)?;
        self.coerce(value, PgType::new(oid::FLOAT8), Context::Assignment, place)
    }
}

/// Whether the row of a place is in the sample.
fn keeps(args: &[Datum], block: u64, seed: u64) -> Result<bool> {
    let invalid = |text| PgError::new(SqlState(*b"2202H"), text);
    let percent = match args.get(1) {
        Some(Datum::Float8(percent)) => *percent,
        _ => return Err(invalid("TABLESAMPLE parameter cannot be null")),
    };
    if !(0.0..=100.0).contains(&percent) {
        return Err(invalid("sample percentage must be between 0 and 100"));
    }
    let Some(Datum::Tid(row)) = args.first() else { return Ok(false) };
    let drawn = mix((row / block) ^ mix(seed));
    // the upper 53 bits are a fraction
    #[allow(clippy::cast_precision_loss, reason = "53 bits fit")]
    let fraction = (drawn >> 11) as f64 / (1u64 << 53) as f64;
    Ok(fraction * 100.0 < percent)
}

fn null_seed() -> PgError {
    PgError::new(SqlState(*b"2202G"), "TABLESAMPLE REPEATABLE parameter cannot be null")
}

/// A number that looks random, always the same for the same one (splitmix64).
fn mix(n: u64) -> u64 {
    let n = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}
