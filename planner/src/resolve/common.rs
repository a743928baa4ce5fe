//! The common type of UNION, CASE, VALUES, ARRAY and function arguments (`select_common_type`).

use vicinity_types::{Oid, PgError, Result, SqlState, oid};

use super::{CoerceContext, Resolver};

impl Resolver<'_> {
    /// The type all the given ones can become; `context` names the construct in the error.
    ///
    /// # Errors
    /// 42804 `CASE types integer and boolean cannot be matched`.
    pub fn common_type(&self, types: &[Oid], context: &str) -> Result<Oid> {
        let mut known = types.iter().copied().filter(|t| *t != oid::UNKNOWN);
        let Some(first) = known.next() else { return Ok(oid::TEXT) };
        if types.iter().all(|t| *t == first) {
            return Ok(first);
        }
        let mut chosen = self.base_type(first);
        let (mut category, mut preferred) = self.category(chosen);
        for next in known.map(|t| self.base_type(t)).filter(|t| *t != oid::UNKNOWN) {
            if next == chosen {
                continue;
            }
            let (next_category, next_preferred) = self.category(next);
            if next_category != category {
                return Err(PgError::new(
                    SqlState::DATATYPE_MISMATCH,
                    format!(
                        "{context} types {} and {} cannot be matched",
                        self.type_name(chosen),
                        self.type_name(next)
                    ),
                ));
            }
            if !preferred
                && self.can_coerce(chosen, next, CoerceContext::Implicit)
                && !self.can_coerce(next, chosen, CoerceContext::Implicit)
            {
                chosen = next;
                (category, preferred) = (next_category, next_preferred);
            }
        }
        for ty in types {
            if !self.can_coerce(*ty, chosen, CoerceContext::Implicit) {
                return Err(PgError::new(
                    SqlState::CANNOT_COERCE,
                    format!(
                        "{context} could not convert type {} to {}",
                        self.type_name(*ty),
                        self.type_name(chosen)
                    ),
                ));
            }
        }
        Ok(chosen)
    }
}
