//! Which partitions a table has, as a number: whoever keeps what follows from the bounds of all of them looks at
//! nothing else to know whether it still holds.

use vicinity_types::Oid;

use super::model::{Object, PartitionBound, Relation};
use super::{Catalog, next_version};

/// A state of a table's partitions. No two different ones of a table have the same number, in whatever version of the
/// catalog.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Partitions {
    /// Its number; 0 if there were never any.
    pub state: u64,
    /// The state it came from by the adding of one partition and nothing else.
    pub grown: Option<(u64, Oid)>,
}

/// Whose partition an object is, and which.
fn place(object: Option<&Object>) -> Option<(Oid, &PartitionBound, &Relation)> {
    let Some(Object::Relation(relation)) = object else { return None };
    let table = relation.table()?;
    Some((*table.parents.first()?, table.bound.as_ref()?, relation))
}

impl Catalog {
    /// The state of a table's partitions.
    pub fn partitions(&self, table: Oid) -> Partitions {
        self.partitions.get(&table).copied().unwrap_or_default()
    }

    /// An object takes another one's place.
    pub(super) fn note_partition(&mut self, old: Option<&Object>, new: Option<&Object>) {
        let (old, new) = (place(old), place(new));
        let same = |(a, b): (&(Oid, &PartitionBound, &Relation), &(Oid, &PartitionBound, _))| {
            a.0 == b.0 && a.1 == b.1
        };
        if old.iter().zip(&new).any(same) {
            return;
        }
        if let Some((table, ..)) = old {
            self.partitions.insert(table, Partitions { state: next_version(), grown: None });
        }
        if let Some((table, _, part)) = new {
            let before = self.partitions(table).state;
            let grown = old.is_none().then_some((before, part.oid));
            self.partitions.insert(table, Partitions { state: next_version(), grown });
        }
    }
}
