//! Partition keys, bounds and constraints as PostgreSQL prints them.

use vicinity_storage::catalog::model::{
    Limit, PartitionBound, PartitionKey, Partitioning, Relation, Strategy,
};
use vicinity_types::io::to_text;
use vicinity_types::{Datum, Oid, Result, oid, raw};

use super::bounds::key_types;
use super::family::ancestors;
use super::kept::{bounds, children};
use crate::context::ExecContext;
use crate::{names, sql};

fn text(ctx: &ExecContext, ty: Oid, value: &Datum) -> String {
    to_text(ty, value, &ctx.io())
}

/// The names of a key's columns; of an expression its text.
pub(crate) fn key_names(relation: &Relation, by: &Partitioning) -> Vec<String> {
    let columns = relation.table().map_or(&[][..], |t| &t.columns);
    let column = |n: i16| {
        let at = usize::try_from(n - 1).unwrap_or(usize::MAX);
        columns.get(at).map_or_else(String::new, |c| c.name.clone())
    };
    by.keys
        .iter()
        .map(|k| k.expr.as_ref().map_or_else(|| column(k.column), |e| e.sql.clone()))
        .collect()
}

/// The same, ready to stand in SQL.
fn key_texts(relation: &Relation, by: &Partitioning) -> Vec<String> {
    let names = key_names(relation, by).into_iter().zip(&by.keys);
    names.map(|(name, k)| if k.expr.is_some() { name } else { names::quote(&name) }).collect()
}

/// The same as `PARTITION BY` has them: what is no call stands in parentheses of its own.
fn written_texts(relation: &Relation, by: &Partitioning) -> Vec<String> {
    let is_call =
        |text: &str| matches!(sql::parse_expression(text), Ok(sqlparser::ast::Expr::Function(_)));
    let texts = key_texts(relation, by).into_iter().zip(&by.keys);
    texts
        .map(|(text, k)| match &k.expr {
            Some(_) if !is_call(&text) => format!("({text})"),
            _ => text,
        })
        .collect()
}

/// `RANGE (a, lower(b))`
pub(crate) fn key(relation: &Relation) -> Option<String> {
    let by = relation.table()?.partitioning.as_ref()?;
    let word = match by.strategy {
        Strategy::Range => "RANGE",
        Strategy::List => "LIST",
        Strategy::Hash => "HASH",
    };
    let part =
        |(text, k): (String, &PartitionKey)| match vicinity_functions::opclass_by_oid(k.opclass)
            .filter(|c| !c.default)
        {
            Some(class) => format!("{text} {}", class.name),
            None => text,
        };
    let texts = written_texts(relation, by).into_iter();
    let parts: Vec<String> = texts.zip(&by.keys).map(part).collect();
    Some(format!("{word} ({})", parts.join(", ")))
}

/// `(a, b) = (1, x)`, of a row that no partition takes.
pub(crate) fn key_values(ctx: &ExecContext, relation: &Relation, key: &[Datum]) -> String {
    let Some(by) = relation.table().and_then(|t| t.partitioning.as_ref()) else {
        return String::new();
    };
    let values = key
        .iter()
        .zip(key_types(relation, by))
        .map(|(v, (ty, _))| if v.is_null() { "null".to_owned() } else { text(ctx, ty, v) });
    let values: Vec<String> = values.collect();
    format!("({}) = ({})", written_texts(relation, by).join(", "), values.join(", "))
}

/// A constant as `get_const_expr` prints it; with a label where its type is not plain to see.
fn constant(ctx: &ExecContext, (ty, typmod): (Oid, i32), value: &Datum, labelled: bool) -> String {
    if value.is_null() {
        return "NULL".to_owned();
    }
    let shown = text(ctx, ty, value);
    let digits = shown.starts_with(|c: char| c.is_ascii_digit());
    let quoted = || format!("'{}'", shown.replace('\'', "''"));
    let (body, plain) = match ty {
        oid::INT4 if digits => (shown, true),
        oid::NUMERIC if digits => {
            // Digits alone would be read as an integer.
            let whole = shown.bytes().all(|b| b.is_ascii_digit());
            (if whole { quoted() } else { shown.clone() }, typmod == -1 && !whole)
        }
        oid::BOOL => ((if shown == "t" { "true" } else { "false" }).to_owned(), true),
        _ => (quoted(), false),
    };
    if plain || !labelled {
        return body;
    }
    let named = names::type_name_in(&ctx.catalog, Some(&ctx.session), ty, Some(typmod));
    format!("{body}::{named}")
}

fn decoded(ctx: &ExecContext, ty: Oid, bytes: &[u8]) -> Datum {
    raw::decode(ctx.catalog.kind_of(ty), bytes).unwrap_or_default()
}

/// `(1, MAXVALUE)`
pub(crate) fn limits(ctx: &ExecContext, parent: &Relation, limits: &[Limit]) -> String {
    let Some(by) = parent.table().and_then(|t| t.partitioning.as_ref()) else {
        return String::new();
    };
    let part = |(limit, ty): (&Limit, (Oid, i32))| match limit {
        Limit::Min => "MINVALUE".to_owned(),
        Limit::Max => "MAXVALUE".to_owned(),
        Limit::At(bytes) => constant(ctx, ty, &decoded(ctx, ty.0, bytes), false),
    };
    let parts: Vec<String> = limits.iter().zip(key_types(parent, by)).map(part).collect();
    format!("({})", parts.join(", "))
}

/// `FOR VALUES ...`, of a partition.
pub(crate) fn bound(ctx: &ExecContext, part: &Relation) -> Option<String> {
    let def = part.table()?;
    let parent = ctx.catalog.relation(*def.parents.first()?)?;
    let by = parent.table()?.partitioning.as_ref()?;
    Some(match def.bound.as_ref()? {
        PartitionBound::Default => "DEFAULT".to_owned(),
        PartitionBound::List(values) => {
            let ty = *key_types(parent, by).first()?;
            let value = |v: &Option<Vec<u8>>| match v {
                Some(bytes) => constant(ctx, ty, &decoded(ctx, ty.0, bytes), false),
                None => "NULL".to_owned(),
            };
            let values: Vec<String> = values.iter().map(value).collect();
            format!("FOR VALUES IN ({})", values.join(", "))
        }
        PartitionBound::Range { from, to } => {
            let (from, to) = (limits(ctx, parent, from), limits(ctx, parent, to));
            format!("FOR VALUES FROM {from} TO {to}")
        }
        PartitionBound::Hash { modulus, remainder } => {
            format!("FOR VALUES WITH (modulus {modulus}, remainder {remainder})")
        }
    })
}

/// The condition all rows of a partition satisfy, those above it included.
pub(crate) fn constraint(ctx: &ExecContext, part: &Relation) -> Result<Option<String>> {
    let mut all: Vec<String> = Vec::new();
    let mut below = part;
    let above = ancestors(&ctx.catalog, part);
    for parent in &above {
        let mut own = conditions(ctx, parent, below)?;
        own.append(&mut all);
        all = own;
        below = parent;
    }
    Ok(match all.as_slice() {
        [] => None,
        [one] => Some(one.clone()),
        many => Some(format!("({})", many.join(" AND "))),
    })
}

/// What one level asks, as conjuncts.
fn conditions(ctx: &ExecContext, parent: &Relation, part: &Relation) -> Result<Vec<String>> {
    let by = parent.table().and_then(|t| t.partitioning.as_ref());
    let bound = part.table().and_then(|t| t.bound.as_ref());
    let (Some(by), Some(bound)) = (by, bound) else { return Ok(Vec::new()) };
    let level = LevelText { ctx, names: key_texts(parent, by), types: key_types(parent, by) };
    Ok(match bound {
        PartitionBound::Hash { modulus, remainder } => vec![format!(
            "satisfies_hash_partition('{}'::oid, {modulus}, {remainder}, {})",
            parent.oid,
            level.names.join(", ")
        )],
        PartitionBound::List(values) => level.list(values),
        PartitionBound::Range { from, to } => level.range(from, to),
        PartitionBound::Default => level.other(parent, by.strategy)?,
    })
}

struct LevelText<'a> {
    ctx: &'a ExecContext,
    names: Vec<String>,
    types: Vec<(Oid, i32)>,
}

impl LevelText<'_> {
    fn name(&self, at: usize) -> &str {
        self.names.get(at).map_or("", String::as_str)
    }

    fn value(&self, at: usize, bytes: &[u8]) -> String {
        let ty = self.types.get(at).copied().unwrap_or((0, -1));
        constant(self.ctx, ty, &decoded(self.ctx, ty.0, bytes), true)
    }

    fn list(&self, values: &[Option<Vec<u8>>]) -> Vec<String> {
        let own = self.name(0);
        let given: Vec<String> = values.iter().flatten().map(|v| self.value(0, v)).collect();
        let equal = match given.as_slice() {
            [] => None,
            [one] => Some(format!("({own} = {one})")),
            many => Some(format!("({own} = ANY (ARRAY[{}]))", many.join(", "))),
        };
        let null = values.iter().any(Option::is_none);
        match (equal, null) {
            (Some(equal), true) => vec![format!("(({own} IS NULL) OR {equal})")],
            (None, _) => vec![format!("({own} IS NULL)")],
            (Some(equal), false) => vec![format!("({own} IS NOT NULL)"), equal],
        }
    }

    fn range(&self, from: &[Limit], to: &[Limit]) -> Vec<String> {
        let mut out: Vec<String> =
            self.names.iter().map(|n| format!("({n} IS NOT NULL)")).collect();
        out.extend(self.ends(from, to));
        out
    }

    /// `get_qual_for_range`: columns with one value for both ends, then the ends of those behind.
    fn ends(&self, from: &[Limit], to: &[Limit]) -> Vec<String> {
        let mut out = Vec::new();
        let mut at = 0;
        while let (Some(Limit::At(low)), Some(Limit::At(high))) = (from.get(at), to.get(at)) {
            if low != high || at + 1 == from.len() {
                break;
            }
            out.push(format!("({} = {})", self.name(at), self.value(at, low)));
            at += 1;
        }
        out.extend(self.end(from, at, ">", ">="));
        out.extend(self.end(to, at, "<", "<"));
        out
    }

    /// `(a > 1) OR ((a = 1) AND (b >= 2))`
    fn end(&self, limits: &[Limit], first: usize, strict: &str, last: &str) -> Option<String> {
        let mut ways = Vec::new();
        let mut equal: Vec<String> = Vec::new();
        for (at, limit) in limits.iter().enumerate().skip(first) {
            let next = limits.get(at + 1);
            let Limit::At(bytes) = limit else { break };
            let (own, value) = (self.name(at), self.value(at, bytes));
            let open = match next {
                None => last,
                Some(Limit::At(_)) => strict,
                // Behind MINVALUE or MAXVALUE all values are in, or none.
                Some(Limit::Min) if strict == ">" => ">=",
                Some(Limit::Max) if strict == "<" => "<=",
                Some(_) => strict,
            };
            let mut way = equal.clone();
            way.push(format!("({own} {open} {value})"));
            ways.push(match way.as_slice() {
                [one] => one.clone(),
                many => format!("({})", many.join(" AND ")),
            });
            if !matches!(next, Some(Limit::At(_))) {
                break;
            }
            equal.push(format!("({own} = {value})"));
        }
        match ways.as_slice() {
            [] => None,
            [one] => Some(one.clone()),
            many => Some(format!("({})", many.join(" OR "))),
        }
    }

    /// Of the default partition: none of the others.
    fn other(&self, parent: &Relation, strategy: Strategy) -> Result<Vec<String>> {
        let siblings = children(&self.ctx.engine, &self.ctx.catalog, parent)?;
        let given = siblings.iter().filter_map(|s| s.table()?.bound.as_ref());
        if strategy == Strategy::List {
            let mut values: Vec<Option<Vec<u8>>> = Vec::new();
            for bound in given {
                if let PartitionBound::List(more) = bound {
                    values.extend(more.iter().cloned());
                }
            }
            if values.is_empty() {
                return Ok(Vec::new());
            }
            let keys = bounds(&self.ctx.engine, &self.ctx.catalog, parent)?.list_keys(&values)?;
            let mut sorted: Vec<_> = keys.into_iter().zip(values).collect();
            sorted.sort();
            let values: Vec<_> = sorted.into_iter().map(|(_, v)| v).collect();
            let own = self.list(&values);
            let joined = match own.as_slice() {
                [one] => one.clone(),
                many => format!("({})", many.join(" AND ")),
            };
            return Ok(vec![format!("(NOT {joined})")]);
        }
        let mut ways = Vec::new();
        for bound in given {
            if let PartitionBound::Range { from, to } = bound {
                let ends = self.ends(from, to);
                ways.push(match ends.as_slice() {
                    [] => "true".to_owned(),
                    [one] => one.clone(),
                    many => format!("({})", many.join(" AND ")),
                });
            }
        }
        if ways.is_empty() {
            return Ok(Vec::new());
        }
        let mut all: Vec<String> =
            self.names.iter().map(|n| format!("({n} IS NOT NULL)")).collect();
        all.push(match ways.as_slice() {
            [one] => one.clone(),
            many => format!("({})", many.join(" OR ")),
        });
        Ok(vec![format!("(NOT ({}))", all.join(" AND "))])
    }
}
