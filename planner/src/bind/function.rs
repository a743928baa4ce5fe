//! Function calls.

use std::sync::Arc;

use datafusion::logical_expr::Expr;
use sqlparser::ast::{self, FunctionArg, FunctionArgExpr, FunctionArguments};
use vicinity_functions::Proc;
use vicinity_storage::catalog::model::Privileges;
use vicinity_storage::catalog::model::{ArgMode, Function, Language};
use vicinity_types::{Kind, Oid, PgError, Result, SqlState, oid};

use super::{Binder, fold, name_parts, name_position, special};
use crate::authority;
use crate::call::{Builtin, PgType, Typed, call_expr};
use crate::df::{BuiltinSet, SetCallable};
use crate::resolve::function::{Call, Candidate, Target, find};
use crate::resolve::{Context, polymorphic};
use crate::user_call::{UserCall, UserSet};
use crate::vector_search::VectorSearch;

/// A call's arguments as written.
pub(super) struct Arguments {
    pub values: Vec<Typed>,
    pub names: Vec<String>,
    pub variadic: bool,
    /// `f(*)`
    pub star: bool,
}

impl Arguments {
    /// Values alone.
    pub(super) fn plain(values: Vec<Typed>) -> Arguments {
        Arguments { values, names: Vec::new(), variadic: false, star: false }
    }

    /// Parameters that the client has declared `void` stand where the function has OUT arguments, which are not given
    /// (PostgreSQL's rule for JDBC's `{call f(?, ?)}`).
    pub(super) fn without_outs(mut self) -> Arguments {
        let mut unnamed = self.values.len().saturating_sub(self.names.len());
        self.values.retain(|value| {
            let is_out = unnamed > 0
                && value.ty.oid == oid::VOID
                && matches!(value.expr, Expr::Placeholder(_));
            unnamed = unnamed.saturating_sub(1);
            !is_out
        });
        self
    }
}

/// A call, resolved, its arguments converted.
pub(super) struct Resolved {
    pub target: Target,
    pub args: Vec<Typed>,
    pub ret: Oid,
    pub variadic: bool,
}

impl Binder<'_> {
    /// Any call in an expression.
    pub(super) fn function(&mut self, f: &ast::Function) -> Result<Typed> {
        let place = name_position(&f.name);
        self.function_inner(f).map_err(|e| e.or_at(place))
    }

    fn function_inner(&mut self, f: &ast::Function) -> Result<Typed> {
        let parts = name_parts(&f.name);
        if let FunctionArguments::None = f.args
            && let [name] = parts.as_slice()
            && let Some(value) = self.sql_value(name)?
        {
            return Ok(value);
        }
        if let Some(special) = self.special_function(f, &parts)? {
            return Ok(special);
        }
        let (schema, name) = match parts.as_slice() {
            [name] => (None, name.as_str()),
            [schema, name] | [_, schema, name] => (Some(schema.as_str()), name.as_str()),
            _ => return Err(PgError::unsupported("this function name")),
        };
        if self.is_aggregate(name, schema) || f.over.is_some() {
            return self.aggregate_or_window(f, schema, name);
        }
        for (used, what) in [
            (f.filter.is_some(), "FILTER specified, but"),
            (!f.within_group.is_empty(), "WITHIN GROUP specified, but"),
            (has_clauses(&f.args), "ORDER BY specified, but"),
        ] {
            if used {
                return Err(PgError::new(
                    SqlState::WRONG_OBJECT_TYPE,
                    format!("{what} {name} is not an aggregate function"),
                ));
            }
        }
        if is_distinct(&f.args) {
            return Err(PgError::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!("DISTINCT specified, but {name} is not an aggregate function"),
            ));
        }
        let args = self.arguments(&f.args)?;
        if args.star {
            return Err(PgError::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!("{name}(*) specified, but {name} is not an aggregate function"),
            ));
        }
        self.call(schema, name, args.without_outs())
    }

    /// Binds arguments.
    pub(super) fn arguments(&mut self, args: &FunctionArguments) -> Result<Arguments> {
        let mut out = Arguments::plain(Vec::new());
        let list = match args {
            FunctionArguments::None => return Ok(out),
            FunctionArguments::Subquery(query) => {
                out.values.push(self.scalar_subquery(query)?);
                return Ok(out);
            }
            FunctionArguments::List(list) => &list.args,
        };
        self.argument_list(list, &mut out)?;
        Ok(out)
    }

    pub(super) fn argument_list(
        &mut self,
        list: &[FunctionArg],
        out: &mut Arguments,
    ) -> Result<()> {
        for arg in list {
            let (name, arg) = match arg {
                FunctionArg::Unnamed(arg) => (None, arg),
                FunctionArg::Named { name, arg, .. } => (Some(fold(name)), arg),
                FunctionArg::ExprNamed { name: ast::Expr::Identifier(name), arg, .. } => {
                    (Some(fold(name)), arg)
                }
                FunctionArg::ExprNamed { .. } => {
                    return Err(PgError::unsupported("this argument name"));
                }
            };
            match arg {
                FunctionArgExpr::Expr(expr) => {
                    let (expr, variadic) = match expr {
                        ast::Expr::Prefixed { prefix, value } if prefix.value == "VARIADIC" => {
                            (value.as_ref(), true)
                        }
                        other => (other, false),
                    };
                    out.variadic |= variadic;
                    out.values.push(self.expr(expr)?);
                }
                FunctionArgExpr::QualifiedWildcard(item) => {
                    let whole = self.item_row(item);
                    match whole {
                        Some(whole) => out.values.push(whole),
                        None => out.values.extend(self.item_values(item)?),
                    }
                }
                FunctionArgExpr::Wildcard => out.star = true,
                _ => return Err(PgError::unsupported("this argument")),
            }
            match name {
                Some(name) => out.names.push(name),
                None if !out.names.is_empty() => {
                    return Err(PgError::new(
                        SqlState::SYNTAX_ERROR,
                        "positional argument cannot follow named argument",
                    ));
                }
                None => {}
            }
        }
        Ok(())
    }

    /// Calls a plain function by name.
    pub(super) fn call(
        &mut self,
        schema: Option<&str>,
        name: &str,
        args: Arguments,
    ) -> Result<Typed> {
        // `type(value)` is a cast, `row.column` may be written `column(row)`
        if let Some(cast) = self.cast_call(schema, name, &args)? {
            return Ok(cast);
        }
        let resolved = match self.resolve(schema, name, args) {
            Ok(resolved) => resolved,
            Err(Unresolved::Field(value)) => return Ok(*value),
            Err(Unresolved::Error(e)) => return Err(e),
        };
        if resolved.target.kind() == b'p' {
            return Err(PgError::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!("{name}({}) is a procedure", self.type_names(&resolved.args)),
            )
            .hint("To call a procedure, use CALL."));
        }
        if resolved.target.kind() == b'w' {
            return Err(super::aggregate::lacks_over(name));
        }
        if resolved.target.returns_set() {
            return self.set_in_target(resolved);
        }
        self.scalar_call(resolved)
    }

    pub(super) fn type_names(&self, args: &[Typed]) -> String {
        let names: Vec<String> = args.iter().map(|a| self.types.name(a.ty.oid)).collect();
        names.join(", ")
    }

    /// The call of a function that returns one value.
    pub(super) fn scalar_call(&mut self, resolved: Resolved) -> Result<Typed> {
        let ret = self.ty(resolved.ret);
        let types: Vec<PgType> = resolved.args.iter().map(|a| a.ty).collect();
        let exprs = resolved.args.into_iter().map(|a| a.expr).collect();
        Ok(match resolved.target {
            Target::Builtin(proc) => {
                let call = Builtin::new(proc, None, types, ret, resolved.variadic)?;
                Typed::new(call_expr(Arc::new(call), exprs), ret)
            }
            Target::User(function) => {
                let target = authority::Target::function(&function);
                target.check(&self.types.catalog, self.session, Privileges::EXECUTE)?;
                let call = UserCall::new(function, types, ret);
                Typed::new(call_expr(Arc::new(call), exprs), ret)
            }
        })
    }

    /// Finds the function and converts its arguments.
    pub(super) fn resolve(
        &mut self,
        schema: Option<&str>,
        name: &str,
        args: Arguments,
    ) -> std::result::Result<Resolved, Unresolved> {
        let inputs: Vec<Oid> = args.values.iter().map(|v| v.ty.oid).collect();
        let call =
            Call { schema, name, args: &inputs, names: &args.names, variadic: args.variadic };
        let candidate = match find(&self.types, &self.path, &call) {
            Ok(candidate) => candidate,
            Err(e) => {
                // a field of a row, in function notation
                if let [value] = args.values.as_slice()
                    && value.ty.kind == Kind::Record
                {
                    let fields = self.row_fields(value);
                    let found = fields.iter().position(|(n, _)| n == name);
                    if let Some((i, (n, ty))) =
                        found.and_then(|i| Some((i, fields.get(i)?.clone())))
                    {
                        return Err(Unresolved::Field(Box::new(special::field_select(
                            value.clone(),
                            i,
                            n,
                            ty,
                        ))));
                    }
                }
                return Err(Unresolved::Error(e));
            }
        };
        self.place_arguments(candidate, args).map_err(Unresolved::Error)
    }

    fn place_arguments(&mut self, candidate: Candidate, args: Arguments) -> Result<Resolved> {
        if let Target::User(function) = &candidate.target {
            self.note(function.oid);
        }
        let mut values = Vec::with_capacity(candidate.order.len());
        for (at, given) in candidate.order.iter().enumerate() {
            match given.and_then(|i| args.values.get(i)) {
                Some(value) => values.push(value.clone()),
                None => values.push(self.default_argument(&candidate, at)?),
            }
        }
        let inputs: Vec<Oid> = values.iter().map(|v| v.ty.oid).collect();
        let mut declared = candidate.args.clone();
        let ret = polymorphic::resolve(&self.types, &inputs, &mut declared, candidate.ret)?;
        let mut converted = Vec::with_capacity(values.len());
        for (value, ty) in values.into_iter().zip(&declared) {
            let target = if *ty == oid::ANY { value.ty } else { self.ty(*ty) };
            let value = if *ty == oid::ANY { self.settled(value)? } else { value };
            converted.push(if *ty == oid::ANY {
                value
            } else {
                self.coerce(value, target, Context::Implicit, None)?
            });
        }
        if let Some(from) = candidate.packed_from {
            let packed = converted.split_off(from);
            let elem = declared.get(from).copied().unwrap_or(oid::TEXT);
            let array = self.types.array(elem).ok_or_else(|| {
                PgError::new(
                    SqlState::UNDEFINED_OBJECT,
                    format!("could not find array type for data type {}", self.types.name(elem)),
                )
            })?;
            converted.push(special::array_ctor(packed, self.ty(array), elem, false));
        }
        Ok(Resolved { target: candidate.target, args: converted, ret, variadic: args.variadic })
    }

    /// The default of an argument that was not given: of the argument's type, where that is one.
    fn default_argument(&mut self, candidate: &Candidate, at: usize) -> Result<Typed> {
        let (text, ty) = match &candidate.target {
            Target::Builtin(proc) => {
                let first = proc.args.len().saturating_sub(proc.defaults.len());
                let text = at.checked_sub(first).and_then(|i| proc.defaults.get(i));
                (text.map(|s| (*s).to_owned()), None)
            }
            Target::User(function) => {
                let arg = inputs(function).nth(at);
                (arg.and_then(|a| a.default.clone()), arg.map(|a| a.type_oid))
            }
        };
        let text = text.ok_or_else(|| PgError::internal("argument without default"))?;
        let parsed = crate::sql::parse_expression(&text)?;
        // What it names is the function's business.
        let uses = self.uses.clone();
        let value = self.expr_over(&parsed, &super::Scope::empty());
        self.uses = uses;
        match ty.filter(|ty| !vicinity_functions::is_polymorphic(*ty)) {
            Some(ty) => {
                let ty = self.ty(ty);
                self.coerce_clause(value?, ty, "DEFAULT", None)
            }
            None => value,
        }
    }

    /// `int4(x)`, `text(x)`: a cast if a type has the name and no function fits exactly.
    fn cast_call(
        &mut self,
        schema: Option<&str>,
        name: &str,
        args: &Arguments,
    ) -> Result<Option<Typed>> {
        let [value] = args.values.as_slice() else { return Ok(None) };
        if !args.names.is_empty() || args.variadic {
            return Ok(None);
        }
        let known = |ty: &'static vicinity_functions::TypeInfo| {
            self.types.extension_exists(ty.extension).then_some(ty.oid)
        };
        let Some(target) = vicinity_functions::type_named(name).and_then(known) else {
            return Ok(None);
        };
        let exact = vicinity_functions::procs_named(name).any(|p| p.args == [value.ty.oid]);
        let unknown = value.ty.oid == oid::UNKNOWN;
        if exact || schema.is_some_and(|s| s != "pg_catalog") || target == oid::RECORD {
            return Ok(None);
        }
        let path =
            crate::resolve::cast::pathway(&self.types, value.ty.oid, target, Context::Explicit);
        let io_or_relabel =
            matches!(path, Some(crate::resolve::CastPath::Relabel | crate::resolve::CastPath::Io));
        if !unknown && !io_or_relabel {
            return Ok(None);
        }
        let target = self.ty(target);
        self.coerce(value.clone(), target, Context::Explicit, None).map(Some)
    }

    /// The columns a set-returning or record function gives: names and types.
    pub(super) fn result_columns(
        &self,
        target: &Target,
        ret: Oid,
        inputs: &[Oid],
    ) -> Vec<(String, PgType)> {
        match target {
            Target::Builtin(proc) => {
                let columns = proc.out_columns();
                if columns.is_empty() {
                    return self.type_columns(ret, proc.name);
                }
                let resolve = |ty: Oid| self.made_concrete(&proc.args, inputs, ty);
                columns
                    .into_iter()
                    .enumerate()
                    .map(|(i, (name, ty))| (column_name(name, i), self.ty(resolve(ty))))
                    .collect()
            }
            Target::User(function) => {
                let out: Vec<_> = function
                    .args
                    .iter()
                    .filter(|a| matches!(a.mode, ArgMode::Out | ArgMode::InOut | ArgMode::Table))
                    .collect();
                if out.is_empty() {
                    return self.type_columns(ret, &function.name);
                }
                out.into_iter()
                    .enumerate()
                    .map(|(i, a)| {
                        let ty = self.made_concrete(&function.input_types(), inputs, a.type_oid);
                        (column_name(a.name.as_deref().unwrap_or(""), i), self.ty(ty))
                    })
                    .collect()
            }
        }
    }

    /// What a declared type is for arguments of these types.
    fn made_concrete(&self, declared: &[Oid], inputs: &[Oid], ty: Oid) -> Oid {
        let mut declared = declared.to_vec();
        polymorphic::resolve(&self.types, inputs, &mut declared, ty).unwrap_or(ty)
    }

    fn type_columns(&self, ret: Oid, name: &str) -> Vec<(String, PgType)> {
        match self.types.fields(ret) {
            Some(fields) => fields
                .into_iter()
                .map(|c| {
                    let ty = self.types.pg(c.type_oid, c.typmod);
                    (c.name, ty)
                })
                .collect(),
            None => vec![(name.to_owned(), self.ty(ret))],
        }
    }

    /// Whether a function's one value is a row of a composite type that may be NULL as a whole: `unnest` of an array of
    /// them, an SQL function. PL/pgSQL keeps rows of fields.
    pub(super) fn is_row_of(&self, resolved: &Resolved) -> bool {
        let has_outputs = match &resolved.target {
            Target::Builtin(proc) => !proc.out_columns().is_empty(),
            Target::User(function) => {
                let is_input = |mode: ArgMode| matches!(mode, ArgMode::In | ArgMode::Variadic);
                function.language != Language::Sql
                    || !function.args.iter().all(|a| is_input(a.mode))
            }
        };
        !has_outputs && self.types.fields(resolved.ret).is_some()
    }

    /// A set-returning call for ProjectSet.
    pub(super) fn set_function(
        &self,
        resolved: &Resolved,
        columns: &[(String, PgType)],
    ) -> Result<Arc<dyn SetCallable>> {
        let types: Vec<PgType> = resolved.args.iter().map(|a| a.ty).collect();
        let outputs: Vec<PgType> = columns.iter().map(|(_, ty)| *ty).collect();
        Ok(match &resolved.target {
            Target::Builtin(proc) => {
                let whole = matches!(outputs.as_slice(), [one] if one.oid == resolved.ret);
                builtin_set(proc, types, outputs, self.is_row_of(resolved) && !whole)?
            }
            Target::User(function) => {
                let target = authority::Target::function(function);
                target.check(&self.types.catalog, self.session, Privileges::EXECUTE)?;
                Arc::new(UserSet::new(function.clone(), types, outputs))
            }
        })
    }
}

fn builtin_set(
    proc: &'static Proc,
    types: Vec<PgType>,
    outputs: Vec<PgType>,
    composite: bool,
) -> Result<Arc<dyn SetCallable>> {
    if let Some(search) = VectorSearch::of(proc, &types, &outputs) {
        return Ok(Arc::new(search));
    }
    let set = BuiltinSet::new(proc, types, outputs)?;
    Ok(Arc::new(if composite { set.of_rows() } else { set }))
}

/// Why a call is not one.
pub(super) enum Unresolved {
    /// It is a field of a row.
    Field(Box<Typed>),
    /// There is no such function.
    Error(PgError),
}

impl From<Unresolved> for PgError {
    fn from(value: Unresolved) -> PgError {
        match value {
            Unresolved::Error(e) => e,
            Unresolved::Field(_) => PgError::unsupported("a field in place of a function"),
        }
    }
}

fn column_name(name: &str, index: usize) -> String {
    if name.is_empty() { format!("column{}", index + 1) } else { name.to_owned() }
}

fn inputs(
    function: &Function,
) -> impl Iterator<Item = &vicinity_storage::catalog::model::Argument> {
    // CALL names what comes out of a procedure, too.
    let own = function.procedure;
    function.args.iter().filter(move |a| own || !matches!(a.mode, ArgMode::Out | ArgMode::Table))
}

fn has_clauses(args: &FunctionArguments) -> bool {
    matches!(args, FunctionArguments::List(list) if !list.clauses.is_empty())
}

/// `DISTINCT` in front of the arguments.
pub(super) fn is_distinct(args: &FunctionArguments) -> bool {
    matches!(args, FunctionArguments::List(list)
        if list.duplicate_treatment == Some(ast::DuplicateTreatment::Distinct))
}
