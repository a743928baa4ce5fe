//! Which function a call means (`FuncnameGetCandidates`, `func_get_detail`).

use std::sync::Arc;

use vicinity_functions::{PG_CATALOG, Proc};
use vicinity_storage::catalog::model::{ArgMode, Argument, Function, fixed};
use vicinity_types::{Oid, PgError, Result, SqlState, oid};

use super::select::{matching, select};
use super::types::Types;

/// What is called.
#[derive(Clone, Debug)]
pub enum Target {
    /// Built in, or of a bundled extension.
    Builtin(&'static Proc),
    /// Of a user.
    User(Arc<Function>),
}

/// A resolved call.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// What is called.
    pub target: Target,
    /// Declared types of the arguments, one for each argument of the expanded call.
    pub args: Vec<Oid>,
    /// For each declared position the given argument, `None` for its default.
    pub order: Vec<Option<usize>>,
    /// Arguments from here on are packed into an array.
    pub packed_from: Option<usize>,
    /// Result type as declared.
    pub ret: Oid,
    /// Position in the search path.
    rank: usize,
}

impl Target {
    /// The function's id.
    pub fn oid(&self) -> Oid {
        match self {
            Target::Builtin(p) => p.oid,
            Target::User(f) => f.oid,
        }
    }

    /// `f`, `p`, `a` or `w`.
    pub fn kind(&self) -> u8 {
        match self {
            Target::Builtin(p) => p.kind,
            Target::User(f) if f.procedure => b'p',
            Target::User(_) => b'f',
        }
    }

    /// Whether it has one output argument, whose name its result goes by.
    pub fn names_its_result(&self) -> bool {
        match self {
            Target::Builtin(p) => {
                matches!(p.out_columns().as_slice(), [(own, _)] if !own.is_empty())
            }
            Target::User(f) => {
                let is_out = |mode| matches!(mode, ArgMode::Out | ArgMode::InOut | ArgMode::Table);
                let mut out = f.args.iter().filter(|a| is_out(a.mode));
                let first = out.next().and_then(|a| a.name.as_deref());
                first.is_some_and(|own| !own.is_empty()) && out.next().is_none()
            }
        }
    }

    /// Whether it returns a set.
    pub fn returns_set(&self) -> bool {
        match self {
            Target::Builtin(p) => p.retset,
            Target::User(f) => f.returns_set,
        }
    }
}

/// What a call looks like.
#[derive(Debug)]
pub struct Call<'a> {
    /// Schema and name, folded.
    pub schema: Option<&'a str>,
    /// Name, folded.
    pub name: &'a str,
    /// Types of the arguments, the named ones last.
    pub args: &'a [Oid],
    /// Names of the last arguments.
    pub names: &'a [String],
    /// `VARIADIC` before the last argument.
    pub variadic: bool,
}

struct Shape {
    target: Target,
    args: Vec<Oid>,
    names: Vec<Option<String>>,
    variadic: Oid,
    defaults: usize,
    ret: Oid,
    rank: usize,
}

/// Finds the function a call means.
pub fn find(types: &Types, path: &[Oid], call: &Call<'_>) -> Result<Candidate> {
    let shapes = shapes(types, path, call)?;
    let mut candidates: Vec<Candidate> =
        shapes.into_iter().filter_map(|shape| fit(shape, call)).collect();
    hide_shadowed(&mut candidates);
    // an exact match needs no rules
    let inputs = call.args;
    let exact = candidates.iter().position(|c| {
        c.packed_from.is_none()
            && c.order.iter().all(Option::is_some)
            && inputs_of(c, inputs) == c.args
    });
    if let Some(exact) = exact {
        let found = candidates.swap_remove(exact);
        // One that would be the same with defaults is as good.
        let twin = |c: &Candidate| {
            c.rank == found.rank
                && c.packed_from.is_none()
                && by_input(c, inputs.len()) == found.args
        };
        return if candidates.iter().any(twin) { Err(ambiguous(types, call)) } else { Ok(found) };
    }
    let given: Vec<(Candidate, Vec<Oid>)> = candidates
        .into_iter()
        .map(|c| {
            let args = by_input(&c, inputs.len());
            (c, args)
        })
        .collect();
    let mut given = given;
    matching(types, inputs, &mut given, |(_, args)| args);
    match given.len() {
        0 => Err(missing(types, call)),
        1 => given.pop().map(|(c, _)| c).ok_or_else(|| missing(types, call)),
        _ => match select(types, inputs, given, |(_, args)| args) {
            Some((found, _)) => Ok(found),
            None => Err(ambiguous(types, call)),
        },
    }
}

fn ambiguous(types: &Types, call: &Call<'_>) -> PgError {
    let text = format!("function {} is not unique", shown(types, call));
    PgError::new(SqlState::AMBIGUOUS_FUNCTION, text).hint(
        "Could not choose a best candidate function. You might need to add explicit type casts.",
    )
}

/// The declared types in the order of the given arguments.
fn by_input(c: &Candidate, inputs: usize) -> Vec<Oid> {
    let mut args = vec![0; inputs];
    for (declared, input) in c.args.iter().zip(&c.order) {
        if let Some(slot) = input.and_then(|i| args.get_mut(i)) {
            *slot = *declared;
        }
    }
    args
}

fn inputs_of(c: &Candidate, inputs: &[Oid]) -> Vec<Oid> {
    c.order.iter().map(|i| i.and_then(|i| inputs.get(i).copied()).unwrap_or(0)).collect()
}

fn shapes(types: &Types, path: &[Oid], call: &Call<'_>) -> Result<Vec<Shape>> {
    let schemas: Vec<Oid> = match call.schema {
        None => path.to_vec(),
        Some(name) => vec![types.catalog.schema_named(name).map(|s| s.oid).ok_or_else(|| {
            PgError::new(SqlState::INVALID_SCHEMA_NAME, format!("schema \"{name}\" does not exist"))
        })?],
    };
    let mut shapes = Vec::new();
    for (rank, schema) in schemas.iter().enumerate() {
        for proc in vicinity_functions::procs_named(call.name) {
            let home = proc.namespace;
            let home = match proc.extension.and_then(|e| types.catalog.extension_named(e)) {
                Some(extension) => extension.schema,
                None if proc.extension.is_some() => continue,
                None => home,
            };
            if home == *schema {
                shapes.push(builtin(proc, rank));
            }
        }
        if *schema != PG_CATALOG {
            shapes.extend(
                types.catalog.functions_in(*schema, call.name).map(|f| user(f.clone(), rank)),
            );
        }
    }
    let _ = fixed::PUBLIC;
    Ok(shapes)
}

fn builtin(proc: &'static Proc, rank: usize) -> Shape {
    let names = proc
        .names
        .iter()
        .enumerate()
        .filter(|(i, _)| matches!(proc.modes.as_bytes().get(*i), None | Some(b'i' | b'b' | b'v')))
        .map(|(_, name)| (!name.is_empty()).then(|| (*name).to_owned()))
        .collect();
    Shape {
        target: Target::Builtin(proc),
        args: proc.args.clone(),
        names,
        variadic: proc.variadic,
        defaults: proc.default_count,
        ret: proc.ret,
        rank,
    }
}

fn user(f: Arc<Function>, rank: usize) -> Shape {
    // CALL names what comes out of a procedure, too.
    let is_input = |a: &&Argument| f.procedure || !matches!(a.mode, ArgMode::Out | ArgMode::Table);
    let inputs: Vec<_> = f.args.iter().filter(is_input).collect();
    let variadic = inputs
        .last()
        .filter(|a| a.mode == ArgMode::Variadic)
        .map_or(0, |a| oid::element_of(a.type_oid).unwrap_or(oid::ANY));
    Shape {
        args: inputs.iter().map(|a| a.type_oid).collect(),
        names: inputs.iter().map(|a| a.name.clone()).collect(),
        variadic,
        defaults: inputs.iter().filter(|a| a.default.is_some()).count(),
        ret: f.returns,
        rank,
        target: Target::User(f),
    }
}

/// Lays the given arguments over the declared ones, if their number and names allow.
fn fit(shape: Shape, call: &Call<'_>) -> Option<Candidate> {
    let given = call.args.len();
    let declared = shape.args.len();
    let spread = shape.variadic != 0 && !call.variadic && call.names.is_empty();
    let mut args = shape.args;
    let mut packed_from = None;
    if spread && given >= declared {
        let fixed = declared - 1;
        let elem = shape.variadic;
        args.truncate(fixed);
        args.resize(given, elem);
        packed_from = (shape.variadic != oid::ANY).then_some(fixed);
    }
    if call.variadic && shape.variadic == 0 {
        return None;
    }
    let positional = given - call.names.len();
    if given > args.len() {
        return None;
    }
    let mut order: Vec<Option<usize>> =
        (0..args.len()).map(|i| (i < positional).then_some(i)).collect();
    for (k, name) in call.names.iter().enumerate() {
        let at = shape.names.iter().position(|n| n.as_deref() == Some(name.as_str()))?;
        let slot = order.get_mut(at)?;
        if slot.is_some() {
            return None;
        }
        *slot = Some(positional + k);
    }
    // what is not given needs a default; defaults belong to the last arguments
    let without = args.len().saturating_sub(shape.defaults);
    let missing = order.iter().enumerate().any(|(i, o)| o.is_none() && i < without);
    if missing {
        return None;
    }
    Some(Candidate {
        target: shape.target,
        args,
        order,
        packed_from,
        ret: shape.ret,
        rank: shape.rank,
    })
}

/// Of candidates with the same arguments the one earlier in the path counts, and one that is not
/// variadic before one that is.
fn hide_shadowed(candidates: &mut Vec<Candidate>) {
    let mut kept: Vec<Candidate> = Vec::new();
    for candidate in candidates.drain(..) {
        let same = kept.iter().position(|k| k.args == candidate.args && k.order == candidate.order);
        match same.and_then(|i| kept.get_mut(i)) {
            Some(have) => {
                let better = candidate.rank < have.rank
                    || (candidate.rank == have.rank
                        && have.packed_from.is_some()
                        && candidate.packed_from.is_none());
                if better {
                    *have = candidate;
                }
            }
            None => kept.push(candidate),
        }
    }
    *candidates = kept;
}

fn shown(types: &Types, call: &Call<'_>) -> String {
    let positional = call.args.len() - call.names.len();
    let args: Vec<String> = call
        .args
        .iter()
        .enumerate()
        .map(|(i, ty)| match i.checked_sub(positional).and_then(|k| call.names.get(k)) {
            Some(name) => format!("{name} => {}", types.name(*ty)),
            None => types.name(*ty),
        })
        .collect();
    let schema = call.schema.map(|s| format!("{s}.")).unwrap_or_default();
    format!("{schema}{}({})", call.name, args.join(", "))
}

/// `function f(integer) does not exist`
pub fn missing(types: &Types, call: &Call<'_>) -> PgError {
    if call.schema.is_none_or(|s| s == "pg_catalog")
        && vicinity_functions::lacks_function(call.name)
    {
        return PgError::unsupported(format!("function {}", call.name));
    }
    PgError::new(
        SqlState::UNDEFINED_FUNCTION,
        format!("function {} does not exist", shown(types, call)),
    )
    .hint(
        "No function matches the given name and argument types. \
         You might need to add explicit type casts.",
    )
}
