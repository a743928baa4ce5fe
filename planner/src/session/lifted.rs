//! Plans of statements without their constants, found before a statement is parsed.

use std::sync::Arc;

use vicinity_types::{Datum, Oid, Result, io, oid};

use super::Session;
use crate::prepared::{Kind, Prepared};
use crate::sql::{self, Constant, Lifted, Parsed};

impl Session {
    /// Splits a query string; what is known, with its constants or without, is not parsed.
    pub(super) fn parse_knowing(&self, text: &str) -> Result<Vec<Parsed>> {
        let (version, path) = (self.engine.db.catalog().version(), self.state.path_key());
        let plans = &self.engine.plans;
        sql::parse_knowing(text, &mut |own, offset, lifted| {
            // Positions in a statement are those of the query string it came in.
            let exact = plans.get(own, &[], path, version).filter(|p| p.parsed.offset == offset);
            if let Some(found) = exact {
                return Some((found.parsed.stmt.clone(), false));
            }
            let lifted = lifted?;
            let found = plans.get(&lifted.text, &lifted.types(), path, version)?;
            Some((found.parsed.stmt.clone(), true))
        })
    }

    /// The plan of a statement without its constants, with those of this one.
    pub(super) fn known(
        &mut self,
        parsed: &Parsed,
        types: &[Oid],
        version: u64,
    ) -> Option<Arc<Prepared>> {
        let lifted = parsed.lifted.as_deref().filter(|_| types.is_empty())?;
        let path = self.state.path_key();
        let found = self.engine.plans.get(&lifted.text, &lifted.types(), path, version)?;
        let values = self.values(lifted, &found)?;
        Some(Arc::new(found.with_values(parsed, values)))
    }

    /// The constants as values of the parameters; `None` if one is no such value, which the statement itself is to
    /// complain of.
    fn values(&mut self, lifted: &Lifted, found: &Prepared) -> Option<Vec<Datum>> {
        let mut names = None;
        let mut values = Vec::with_capacity(lifted.values.len());
        for (constant, ty) in lifted.values.iter().zip(&found.params) {
            let text = match constant {
                Constant::Int4(v) => {
                    values.push(Datum::Int4(*v));
                    continue;
                }
                Constant::Int8(v) => {
                    values.push(Datum::Int8(*v));
                    continue;
                }
                Constant::Text(text) if *ty == oid::TEXT => {
                    values.push(Datum::text(text.clone()));
                    continue;
                }
                Constant::Numeric(text) | Constant::Text(text) => text,
            };
            let ctx = match &names {
                Some(ctx) => ctx,
                None => names.insert(self.context().ok()?),
            };
            values.push(io::text_in(*ty, -1, text, &ctx.io()).ok()?);
        }
        Some(values)
    }

    /// Plans a statement without its constants when it comes for the second time, if that gives the same: a short plan
    /// with the same result, whose parameters are what the constants are.
    pub(super) fn offer_lifted(&mut self, types: &[Oid], prepared: &Prepared) {
        let Some(lifted) = prepared.parsed.lifted.as_deref() else { return };
        if !types.is_empty()
            || !is_simple(prepared)
            || !self.engine.plans.again(lifted, prepared.version)
        {
            return;
        }
        let Ok(parsed) = sql::parse(&lifted.text) else { return };
        let [parsed] = parsed.as_slice() else { return };
        let Ok(plan) = self.plan_locked(parsed, &lifted.types()) else { return };
        let typed = lifted.values.iter().zip(&plan.params);
        let same = is_simple(&plan)
            && plan.columns == prepared.columns
            && plan.params.len() == lifted.values.len()
            && typed.clone().all(|(v, ty)| [0, *ty].contains(&v.declared()));
        if same && self.values(lifted, &plan).is_some() {
            self.engine.plans.put(&lifted.types(), &Arc::new(plan));
        }
    }
}

/// Whether a plan is short; what triggers do is known only once it has run.
fn is_simple(prepared: &Prepared) -> bool {
    match &prepared.kind {
        Kind::Dml(plan) => plan.is_short_alone(),
        _ => prepared.is_short(),
    }
}

impl Parsed {
    /// The statement with its constants, if that was not read yet.
    pub(super) fn in_full(&self) -> Result<Option<Parsed>> {
        if !self.known {
            return Ok(None);
        }
        // Its errors are to stand where it stands in the query string.
        let text = " ".repeat(self.offset) + &self.text;
        Ok(sql::parse(&text)?.pop())
    }
}

impl Prepared {
    /// The plan of a statement without constants for one with them.
    pub(super) fn with_values(&self, parsed: &Parsed, given: Vec<Datum>) -> Prepared {
        let kind = match &self.kind {
            Kind::Query(plan) => Kind::Query(plan.clone()),
            Kind::Dml(plan) => Kind::Dml(plan.clone()),
            _ => Kind::Utility,
        };
        let parsed = Parsed { stmt: self.parsed.stmt.clone(), known: true, ..parsed.clone() };
        Prepared {
            parsed,
            kind,
            columns: self.columns.clone(),
            params: Vec::new(),
            version: self.version,
            path_key: self.path_key,
            declared: self.params.clone(),
            given,
        }
    }
}
