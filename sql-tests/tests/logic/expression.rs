//! Random expressions.

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

/// Types of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub(crate) enum Type {
    Int,
    Big,
    Float,
    Numeric,
    Text,
}

const TYPES: [Type; 5] = [Type::Int, Type::Int, Type::Big, Type::Numeric, Type::Text];

/// Makes expressions and queries.
pub(crate) struct Maker {
    pub(crate) r: StdRng,
    /// Tables in scope, by alias.
    pub(crate) scope: Vec<String>,
    pub(crate) aliases: usize,
    /// Only the nearest table may be spoken of: an aggregate is of the query its columns are from.
    inner: bool,
}

const COMPARISONS: [&str; 6] = ["=", "<>", "<", "<=", ">", ">="];

impl Maker {
    /// One that draws from a generator.
    pub(crate) fn new(r: StdRng) -> Maker {
        Maker { r, scope: Vec::new(), aliases: 0, inner: false }
    }

    pub(crate) fn one<T: Copy>(&mut self, of: &[T]) -> T {
        *of.choose(&mut self.r).unwrap()
    }

    pub(crate) fn chance(&mut self, p: f64) -> bool {
        self.r.random_bool(p)
    }

    pub(crate) fn ty(&mut self) -> Type {
        if self.chance(0.1) { Type::Float } else { self.one(&TYPES) }
    }

    fn column(&mut self, names: &[&str]) -> String {
        // The last of the tables in scope is the nearest.
        let near = self.scope.len().saturating_sub(2);
        let at = match (self.inner, self.chance(0.7)) {
            (true, _) => self.scope.len() - 1,
            (false, true) => near,
            (false, false) => 0,
        };
        let table = self.r.random_range(at..self.scope.len());
        let name = self.one(names);
        format!("{}.{name}", self.scope[table])
    }

    fn constant(&mut self, ty: Type) -> String {
        if self.chance(0.12) {
            return "null".to_owned();
        }
        match ty {
            Type::Text => self.one(&["'a'", "'b'", "'ab'", "''", "'%'"]).to_owned(),
            Type::Float => self
                .one(&["0.5::float8", "1::float8", "'-0'::float8", "'NaN'::float8", "0"])
                .to_owned(),
            Type::Numeric => self.one(&["0", "1", "1.0", "2.50", "-1"]).to_owned(),
            Type::Int | Type::Big => self.r.random_range(-1..5).to_string(),
        }
    }

    /// A value of a type.
    pub(crate) fn value(&mut self, ty: Type, depth: usize) -> String {
        let leaf = depth == 0 || self.chance(0.45);
        if leaf {
            if self.scope.is_empty() || self.chance(0.2) {
                let name = match ty {
                    Type::Int => "int",
                    Type::Big => "bigint",
                    Type::Float => "float8",
                    Type::Numeric => "numeric",
                    Type::Text => "text",
                };
                return format!("{}::{name}", self.constant(ty));
            }
            return match ty {
                Type::Int => self.column(&["a", "b", "c", "a"]),
                Type::Big => self.column(&["d"]),
                Type::Float => self.column(&["f"]),
                Type::Numeric => self.column(&["n"]),
                Type::Text => self.column(&["t", "u"]),
            };
        }
        let d = depth - 1;
        match self.r.random_range(0..10) {
            0 | 1 => {
                let (c, x) = (self.condition(d), self.value(ty, d));
                if self.chance(0.3) {
                    return format!("case when {c} then {x} end");
                }
                format!("case when {c} then {x} else {} end", self.value(ty, d))
            }
            2 => format!("coalesce({}, {})", self.value(ty, d), self.value(ty, d)),
            3 => format!("nullif({}, {})", self.value(ty, d), self.value(ty, d)),
            4 => {
                let f = self.one(&["greatest", "least"]);
                format!("{f}({}, {})", self.value(ty, d), self.value(ty, d))
            }
            5 if self.scope.len() < 4 => {
                let f = self.one(&["max", "min", "count", "sum"]);
                match (f, ty) {
                    ("count" | "sum", Type::Text | Type::Float) => self.value(ty, d),
                    ("count", Type::Int) | ("sum", Type::Int) => {
                        let aggregate = format!(
                            "({})::int",
                            self.subquery(
                                |m| {
                                    let x = m.own(Type::Int);
                                    format!("{f}({x})")
                                },
                                d
                            )
                        );
                        aggregate
                    }
                    ("sum", Type::Big) | ("count", Type::Numeric) => self.value(ty, d),
                    _ => self.subquery(
                        |m| {
                            let x = m.own(if f == "count" { Type::Int } else { ty });
                            format!("{f}({x})")
                        },
                        d,
                    ),
                }
            }
            6 => {
                let (x, y) = (self.value(ty, d), self.value(ty, d));
                let whens = (0..2)
                    .map(|_| format!(" when {} then {}", self.value(ty, 0), self.value(ty, 0)))
                    .collect::<String>();
                format!("case {x}{whens} else {y} end")
            }
            _ => match ty {
                Type::Text => format!("{} || {}", self.value(ty, d), self.value(ty, 0)),
                _ => {
                    let op = self.one(&["+", "-"]);
                    format!("({} {op} {})", self.value(ty, d), self.value(ty, 0))
                }
            },
        }
    }

    /// A column of the nearest table, or a constant.
    fn own(&mut self, ty: Type) -> String {
        self.inner = true;
        let value = self.value(ty, 0);
        self.inner = false;
        value
    }

    /// `(select what from table where condition)`
    fn subquery(&mut self, what: impl Fn(&mut Maker) -> String, depth: usize) -> String {
        let table = self.one(&["r", "r", "s", "e"]);
        self.aliases += 1;
        let alias = format!("x{}", self.aliases);
        self.scope.push(alias.clone());
        let what = what(self);
        let filter = if self.chance(0.7) {
            format!(" where {}", self.condition(depth))
        } else {
            String::new()
        };
        self.scope.pop();
        format!("(select {what} from {table} {alias}{filter})")
    }

    fn list(&mut self, ty: Type, depth: usize) -> String {
        let n = self.r.random_range(1..6);
        let constants = self.chance(0.7);
        let item = |m: &mut Maker| if constants { m.constant(ty) } else { m.value(ty, depth) };
        (0..n).map(|_| item(self)).collect::<Vec<_>>().join(", ")
    }

    /// A condition.
    pub(crate) fn condition(&mut self, depth: usize) -> String {
        if depth == 0 {
            return self.simple(0);
        }
        let d = depth - 1;
        match self.r.random_range(0..22) {
            0..=3 => format!("({} and {})", self.condition(d), self.condition(d)),
            4..=7 => format!("({} or {})", self.condition(d), self.condition(d)),
            8 | 9 => format!("(not {})", self.condition(d)),
            10 => {
                let state = self.one(&[
                    "true",
                    "false",
                    "unknown",
                    "not true",
                    "not false",
                    "not unknown",
                    "null",
                    "not null",
                ]);
                format!("({} is {state})", self.condition(d))
            }
            11 => format!(
                "(case when {} then {} else {} end)",
                self.condition(d),
                self.condition(d),
                self.condition(d)
            ),
            12 => format!("coalesce({}, {})", self.condition(d), self.condition(d)),
            13 => {
                let op = self.one(&["=", "<>", "is distinct from", "<"]);
                format!("({} {op} {})", self.condition(d), self.condition(d))
            }
            14 if self.scope.len() < 4 => {
                let not = self.one(&["", "not "]);
                format!("{not}exists {}", self.subquery(|_| "1".to_owned(), d))
            }
            15 if self.scope.len() < 4 => {
                let ty = self.ty();
                let test = match self.r.random_range(0..4) {
                    0 => "in",
                    1 => "not in",
                    2 => self.one(&["= any", "> any", "<> any"]),
                    _ => self.one(&["<> all", "< all", "= all"]),
                };
                let value = self.value(ty, d);
                format!("({value} {test} {})", self.subquery(|m| m.value(ty, 0), d))
            }
            _ => self.simple(d),
        }
    }

    fn simple(&mut self, d: usize) -> String {
        format!("({})", self.bare(d))
    }

    fn bare(&mut self, d: usize) -> String {
        let ty = self.ty();
        match self.r.random_range(0..16) {
            0..=3 => {
                let op = self.one(&COMPARISONS);
                format!("{} {op} {}", self.value(ty, d), self.value(ty, d))
            }
            4..=6 => {
                let not = self.one(&["", "not "]);
                let value = self.value(ty, d.min(1));
                format!("{value} {not}in ({})", self.list(ty, 0))
            }
            7 => {
                let not = self.one(&["", "not "]);
                format!(
                    "{} {not}between {} and {}",
                    self.value(ty, d),
                    self.value(ty, 0),
                    self.value(ty, d)
                )
            }
            8 | 9 => {
                let not = self.one(&["", "not "]);
                format!("({} is {not}null)", self.value(ty, d))
            }
            10 => {
                let not = self.one(&["", "not "]);
                format!("({} is {not}distinct from {})", self.value(ty, d), self.value(ty, d))
            }
            11 => {
                let (op, any) = (self.one(&COMPARISONS), self.one(&["any", "all"]));
                format!(
                    "{} {op} {any} (array[{}])",
                    self.value(Type::Int, d),
                    self.list(Type::Int, 0).replace("null", "null::int")
                )
            }
            12 => {
                let like = self.one(&["like", "not like", "ilike"]);
                format!(
                    "{} {like} {}",
                    self.value(Type::Text, d),
                    self.one(&["'a%'", "'%'", "'_b'", "null", "'a'"])
                )
            }
            13 if !self.scope.is_empty() => self.column(&["p", "q"]),
            14 => {
                let op = self.one(&["=", "<>", "<", ">="]);
                let other = self.ty();
                format!(
                    "({}, {}) {op} ({}, {})",
                    self.value(ty, 0),
                    self.value(other, 0),
                    self.value(ty, 0),
                    self.value(other, 0)
                )
            }
            _ => {
                // One column over and over: what optimisers like to join.
                let column =
                    if self.scope.is_empty() { "1".to_owned() } else { self.column(&["a", "b"]) };
                let n = self.r.random_range(2..4);
                let tests: Vec<String> = (0..n)
                    .map(|_| match self.r.random_range(0..3) {
                        0 => format!("{column} in ({})", self.list(Type::Int, 0)),
                        1 => format!("{column} not in ({})", self.list(Type::Int, 0)),
                        _ => format!(
                            "{column} {} {}",
                            self.one(&COMPARISONS),
                            self.constant(Type::Int)
                        ),
                    })
                    .collect();
                let word = self.one(&[" and ", " or "]);
                format!("({})", tests.join(word))
            }
        }
    }
}
