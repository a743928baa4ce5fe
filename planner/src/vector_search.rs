//! PASE's search functions: `hnsw_search` and `ivfflat_search`.
//!
//! Each is a query over columns `id` and `vector` of a named table, nearest first, that an index scan answers. Unlike
//! the extension's own, the table's name is an identifier and the condition one expression, so that neither can be more
//! than that.

use std::any::Any;

use sqlparser::ast::{Ident, ObjectName};
use vicinity_functions::{Proc, Rows};
use vicinity_storage::catalog::model::Relation;
use vicinity_types::{Datum, PgError, Result, SqlState, oid};

use crate::call::{PgType, Volatility};
use crate::context::ExecContext;
use crate::df::SetCallable;
use crate::exec::name;
use crate::{inner, names, sql};

/// Permille of clusters of an `ivfflat_search` that names none.
const CLUSTERS: i32 = 5;

/// One of the six functions.
#[derive(Debug)]
pub struct VectorSearch {
    proc: &'static Proc,
    args: Vec<PgType>,
    columns: Vec<PgType>,
}

impl VectorSearch {
    /// A call of `proc`, if it is one of them.
    pub fn of(proc: &'static Proc, args: &[PgType], columns: &[PgType]) -> Option<VectorSearch> {
        let ours = proc.src.starts_with("hnsw_search") || proc.src.starts_with("ivfflat_search");
        ours.then(|| VectorSearch { proc, args: args.to_vec(), columns: columns.to_vec() })
    }

    /// The argument of a name; NULL where the function has none.
    fn arg(&self, args: &[Datum], name: &str) -> Datum {
        let at = self.proc.names.iter().position(|n| *n == name);
        at.and_then(|at| args.get(at)).cloned().unwrap_or_default()
    }

    /// The query it comes down to: `$1` is the vector, `$2` its extra, `$3` the number of rows.
    fn text(&self, ctx: &ExecContext, args: &[Datum]) -> Result<String> {
        let Datum::Text(table) = self.arg(args, "table_name") else {
            let text = "null values cannot be formatted as an SQL identifier";
            return Err(PgError::new(SqlState::NULL_VALUE_NOT_ALLOWED, text));
        };
        let relation = named(ctx, &table)?;
        let condition = match self.arg(args, "query") {
            Datum::Text(c) if !c.trim().is_empty() => {
                let parsed = sql::parse_expression(&c).map_err(PgError::without_position)?;
                format!("WHERE {parsed}")
            }
            _ => String::new(),
        };
        let schema = ctx.catalog.schema(relation.schema).map_or("", |s| s.name.as_str());
        let from = format!("{}.{}", names::quote(schema), names::quote(&relation.name));
        let distance = format!("vector {} pase($1, $2, 0)", self.operator(&relation));
        Ok(format!(
            "SELECT id::text, {distance} FROM {from} {condition} ORDER BY {distance} LIMIT $3"
        ))
    }

    fn operator(&self, relation: &Relation) -> &'static str {
        let columns = relation.table().map(|t| t.columns.as_slice()).unwrap_or_default();
        let vector = columns.iter().find(|c| c.name == "vector" && !c.dropped);
        match vector.map(|c| c.type_oid) {
            Some(oid::FLOAT4_ARRAY) if self.proc.name == "hnsw_search" => "<?>",
            Some(oid::FLOAT4_ARRAY) => "<#>",
            _ => "<!>",
        }
    }

    fn extra(&self, args: &[Datum]) -> Datum {
        let given = |name| match self.arg(args, name) {
            Datum::Null => None,
            value => Some(value),
        };
        if self.proc.name == "hnsw_search" {
            given("ef").unwrap_or(Datum::Int4(0))
        } else {
            given("cr").unwrap_or(Datum::Int4(CLUSTERS))
        }
    }
}

/// The table a text names: as an identifier, or else as SQL would read it.
fn named(ctx: &ExecContext, table: &str) -> Result<std::sync::Arc<Relation>> {
    let whole = ObjectName::from(vec![Ident::with_quote('"', table)]);
    if let Some(found) = name::find(ctx, &whole)? {
        return Ok(found);
    }
    let oid = names::reg_in(&ctx.catalog, &ctx.session, oid::REGCLASS, table)?;
    ctx.catalog.relation(oid).cloned().ok_or_else(|| {
        PgError::new(SqlState::UNDEFINED_TABLE, format!("relation \"{table}\" does not exist"))
    })
}

impl SetCallable for VectorSearch {
    fn name(&self) -> &str {
        self.proc.name
    }

    fn args(&self) -> &[PgType] {
        &self.args
    }

    fn columns(&self) -> &[PgType] {
        &self.columns
    }

    fn volatility(&self) -> Volatility {
        Volatility::Volatile
    }

    fn call(&self, ctx: &ExecContext, args: &[Datum]) -> Result<Rows> {
        let ctx = ctx.deeper()?;
        let types = [oid::TEXT, oid::INT4, oid::INT4].map(PgType::new);
        let query = inner::prepare_with_types(&ctx, &self.text(&ctx, args)?, &types)
            .map_err(PgError::without_position)?;
        let given = smallvec::smallvec![
            self.arg(args, "query_vector"),
            self.extra(args),
            self.arg(args, "k")
        ];
        let mut rows = Vec::new();
        inner::rows(&ctx, &query, given, &mut |row| {
            rows.push(row);
            Ok(true)
        })?;
        Ok(Box::new(rows.into_iter().map(Ok)))
    }

    fn identity(&self) -> String {
        format!("vector search {}", self.proc.oid)
    }

    fn source(&self) -> Option<&'static str> {
        Some(self.proc.src)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
