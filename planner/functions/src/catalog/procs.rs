//! `pg_proc`, `pg_operator`, `pg_cast` and `pg_aggregate`.

use std::collections::HashSet;

use vicinity_types::{Oid, oid};

use super::tsv::{self, Row};
use super::{PG_CATALOG, PLANNER_SOURCES, type_exists};
use crate::registry;

/// A row of `pg_proc`.
#[derive(Debug)]
#[allow(missing_docs)]
pub struct Proc {
    pub oid: Oid,
    pub name: &'static str,
    /// `f` function, `a` aggregate, `w` window, `p` procedure.
    pub kind: u8,
    pub strict: bool,
    pub retset: bool,
    /// `i` immutable, `s` stable, `v` volatile.
    pub volatility: u8,
    /// `s` safe, `r` restricted, `u` unsafe.
    pub parallel: u8,
    pub leakproof: bool,
    pub cost: f32,
    pub rows: f32,
    /// Element type of the variadic argument, 0 without one, [`oid::ANY`] for `VARIADIC "any"`.
    pub variadic: Oid,
    pub security_definer: bool,
    /// How many of the last arguments have defaults.
    pub default_count: usize,
    pub ret: Oid,
    /// Types of the input arguments.
    pub args: Vec<Oid>,
    /// All arguments, output columns included; empty where all are plain inputs.
    pub all_args: Vec<Oid>,
    /// A letter for each of `all_args`: `i` in, `o` out, `b` inout, `v` variadic, `t` table.
    pub modes: &'static str,
    /// A name for each argument (of `all_args` where that is not empty), possibly empty.
    pub names: Vec<&'static str>,
    /// The defaults of the last arguments, as SQL text.
    pub defaults: Vec<&'static str>,
    pub support: Oid,
    /// `prosrc`.
    pub prosrc: &'static str,
    pub language: Oid,
    /// What the implementation is found by: `prosrc`, or the signature where the body is SQL.
    pub src: &'static str,
    /// Schema's id.
    pub namespace: Oid,
    /// The extension the row belongs to: visible only once that exists.
    pub extension: Option<&'static str>,
}

impl Proc {
    /// Names and types of the columns a set-returning or record function gives out.
    pub fn out_columns(&self) -> Vec<(&'static str, Oid)> {
        self.all_args
            .iter()
            .zip(self.modes.bytes())
            .enumerate()
            .filter(|(_, (_, mode))| matches!(mode, b'o' | b'b' | b't'))
            .map(|(i, (ty, _))| (self.names.get(i).copied().unwrap_or(""), *ty))
            .collect()
    }
}

/// A row of `pg_operator`.
#[derive(Debug)]
#[allow(missing_docs)]
pub struct Operator {
    pub oid: Oid,
    pub name: &'static str,
    /// `b` infix, `l` prefix.
    pub kind: u8,
    pub can_merge: bool,
    pub can_hash: bool,
    /// 0 for a prefix operator.
    pub left: Oid,
    pub right: Oid,
    pub result: Oid,
    pub com: Oid,
    pub negate: Oid,
    /// The procedure; 0 for a shell.
    pub code: Oid,
    pub rest: Oid,
    pub join: Oid,
    pub namespace: Oid,
    pub extension: Option<&'static str>,
}

impl Operator {
    /// Whether the operator is only announced, as a commutator nobody wrote.
    pub fn is_shell(&self) -> bool {
        self.code == 0
    }
}

/// A row of `pg_cast`.
#[derive(Debug)]
#[allow(missing_docs)]
pub struct Cast {
    pub oid: Oid,
    pub source: Oid,
    pub target: Oid,
    /// 0 where the method is not `f`.
    pub func: Oid,
    /// `i` implicit, `a` assignment, `e` explicit.
    pub context: u8,
    /// `f` function, `i` through I/O, `b` binary-coercible.
    pub method: u8,
}

/// A row of `pg_aggregate`.
#[derive(Debug)]
#[allow(missing_docs)]
pub struct AggregateInfo {
    pub proc: Oid,
    /// `n` normal, `o` ordered-set, `h` hypothetical-set.
    pub kind: u8,
    pub direct_args: usize,
    /// transfn, finalfn, combinefn, serialfn, deserialfn, mtransfn, minvtransfn, mfinalfn.
    pub functions: [Oid; 8],
    pub final_extra: bool,
    pub mfinal_extra: bool,
    pub final_modify: u8,
    pub mfinal_modify: u8,
    pub sort_operator: Oid,
    pub trans_type: Oid,
    pub trans_space: i32,
    pub mtrans_type: Oid,
    pub mtrans_space: i32,
    pub init: Option<&'static str>,
    pub minit: Option<&'static str>,
}

pub(super) fn load(io: &HashSet<Oid>) -> Vec<Proc> {
    let built_in = tsv::rows(include_str!("../../data/pg_proc.tsv")).map(|r| proc(r, None));
    let pase = tsv::rows(include_str!("../../data/pase_proc.tsv")).map(|r| proc(r, Some("pase")));
    let schema = tsv::rows(include_str!("../../data/information_schema_proc.tsv"));
    let schema = schema.map(|r| proc(r, None));
    let planner: HashSet<&str> = PLANNER_SOURCES.iter().copied().collect();
    built_in
        .chain(pase)
        .chain(schema)
        .filter(|p| {
            p.args.iter().chain(&p.all_args).chain([&p.ret]).all(|ty| type_exists(*ty))
                && (io.contains(&p.oid) || planner.contains(p.src) || registry::implements(p))
        })
        .collect()
}

fn proc(mut r: Row, extension: Option<&'static str>) -> Proc {
    let (oid, name, kind, strict, retset) = (r.oid(), r.text(), r.byte(), r.flag(), r.flag());
    let (volatility, parallel, leakproof) = (r.byte(), r.byte(), r.flag());
    let (cost, rows, variadic, security_definer) = (r.number(), r.number(), r.oid(), r.flag());
    let _argument_count: usize = r.number();
    let (default_count, ret, args, all_args) = (r.number(), r.oid(), r.oids(), r.oids());
    let (modes, names, defaults) = (r.text(), r.list(','), r.list('\u{1f}'));
    let (support, prosrc, language, src) = (r.oid(), r.text(), r.oid(), r.text());
    let namespace = namespace(&mut r);
    Proc {
        oid,
        name,
        kind,
        strict,
        retset,
        volatility,
        parallel,
        leakproof,
        cost,
        rows,
        variadic,
        security_definer,
        default_count,
        ret,
        args,
        all_args,
        modes,
        names,
        defaults,
        support,
        prosrc,
        language,
        src,
        namespace,
        extension,
    }
}

/// Files of other schemas than `pg_catalog` carry theirs as their last column.
fn namespace(r: &mut Row) -> Oid {
    match r.oid() {
        0 => PG_CATALOG,
        other => other,
    }
}

/// The names of all of PostgreSQL's functions.
pub(super) fn all_names() -> impl Iterator<Item = &'static str> {
    tsv::rows(include_str!("../../data/pg_proc.tsv")).map(|mut r| {
        r.oid();
        r.text()
    })
}

pub(super) fn load_operators(has_proc: &dyn Fn(Oid) -> bool) -> Vec<Operator> {
    let built_in = tsv::rows(include_str!("../../data/pg_operator.tsv")).map(|r| operator(r, None));
    let pase = tsv::rows(include_str!("../../data/pase_operator.tsv"))
        .map(|r| operator(r, Some("pase")))
        .collect::<Vec<_>>();
    built_in.chain(pase).filter(|o| has_proc(o.code) || o.extension.is_some()).collect()
}

fn operator(mut r: Row, extension: Option<&'static str>) -> Operator {
    Operator {
        oid: r.oid(),
        name: r.text(),
        kind: r.byte(),
        can_merge: r.flag(),
        can_hash: r.flag(),
        left: r.oid(),
        right: r.oid(),
        result: r.oid(),
        com: r.oid(),
        negate: r.oid(),
        code: r.oid(),
        rest: r.oid(),
        join: r.oid(),
        namespace: namespace(&mut r),
        extension,
    }
}

pub(super) fn load_casts(has_proc: &dyn Fn(Oid) -> bool) -> Vec<Cast> {
    tsv::rows(include_str!("../../data/pg_cast.tsv"))
        .map(|mut r| Cast {
            oid: r.oid(),
            source: r.oid(),
            target: r.oid(),
            func: r.oid(),
            context: r.byte(),
            method: r.byte(),
        })
        .filter(|c| {
            type_exists(c.source) && type_exists(c.target) && (c.func == 0 || has_proc(c.func))
        })
        .collect()
}

pub(super) fn load_aggregates(has_proc: &dyn Fn(Oid) -> bool) -> Vec<AggregateInfo> {
    tsv::rows(include_str!("../../data/pg_aggregate.tsv"))
        .map(|mut r| AggregateInfo {
            proc: r.oid(),
            kind: r.byte(),
            direct_args: r.number(),
            functions: std::array::from_fn(|_| r.oid()),
            final_extra: r.flag(),
            mfinal_extra: r.flag(),
            final_modify: r.byte(),
            mfinal_modify: r.byte(),
            sort_operator: r.oid(),
            trans_type: r.oid(),
            trans_space: r.number(),
            mtrans_type: r.oid(),
            mtrans_space: r.number(),
            init: r.opt(),
            minit: r.opt(),
        })
        .filter(|a| has_proc(a.proc))
        .collect()
}

/// Whether an argument type stands for several (`anyelement`, `anyarray`, `any`...).
pub fn is_polymorphic(ty: Oid) -> bool {
    matches!(
        ty,
        oid::ANY
            | oid::ANYELEMENT
            | oid::ANYARRAY
            | oid::ANYNONARRAY
            | oid::ANYENUM
            | oid::ANYCOMPATIBLE
            | oid::ANYCOMPATIBLEARRAY
            | oid::ANYCOMPATIBLENONARRAY
    )
}
