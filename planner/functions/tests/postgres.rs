//! Calls and their answers as PostgreSQL 15 gives them: `tests/cases/*.txt`, made by
//! `tests/cases/expect`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use vicinity_functions as f;
use vicinity_types::io::to_text;
use vicinity_types::{Datum, Io, IoStyle, NoNames, Oid, Result, lookup_type_name, oid, text_in};

struct Env {
    style: IoStyle,
}

impl f::Env for Env {
    fn io(&self) -> Io<'_> {
        Io { style: &self.style, names: &NoNames }
    }
    fn transaction_time(&self) -> i64 {
        0
    }
    fn statement_time(&self) -> i64 {
        0
    }
    fn clock_time(&self) -> i64 {
        0
    }
    fn setting(&self, _: &str) -> Option<String> {
        None
    }
}

fn type_of(name: &str) -> Oid {
    if let Some(elem) = name.strip_suffix("[]") {
        return oid::array_of(type_of(elem)).unwrap();
    }
    if name == "\"char\"" {
        return oid::CHAR;
    }
    if name == "bool" {
        return oid::BOOL;
    }
    f::type_named(name).map(|t| t.oid).or_else(|| lookup_type_name(name)).expect(name)
}

fn takes(declared: Oid, given: Oid) -> bool {
    match declared {
        oid::ANYARRAY | oid::ANYCOMPATIBLEARRAY => oid::element_of(given).is_some(),
        declared => declared == given || f::is_polymorphic(declared),
    }
}

/// The overload for argument types: exact, then polymorphic, then `VARIADIC "any"`.
fn resolve(name: &str, args: &[Oid]) -> Option<&'static f::Proc> {
    let fits = |p: &&f::Proc| {
        p.args.len() == args.len() && p.args.iter().zip(args).all(|(d, g)| takes(*d, *g))
    };
    f::proc_exact(name, args)
        .or_else(|| f::procs_named(name).find(fits))
        .or_else(|| f::procs_named(name).find(|p| p.variadic == oid::ANY))
}

fn result_type(p: &f::Proc, args: &[Oid]) -> Oid {
    let array = args.iter().copied().find(|a| oid::element_of(*a).is_some());
    match p.ret {
        oid::ANYARRAY | oid::ANYCOMPATIBLEARRAY => {
            array.or_else(|| oid::array_of(args[0])).unwrap()
        }
        oid::ANYELEMENT | oid::ANYCOMPATIBLE => {
            array.and_then(oid::element_of).unwrap_or_else(|| args[args.len() - 1])
        }
        ret => ret,
    }
}

fn run(env: &Env, call: &str) -> Result<String> {
    let io = f::Env::io(env);
    let mut parts = call.split(" | ");
    let mut name = parts.next().unwrap().trim();
    let mut types = Vec::new();
    let mut args = Vec::new();
    for part in parts {
        let (ty, literal) = part.split_once(':').unwrap();
        let ty = type_of(ty);
        types.push(ty);
        args.push(match literal {
            "\\N" => Datum::Null,
            literal => text_in(ty, -1, literal, &io)?,
        });
    }
    let show = |ty, value: &Datum| match value {
        Datum::Null => "\\N".to_owned(),
        value => to_text(ty, value, &io),
    };
    if let Some(aggregate) = name.strip_prefix("agg ") {
        name = aggregate;
        let elems: Vec<Oid> = types.iter().map(|t| oid::element_of(*t).unwrap()).collect();
        let p = resolve(name, &elems).unwrap_or_else(|| panic!("no {name}"));
        let mut state = f::aggregate(p, &elems).expect(name)();
        let Datum::Array(first) = &args[0] else { panic!() };
        for i in 0..first.len() {
            let row: Vec<Datum> = args
                .iter()
                .map(|a| match a {
                    Datum::Array(a) => a.get(i),
                    _ => Datum::Null,
                })
                .collect();
            state.step(env, &row)?;
        }
        let ret = if name == "array_agg" { types[0] } else { result_type(p, &elems) };
        return Ok(show(ret, &state.finish(env)?));
    }
    if let Some(set) = name.strip_prefix("set ") {
        let p = resolve(set, &types).unwrap_or_else(|| panic!("no {set}"));
        let ret = result_type(p, &types);
        let rows = f::set_returning(p.src).expect(set)(env, &args)?;
        let rows: Vec<String> = rows
            .map(|r| {
                Ok(r?
                    .iter()
                    .map(|v| if v.is_null() { String::new() } else { show(ret, v) })
                    .collect())
            })
            .collect::<Result<_>>()?;
        return Ok(if rows.is_empty() { "\\N".to_owned() } else { rows.join(" / ") });
    }
    let p = resolve(name, &types).unwrap_or_else(|| panic!("no {name} {types:?}"));
    let ret = result_type(p, &types);
    let call = f::Call::new(p, types, ret, false).unwrap_or_else(|| panic!("no code: {name}"));
    Ok(show(ret, &call.call(env, &args)?))
}

fn check(cases: &str) {
    let env = Env { style: IoStyle::default() };
    let mut wrong = Vec::new();
    for line in cases.lines().filter(|l| !l.is_empty()) {
        let (call, expected) = line.split_once(" => ").unwrap();
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run(&env, call)));
        let got = match outcome {
            Ok(Ok(text)) => text.replace('\n', "~"),
            Ok(Err(e)) => format!("ERROR {}: {}", e.code(), e.message()),
            Err(_) => "PANIC".to_owned(),
        };
        if got != expected {
            wrong.push(format!("{call}\n     expected {expected}\n     got      {got}"));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn numbers() {
    check(include_str!("cases/numbers.txt"));
}

#[test]
fn text() {
    check(include_str!("cases/text.txt"));
}

#[test]
fn dates() {
    check(include_str!("cases/dates.txt"));
}

#[test]
fn json_and_arrays() {
    check(include_str!("cases/json_arrays.txt"));
}

#[test]
fn geometry() {
    check(include_str!("cases/geometry.txt"));
}

/// Every immutable function over sample values of its argument types.
#[test]
fn sweep() {
    check(include_str!("cases/sweep.txt"));
}
