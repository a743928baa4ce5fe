//! Access control lists as values: `aclexplode`, `acldefault`.

use std::sync::Arc;

use vicinity_types::array::Array;
use vicinity_types::{Datum, PgError, Result, SqlState, oid};

use crate::Rows;
use crate::env::Env;

/// The letters of `aclitem` with their names.
const RIGHTS: [(char, &str); 12] = [
    ('a', "INSERT"),
    ('r', "SELECT"),
    ('w', "UPDATE"),
    ('d', "DELETE"),
    ('D', "TRUNCATE"),
    ('x', "REFERENCES"),
    ('t', "TRIGGER"),
    ('X', "EXECUTE"),
    ('U', "USAGE"),
    ('C', "CREATE"),
    ('T', "TEMPORARY"),
    ('c', "CONNECT"),
];

/// Where a name of an item ends: names with strange characters are quoted.
fn name_end(text: &str) -> usize {
    let mut quoted = false;
    for (at, c) in text.char_indices() {
        match c {
            '"' => quoted = !quoted,
            '=' if !quoted => return at,
            _ => {}
        }
    }
    text.len()
}

fn role(env: &dyn Env, name: &str) -> Result<Datum> {
    if name.is_empty() {
        return Ok(Datum::Oid(0));
    }
    env.io().names.reg_in(oid::REGROLE, name).map(Datum::Oid)
}

/// `grantee=rights/grantor`, a row for each right.
fn item_rows(env: &dyn Env, item: &str, out: &mut Vec<Vec<Datum>>) -> Result<()> {
    let wrong = || {
        let text = format!("invalid access control item: \"{item}\"");
        PgError::new(SqlState::INVALID_PARAMETER_VALUE, text)
    };
    let (grantee, rest) = item.split_at_checked(name_end(item)).ok_or_else(wrong)?;
    let (rights, grantor) =
        rest.strip_prefix('=').and_then(|r| r.split_once('/')).ok_or_else(wrong)?;
    let (grantee, grantor) = (role(env, grantee)?, role(env, grantor)?);
    for (letter, name) in RIGHTS {
        let Some((_, behind)) = rights.split_once(letter) else { continue };
        let grantable = Datum::Bool(behind.starts_with('*'));
        out.push(vec![grantor.clone(), grantee.clone(), Datum::text(name), grantable]);
    }
    Ok(())
}

fn explode(env: &dyn Env, acl: &Array) -> Result<Rows> {
    let mut rows = Vec::new();
    for at in 0..acl.len() {
        if let Datum::Text(item) = acl.get(at) {
            item_rows(env, &item, &mut rows)?;
        }
    }
    Ok(Box::new(rows.into_iter().map(Ok)))
}

/// The list an object begins with, by its kind's letter: the rights of everybody and of the owner.
fn default(env: &dyn Env, kind: &str, owner: u32) -> Result<Datum> {
    let (public, own) = match kind {
        "c" => ("", ""),
        "r" => ("", "arwdDxt"),
        "s" => ("", "rwU"),
        "d" => ("Tc", "CTc"),
        "f" => ("X", "X"),
        "l" | "T" => ("U", "U"),
        "L" => ("", "rw"),
        "n" => ("", "UC"),
        "p" => ("", "sA"),
        "t" => ("", "C"),
        "F" | "S" => ("", "U"),
        other => {
            let text = format!("unrecognized object type abbreviation: {other}");
            return Err(PgError::internal(text));
        }
    };
    let name = env.io().names.reg_out(oid::REGROLE, owner).unwrap_or_else(|| owner.to_string());
    let mut items = Vec::new();
    if !public.is_empty() {
        items.push(Datum::text(format!("={public}/{name}")));
    }
    if !own.is_empty() {
        items.push(Datum::text(format!("{name}={own}/{name}")));
    }
    Ok(Datum::Array(Arc::new(Array::from_datums(oid::ACLITEM, items))))
}

scalars! { pub(crate) ACL, env;
    "acldefault_sql" [Datum::Text(kind), Datum::Oid(owner)] => default(env, kind, *owner);
}

sets! { pub(crate) ACL_SETS, env;
    "aclexplode" [Datum::Array(acl)] => explode(env, acl);
}
