//! Names of catalog objects as values: `regclass` and its kin, user types for I/O.

use std::sync::Arc;

use vicinity_functions::Proc;
use vicinity_storage::Catalog;
use vicinity_storage::catalog::model::{Column, Function, RelationKind, TypeKind, fixed};
use vicinity_types::enums::Label;
use vicinity_types::io::{Field, TypeNames, TypeShape, UserType};
use vicinity_types::{Oid, PgError, Result, SqlState, oid};

use crate::session_state::SessionState;

/// Splits a possibly qualified, possibly quoted name; unquoted parts are folded to lower case.
pub fn split_identifier(text: &str) -> Result<Vec<String>> {
    let bad = || PgError::new(SqlState::INVALID_NAME, "invalid name syntax");
    let mut parts = Vec::new();
    let mut chars = text.trim().chars().peekable();
    loop {
        let mut part = String::new();
        if chars.peek() == Some(&'"') {
            chars.next();
            loop {
                match chars.next() {
                    Some('"') if chars.peek() == Some(&'"') => {
                        chars.next();
                        part.push('"');
                    }
                    Some('"') => break,
                    Some(c) => part.push(c),
                    None => return Err(bad()),
                }
            }
        } else {
            while let Some(c) = chars.next_if(|c| *c != '.') {
                if c == '"' || c.is_whitespace() {
                    return Err(bad());
                }
                part.extend(c.to_lowercase());
            }
        }
        if part.is_empty() {
            return Err(bad());
        }
        parts.push(part);
        match chars.next() {
            None => return Ok(parts),
            Some('.') => {}
            Some(_) => return Err(bad()),
        }
    }
}

/// An identifier as SQL needs it, quoted only where it must be.
pub use vicinity_functions::quote_ident as quote;

/// Whether a bare name finds this relation.
fn visible(catalog: &Catalog, session: &SessionState, schema: Oid, name: &str) -> bool {
    let first = session
        .search_path_oids(catalog)
        .into_iter()
        .find(|s| catalog.relation_named(*s, name).is_some());
    first == Some(schema)
}

/// A relation's name, qualified where the bare one would not find it.
pub fn relation_name(catalog: &Catalog, session: &SessionState, relation: Oid) -> Option<String> {
    if let Some(r) = catalog.relation(relation) {
        if visible(catalog, session, r.schema, &r.name) {
            return Some(quote(&r.name));
        }
        return Some(in_schema(catalog, r.schema, &r.name));
    }
    crate::hooks::virtual_name(relation)
}

/// A name with its schema.
pub fn in_schema(catalog: &Catalog, schema: Oid, name: &str) -> String {
    let schema = catalog.schema(schema).map_or("?", |s| s.name.as_str());
    format!("{}.{}", quote(schema), quote(name))
}

/// A type's name, qualified where the session's search path needs it; without a session, wherever it
/// is not PostgreSQL's own.
pub fn type_name_in(
    catalog: &Catalog,
    session: Option<&SessionState>,
    ty: Oid,
    typmod: Option<i32>,
) -> String {
    if oid::kind(ty).is_some() {
        return vicinity_types::format_type(ty, typmod);
    }
    let path = session.map(|session| session.search_path_oids(catalog)).unwrap_or_default();
    type_name_on(catalog, &path, ty, typmod)
}

/// The same for a search path.
pub fn type_name_on(catalog: &Catalog, path: &[Oid], ty: Oid, typmod: Option<i32>) -> String {
    if oid::kind(ty).is_some() {
        return vicinity_types::format_type(ty, typmod);
    }
    if let Some(elem) = catalog.element_of(ty) {
        return format!("{}[]", type_name_on(catalog, path, elem, typmod));
    }
    let (schema, name) = match (catalog.type_def(ty), catalog.relation_of_type(ty)) {
        (Some(t), _) => (t.schema, t.name.as_str()),
        (None, Some(r)) => (r.schema, r.name.as_str()),
        (None, None) => return "???".to_owned(),
    };
    let found = path.iter().find(|s| type_in(catalog, **s, name).is_some());
    if found == Some(&schema) {
        return quote(name);
    }
    in_schema(catalog, schema, name)
}

/// The functions of a schema that have a name, with the types of their arguments.
fn functions_in(catalog: &Catalog, schema: Oid, name: &str) -> Vec<(Oid, Vec<Oid>)> {
    let built_in = vicinity_functions::procs_named(name)
        .filter(|p| proc_schema(catalog, p) == Some(schema))
        .map(|p| (p.oid, p.args.clone()));
    let made = catalog.functions_in(schema, name).map(|f| (f.oid, f.input_types()));
    built_in.chain(made).collect()
}

/// The functions that a bare name finds on a path: of those with the same arguments the first.
fn functions_on(catalog: &Catalog, path: &[Oid], name: &str) -> Vec<(Oid, Vec<Oid>)> {
    let mut found: Vec<(Oid, Vec<Oid>)> = Vec::new();
    for (oid, args) in path.iter().flat_map(|schema| functions_in(catalog, *schema, name)) {
        if found.iter().all(|(_, have)| *have != args) {
            found.push((oid, args));
        }
    }
    found
}

/// The schema of a built-in function; those of an extension are where that is.
fn proc_schema(catalog: &Catalog, p: &Proc) -> Option<Oid> {
    match p.extension {
        Some(extension) => catalog.extension_named(extension).map(|e| e.schema),
        None => Some(p.namespace),
    }
}

/// A function's schema, name and the types of its arguments.
fn function_parts(catalog: &Catalog, function: Oid) -> Option<(Oid, &str, Vec<Oid>)> {
    match vicinity_functions::proc_by_oid(function) {
        Some(p) => Some((proc_schema(catalog, p)?, p.name, p.args.clone())),
        None => catalog.function(function).map(|f| (f.schema, f.name.as_str(), f.input_types())),
    }
}

/// A function's name, qualified where the bare one with its arguments finds none, or another.
fn name_with_args(
    catalog: &Catalog,
    session: &SessionState,
    (schema, name, args): (Oid, &str, &[Oid]),
) -> String {
    let path = session.search_path_oids(catalog);
    let same = |s: &Oid| functions_in(catalog, *s, name).iter().any(|(_, have)| *have == args);
    let hidden = path.iter().take_while(|s| **s != schema).any(same);
    if path.contains(&schema) && !hidden {
        return quote(name);
    }
    in_schema(catalog, schema, name)
}

/// A user's function's name, qualified where the session's search path needs it.
pub fn function_name(catalog: &Catalog, session: &SessionState, f: &Function) -> String {
    name_with_args(catalog, session, (f.schema, &f.name, &f.input_types()))
}

/// The types of arguments, separated by commas.
fn type_list(catalog: &Catalog, session: &SessionState, types: &[Oid]) -> String {
    let shown: Vec<String> =
        types.iter().map(|ty| type_name_in(catalog, Some(session), *ty, None)).collect();
    shown.join(",")
}

/// A user's function as `regprocedure` prints it, also one that is not in the catalog yet.
pub fn signature(catalog: &Catalog, session: &SessionState, f: &Function) -> String {
    let name = function_name(catalog, session, f);
    format!("{name}({})", type_list(catalog, session, &f.input_types()))
}

/// `regproc`: a bare name stands for one function only.
fn regproc_out(catalog: &Catalog, session: &SessionState, function: Oid) -> Option<String> {
    let (schema, name, _) = function_parts(catalog, function)?;
    let found = functions_on(catalog, &session.search_path_oids(catalog), name);
    Some(match found.as_slice() {
        [(only, _)] if *only == function => quote(name),
        _ => in_schema(catalog, schema, name),
    })
}

/// `regprocedure`
fn regprocedure_out(catalog: &Catalog, session: &SessionState, function: Oid) -> Option<String> {
    let (schema, name, args) = function_parts(catalog, function)?;
    let own = name_with_args(catalog, session, (schema, name, &args));
    Some(format!("{own}({})", type_list(catalog, session, &args)))
}

/// Whether there is a type of this id.
pub fn is_type(catalog: &Catalog, ty: Oid) -> bool {
    oid::kind(ty).is_some()
        || catalog.type_def(ty).is_some()
        || catalog.element_of(ty).is_some()
        || catalog.relation_of_type(ty).is_some()
}

/// The text of a reg* value; `None` lets the number be printed.
pub fn reg_out(catalog: &Catalog, session: &SessionState, ty: Oid, value: Oid) -> Option<String> {
    match ty {
        oid::REGCLASS => relation_name(catalog, session, value),
        oid::REGTYPE => {
            is_type(catalog, value).then(|| type_name_in(catalog, Some(session), value, None))
        }
        oid::REGPROC => regproc_out(catalog, session, value),
        oid::REGPROCEDURE => regprocedure_out(catalog, session, value),
        oid::REGOPER => vicinity_functions::operator_by_oid(value).map(|o| o.name.to_owned()),
        oid::REGOPERATOR => vicinity_functions::operator_by_oid(value).map(|o| {
            let side = |ty: Oid| match ty {
                0 => "NONE".to_owned(),
                ty => type_name_in(catalog, Some(session), ty, None),
            };
            format!("{}({},{})", o.name, side(o.left), side(o.right))
        }),
        oid::REGNAMESPACE => catalog.schema(value).map(|s| quote(&s.name)),
        oid::REGROLE => catalog.role(value).map(|r| quote(&r.name)),
        oid::REGCOLLATION => {
            vicinity_functions::collations().iter().find(|c| c.oid == value).map(|c| quote(c.name))
        }
        _ => None,
    }
}

fn missing(code: SqlState, what: &str, text: &str) -> PgError {
    PgError::new(code, format!("{what} \"{text}\" does not exist"))
}

/// Reads a reg* name.
pub fn reg_in(catalog: &Catalog, session: &SessionState, ty: Oid, text: &str) -> Result<Oid> {
    match ty {
        oid::REGCLASS => {
            if let Some(relation) = session.find_relation(catalog, text)? {
                return Ok(relation.oid);
            }
            let parts = split_identifier(text)?;
            crate::hooks::virtual_oid(&parts)
                .ok_or_else(|| missing(SqlState::UNDEFINED_TABLE, "relation", &parts.join(".")))
        }
        oid::REGTYPE => type_oid(catalog, session, text)?.ok_or_else(|| no_type(text.trim())),
        oid::REGPROC | oid::REGPROCEDURE => function_oid(catalog, session, ty, text),
        oid::REGNAMESPACE => {
            let parts = split_identifier(text)?;
            let name = parts.concat();
            let schema = session.schema_oid(catalog, &name);
            schema.ok_or_else(|| missing(SqlState::INVALID_SCHEMA_NAME, "schema", &name))
        }
        oid::REGROLE => {
            let name = split_identifier(text)?.concat();
            let role = catalog.role_named(&name).map(|r| r.oid);
            role.ok_or_else(|| missing(SqlState::UNDEFINED_OBJECT, "role", &name))
        }
        oid::REGOPERATOR => operator_with_types(catalog, session, text),
        oid::REGOPER => {
            let name = text.split('(').next().unwrap_or(text).trim();
            let mut found = vicinity_functions::operators_named(name);
            match (found.next(), found.next()) {
                (Some(op), None) => Ok(op.oid),
                (None, _) => Err(missing(SqlState::UNDEFINED_FUNCTION, "operator", text)),
                (Some(_), Some(_)) => Err(PgError::new(
                    SqlState::AMBIGUOUS_FUNCTION,
                    format!("more than one operator named {name}"),
                )),
            }
        }
        _ => Err(missing(SqlState::UNDEFINED_OBJECT, "object", text)),
    }
}

/// `+(integer,integer)`, `-(NONE,bigint)`: the operator over those types.
fn operator_with_types(catalog: &Catalog, session: &SessionState, text: &str) -> Result<Oid> {
    let invalid = |what: &str| PgError::new(SqlState::INVALID_TEXT_REPRESENTATION, what.to_owned());
    let (name, types) =
        text.split_once('(').ok_or_else(|| invalid("expected a left parenthesis"))?;
    let (types, _) =
        types.rsplit_once(')').ok_or_else(|| invalid("expected a right parenthesis"))?;
    let sides: Vec<&str> = types.split(',').map(str::trim).collect();
    let [left, right] = sides.as_slice() else {
        let text = if sides.len() < 2 { "missing argument" } else { "too many arguments" };
        let e = PgError::new(SqlState::UNDEFINED_PARAMETER, text);
        return Err(match sides.len() {
            0 | 1 => e.hint("Use NONE to denote the missing argument of a unary operator."),
            _ => PgError::new(SqlState::TOO_MANY_ARGUMENTS, text)
                .hint("Provide two argument types for operator."),
        });
    };
    let side = |text: &str| match text {
        none if none.eq_ignore_ascii_case("none") => Ok(0),
        named => type_oid(catalog, session, named)?.ok_or_else(|| no_type(named)),
    };
    let (left, right) = (side(left)?, side(right)?);
    let name = name.trim().rsplit('.').next().unwrap_or("");
    let found =
        vicinity_functions::operators_named(name).find(|o| (o.left, o.right) == (left, right));
    found.map(|o| o.oid).ok_or_else(|| {
        let text = format!("operator does not exist: {text}");
        PgError::new(SqlState::UNDEFINED_FUNCTION, text)
    })
}

/// `type "x" does not exist`, or that it is one of PostgreSQL's that is not implemented.
pub fn no_type(name: &str) -> PgError {
    let bare = name.split('(').next().unwrap_or(name).trim_end();
    let bare = bare.strip_prefix("pg_catalog.").unwrap_or(bare);
    if vicinity_functions::lacks_type(bare) {
        return PgError::unsupported(format!("type {}", bare.trim_start_matches('_')));
    }
    PgError::new(SqlState::UNDEFINED_OBJECT, format!("type \"{name}\" does not exist"))
}

/// The type a name means; arrays by `[]`. Type modifiers are read over.
pub fn type_oid(catalog: &Catalog, session: &SessionState, text: &str) -> Result<Option<Oid>> {
    let text = text.trim();
    if let Some(elem) = text.strip_suffix("[]") {
        let elem = type_oid(catalog, session, elem)?;
        return Ok(elem.and_then(|e| catalog.array_of(e)));
    }
    if let Some(ty) = vicinity_types::lookup_type_name(&text.to_lowercase()) {
        let extension = vicinity_functions::type_by_oid(ty).and_then(|t| t.extension);
        if extension.is_none_or(|e| catalog.extension_named(e).is_some()) {
            return Ok(Some(ty));
        }
    }
    let parts = split_identifier(text.split('(').next().unwrap_or(text))?;
    Ok(match parts.as_slice() {
        [name] => session
            .search_path_oids(catalog)
            .into_iter()
            .find_map(|schema| type_in(catalog, schema, name)),
        [schema, name] => {
            session.schema_oid(catalog, schema).and_then(|s| type_in(catalog, s, name))
        }
        _ => None,
    })
}

fn type_in(catalog: &Catalog, schema: Oid, name: &str) -> Option<Oid> {
    if let Some(t) = catalog.type_named(schema, name) {
        return Some(t.oid);
    }
    if schema == fixed::PG_CATALOG {
        return vicinity_functions::type_named(name).map(|t| t.oid);
    }
    match &catalog.relation_named(schema, name)?.kind {
        RelationKind::Table(t) => Some(t.row_type),
        RelationKind::View(v) => Some(v.row_type),
        _ => None,
    }
}

fn function_oid(catalog: &Catalog, session: &SessionState, ty: Oid, text: &str) -> Result<Oid> {
    let (name, args) = match text.split_once('(') {
        Some((name, args)) if ty == oid::REGPROCEDURE => {
            let args = args.trim_end().trim_end_matches(')');
            let args: Option<Vec<Oid>> = args
                .split(',')
                .filter(|a| !a.trim().is_empty())
                .map(|a| type_oid(catalog, session, a).ok().flatten())
                .collect();
            (name, args)
        }
        _ => (text, None),
    };
    let parts = split_identifier(name)?;
    let (schema, name) = match parts.as_slice() {
        [name] => (None, name),
        [schema, name] => (session.schema_oid(catalog, schema), name),
        _ => return Err(missing(SqlState::UNDEFINED_FUNCTION, "function", text)),
    };
    let schemas = schema.map_or_else(|| session.search_path_oids(catalog), |s| vec![s]);
    let mut found = functions_on(catalog, &schemas, name);
    if let Some(args) = &args {
        found.retain(|(_, have)| have == args);
    }
    match found.as_slice() {
        [] => Err(missing(SqlState::UNDEFINED_FUNCTION, "function", text)),
        [(oid, _)] => Ok(*oid),
        _ => Err(PgError::new(
            SqlState::AMBIGUOUS_FUNCTION,
            format!("more than one function named \"{name}\""),
        )),
    }
}

fn fields(columns: &[Column]) -> Arc<[Field]> {
    columns
        .iter()
        .filter(|c| !c.dropped)
        .map(|c| Field { name: c.name.clone(), ty: c.type_oid, typmod: c.typmod })
        .collect()
}

/// What I/O asks of one version of the catalog, for a session.
pub struct SessionNames<'a> {
    /// The version.
    pub catalog: &'a Catalog,
    /// Whose search path counts, and whose transaction's clock.
    pub session: &'a SessionState,
}

impl TypeNames for SessionNames<'_> {
    fn reg_out(&self, ty: Oid, value: Oid) -> Option<String> {
        reg_out(self.catalog, self.session, ty, value)
    }

    fn reg_in(&self, ty: Oid, text: &str) -> Result<Oid> {
        reg_in(self.catalog, self.session, ty, text)
    }

    fn type_info(&self, ty: Oid) -> Option<UserType> {
        type_info(self.catalog, ty)
    }

    fn labels(&self, ty: Oid) -> Option<Arc<[Label]>> {
        self.catalog.enum_labels(ty).cloned()
    }

    fn is_new_label(&self, label: Oid) -> bool {
        self.session.deferred().is_new_label(label)
    }

    fn now(&self) -> i64 {
        self.session.transaction_time()
    }
}

/// A type that is not built in, for I/O.
pub fn type_info(catalog: &Catalog, ty: Oid) -> Option<UserType> {
    if let Some(elem) = catalog.element_of(ty) {
        return Some(UserType { shape: TypeShape::Array { elem } });
    }
    let composite = |relation: Oid| {
        let relation = catalog.relation(relation)?;
        let columns = match &relation.kind {
            RelationKind::Table(t) => &t.columns,
            RelationKind::View(v) => &v.columns,
            RelationKind::Composite(columns) => columns,
            _ => return None,
        };
        Some(TypeShape::Composite(fields(columns)))
    };
    let shape = match catalog.type_def(ty).map(|t| &t.kind) {
        Some(TypeKind::Enum { labels }) => TypeShape::Enum(labels.clone()),
        Some(TypeKind::Domain { base, typmod, .. }) => {
            TypeShape::Domain { base: *base, typmod: *typmod }
        }
        Some(TypeKind::Composite { relation }) => composite(*relation)?,
        Some(TypeKind::Base) => return None,
        None => composite(catalog.relation_of_type(ty)?.oid)?,
    };
    Some(UserType { shape })
}
