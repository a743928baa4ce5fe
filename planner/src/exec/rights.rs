//! What statements that define things ask of the role that runs them: mostly to own what they change.

use sqlparser::ast::{ObjectName, ObjectType, Statement as Ast};
use vicinity_storage::Catalog;
use vicinity_storage::catalog::model::{Privileges, Relation};
use vicinity_types::{Oid, Result};

use super::ddl::object::named_type;
use super::{locking, name, role_rights};
use crate::authority::{self, Target, forbidden};
use crate::context::ExecContext;
use crate::sql::Statement;

/// An error (42501) unless the session's role may run a statement. What does not exist is left to the
/// statement to complain of.
pub(crate) fn check(ctx: &ExecContext, stmt: &Statement) -> Result<()> {
    let catalog = ctx.txn.catalog();
    if authority::is_all_powerful(&catalog, &ctx.session) {
        return Ok(());
    }
    let asker = Asker { ctx, catalog: &catalog };
    match stmt {
        Statement::Sql(stmt) => asker.sql(stmt),
        Statement::CreateRole(c) => role_rights::create(ctx, &catalog, c),
        Statement::AlterRole(a) => role_rights::alter(ctx, &catalog, a),
        Statement::AlterDatabase { name, .. } => {
            Err(forbidden(format!("must be owner of database {}", name::ident(name))))
        }
        Statement::DropRoutine(d) => {
            d.func_desc.iter().try_for_each(|f| asker.owns_functions(&f.name))
        }
        Statement::DropDomain { names, .. } => names.iter().try_for_each(|n| asker.drops_type(n)),
        Statement::CreateSchema { .. } => asker.create_in_database(),
        Statement::AlterRelation(a) => asker.owns(&a.name),
        Statement::CreateIndex(c) => asker.owns(&c.table),
        Statement::CreateTrigger(t) => asker.has(&t.table, Privileges::TRIGGER),
        Statement::Reindex { name: Some(name), .. } => asker.owns(name),
        Statement::Refresh { name, .. } => asker.owns(name),
        Statement::AlterSequence(s) => asker.owns(&s.name),
        Statement::Vacuum(v) => v.tables.iter().try_for_each(|(name, _)| asker.owns(name)),
        Statement::AlterObject(a) if a.function => asker.owns_functions(&a.name),
        Statement::AlterObject(a) => asker.owns_type(&a.name),
        Statement::AlterDomain(a) => asker.owns_type(&a.name),
        Statement::AlterAttributes(a) => asker.owns_type(&a.name),
        Statement::Checkpoint => {
            Err(forbidden("must be superuser or have privileges of pg_checkpoint to do CHECKPOINT"))
        }
        _ => Ok(()),
    }
}

struct Asker<'a> {
    ctx: &'a ExecContext,
    catalog: &'a Catalog,
}

impl Asker<'_> {
    fn sql(&self, stmt: &Ast) -> Result<()> {
        match stmt {
            Ast::Drop { object_type, names, .. } => self.drop(object_type, names),
            Ast::DropTrigger(t) => t.table_name.iter().try_for_each(|name| self.owns(name)),
            Ast::DropFunction(d) => {
                d.func_desc.iter().try_for_each(|f| self.owns_functions(&f.name))
            }
            Ast::DropProcedure { proc_desc, .. } => {
                proc_desc.iter().try_for_each(|f| self.owns_functions(&f.name))
            }
            Ast::AlterType(a) => self.owns_type(&a.name),
            Ast::Truncate(t) => {
                t.table_names.iter().try_for_each(|t| self.has(&t.name, Privileges::TRUNCATE))
            }
            Ast::CreateView(v) if v.or_replace => self.owns(&v.name),
            Ast::CreateSchema { .. } => self.create_in_database(),
            Ast::AlterSchema(a) => self.owns_schema(&name::last(&a.name)),
            Ast::CreateExtension(e) => {
                let text = format!("permission denied to create extension \"{}\"", e.name.value);
                Err(forbidden(text).hint("Must be superuser to create this extension."))
            }
            Ast::DropExtension(e) => {
                let name = e.names.first().map_or("", |n| n.value.as_str());
                Err(forbidden(format!("must be owner of extension {name}")))
            }
            Ast::Lock(l) => {
                let mode = locking::mode_of(l.lock_mode.as_ref());
                let needed = locking::rights_for(mode);
                l.tables.iter().try_for_each(|t| self.has_any(&t.name, needed))
            }
            _ => Ok(()),
        }
    }

    fn drop(&self, kind: &ObjectType, names: &[ObjectName]) -> Result<()> {
        match kind {
            ObjectType::Schema => names.iter().try_for_each(|n| self.owns_schema(&name::last(n))),
            ObjectType::Role | ObjectType::User => role_rights::drop(self.ctx, self.catalog, names),
            ObjectType::Type => names.iter().try_for_each(|n| self.drops_type(n)),
            _ => names.iter().try_for_each(|n| match self.find(n)? {
                // Who owns the schema may drop what is in it.
                Some(r) if self.owns_schema_of(r.schema) => Ok(()),
                Some(r) => Target::relation(&r).check_owner(self.catalog, &self.ctx.session),
                None => Ok(()),
            }),
        }
    }

    fn find(&self, given: &ObjectName) -> Result<Option<std::sync::Arc<Relation>>> {
        Ok(name::find(self.ctx, given).unwrap_or_default())
    }

    fn owns(&self, given: &ObjectName) -> Result<()> {
        let found = self.find(given)?;
        found.map_or(Ok(()), |r| Target::relation(&r).check_owner(self.catalog, &self.ctx.session))
    }

    fn has(&self, given: &ObjectName, wanted: Privileges) -> Result<()> {
        let found = self.find(given)?;
        found
            .map_or(Ok(()), |r| Target::relation(&r).check(self.catalog, &self.ctx.session, wanted))
    }

    fn has_any(&self, given: &ObjectName, wanted: Privileges) -> Result<()> {
        let found = self.find(given)?;
        found.map_or(Ok(()), |r| {
            Target::relation(&r).check_any(self.catalog, &self.ctx.session, wanted)
        })
    }

    fn owns_functions(&self, given: &ObjectName) -> Result<()> {
        let own = name::last(given);
        let named = self.catalog.functions().filter(|f| f.name == own);
        named
            .map(|f| Target::function(f))
            .try_for_each(|target| target.check_owner(self.catalog, &self.ctx.session))
    }

    fn owns_schema(&self, own: &str) -> Result<()> {
        let found = self.catalog.schema_named(own);
        found.map_or(Ok(()), |s| Target::schema(s).check_owner(self.catalog, &self.ctx.session))
    }

    fn owns_type(&self, given: &ObjectName) -> Result<()> {
        let Ok(found) = named_type(self.ctx, given) else { return Ok(()) };
        Target::user_type(&found).check_owner(self.catalog, &self.ctx.session)
    }

    fn drops_type(&self, given: &ObjectName) -> Result<()> {
        match named_type(self.ctx, given) {
            Ok(found) if self.owns_schema_of(found.schema) => Ok(()),
            _ => self.owns_type(given),
        }
    }

    fn owns_schema_of(&self, schema: Oid) -> bool {
        let me = authority::current(self.catalog, &self.ctx.session);
        self.catalog.schema(schema).is_some_and(|s| authority::is_owner(self.catalog, me, s.owner))
    }

    fn create_in_database(&self) -> Result<()> {
        let database = Target::database(self.ctx.session.database());
        database.check(self.catalog, &self.ctx.session, Privileges::CREATE)
    }
}
