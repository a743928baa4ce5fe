//! Spatial scans made ready: the region and the point a statement's values come to.

use vicinity_indexes::spatial::Region;
use vicinity_storage::Access;
use vicinity_types::{Datum, Kind, Oid, Result};

use super::compile::Compiler;
use super::node::{Frame, Node};
use crate::push::spatial::{Bounds, SpatialFit, around, narrow};

/// What a spatial index is asked, compiled.
pub(super) struct SpatialPlan {
    index: Oid,
    /// Of the indexed column.
    kind: Kind,
    conditions: Vec<(&'static str, Node)>,
    near: Option<Node>,
}

impl SpatialPlan {
    pub(super) fn compile(fit: &SpatialFit, compiler: &mut Compiler) -> Result<SpatialPlan> {
        let mut conditions = Vec::with_capacity(fit.conditions.len());
        for c in &fit.conditions {
            conditions.push((c.operator, compiler.compile(&c.value, c.kind)?));
        }
        let near = match &fit.near {
            Some((point, _)) => Some(compiler.compile(point, Kind::Point)?),
            None => None,
        };
        Ok(SpatialPlan { index: fit.index.oid, kind: fit.kind, conditions, near })
    }

    /// Whether few rows are over quickly: boxes are all found before the first is given.
    pub(super) fn is_short(&self) -> bool {
        self.kind == Kind::Point
    }

    /// The scan for a statement's values; `None` if no row can satisfy the conditions.
    pub(super) fn access(&self, frame: &Frame<'_>, limit: usize) -> Result<Option<Access>> {
        let mut bounds = Bounds::all();
        let mut region = (!self.conditions.is_empty()).then(Region::all);
        for (operator, node) in &self.conditions {
            let value = node.eval(frame)?;
            if value.is_null() {
                return Ok(None);
            }
            match &mut region {
                Some(region) if self.kind == Kind::Point => {
                    *region = narrow(*region, operator, &value);
                }
                _ => bounds.narrow(operator, around(&value)),
            }
        }
        let index = self.index;
        if self.kind != Kind::Point {
            return Ok(Some(Access::Boxes { index, low: bounds.low, high: bounds.high }));
        }
        let near = match &self.near {
            Some(node) => match node.eval(frame)? {
                Datum::Point(p) => Some([p.x, p.y]),
                // All distances are NULL: no row comes before another.
                _ if region.is_none() => return Ok(Some(Access::Seq)),
                _ => None,
            },
            None => None,
        };
        Ok(Some(Access::Points { index, region, near, limit }))
    }
}
