//! The description of a scan, and its place in a logical plan.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::common::{DFSchemaRef, TableReference};
use datafusion::logical_expr::{Expr, LogicalPlan, SortExpr, UserDefinedLogicalNodeCore};
use vicinity_storage::catalog::model::Relation;
use vicinity_types::{Datum, Kind, Oid};

use super::spatial::SpatialFit;
use crate::call::{PgType, scalar_to_datum};
use crate::df::source::{SourceColumn, StorageSource, VirtualSource};
use crate::measure::Place;

/// What is scanned.
#[derive(Clone)]
pub enum ScanSource {
    /// A table.
    Storage(Arc<StorageSource>),
    /// A computed table.
    Virtual(Arc<VirtualSource>),
}

impl ScanSource {
    /// The source's columns.
    pub fn columns(&self) -> &[SourceColumn] {
        match self {
            ScanSource::Storage(s) => s.columns(),
            ScanSource::Virtual(v) => v.columns(),
        }
    }

    /// The table's name.
    pub fn name(&self) -> &str {
        match self {
            ScanSource::Storage(s) => &s.relation().name,
            ScanSource::Virtual(v) => v.name(),
        }
    }

    /// The table's id.
    pub fn oid(&self) -> Oid {
        match self {
            ScanSource::Storage(s) => s.relation().oid,
            ScanSource::Virtual(v) => v.oid(),
        }
    }
}

/// A bound of an index column.
#[derive(Clone, Debug)]
pub struct KeyBound {
    /// The value: free of columns.
    pub value: Expr,
    /// Whether the value itself is inside.
    pub inclusive: bool,
}

/// What a column of an index is equal to. Values are free of columns.
#[derive(Clone)]
pub enum KeyValues {
    /// One of these: a single one, or the items of IN.
    Listed(Vec<Expr>),
    /// Any element of this array (`= ANY`).
    Elements(Expr),
}

impl KeyValues {
    /// Whether it is a single value.
    pub fn is_one(&self) -> bool {
        matches!(self, KeyValues::Listed(values) if values.len() == 1)
    }

    /// The value, if it is a single one.
    pub fn into_one(self) -> Option<Expr> {
        match self {
            KeyValues::Listed(mut values) if values.len() == 1 => values.pop(),
            _ => None,
        }
    }

    /// How many values.
    pub fn count(&self) -> usize {
        match self {
            KeyValues::Listed(values) => values.len(),
            KeyValues::Elements(array) => element_count(array),
        }
    }
}

/// How many elements an array has, or so many as PostgreSQL takes one to have.
pub fn element_count(array: &Expr) -> usize {
    elements(array).unwrap_or(10)
}

/// How many elements an array has, if it says so.
fn elements(array: &Expr) -> Option<usize> {
    match array {
        Expr::Alias(a) => elements(&a.expr),
        Expr::Literal(value, _) => match scalar_to_datum(Kind::Array, value) {
            Ok(Datum::Array(array)) => Some(array.len()),
            _ => None,
        },
        _ => None,
    }
}

/// How a table is gone through.
#[derive(Clone)]
pub enum AccessSpec {
    /// Front to back.
    Seq,
    /// A range of a btree.
    Btree {
        /// The index.
        index: Arc<Relation>,
        /// Values of the leading columns. The last may have several.
        equal: Vec<KeyValues>,
        /// Bounds of the next column.
        low: Option<KeyBound>,
        /// Upper bound, in value order.
        high: Option<KeyBound>,
        /// From the end.
        reverse: bool,
        /// The conditions the index answers, for EXPLAIN.
        conditions: Vec<Expr>,
    },
    /// By distance to a vector.
    Vector {
        /// The index.
        index: Arc<Relation>,
        /// The query: a `pase`, or a `float4[]`.
        query: Expr,
        /// Which of the two; a constant does not tell.
        kind: Kind,
        /// The order as written, for EXPLAIN.
        order: Expr,
        /// Whether the query's `extra` is meant for this index's method.
        tuned: bool,
    },
    /// By place: in a region, by distance from a point, or both.
    Spatial(SpatialFit),
}

impl AccessSpec {
    /// The conditions the index answers: nothing checks them again.
    pub fn conditions(&self) -> Vec<Expr> {
        match self {
            AccessSpec::Seq | AccessSpec::Vector { .. } => Vec::new(),
            AccessSpec::Btree { conditions, .. } => conditions.clone(),
            AccessSpec::Spatial(fit) => fit.shown(),
        }
    }

    /// Whether rows come by distance.
    pub fn is_nearness(&self) -> bool {
        match self {
            AccessSpec::Vector { .. } => true,
            AccessSpec::Spatial(fit) => fit.near.is_some(),
            AccessSpec::Seq | AccessSpec::Btree { .. } => false,
        }
    }
}

/// A scan.
#[derive(Clone)]
pub struct ScanSpec {
    /// What is scanned.
    pub source: ScanSource,
    /// Its alias in the query.
    pub qualifier: Option<TableReference>,
    /// The source's columns that come out, in order.
    pub projection: Vec<usize>,
    /// How.
    pub access: AccessSpec,
    /// What rows must also satisfy, over all of the source's columns.
    pub filter: Vec<Expr>,
    /// All keys of the order asked for, where the index gives only the first: rows that tie in it are sorted by the
    /// others inside the scan. Else empty.
    pub order: Vec<SortExpr>,
    /// The most rows asked for, OFFSET included, where a constant says.
    pub limit: Option<usize>,
    /// How many to look for at first, where it is not known how many are needed.
    pub pace: Option<usize>,
    /// Which of a family's scans it is, if there are several: EXPLAIN numbers their names.
    pub(crate) member: Option<usize>,
}

impl ScanSpec {
    /// The types of what comes out.
    pub(crate) fn types(&self) -> Vec<PgType> {
        let columns = self.source.columns();
        self.projection.iter().filter_map(|i| columns.get(*i)).map(|c| c.ty).collect()
    }
}

/// A scan as a node of a logical plan.
#[derive(Clone)]
pub struct ScanNode {
    /// The scan.
    pub spec: Arc<ScanSpec>,
    /// Its output.
    pub schema: DFSchemaRef,
    /// Where it stands in a plan being measured.
    pub place: Option<Place>,
}

impl ScanNode {
    fn identity(&self) -> String {
        let access = match &self.spec.access {
            AccessSpec::Seq => "seq".to_owned(),
            AccessSpec::Btree { index, conditions, reverse, .. } => {
                format!("btree {} {conditions:?} {reverse}", index.oid)
            }
            AccessSpec::Vector { index, query, .. } => format!("vector {} {query:?}", index.oid),
            AccessSpec::Spatial(fit) => {
                let SpatialFit { index, conditions, either, near, .. } = fit;
                format!("spatial {} {conditions:?} {either:?} {near:?}", index.oid)
            }
        };
        format!(
            "{} {} {:?} {:?} {access} {:?} {:?} {:?} {:?}",
            self.spec.source.name(),
            self.spec.source.oid(),
            self.spec.qualifier,
            self.spec.projection,
            self.spec.filter,
            self.spec.order,
            self.spec.limit,
            self.spec.pace
        )
    }
}

impl fmt::Debug for ScanNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.identity())
    }
}

impl PartialEq for ScanNode {
    fn eq(&self, other: &ScanNode) -> bool {
        Arc::ptr_eq(&self.spec, &other.spec) || self.identity() == other.identity()
    }
}

impl Eq for ScanNode {}

impl Hash for ScanNode {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.identity().hash(state);
    }
}

impl PartialOrd for ScanNode {
    fn partial_cmp(&self, other: &ScanNode) -> Option<Ordering> {
        (self == other).then_some(Ordering::Equal)
    }
}

impl UserDefinedLogicalNodeCore for ScanNode {
    fn name(&self) -> &str {
        "Scan"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        Vec::new()
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        // Compiled natively, with the parameters at hand: nothing here for DataFusion to rewrite.
        Vec::new()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Scan: {}", self.identity())
    }

    fn with_exprs_and_inputs(
        &self,
        _exprs: Vec<Expr>,
        _inputs: Vec<LogicalPlan>,
    ) -> datafusion::common::Result<Self> {
        Ok(self.clone())
    }
}
