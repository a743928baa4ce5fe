//! Spatial scans made ready: the region and the point a statement's values come to.

use vicinity_functions::distance_to_point;
use vicinity_indexes::spatial::Region;
use vicinity_storage::{Access, Near};
use vicinity_types::geo::Point;
use vicinity_types::{Datum, Kind, Oid, Result};

use super::compile::Compiler;
use super::node::{Frame, Node};
use crate::push::spatial::{Bounds, SpatialCondition, SpatialFit, around, narrow};

/// What a spatial index is asked, compiled.
pub(super) struct SpatialPlan {
    index: Oid,
    /// Of what is indexed.
    kind: Kind,
    conditions: Vec<Condition>,
    /// One of these as well; none if that is all.
    either: Vec<Vec<Condition>>,
    near: Option<Node>,
}

/// An operator and the value on its right.
type Condition = (&'static str, Node);

/// Where to look.
#[derive(Clone, Copy)]
enum Where {
    Region(Region),
    Bounds(Bounds),
}

impl Where {
    /// Narrowed by conditions; `None` if no row can satisfy them.
    fn narrowed(self, conditions: &[Condition], frame: &Frame<'_>) -> Result<Option<Where>> {
        let mut to = self;
        for (operator, node) in conditions {
            let value = node.eval(frame)?;
            if value.is_null() {
                return Ok(None);
            }
            match &mut to {
                Where::Region(region) => *region = narrow(*region, operator, &value),
                Where::Bounds(bounds) => bounds.narrow(operator, around(&value)),
            }
        }
        Ok(Some(to))
    }
}

fn compiled(conditions: &[SpatialCondition], compiler: &mut Compiler) -> Result<Vec<Condition>> {
    conditions.iter().map(|c| Ok((c.operator, compiler.compile(&c.value, c.kind)?))).collect()
}

impl SpatialPlan {
    pub(super) fn compile(fit: &SpatialFit, compiler: &mut Compiler) -> Result<SpatialPlan> {
        let conditions = compiled(&fit.conditions, compiler)?;
        let ways = fit.either.iter().flat_map(|either| &either.ways);
        let either = ways.map(|way| compiled(way, compiler)).collect::<Result<_>>()?;
        let near = match &fit.near {
            Some((point, _)) => Some(compiler.compile(point, Kind::Point)?),
            None => None,
        };
        Ok(SpatialPlan { index: fit.index.oid, kind: fit.kind, conditions, either, near })
    }

    /// Whether few rows are over quickly: boxes in no order are all found before the first is given.
    pub(super) fn is_short(&self) -> bool {
        self.kind == Kind::Point || self.near.is_some()
    }

    /// Where to look, for a statement's values: in any of these.
    fn places(&self, frame: &Frame<'_>) -> Result<Vec<Where>> {
        let all = match self.kind {
            Kind::Point => Where::Region(Region::all()),
            _ => Where::Bounds(Bounds::all()),
        };
        let Some(all) = all.narrowed(&self.conditions, frame)? else { return Ok(Vec::new()) };
        if self.either.is_empty() {
            return Ok(vec![all]);
        }
        let ways = self.either.iter().map(|way| all.narrowed(way, frame));
        ways.filter_map(Result::transpose).collect()
    }

    /// The scan for a statement's values; `None` if no row can satisfy the conditions.
    pub(super) fn access(&self, frame: &Frame<'_>, limit: usize) -> Result<Option<Access>> {
        let places = self.places(frame)?;
        let everywhere = self.conditions.is_empty() && self.either.is_empty();
        let mut near = match &self.near {
            Some(node) => match node.eval(frame)? {
                Datum::Point(p) => Some(p),
                // All distances are NULL: no row comes before another.
                _ if everywhere => return Ok(Some(Access::Seq)),
                _ => None,
            },
            None => None,
        };
        if let [Where::Region(first), _, ..] = places.as_slice() {
            // Rows of several regions are told apart as they come in one order.
            let [x, y] = first.center();
            near = near.or(Some(Point { x, y }));
        }
        let index = self.index;
        let access = |place| match place {
            Where::Region(region) => {
                let region = (!everywhere).then_some(region);
                let near = near.map(|p| [p.x, p.y]);
                Access::Points { index, region, near, limit }
            }
            Where::Bounds(Bounds { low, high }) => {
                let near = near.map(|point| Near { point, distance: distance_to_point });
                Access::Boxes { index, low, high, near, limit }
            }
        };
        let mut scans: Vec<Access> = places.into_iter().map(access).collect();
        Ok(match scans.len() {
            0 | 1 => scans.pop(),
            _ => Some(Access::Union(scans)),
        })
    }
}
