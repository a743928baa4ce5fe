//! What a write to a table leaves to be done about its keys.

use std::sync::Arc;

use vicinity_types::{Datum, Result};

use super::reference::{Keys, Reference, bytes_of};
use crate::context::ExecContext;
use crate::exec::after::{Queue, Values};

fn equal(a: &[Datum], b: &[Datum]) -> bool {
    bytes_of(a) == bytes_of(b)
}

impl Keys {
    /// A row was inserted, changed or deleted.
    pub(crate) fn written(
        &self,
        ctx: &ExecContext,
        old: Option<&[Datum]>,
        new: Option<&[Datum]>,
        queue: &mut Queue,
    ) -> Result<()> {
        for reference in &self.outgoing {
            let Some(new) = new else { break };
            let key = reference.of_child(new);
            if old.is_none_or(|old| !equal(&key, &reference.of_child(old)))
                && reference.refers(ctx, &key)?
            {
                queue.refers(reference, key);
            }
        }
        for reference in &self.incoming {
            let Some(old) = old else { break };
            lost(reference, reference.of_parent(old), new.map(|r| reference.of_parent(r)), queue);
        }
        Ok(())
    }

    /// A row went from a partition, whose keys these are, to another one of `root`'s. Keys that refer to the root see it
    /// change; those that refer to this very partition see it go.
    pub(crate) fn moved(
        &self,
        root: &Keys,
        (old, old_of_root): (&[Datum], &[Datum]),
        new_of_root: &[Datum],
        queue: &mut Queue,
    ) {
        for reference in self.incoming.iter().filter(|r| !r.is_part) {
            lost(reference, reference.of_parent(old), None, queue);
        }
        for reference in &root.incoming {
            let (old, new) = (reference.of_parent(old_of_root), reference.of_parent(new_of_root));
            lost(reference, old, Some(new), queue);
        }
    }
}

fn lost(reference: &Arc<Reference>, old: Values, new: Option<Values>, queue: &mut Queue) {
    let stays = new.as_ref().is_some_and(|new| equal(&old, new));
    if !stays && !old.iter().any(Datum::is_null) {
        queue.lost(reference, old, new);
    }
}
