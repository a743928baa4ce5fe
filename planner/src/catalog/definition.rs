//! Objects written back as SQL, as PostgreSQL's `ruleutils.c` does.

use std::sync::Arc;

use vicinity_functions::catalog as builtin;
use vicinity_storage::catalog::Catalog;
use vicinity_storage::catalog::model::{
    ArgMode, Column, Constraint, ConstraintKind, Function, IndexDef, Language, ReferentialAction,
    Relation, RelationKind, TypeKind, Volatility,
};
use vicinity_types::Oid;

use crate::call::PgType;
use crate::context::ExecContext;
use crate::exec::ddl::opclass;
use crate::exec::stored;
use crate::exec::viewtext::{self, Style};

pub use crate::names::quote as ident;

/// A type's name, with its schema where the search path needs it.
pub fn type_name(ctx: &ExecContext, ty: Oid) -> String {
    crate::names::type_name_in(&ctx.catalog, Some(&ctx.session), ty, None)
}

/// A function's name, with its schema where the search path needs it.
pub fn function_name(ctx: &ExecContext, f: &Function) -> String {
    crate::names::function_name(&ctx.catalog, &ctx.session, f)
}

/// The column of a one-based number.
pub fn column_at(columns: &[Column], number: i16) -> Option<&Column> {
    usize::try_from(number).ok()?.checked_sub(1).and_then(|i| columns.get(i))
}

/// A relation's name, with its schema where the search path needs it.
pub fn relation_name(ctx: &ExecContext, relation: &Relation) -> String {
    let name = crate::names::relation_name(&ctx.catalog, &ctx.session, relation.oid);
    name.unwrap_or_else(|| ident(&relation.name))
}

/// A relation's name with its schema, always.
pub fn qualified_name(catalog: &Catalog, relation: &Relation) -> String {
    let schema = catalog.schema(relation.schema).map_or("?", |s| s.name.as_str());
    format!("{}.{}", ident(schema), ident(&relation.name))
}

/// `pg_get_indexdef(oid)`: the statement that makes the index.
pub fn index(ctx: &ExecContext, relation: &Relation, pretty: bool) -> Option<String> {
    let catalog = &ctx.catalog;
    let def = relation.index()?;
    let table = catalog.relation(def.table)?;
    let columns = &table.table()?.columns;
    let mut sql = format!(
        "CREATE {}INDEX {} ON {}{} USING {} (",
        if def.unique { "UNIQUE " } else { "" },
        ident(&relation.name),
        if crate::partition::is_partitioned(table) { "ONLY " } else { "" },
        qualified_name(catalog, table),
        method_name(def),
    );
    let mut after = String::new();
    let keys: Vec<String> = def.keys.iter().map(|k| key(ctx, table, def, k, pretty)).collect();
    sql.push_str(&keys.join(", "));
    sql.push(')');
    if !def.include.is_empty() {
        let names: Vec<String> = def
            .include
            .iter()
            .filter_map(|n| column_at(columns, *n))
            .map(|c| ident(&c.name))
            .collect();
        sql.push_str(&format!(" INCLUDE ({})", names.join(", ")));
    }
    if def.nulls_not_distinct {
        sql.push_str(" NULLS NOT DISTINCT");
    }
    if let Some(predicate) = &def.predicate {
        after = format!(" WHERE {}", stored::shown(ctx, Some(table), predicate, pretty));
    }
    if !def.options.is_empty() {
        let options: Vec<String> = def
            .options
            .iter()
            .map(|(name, value)| format!("{}='{}'", ident(name), value.replace('\'', "''")))
            .collect();
        sql.push_str(&format!(" WITH ({})", options.join(", ")));
    }
    sql.push_str(&after);
    Some(sql)
}

/// `pg_get_indexdef(oid, column, ...)`: one key column, or an included one.
pub fn index_column(
    ctx: &ExecContext,
    relation: &Relation,
    number: i32,
    pretty: bool,
) -> Option<String> {
    let def = relation.index()?;
    let table = ctx.catalog.relation(def.table)?;
    let columns = &table.table()?.columns;
    let at = usize::try_from(number).ok()?.checked_sub(1)?;
    let attribute = match def.keys.get(at) {
        Some(key) => match &key.expr {
            Some(e) => return Some(key_expression(ctx, table, &e.sql, pretty)),
            None => key.column,
        },
        None => *def.include.get(at - def.keys.len())?,
    };
    Some(ident(&column_at(columns, attribute)?.name))
}

fn method_name(def: &IndexDef) -> &'static str {
    let method = super::relations::method_oid(def);
    builtin::access_method_by_oid(method).map_or("btree", |m| m.name)
}

fn key(
    ctx: &ExecContext,
    table: &Arc<Relation>,
    def: &IndexDef,
    key: &vicinity_storage::catalog::model::IndexKey,
    pretty: bool,
) -> String {
    let column = table.table().and_then(|t| column_at(&t.columns, key.column));
    let mut text = match (&key.expr, column) {
        (Some(e), _) => key_expression(ctx, table, &e.sql, pretty),
        (None, Some(c)) => ident(&c.name),
        (None, None) => "?".to_owned(),
    };
    let method = super::relations::method_oid(def);
    let ty = key.expr.as_ref().map(|e| e.type_oid).or(column.map(|c| c.type_oid));
    let default = ty.and_then(|ty| opclass::default_of(&ctx.catalog, method, ty));
    if default.is_none_or(|d| d.oid != key.opclass)
        && let Some(class) = builtin::opclass_by_oid(key.opclass)
    {
        text.push(' ');
        text.push_str(class.name);
    }
    if key.descending {
        text.push_str(" DESC");
        if !key.nulls_first {
            text.push_str(" NULLS LAST");
        }
    } else if key.nulls_first {
        text.push_str(" NULLS FIRST");
    }
    text
}

/// An expression as a key: a plain function call stands alone, all else in parentheses.
fn key_expression(ctx: &ExecContext, table: &Arc<Relation>, sql: &str, pretty: bool) -> String {
    use sqlparser::ast::Expr;
    let text = stored::shown(ctx, Some(table), sql, pretty);
    match crate::sql::parse_expression(sql) {
        Ok(Expr::Function(f)) if f.over.is_none() => text,
        _ => format!("({text})"),
    }
}

/// `pg_get_constraintdef(oid)`.
pub fn constraint(
    ctx: &ExecContext,
    relation: &Arc<Relation>,
    constraint: &Constraint,
    pretty: bool,
) -> String {
    let names = |columns: &[Column], numbers: &[i16]| {
        let names: Vec<String> =
            numbers.iter().filter_map(|n| column_at(columns, *n)).map(|c| ident(&c.name)).collect();
        names.join(", ")
    };
    let own = relation.table().map_or(&[][..], |t| &t.columns);
    let keys = names(own, &constraint.columns);
    let mut sql = match &constraint.kind {
        ConstraintKind::PrimaryKey { index } | ConstraintKind::Unique { index } => {
            let def = ctx.catalog.relation(*index).and_then(|r| r.index());
            let primary = matches!(constraint.kind, ConstraintKind::PrimaryKey { .. });
            let mut sql = if primary { "PRIMARY KEY" } else { "UNIQUE" }.to_owned();
            if def.is_some_and(|d| d.nulls_not_distinct) {
                sql.push_str(" NULLS NOT DISTINCT");
            }
            sql.push_str(&format!(" ({keys})"));
            if let Some(def) = def.filter(|d| !d.include.is_empty()) {
                sql.push_str(&format!(" INCLUDE ({})", names(own, &def.include)));
            }
            sql
        }
        ConstraintKind::Check { expr } => {
            format!("CHECK ({})", stored::shown(ctx, Some(relation), expr, pretty))
        }
        ConstraintKind::ForeignKey(f) => {
            let Some(target) = ctx.catalog.relation(f.table) else { return String::new() };
            let theirs = names(target.table().map_or(&[][..], |t| &t.columns), &f.columns);
            let mut sql =
                format!("FOREIGN KEY ({keys}) REFERENCES {}({theirs})", relation_name(ctx, target));
            if f.full {
                sql.push_str(" MATCH FULL");
            }
            for (event, what) in [("UPDATE", &f.on_update), ("DELETE", &f.on_delete)] {
                if let Some(action) = action(what) {
                    sql.push_str(&format!(" ON {event} {action}"));
                }
                if let Some(listed) = what.listed_columns() {
                    sql.push_str(&format!(" ({})", names(own, listed)));
                }
            }
            sql
        }
    };
    if constraint.deferrable {
        sql.push_str(" DEFERRABLE");
    }
    if constraint.deferred {
        sql.push_str(" INITIALLY DEFERRED");
    }
    if constraint.no_inherit && matches!(constraint.kind, ConstraintKind::Check { .. }) {
        sql.push_str(" NO INHERIT");
    }
    if !constraint.validated {
        sql.push_str(" NOT VALID");
    }
    sql
}

/// `pg_get_constraintdef` of a domain's check.
pub fn domain_check(ctx: &ExecContext, wanted: Oid, pretty: bool) -> Option<String> {
    let (base, found) = ctx.catalog.types().find_map(|ty| match &ty.kind {
        TypeKind::Domain { base, typmod, checks, .. } => {
            let base = PgType::with_kind(*base, *typmod, ctx.catalog.kind_of(*base));
            checks.iter().find(|c| c.oid == wanted).map(|c| (base, c))
        }
        _ => None,
    })?;
    let text = crate::sql::parse_expression(&found.expr)
        .ok()
        .and_then(|e| stored::write_check(ctx, base, &e, &ctx.catalog, Some(&ctx.session), pretty));
    let text = text.unwrap_or_else(|| found.expr.clone());
    let behind = if found.validated { "" } else { " NOT VALID" };
    Some(format!("CHECK ({text}){behind}"))
}

fn action(a: &ReferentialAction) -> Option<&'static str> {
    match a {
        ReferentialAction::NoAction => None,
        ReferentialAction::Restrict => Some("RESTRICT"),
        ReferentialAction::Cascade => Some("CASCADE"),
        ReferentialAction::SetNull | ReferentialAction::SetNullOf(_) => Some("SET NULL"),
        ReferentialAction::SetDefault | ReferentialAction::SetDefaultOf(_) => Some("SET DEFAULT"),
    }
}

/// `pg_get_viewdef(oid)`; `None` for what is no view.
pub(crate) fn view(ctx: &ExecContext, relation: &Relation, style: Style) -> Option<String> {
    let (query, columns) = match &relation.kind {
        RelationKind::View(view) => (&view.query, &view.columns),
        RelationKind::Table(t) => (&t.materialized.as_ref()?.query, &t.columns),
        _ => return None,
    };
    let columns: Vec<String> = columns.iter().map(|c| c.name.clone()).collect();
    Some(viewtext::shown(ctx, query, &columns, style))
}

/// Which of a function's arguments to list.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum ArgumentStyle {
    /// `pg_get_function_arguments`: all but table columns, with defaults.
    Declaration,
    /// `pg_get_function_identity_arguments`: no defaults.
    Identity,
}

/// The arguments of a user's function.
pub fn arguments(ctx: &ExecContext, f: &Function, style: ArgumentStyle) -> String {
    let mut shown = Vec::new();
    for arg in f.args.iter().filter(|a| a.mode != ArgMode::Table) {
        let mut text = String::new();
        text.push_str(match arg.mode {
            ArgMode::Out => "OUT ",
            ArgMode::InOut => "INOUT ",
            ArgMode::Variadic => "VARIADIC ",
            // Of a procedure all modes are told.
            ArgMode::In if f.procedure => "IN ",
            ArgMode::In | ArgMode::Table => "",
        });
        if let Some(name) = &arg.name {
            text.push_str(&ident(name));
            text.push(' ');
        }
        text.push_str(&type_name(ctx, arg.type_oid));
        if let (Some(default), ArgumentStyle::Declaration) = (&arg.default, style) {
            text.push_str(" DEFAULT ");
            text.push_str(&stored::shown(ctx, None, default, false));
        }
        shown.push(text);
    }
    shown.join(", ")
}

/// The arguments of a built-in function, in the same words.
pub fn builtin_arguments(ctx: &ExecContext, p: &builtin::Proc, style: ArgumentStyle) -> String {
    let types = if p.all_args.is_empty() { &p.args } else { &p.all_args };
    let first_default = p.args.len().saturating_sub(p.defaults.len());
    let mut inputs = 0_usize;
    let mut shown = Vec::new();
    for (i, ty) in types.iter().enumerate() {
        let mode = p.modes.chars().nth(i).unwrap_or('i');
        if mode == 't' {
            continue;
        }
        let mut text = String::new();
        text.push_str(match mode {
            'o' => "OUT ",
            'b' => "INOUT ",
            'v' => "VARIADIC ",
            _ => "",
        });
        if let Some(name) = p.names.get(i).filter(|n| !n.is_empty()) {
            text.push_str(&ident(name));
            text.push(' ');
        }
        text.push_str(&type_name(ctx, *ty));
        if mode != 'o' {
            let default = inputs.checked_sub(first_default).and_then(|d| p.defaults.get(d));
            if let (Some(default), ArgumentStyle::Declaration) = (default, style) {
                text.push_str(" DEFAULT ");
                text.push_str(default);
            }
            inputs += 1;
        }
        shown.push(text);
    }
    shown.join(", ")
}

/// `pg_get_function_result` of a user's function.
pub fn result(ctx: &ExecContext, f: &Function) -> Option<String> {
    if f.procedure {
        return None;
    }
    let table: Vec<String> = f
        .args
        .iter()
        .filter(|a| a.mode == ArgMode::Table)
        .map(|a| table_column(ctx, a.name.as_deref().unwrap_or(""), a.type_oid))
        .collect();
    Some(result_text(ctx, &table, f.returns, f.returns_set))
}

/// `pg_get_function_result` of a built-in function.
pub fn builtin_result(ctx: &ExecContext, p: &builtin::Proc) -> Option<String> {
    if p.kind == b'p' {
        return None;
    }
    let columns =
        p.all_args.iter().enumerate().filter(|(i, _)| p.modes.chars().nth(*i) == Some('t'));
    let table: Vec<String> =
        columns.map(|(i, ty)| table_column(ctx, p.names.get(i).unwrap_or(&""), *ty)).collect();
    Some(result_text(ctx, &table, p.ret, p.retset))
}

fn table_column(ctx: &ExecContext, name: &str, ty: Oid) -> String {
    format!("{} {}", ident(name), type_name(ctx, ty))
}

fn result_text(ctx: &ExecContext, table: &[String], returns: Oid, set: bool) -> String {
    if !table.is_empty() {
        return format!("TABLE({})", table.join(", "));
    }
    let name = type_name(ctx, returns);
    if set { format!("SETOF {name}") } else { name }
}

/// `pg_get_functiondef` of a user's function.
pub fn function(ctx: &ExecContext, f: &Function) -> String {
    let catalog = &ctx.catalog;
    let schema = catalog.schema(f.schema).map_or("?", |s| s.name.as_str());
    let what = if f.procedure { "PROCEDURE" } else { "FUNCTION" };
    let mut sql = format!(
        "CREATE OR REPLACE {what} {}.{}({})\n",
        ident(schema),
        ident(&f.name),
        arguments(ctx, f, ArgumentStyle::Declaration)
    );
    if let Some(returns) = result(ctx, f) {
        sql.push_str(&format!(" RETURNS {returns}\n"));
    }
    sql.push_str(&format!(" LANGUAGE {}\n", language_name(f.language)));
    let properties = properties(f);
    if !properties.is_empty() {
        sql.push_str(&format!(" {}\n", properties.join(" ")));
    }
    for (setting, value) in &f.config {
        sql.push_str(&format!(" SET {} TO '{}'\n", ident(setting), value.replace('\'', "''")));
    }
    let tag = dollar_tag(&f.body, if f.procedure { "procedure" } else { "function" });
    sql.push_str(&format!("AS {tag}{}{tag}\n", f.body));
    sql
}

/// What is told of a function in one line, where it is not what functions are by default.
fn properties(f: &Function) -> Vec<String> {
    let mut out = Vec::new();
    let mut add = |word: &str, given: bool| out.extend(given.then(|| word.to_owned()));
    add("IMMUTABLE", f.volatility == Volatility::Immutable);
    add("STABLE", f.volatility == Volatility::Stable);
    add("PARALLEL SAFE", f.parallel == 's');
    add("PARALLEL RESTRICTED", f.parallel == 'r');
    add("STRICT", f.strict);
    add("SECURITY DEFINER", f.security_definer);
    add("LEAKPROOF", f.leakproof);
    let internal = matches!(f.language, Language::Internal | Language::C);
    if f.cost != if internal { 1.0 } else { 100.0 } {
        out.push(format!("COST {}", f.cost));
    }
    if f.returns_set && f.rows != 1000.0 {
        out.push(format!("ROWS {}", f.rows));
    }
    out
}

/// A language's name in `pg_language`.
pub fn language_name(language: Language) -> &'static str {
    match language {
        Language::Internal => "internal",
        Language::C => "c",
        Language::Sql => "sql",
        Language::PlPgSql => "plpgsql",
    }
}

/// A dollar quote that does not occur in the body.
fn dollar_tag(body: &str, word: &str) -> String {
    let mut word = word.to_owned();
    while body.contains(&format!("${word}$")) {
        word.push('x');
    }
    format!("${word}$")
}
