//! CREATE FUNCTION and PROCEDURE, and finding functions by name and argument types.

use std::sync::Arc;

use sqlparser::ast::{Expr, FunctionDesc, ObjectName};
use vicinity_storage::catalog::model::{ArgMode, Argument, Function, Language, Object, Volatility};
use vicinity_types::{Oid, PgError, Result, SqlState, oid};

use super::super::outcome::{Outcome, done};
use super::super::stored::{self, Place};
use super::super::{dml, name, types};
use super::default_acl;
use crate::authority::Target;
use crate::bind::Scope;
use crate::call::PgType;
use crate::context::ExecContext;
use crate::names;
use crate::resolve::{Types, polymorphic};
use crate::sql::{self, CreateFunction, Returns};

fn invalid(text: impl Into<String>) -> PgError {
    PgError::new(SqlState::INVALID_FUNCTION_DEFINITION, text)
}

/// Runs CREATE FUNCTION and CREATE PROCEDURE.
pub(crate) fn create(ctx: &ExecContext, c: &CreateFunction) -> Result<Outcome> {
    let tag = done(if c.procedure { "CREATE PROCEDURE" } else { "CREATE FUNCTION" });
    let Some(given) = &c.name else { return Err(PgError::internal("function has no name")) };
    let (schema, own) = name::target(ctx, given)?;
    let language = language(ctx, c)?;
    if c.window {
        return Err(PgError::unsupported("WINDOW functions"));
    }
    let args = arguments(ctx, c)?;
    let (returns, returns_set) = result_type(ctx, c, &args)?;
    let body = match (&c.body, &c.return_expr) {
        (Some(body), _) => body.clone(),
        (None, Some(expr)) => format!("select {expr}"),
        (None, None) => return Err(invalid("no function body specified")),
    };
    let mut function = Function {
        oid: ctx.txn.new_oid(),
        name: own,
        schema,
        owner: super::role::acting(ctx)?,
        language,
        procedure: c.procedure,
        args,
        returns,
        returns_set,
        volatility: match c.volatility {
            Some('i') => Volatility::Immutable,
            Some('s') => Volatility::Stable,
            _ => Volatility::Volatile,
        },
        strict: c.strict.unwrap_or(false),
        security_definer: c.security_definer.unwrap_or(false),
        leakproof: c.leakproof.unwrap_or(false),
        parallel: c.parallel.unwrap_or('u'),
        cost: number(c.cost.as_deref(), "COST")?.unwrap_or(100.0),
        rows: rows(c, returns_set)?,
        body,
        config: c.config.clone(),
    };
    check_settings(&function)?;
    check_polymorphic(ctx, &function)?;
    if matches!(function.language, Language::Sql) {
        crate::sqlfn::check_signature(ctx, &function)?;
    }
    if let Some(before) = same_signature(ctx, &function) {
        Target::function(&before).check_owner(&ctx.txn.catalog(), &ctx.session)?;
        replaceable(ctx, c, &before, &function)?;
        function.oid = before.oid;
        function.owner = before.owner;
    }
    let made = same_signature(ctx, &function).is_none();
    let function = Arc::new(function);
    ctx.txn.put(Object::Function(function.clone()))?;
    if made {
        default_acl::begin(ctx, &Target::function(&function), function.schema)?;
    }
    if ctx.session.setting("check_function_bodies").as_deref() != Some("off") {
        // The body may call the function itself: it is checked when it is there.
        crate::hooks::validate_function(&ctx.next_statement(), &function)
            .map_err(|e| in_query(e, &function.body, c.body_at))?;
    }
    Ok(tag)
}

/// What is polymorphic in a result must be so in an argument too, which says what it stands for.
fn check_polymorphic(ctx: &ExecContext, function: &Function) -> Result<()> {
    let (types, inputs) = (Types::of(ctx), function.input_types());
    let mut results = std::iter::once(function.returns)
        .chain(function.args.iter().filter(|a| is_output(a)).map(|a| a.type_oid));
    let lacks = |ty: Oid| polymorphic::undetermined(&types, ty, &inputs);
    match results.find_map(lacks) {
        Some(lack) => Err(invalid("cannot determine result data type").detail(lack)),
        None => Ok(()),
    }
}

fn is_output(arg: &Argument) -> bool {
    matches!(arg.mode, ArgMode::Out | ArgMode::InOut | ArgMode::Table)
}

fn check_settings(function: &Function) -> Result<()> {
    use super::super::settings::{Settings, Source};
    let check = |(setting, value): &(String, String)| {
        Settings::new().set(setting, value, Source::Local, true).map(drop)
    };
    function.config.iter().try_for_each(check)
}

/// What ALTER FUNCTION says of one.
pub(crate) fn set_options(
    function: &mut Function,
    c: &CreateFunction,
    reset: &[Option<String>],
) -> Result<()> {
    match c.volatility {
        Some('i') => function.volatility = Volatility::Immutable,
        Some('s') => function.volatility = Volatility::Stable,
        Some(_) => function.volatility = Volatility::Volatile,
        None => {}
    }
    function.strict = c.strict.unwrap_or(function.strict);
    function.security_definer = c.security_definer.unwrap_or(function.security_definer);
    function.leakproof = c.leakproof.unwrap_or(function.leakproof);
    function.parallel = c.parallel.unwrap_or(function.parallel);
    function.cost = number(c.cost.as_deref(), "COST")?.unwrap_or(function.cost);
    if c.rows.is_some() {
        function.rows = rows(c, function.returns_set)?;
    }
    for own in reset {
        function.config.retain(|(have, _)| own.as_ref().is_some_and(|own| own != have));
    }
    for (own, value) in &c.config {
        match function.config.iter_mut().find(|(have, _)| have == own) {
            Some((_, have)) => have.clone_from(value),
            None => function.config.push((own.clone(), value.clone())),
        }
    }
    check_settings(function)
}

/// An error in a body, shown where the body stands in the query string.
pub(crate) fn in_query(mut error: PgError, body: &str, at: Option<usize>) -> PgError {
    let report = error.report_mut();
    if let (Some(at), Some(place)) = (at, report.internal_position)
        && report.internal_query.as_deref() == Some(body)
    {
        report.internal_query = None;
        report.internal_position = None;
        report.position = Some(at + place);
    }
    error
}

fn number(text: Option<&str>, what: &str) -> Result<Option<f32>> {
    let Some(text) = text else { return Ok(None) };
    match text.parse::<f32>() {
        Ok(n) if n > 0.0 => Ok(Some(n)),
        _ => {
            Err(PgError::new(SqlState::INVALID_PARAMETER_VALUE, format!("{what} must be positive")))
        }
    }
}

fn rows(c: &CreateFunction, returns_set: bool) -> Result<f32> {
    match number(c.rows.as_deref(), "ROWS")? {
        Some(_) if !returns_set => Err(PgError::new(
            SqlState::INVALID_PARAMETER_VALUE,
            "ROWS is not applicable when function does not return a set",
        )),
        Some(n) => Ok(n),
        None => Ok(if returns_set { 1000.0 } else { 0.0 }),
    }
}

fn language(ctx: &ExecContext, c: &CreateFunction) -> Result<Language> {
    match c.language.as_deref() {
        None if c.return_expr.is_some() => Ok(Language::Sql),
        None => Err(invalid("no language specified")),
        Some("sql") => Ok(Language::Sql),
        Some("plpgsql") if ctx.txn.catalog().extension_named("plpgsql").is_some() => {
            Ok(Language::PlPgSql)
        }
        Some(other @ ("c" | "internal")) => Err(PgError::unsupported(format!("LANGUAGE {other}"))),
        Some(other) => {
            let e = PgError::new(
                SqlState::UNDEFINED_OBJECT,
                format!("language \"{other}\" does not exist"),
            );
            Err(match other {
                "plperl" | "plpython3u" | "pltcl" | "plpgsql" => {
                    e.hint("Use CREATE EXTENSION to load the language into the database.")
                }
                _ => e,
            })
        }
    }
}

/// An argument's type that is not there is told without quotes, and not where it stands.
fn unquoted(error: PgError) -> PgError {
    let mut error = error.without_position();
    if error.code() == SqlState::UNDEFINED_OBJECT {
        let report = error.report_mut();
        report.message = report.message.replace('"', "");
    }
    error
}

/// Binds a default for its errors: it must be assignable to its argument.
fn check_default(ctx: &ExecContext, default: &Expr, ty: PgType) -> Result<()> {
    let now = ctx.next_statement();
    let mut binder = dml::binder(&now);
    let value = binder.expr_at(default, &Scope::empty(), Place::Default)?;
    if !vicinity_functions::is_polymorphic(ty.oid) {
        binder.coerce_clause(value, ty.typmod(-1), "DEFAULT", name::position(default))?;
    }
    Ok(())
}

fn arguments(ctx: &ExecContext, c: &CreateFunction) -> Result<Vec<Argument>> {
    let mut out: Vec<Argument> = Vec::new();
    let mut defaults = false;
    for a in &c.args {
        let ty = types::resolve_type(ctx, &a.ty).map_err(unquoted)?;
        let mode = match a.mode {
            sql::ArgMode::In => ArgMode::In,
            sql::ArgMode::Out => ArgMode::Out,
            sql::ArgMode::InOut => ArgMode::InOut,
            sql::ArgMode::Variadic => ArgMode::Variadic,
        };
        if mode == ArgMode::Variadic && ctx.txn.catalog().element_of(ty.oid).is_none() {
            return Err(invalid("VARIADIC parameter must be an array"));
        }
        let input = !matches!(mode, ArgMode::Out);
        if let Some(own) = a.name.as_ref().map(name::ident)
            && !own.is_empty()
        {
            let clash = |have: &Argument| {
                have.name.as_deref() == Some(&own)
                    && (input == !matches!(have.mode, ArgMode::Out)
                        || matches!(mode, ArgMode::InOut)
                        || matches!(have.mode, ArgMode::InOut))
            };
            if out.iter().any(clash) {
                return Err(invalid(format!("parameter name \"{own}\" used more than once")));
            }
        }
        if a.default.is_some() && !input {
            return Err(invalid("only input parameters can have default values"));
        }
        if defaults && a.default.is_none() {
            if input {
                let text =
                    "input parameters after one with a default value must also have defaults";
                return Err(invalid(text));
            }
            // A CALL lists them.
            if c.procedure {
                let text = "procedure OUT parameters cannot appear after one with a default value";
                return Err(invalid(text));
            }
        }
        defaults |= a.default.is_some();
        if let Some(default) = &a.default {
            check_default(ctx, default, ty)?;
        }
        out.push(Argument {
            name: a.name.as_ref().map(name::ident),
            type_oid: ty.oid,
            mode,
            default: a.default.as_ref().map(|d| stored::default(ctx, d, ty)),
        });
    }
    if let Some(Returns::Table(columns)) = &c.returns {
        if out.iter().any(|a| matches!(a.mode, ArgMode::Out | ArgMode::InOut)) {
            return Err(invalid("OUT and INOUT arguments aren't allowed in TABLE functions"));
        }
        for (own, ty) in columns {
            let ty = types::resolve_type(ctx, ty)?;
            out.push(Argument {
                name: Some(name::ident(own)),
                type_oid: ty.oid,
                mode: ArgMode::Table,
                default: None,
            });
        }
    }
    if out.len() > 100 {
        return Err(PgError::new(
            SqlState::TOO_MANY_ARGUMENTS,
            "functions cannot have more than 100 arguments",
        ));
    }
    Ok(out)
}

fn result_type(ctx: &ExecContext, c: &CreateFunction, args: &[Argument]) -> Result<(Oid, bool)> {
    let outs: Vec<Oid> = args.iter().filter(|a| is_output(a)).map(|a| a.type_oid).collect();
    let implied = match outs.as_slice() {
        [] => None,
        [one] => Some(*one),
        _ => Some(oid::RECORD),
    };
    match &c.returns {
        Some(Returns::Table(_)) => Ok((implied.unwrap_or(oid::RECORD), true)),
        Some(Returns::Type { ty, set }) => {
            let ty = types::resolve_type(ctx, ty)?.oid;
            if let Some(implied) = implied.filter(|i| *i != ty) {
                let shown = ctx.type_name(implied, None);
                return Err(invalid(format!(
                    "function result type must be {shown} because of OUT parameters"
                )));
            }
            Ok((ty, *set))
        }
        None if c.procedure => Ok((implied.map_or(oid::VOID, |_| oid::RECORD), false)),
        None => match implied {
            Some(implied) => Ok((implied, false)),
            None => Err(invalid("function result type must be specified")),
        },
    }
}

pub(super) fn same_signature(ctx: &ExecContext, f: &Function) -> Option<Arc<Function>> {
    let types = f.input_types();
    let catalog = ctx.txn.catalog();
    catalog.functions_in(f.schema, &f.name).find(|have| have.input_types() == types).cloned()
}

/// A function cannot be called as one that there is already.
pub(super) fn taken(ctx: &ExecContext, other: &Function) -> PgError {
    let catalog = ctx.txn.catalog();
    let types = other.input_types();
    let types: Vec<String> = types.iter().map(|t| ctx.type_name(*t, None)).collect();
    let schema = catalog.schema(other.schema).map_or("?", |s| s.name.as_str());
    PgError::new(
        SqlState::DUPLICATE_FUNCTION,
        format!(
            "function {}({}) already exists in schema \"{schema}\"",
            names::quote(&other.name),
            types.join(", ")
        ),
    )
}

/// CREATE OR REPLACE may change the body, not what callers rely on.
fn replaceable(
    ctx: &ExecContext,
    c: &CreateFunction,
    before: &Function,
    after: &Function,
) -> Result<()> {
    if !c.or_replace {
        return Err(PgError::new(
            SqlState::DUPLICATE_FUNCTION,
            format!("function \"{}\" already exists with same argument types", after.name),
        ));
    }
    if before.procedure != after.procedure {
        let kind = if before.procedure { "procedure" } else { "function" };
        return Err(PgError::new(SqlState::WRONG_OBJECT_TYPE, "cannot change routine kind")
            .detail(format!("\"{}\" is a {kind}.", before.name)));
    }
    let shown = super::depend::describe(ctx, super::depend::Node::Function(before.oid));
    let drop = format!(
        "Use DROP {} first.",
        shown.to_string().replacen("function", "FUNCTION", 1).replacen("procedure", "PROCEDURE", 1)
    );
    if before.returns != after.returns || before.returns_set != after.returns_set {
        let text = match before.procedure {
            true => "cannot change whether a procedure has output parameters",
            false => "cannot change return type of existing function",
        };
        return Err(invalid(text).hint(drop));
    }
    if after.returns == oid::RECORD && out_columns(before) != out_columns(after) {
        return Err(invalid("cannot change return type of existing function")
            .detail("Row type defined by OUT parameters is different.")
            .hint(drop));
    }
    let inputs = |f: &Function| {
        let named = f.args.iter().filter(|a| !matches!(a.mode, ArgMode::Out | ArgMode::Table));
        named.map(|a| a.name.clone()).collect::<Vec<_>>()
    };
    for (old, new) in inputs(before).iter().zip(inputs(after)) {
        if let Some(old) = old.as_ref().filter(|o| !o.is_empty())
            && new.as_ref() != Some(old)
        {
            return Err(
                invalid(format!("cannot change name of input parameter \"{old}\"")).hint(drop)
            );
        }
    }
    let defaults = |f: &Function| f.args.iter().filter(|a| a.default.is_some()).count();
    if defaults(after) < defaults(before) {
        let text = "cannot remove parameter defaults from existing function";
        return Err(invalid(text).hint(drop));
    }
    Ok(())
}

/// The columns of the row that output parameters make; one alone makes none, but of a procedure.
fn out_columns(f: &Function) -> Vec<(String, Oid)> {
    let named = |(at, a): (usize, &Argument)| {
        let own = a.name.clone().filter(|own| !own.is_empty());
        (own.unwrap_or_else(|| format!("column{}", at + 1)), a.type_oid)
    };
    let columns: Vec<_> = f.args.iter().filter(|a| is_output(a)).enumerate().map(named).collect();
    if columns.len() > 1 || f.procedure { columns } else { Vec::new() }
}

/// A user's function by name and, if given, input types.
pub(crate) fn find_named(
    ctx: &ExecContext,
    given: &ObjectName,
    args: Option<&[Oid]>,
    procedure: Option<bool>,
) -> Result<Oid> {
    let catalog = ctx.txn.catalog();
    let mut parts = name::parts(given);
    let own = parts.pop().unwrap_or_default();
    let schemas = match parts.pop() {
        Some(schema) => vec![name::schema(ctx, &schema)?],
        None => ctx.session.search_path_oids(&catalog),
    };
    let kind = if procedure == Some(true) { "procedure" } else { "function" };
    let mut found: Vec<Oid> = Vec::new();
    for schema in schemas {
        for f in catalog.functions_in(schema, &own) {
            let fits = procedure.is_none_or(|p| p == f.procedure)
                && args.is_none_or(|a| f.input_types() == a);
            if fits {
                found.push(f.oid);
            }
        }
        if !found.is_empty() {
            break;
        }
    }
    match (found.as_slice(), args) {
        ([one], _) => Ok(*one),
        ([], Some(args)) => {
            if let Some(other) = other_kind(ctx, given, args, procedure) {
                return Err(other);
            }
            if let Some(p) = vicinity_functions::proc_exact(&own, args) {
                return Err(PgError::new(
                    SqlState::DEPENDENT_OBJECTS_STILL_EXIST,
                    format!(
                        "cannot drop function {}({}) because it is required by the database system",
                        p.name,
                        shown_types(ctx, args)
                    ),
                ));
            }
            Err(PgError::new(
                SqlState::UNDEFINED_FUNCTION,
                format!("{kind} {}({}) does not exist", name::shown(given), shown_types(ctx, args)),
            ))
        }
        ([], None) => Err(PgError::new(
            SqlState::UNDEFINED_FUNCTION,
            format!("could not find a {kind} named \"{}\"", name::shown(given)),
        )),
        _ => {
            let kind = if procedure.is_none() { "routine" } else { kind };
            Err(PgError::new(
                SqlState::AMBIGUOUS_FUNCTION,
                format!("{kind} name \"{}\" is not unique", name::shown(given)),
            )
            .hint(format!("Specify the argument list to select the {kind} unambiguously.")))
        }
    }
}

/// A function that is none of the wanted kind.
fn other_kind(
    ctx: &ExecContext,
    given: &ObjectName,
    args: &[Oid],
    procedure: Option<bool>,
) -> Option<PgError> {
    let wanted = if procedure? { "procedure" } else { "function" };
    find_named(ctx, given, Some(args), None).ok()?;
    Some(PgError::new(
        SqlState::WRONG_OBJECT_TYPE,
        format!("{}({}) is not a {wanted}", name::shown(given), shown_types(ctx, args)),
    ))
}

pub(crate) fn shown_types(ctx: &ExecContext, types: &[Oid]) -> String {
    let shown: Vec<String> = types.iter().map(|t| ctx.type_name(*t, None)).collect();
    shown.join(", ")
}

/// The input types of `DROP FUNCTION name(args)`, if it has a list of them.
pub(crate) fn described_types(ctx: &ExecContext, d: &FunctionDesc) -> Result<Option<Vec<Oid>>> {
    let Some(args) = &d.args else { return Ok(None) };
    let inputs = args.iter().filter(|a| !matches!(a.mode, Some(sqlparser::ast::ArgMode::Out)));
    let types = inputs.map(|a| types::resolve_type(ctx, &a.data_type).map(|t| t.oid));
    types.collect::<Result<Vec<_>>>().map(Some)
}

/// The function of `DROP FUNCTION name(args)`: a procedure, none, or either.
pub(crate) fn find_described(
    ctx: &ExecContext,
    d: &FunctionDesc,
    procedure: Option<bool>,
) -> Result<Oid> {
    let args = described_types(ctx, d)?;
    find_named(ctx, &d.name, args.as_deref(), procedure)
}
