//! Functions (`func_get_detail` and `func_select_candidate` in `parse_func.c`).

use std::sync::Arc;

use vicinity_functions::catalog::{self as builtin, Proc};
use vicinity_storage::catalog::model::{ArgMode, Function};
use vicinity_types::{Oid, PgError, Result, SqlState, oid};

use super::{CoerceContext, Resolver, polymorphic};

/// What a call calls.
#[derive(Clone, Debug)]
pub enum Target {
    /// A function, aggregate or window function of the built-in catalog.
    Builtin(&'static Proc),
    /// A user's.
    User(Arc<Function>),
}

/// A resolved call.
#[derive(Clone, Debug)]
pub struct Func {
    /// What is called.
    pub target: Target,
    /// The type each actual argument is coerced to. With named arguments, in positional order:
    /// see `order`.
    pub args: Vec<Oid>,
    /// For each position, the index of the actual argument that goes there.
    pub order: Vec<usize>,
    /// SQL of the defaults of the arguments left out, in order.
    pub defaults: Vec<String>,
    /// Their declared types.
    pub default_types: Vec<Oid>,
    /// Actual arguments from here on are packed into an array of `variadic_elem`.
    pub variadic_from: Option<usize>,
    /// Element type of that array.
    pub variadic_elem: Oid,
    /// Type of the result.
    pub ret: Oid,
    /// Whether it gives a set.
    pub retset: bool,
    /// `pg_proc.prokind`
    pub kind: u8,
}

/// A function that could be meant, with its parameters stretched to the call's arguments.
struct Candidate {
    target: Target,
    /// Declared types, one for each actual argument, in positional order.
    declared: Vec<Oid>,
    order: Vec<usize>,
    defaults: Vec<String>,
    default_types: Vec<Oid>,
    variadic_from: Option<usize>,
    ret: Oid,
    retset: bool,
    kind: u8,
    /// Place of its schema on the search path.
    place: usize,
}

/// A function's declaration, wherever it comes from.
struct Declared {
    target: Target,
    args: Vec<Oid>,
    names: Vec<String>,
    defaults: Vec<String>,
    /// Element type of the last parameter if it is variadic.
    variadic: Oid,
    ret: Oid,
    retset: bool,
    kind: u8,
    schema: Oid,
}

impl Resolver<'_> {
    /// Finds the function a call means.
    ///
    /// # Errors
    /// 42883 `function f(integer) does not exist`, 42725 `function f(unknown) is not unique`.
    pub fn function(
        &self,
        schema: Option<&str>,
        name: &str,
        actual: &[Oid],
        names: &[Option<String>],
        explicit_variadic: bool,
    ) -> Result<Func> {
        let candidates: Vec<Candidate> = self
            .declarations(schema, name)?
            .into_iter()
            .filter_map(|(place, d)| stretch(place, d, actual.len(), names, explicit_variadic))
            .collect();
        let in_position =
            |c: &Candidate| -> Vec<Oid> {
                c.order.iter().map(|i| actual.get(*i).copied().unwrap_or(oid::UNKNOWN)).collect()
            };
        // An exact match wins; the search path settles between equal signatures.
        let exact = candidates
            .iter()
            .filter(|c| c.declared == in_position(c))
            .min_by_key(|c| (c.place, c.variadic_from.is_some(), c.defaults.len()));
        if let Some(found) = exact {
            return self.settle_function(found, &in_position(found));
        }
        let mut kept: Vec<&Candidate> = Vec::new();
        for c in &candidates {
            match kept.iter_mut().find(|k| k.declared == c.declared && k.order == c.order) {
                Some(k) if better(c, k) => *k = c,
                Some(_) => {}
                None => kept.push(c),
            }
        }
        let lists: Vec<Vec<Oid>> = kept.iter().map(|c| c.declared.clone()).collect();
        let actual_in_order = kept.first().map_or_else(|| actual.to_vec(), |c| in_position(c));
        match select_candidate(self, &lists, &actual_in_order) {
            Ok(i) => match kept.get(i) {
                Some(found) => self.settle_function(found, &in_position(found)),
                None => Err(self.no_function(schema, name, actual)),
            },
            Err(Failure::None) => Err(self.no_function(schema, name, actual)),
            Err(Failure::Many) => Err(PgError::new(
                SqlState::AMBIGUOUS_FUNCTION,
                format!("function {} is not unique", self.signature(schema, name, actual)),
            )
            .hint(
                "Could not choose a best candidate function. You might need to add explicit type \
                 casts.",
            )),
        }
    }

    fn signature(&self, schema: Option<&str>, name: &str, actual: &[Oid]) -> String {
        let types: Vec<String> = actual.iter().map(|t| self.type_name(*t)).collect();
        let prefix = schema.map(|s| format!("{s}.")).unwrap_or_default();
        format!("{prefix}{name}({})", types.join(", "))
    }

    fn no_function(&self, schema: Option<&str>, name: &str, actual: &[Oid]) -> PgError {
        PgError::new(
            SqlState::UNDEFINED_FUNCTION,
            format!("function {} does not exist", self.signature(schema, name, actual)),
        )
        .hint(
            "No function matches the given name and argument types. You might need to add explicit \
             type casts.",
        )
    }

    /// All functions of a name in the schemas searched, with their schema's place.
    fn declarations(&self, schema: Option<&str>, name: &str) -> Result<Vec<(usize, Declared)>> {
        let path: Vec<Oid> = match schema {
            Some(s) => vec![self.session.schema_oid(self.catalog, s).ok_or_else(|| {
                PgError::new(
                    SqlState::INVALID_SCHEMA_NAME,
                    format!("schema \"{s}\" does not exist"),
                )
            })?],
            None => self.session.search_path_oids(self.catalog),
        };
        let mut found = Vec::new();
        for p in builtin::procs_named(name).filter(|p| self.present(p.extension)) {
            if let Some(place) = path.iter().position(|s| *s == p.namespace) {
                found.push((place, declared_builtin(p)));
            }
        }
        for (place, schema) in path.iter().enumerate() {
            for f in self.catalog.functions_in(*schema, name) {
                found.push((place, self.declared_user(f)));
            }
        }
        Ok(found)
    }

    fn declared_user(&self, f: &Arc<Function>) -> Declared {
        let inputs: Vec<_> = f
            .args
            .iter()
            .filter(|a| matches!(a.mode, ArgMode::In | ArgMode::InOut | ArgMode::Variadic))
            .collect();
        let variadic = inputs
            .iter()
            .find(|a| a.mode == ArgMode::Variadic)
            .map_or(0, |a| self.element_of(a.type_oid).unwrap_or(0));
        Declared {
            target: Target::User(f.clone()),
            args: inputs.iter().map(|a| a.type_oid).collect(),
            names: inputs.iter().map(|a| a.name.clone().unwrap_or_default()).collect(),
            defaults: inputs.iter().filter_map(|a| a.default.clone()).collect(),
            variadic,
            ret: f.returns,
            retset: f.returns_set,
            kind: if f.procedure { b'p' } else { b'f' },
            schema: f.schema,
        }
    }

    fn settle_function(&self, c: &Candidate, actual: &[Oid]) -> Result<Func> {
        let mut declared = c.declared.clone();
        let mut given = actual.to_vec();
        // Defaults take part in settling polymorphic types.
        declared.extend(&c.default_types);
        given.extend(&c.default_types);
        let (mut args, ret) = polymorphic::settle(self, &declared, &given, c.ret)?;
        let default_types = args.split_off(c.declared.len());
        let variadic_elem =
            c.variadic_from.and_then(|from| args.get(from).copied()).unwrap_or(0);
        Ok(Func {
            target: c.target.clone(),
            args,
            order: c.order.clone(),
            defaults: c.defaults.clone(),
            default_types,
            variadic_from: c.variadic_from,
            variadic_elem,
            ret,
            retset: c.retset,
            kind: c.kind,
        })
    }
}

fn declared_builtin(p: &'static Proc) -> Declared {
    let names = if p.all_args.is_empty() {
        p.names.iter().map(|n| (*n).to_owned()).collect()
    } else {
        let modes = p.modes.chars();
        p.names
            .iter()
            .zip(modes)
            .filter(|(_, m)| matches!(m, 'i' | 'b' | 'v'))
            .map(|(n, _)| (*n).to_owned())
            .collect()
    };
    Declared {
        target: Target::Builtin(p),
        args: p.args.clone(),
        names,
        defaults: p.defaults.iter().map(|d| (*d).to_owned()).collect(),
        variadic: p.variadic,
        ret: p.ret,
        retset: p.retset,
        kind: p.kind,
        schema: p.namespace,
    }
}

/// Between two candidates that take the arguments alike: the earlier schema, then the one that is
/// not stretched, then the one with fewer defaults.
fn better(a: &Candidate, b: &Candidate) -> bool {
    (a.place, a.variadic_from.is_some(), a.defaults.len())
        < (b.place, b.variadic_from.is_some(), b.defaults.len())
}

/// Fits a declaration to a number of arguments: defaults for those left out, variadic parameters
/// repeated, named arguments put in their places. `None` if it cannot take them.
fn stretch(
    place: usize,
    d: Declared,
    count: usize,
    names: &[Option<String>],
    explicit_variadic: bool,
) -> Option<Candidate> {
    let declared_count = d.args.len();
    let is_variadic = d.variadic != 0;
    let spread = is_variadic && !explicit_variadic && count + 1 > declared_count
        || is_variadic && !explicit_variadic && count == declared_count;
    let mut candidate = Candidate {
        target: d.target,
        declared: Vec::new(),
        order: (0..count).collect(),
        defaults: Vec::new(),
        default_types: Vec::new(),
        variadic_from: None,
        ret: d.ret,
        retset: d.retset,
        kind: d.kind,
        place,
    };
    let _ = d.schema;
    if names.iter().any(Option::is_some) {
        return by_name(candidate, &d.args, &d.names, &d.defaults, count, names);
    }
    if spread && count >= declared_count {
        let fixed = declared_count - 1;
        candidate.declared = d.args.get(..fixed)?.to_vec();
        candidate.declared.resize(count, d.variadic);
        // VARIADIC "any" takes its arguments one by one; others get an array.
        if d.variadic != oid::ANY {
            candidate.variadic_from = Some(fixed);
        }
        return Some(candidate);
    }
    if explicit_variadic && (!is_variadic || count != declared_count) {
        return None;
    }
    if count > declared_count || count + d.defaults.len() < declared_count {
        // A variadic parameter may be given nothing only through its default.
        return None;
    }
    candidate.declared = d.args.get(..count)?.to_vec();
    let missing = declared_count - count;
    candidate.defaults = d.defaults.get(d.defaults.len() - missing..)?.to_vec();
    candidate.default_types = d.args.get(count..)?.to_vec();
    Some(candidate)
}

fn by_name(
    mut candidate: Candidate,
    args: &[Oid],
    arg_names: &[String],
    defaults: &[String],
    count: usize,
    names: &[Option<String>],
) -> Option<Candidate> {
    let mut at: Vec<Option<usize>> = vec![None; args.len()];
    for (i, name) in names.iter().enumerate().take(count) {
        let position = match name {
            None => i,
            Some(name) => arg_names.iter().position(|n| n == name)?,
        };
        let slot = at.get_mut(position)?;
        if slot.replace(i).is_some() {
            return None;
        }
    }
    // Only trailing parameters may be left to defaults: a gap before a named one has no place to
    // put its default in the call's order.
    let given = at.iter().take_while(|a| a.is_some()).count();
    if at.iter().skip(given).any(Option::is_some) || defaults.len() < args.len() - given {
        return None;
    }
    candidate.order = at.into_iter().flatten().collect();
    candidate.declared = args.get(..given)?.to_vec();
    candidate.defaults = defaults.get(defaults.len() - (args.len() - given)..)?.to_vec();
    candidate.default_types = args.get(given..)?.to_vec();
    Some(candidate)
}

/// Why no candidate was selected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    None,
    Many,
}

/// `func_match_argtypes` and `func_select_candidate`: gives the index of the chosen list.
pub(super) fn select_candidate(
    r: &Resolver<'_>,
    lists: &[Vec<Oid>],
    actual: &[Oid],
) -> Result<usize, Failure> {
    let mut kept: Vec<usize> = (0..lists.len())
        .filter(|i| {
            lists.get(*i).is_some_and(|l| {
                l.len() == actual.len()
                    && l.iter()
                        .zip(actual)
                        .all(|(to, from)| r.can_coerce(*from, *to, CoerceContext::Implicit))
            })
        })
        .collect();
    let base: Vec<Oid> = actual.iter().map(|t| r.base_type(*t)).collect();
    if let Some(only) = narrowed(&kept)? {
        return Ok(only);
    }
    let declared = |i: usize| lists.get(i).map_or(&[][..], Vec::as_slice);
    // Most exact matches.
    keep_best(&mut kept, |i| {
        declared(i).iter().zip(&base).filter(|(d, a)| d == a && **a != oid::UNKNOWN).count()
    });
    if let Some(only) = narrowed(&kept)? {
        return Ok(only);
    }
    // Most exact or preferred types where a coercion is needed.
    keep_best(&mut kept, |i| {
        declared(i)
            .iter()
            .zip(&base)
            .filter(|(d, a)| {
                **a != oid::UNKNOWN && (d == a || preferred_in(r, **d, r.category(**a).0))
            })
            .count()
    });
    if let Some(only) = narrowed(&kept)? {
        return Ok(only);
    }
    resolve_unknowns(r, &mut kept, lists, &base);
    if let Some(only) = narrowed(&kept)? {
        return Ok(only);
    }
    assume_same(r, &kept, lists, &base)
}

fn preferred_in(r: &Resolver<'_>, ty: Oid, category: u8) -> bool {
    r.category(ty) == (category, true)
}

fn narrowed(kept: &[usize]) -> Result<Option<usize>, Failure> {
    match kept {
        [] => Err(Failure::None),
        [only] => Ok(Some(*only)),
        _ => Ok(None),
    }
}

fn keep_best(kept: &mut Vec<usize>, score: impl Fn(usize) -> usize) {
    let best = kept.iter().map(|i| score(*i)).max().unwrap_or(0);
    kept.retain(|i| score(*i) == best);
}

/// For each unknown argument: strings if any candidate takes one, else the one category all
/// candidates agree on, and its preferred type if some candidate has it.
fn resolve_unknowns(r: &Resolver<'_>, kept: &mut Vec<usize>, lists: &[Vec<Oid>], base: &[Oid]) {
    let at = |i: usize, arg: usize| lists.get(i).and_then(|l| l.get(arg)).copied().unwrap_or(0);
    let mut choices: Vec<Option<(u8, bool)>> = Vec::new();
    for (arg, actual) in base.iter().enumerate() {
        if *actual != oid::UNKNOWN {
            choices.push(None);
            continue;
        }
        let categories: Vec<(u8, bool)> = kept.iter().map(|i| r.category(at(*i, arg))).collect();
        let Some((first, _)) = categories.first() else { return };
        let category = if categories.iter().any(|(c, _)| *c == b'S') {
            b'S'
        } else if categories.iter().all(|(c, _)| c == first) {
            *first
        } else {
            return;
        };
        let has_preferred = categories.iter().any(|(c, p)| *c == category && *p);
        choices.push(Some((category, has_preferred)));
    }
    let fits = |i: usize| {
        choices.iter().enumerate().all(|(arg, choice)| match choice {
            None => true,
            Some((category, must_prefer)) => {
                let (c, p) = r.category(at(i, arg));
                c == *category && (!must_prefer || p)
            }
        })
    };
    let fitting: Vec<usize> = kept.iter().copied().filter(|i| fits(*i)).collect();
    if !fitting.is_empty() {
        *kept = fitting;
    }
}

/// If all known arguments have one type, assume the unknown ones have it too.
fn assume_same(
    r: &Resolver<'_>,
    kept: &[usize],
    lists: &[Vec<Oid>],
    base: &[Oid],
) -> Result<usize, Failure> {
    let mut known = base.iter().filter(|t| **t != oid::UNKNOWN);
    let (Some(first), true) = (known.next(), base.contains(&oid::UNKNOWN)) else {
        return Err(Failure::Many);
    };
    if known.any(|t| t != first) {
        return Err(Failure::Many);
    }
    let takes: Vec<usize> = kept
        .iter()
        .copied()
        .filter(|i| {
            lists.get(*i).is_some_and(|l| {
                l.iter().all(|d| r.can_coerce(*first, *d, CoerceContext::Implicit))
            })
        })
        .collect();
    match takes.as_slice() {
        [only] => Ok(*only),
        _ => Err(Failure::Many),
    }
}
