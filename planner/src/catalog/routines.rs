//! Functions, aggregates, operators, casts and languages.

use vicinity_functions::catalog as builtin;
use vicinity_storage::catalog::model::{ArgMode, Function, Language, Volatility, fixed};
use vicinity_types::{Datum, Oid, Result, oid};

use super::row::{
    Rows, acl, array, byte, ch, flag, id, int2, int4, oidvector, optional_text, options, text,
    text_array,
};
use super::{RowsFn, VirtualTable, cluster};
use crate::authority::class;
use crate::context::ExecContext;

pub(super) fn rows_of(name: &str) -> Option<RowsFn> {
    Some(match name {
        "pg_proc" => pg_proc,
        "pg_aggregate" => pg_aggregate,
        "pg_operator" => pg_operator,
        "pg_cast" => pg_cast,
        "pg_language" => pg_language,
        _ => return None,
    })
}

/// `pg_language` ids.
pub(super) fn language_oid(language: Language) -> Oid {
    match language {
        Language::Internal => 12,
        Language::C => 13,
        Language::Sql => 14,
        Language::PlPgSql => {
            builtin::languages().iter().find(|l| l.name == "plpgsql").map_or(0, |l| l.oid)
        }
    }
}

fn pg_proc(ctx: &ExecContext, table: &VirtualTable) -> Result<Vec<Vec<Datum>>> {
    let mut rows = Rows::new(table);
    for p in builtin::procs().iter().filter(|p| cluster::present(ctx, p.extension)) {
        rows.push(built_in_proc(p));
    }
    for f in ctx.catalog.functions() {
        rows.push(user_proc(ctx, f));
    }
    rows.done()
}

fn built_in_proc(p: &builtin::Proc) -> [(&'static str, Datum); 25] {
    let names = if p.names.is_empty() { Datum::Null } else { text_array(&p.names) };
    let (all, modes) = if p.all_args.is_empty() {
        (Datum::Null, Datum::Null)
    } else {
        (
            array(oid::OID, p.all_args.iter().map(|o| id(*o))),
            array(oid::CHAR, p.modes.chars().map(ch)),
        )
    };
    let defaults = if p.defaults.is_empty() { Datum::Null } else { text(p.defaults.join(", ")) };
    [
        ("oid", id(p.oid)),
        ("proname", text(p.name)),
        ("pronamespace", id(p.namespace)),
        ("proowner", id(fixed::SUPERUSER)),
        ("prolang", id(p.language)),
        ("procost", Datum::Float4(p.cost)),
        ("prorows", Datum::Float4(p.rows)),
        ("provariadic", id(p.variadic)),
        ("prosupport", id(p.support)),
        ("prokind", byte(p.kind)),
        ("prosecdef", flag(p.security_definer)),
        ("proleakproof", flag(p.leakproof)),
        ("proisstrict", flag(p.strict)),
        ("proretset", flag(p.retset)),
        ("provolatile", byte(p.volatility)),
        ("proparallel", byte(p.parallel)),
        ("pronargs", int2(p.args.len())),
        ("pronargdefaults", int2(p.default_count)),
        ("prorettype", id(p.ret)),
        ("proargtypes", oidvector(p.args.iter().copied())),
        ("proallargtypes", all),
        ("proargmodes", modes),
        ("proargnames", names),
        ("proargdefaults", defaults),
        ("prosrc", text(p.prosrc)),
    ]
}

fn user_proc(ctx: &ExecContext, f: &Function) -> [(&'static str, Datum); 27] {
    let plain = f.args.iter().all(|a| a.mode == ArgMode::In);
    let (all, modes) = if plain {
        (Datum::Null, Datum::Null)
    } else {
        let mode = |m: ArgMode| match m {
            ArgMode::In => 'i',
            ArgMode::Out => 'o',
            ArgMode::InOut => 'b',
            ArgMode::Variadic => 'v',
            ArgMode::Table => 't',
        };
        (
            array(oid::OID, f.args.iter().map(|a| id(a.type_oid))),
            array(oid::CHAR, f.args.iter().map(|a| ch(mode(a.mode)))),
        )
    };
    let names = if f.args.iter().all(|a| a.name.is_none()) {
        Datum::Null
    } else {
        text_array(f.args.iter().map(|a| a.name.as_deref().unwrap_or("")))
    };
    let defaults: Vec<&str> = f.args.iter().filter_map(|a| a.default.as_deref()).collect();
    let variadic = f
        .args
        .iter()
        .find(|a| a.mode == ArgMode::Variadic)
        .map_or(0, |a| oid::element_of(a.type_oid).unwrap_or(a.type_oid));
    let inputs = f.input_types();
    [
        ("oid", id(f.oid)),
        ("proname", text(&f.name)),
        ("pronamespace", id(f.schema)),
        ("proowner", id(f.owner)),
        ("proacl", acl(ctx, class::FUNCTION, f.oid, 0)),
        ("prolang", id(language_oid(f.language))),
        ("procost", Datum::Float4(f.cost)),
        ("prorows", Datum::Float4(f.rows)),
        ("provariadic", id(variadic)),
        ("prosupport", id(0)),
        ("prokind", ch(if f.procedure { 'p' } else { 'f' })),
        ("prosecdef", flag(f.security_definer)),
        ("proleakproof", flag(f.leakproof)),
        ("proisstrict", flag(f.strict)),
        ("proretset", flag(f.returns_set)),
        ("provolatile", ch(volatility(f.volatility))),
        ("proparallel", ch(f.parallel)),
        ("pronargs", int2(inputs.len())),
        ("pronargdefaults", int2(defaults.len())),
        ("prorettype", id(f.returns)),
        ("proargtypes", oidvector(inputs)),
        ("proallargtypes", all),
        ("proargmodes", modes),
        ("proargnames", names),
        (
            "proargdefaults",
            if defaults.is_empty() { Datum::Null } else { text(defaults.join(", ")) },
        ),
        ("prosrc", text(&f.body)),
        ("proconfig", options(&f.config)),
    ]
}

fn volatility(v: Volatility) -> char {
    match v {
        Volatility::Immutable => 'i',
        Volatility::Stable => 's',
        Volatility::Volatile => 'v',
    }
}

fn pg_aggregate(_: &ExecContext, table: &VirtualTable) -> Result<Vec<Vec<Datum>>> {
    let mut rows = Rows::new(table);
    for a in builtin::aggregates() {
        let [trans, last, combine, serial, deserial, mtrans, minv, mfinal] = a.functions;
        rows.push([
            ("aggfnoid", id(a.proc)),
            ("aggkind", byte(a.kind)),
            ("aggnumdirectargs", int2(a.direct_args)),
            ("aggtransfn", id(trans)),
            ("aggfinalfn", id(last)),
            ("aggcombinefn", id(combine)),
            ("aggserialfn", id(serial)),
            ("aggdeserialfn", id(deserial)),
            ("aggmtransfn", id(mtrans)),
            ("aggminvtransfn", id(minv)),
            ("aggmfinalfn", id(mfinal)),
            ("aggfinalextra", flag(a.final_extra)),
            ("aggmfinalextra", flag(a.mfinal_extra)),
            ("aggfinalmodify", byte(a.final_modify)),
            ("aggmfinalmodify", byte(a.mfinal_modify)),
            ("aggsortop", id(a.sort_operator)),
            ("aggtranstype", id(a.trans_type)),
            ("aggtransspace", int4(a.trans_space)),
            ("aggmtranstype", id(a.mtrans_type)),
            ("aggmtransspace", int4(a.mtrans_space)),
            ("agginitval", optional_text(a.init)),
            ("aggminitval", optional_text(a.minit)),
        ]);
    }
    rows.done()
}

fn pg_operator(ctx: &ExecContext, table: &VirtualTable) -> Result<Vec<Vec<Datum>>> {
    let mut rows = Rows::new(table);
    for o in builtin::operators().iter().filter(|o| cluster::present(ctx, o.extension)) {
        rows.push([
            ("oid", id(o.oid)),
            ("oprname", text(o.name)),
            ("oprnamespace", id(o.namespace)),
            ("oprowner", id(fixed::SUPERUSER)),
            ("oprkind", byte(o.kind)),
            ("oprcanmerge", flag(o.can_merge)),
            ("oprcanhash", flag(o.can_hash)),
            ("oprleft", id(o.left)),
            ("oprright", id(o.right)),
            ("oprresult", id(o.result)),
            ("oprcom", id(o.com)),
            ("oprnegate", id(o.negate)),
            ("oprcode", id(o.code)),
            ("oprrest", id(o.rest)),
            ("oprjoin", id(o.join)),
        ]);
    }
    rows.done()
}

fn pg_cast(_: &ExecContext, table: &VirtualTable) -> Result<Vec<Vec<Datum>>> {
    let mut rows = Rows::new(table);
    for c in builtin::casts() {
        rows.push([
            ("oid", id(c.oid)),
            ("castsource", id(c.source)),
            ("casttarget", id(c.target)),
            ("castfunc", id(c.func)),
            ("castcontext", byte(c.context)),
            ("castmethod", byte(c.method)),
        ]);
    }
    rows.done()
}

fn pg_language(_: &ExecContext, table: &VirtualTable) -> Result<Vec<Vec<Datum>>> {
    let mut rows = Rows::new(table);
    for l in builtin::languages() {
        rows.push([
            ("oid", id(l.oid)),
            ("lanname", text(l.name)),
            ("lanowner", id(fixed::SUPERUSER)),
            ("lanispl", flag(l.is_procedural)),
            ("lanpltrusted", flag(l.trusted)),
            ("lanplcallfoid", id(l.call_handler)),
            ("laninline", id(l.inline_handler)),
            ("lanvalidator", id(l.validator)),
        ]);
    }
    rows.done()
}
