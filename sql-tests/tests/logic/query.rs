//! Random queries.

use rand::Rng;

use super::expression::{Maker, Type};

/// A query.
pub(crate) struct Query {
    /// Its text.
    pub(crate) text: String,
    /// Its rows have an order.
    pub(crate) ordered: bool,
}

impl Maker {
    /// A query of any form.
    pub(crate) fn query(&mut self) -> Query {
        self.scope.clear();
        self.aliases = 0;
        let depth = self.r.random_range(1..4);
        match self.r.random_range(0..13) {
            0 => self.results(depth),
            1..=3 => self.filtered(depth),
            4 | 5 => self.joined(depth),
            6 | 7 => self.grouped(depth),
            8 => self.windows(depth),
            9 => self.ordered(depth),
            10 => self.set_operation(depth),
            11 => self.derived(depth),
            _ => self.outer_filtered(depth),
        }
    }

    fn any_order(text: String) -> Query {
        Query { text, ordered: false }
    }

    fn from(&mut self, alias: &str) -> String {
        self.scope.push(alias.to_owned());
        let table = self.one(&["s", "s", "r", "s", "r", "e"]);
        format!("{table} {alias}")
    }

    fn results(&mut self, depth: usize) -> Query {
        let from = self.from("y");
        let (c, d, ty) = (self.condition(depth), self.condition(depth), self.ty());
        let distinct = self.one(&["", "", "distinct "]);
        Self::any_order(format!(
            "select {distinct}{c} c1, {d} c2, {} c3 from {from}",
            self.value(ty, depth)
        ))
    }

    fn filtered(&mut self, depth: usize) -> Query {
        let from = self.from("y");
        Self::any_order(format!("select id from {from} where {}", self.condition(depth)))
    }

    fn joined(&mut self, depth: usize) -> Query {
        let (left, right) = (self.from("y"), self.from("z"));
        let join = self.one(&["join", "left join", "right join", "full join", "left join"]);
        let mut on = format!("y.{0} = z.{0}", self.one(&["a", "t", "n", "id", "d", "f"]));
        if join != "full join" {
            on = match self.r.random_range(0..4) {
                0 => self.condition(depth),
                1 => on,
                _ => format!("{on} and {}", self.condition(depth.min(2))),
            };
        }
        let filter = match self.chance(0.5) {
            true => format!(" where {}", self.condition(depth.min(2))),
            false => String::new(),
        };
        Self::any_order(format!("select y.id, z.id from {left} {join} {right} on {on}{filter}"))
    }

    fn outer_filtered(&mut self, depth: usize) -> Query {
        let (left, right) = (self.from("y"), self.from("z"));
        let join = self.one(&["left join", "right join", "full join"]);
        let on = format!("y.{0} = z.{0}", self.one(&["a", "t", "n", "id", "d"]));
        let third = match self.chance(0.3) {
            true => {
                let third = self.from("w");
                format!(" {} {third} on z.b = w.b", self.one(&["left join", "join"]))
            }
            false => String::new(),
        };
        let filter = self.condition(depth);
        Self::any_order(format!(
            "select y.id, z.id from {left} {join} {right} on {on}{third} where {filter}"
        ))
    }

    fn grouped(&mut self, depth: usize) -> Query {
        let from = self.from("y");
        let ty = self.ty();
        let key = if self.chance(0.5) {
            self.condition(depth.min(2))
        } else {
            self.value(ty, depth.min(2))
        };
        let (filter, of, arg) = (self.condition(1), self.ty(), self.one(&["", "distinct "]));
        let aggregate = format!(
            "max({}), count({arg}{}) filter (where {filter})",
            self.value(of, 1),
            self.value(of, 1)
        );
        let filter = match self.chance(0.5) {
            true => format!(" where {}", self.condition(depth)),
            false => String::new(),
        };
        // HAVING sees no rows: its conditions are of aggregates.
        let having = match self.r.random_range(0..4) {
            0 => format!(" having count(y.a) in ({})", self.r.random_range(0..4)),
            1 => " having max(y.a) not in (1, null, 2) or max(y.b) in (1, 2)".to_owned(),
            2 => " having bool_or(y.p) is not true".to_owned(),
            _ => String::new(),
        };
        Self::any_order(format!(
            "select k, m, n from (select {key} k, {aggregate} from {from}{filter} group by 1{having}) g (k, m, n)"
        ))
    }

    fn windows(&mut self, depth: usize) -> Query {
        let from = self.from("y");
        let ty = self.ty();
        let partition = match self.r.random_range(0..3) {
            0 => format!("partition by {} ", self.condition(depth.min(2))),
            1 => format!("partition by {} ", self.value(ty, depth.min(2))),
            _ => String::new(),
        };
        let by = if self.chance(0.4) {
            self.condition(depth.min(2))
        } else {
            self.value(ty, depth.min(2))
        };
        let way = self.one(&["", " desc", " nulls first"]);
        let call = match self.r.random_range(0..4) {
            0 => format!("count(*) filter (where {})", self.condition(1)),
            1 => format!("max({})", self.value(ty, 1)),
            2 => format!("lag({})", self.value(Type::Int, 1)),
            _ => "row_number()".to_owned(),
        };
        Self::any_order(format!(
            "select y.id, {call} over ({partition}order by {by}{way}, y.id) from {from}"
        ))
    }

    fn ordered(&mut self, depth: usize) -> Query {
        let from = self.from("y");
        let ty = self.ty();
        let by = if self.chance(0.4) { self.condition(depth) } else { self.value(ty, depth) };
        let way = self.one(&["", " desc", " nulls first", " desc nulls last"]);
        let filter = match self.chance(0.4) {
            true => format!(" where {}", self.condition(depth.min(2))),
            false => String::new(),
        };
        let limit = self.one(&["", " limit 3", " limit 4 offset 2"]);
        // Sorting by text is by bytes here, and by the database's collation there.
        let by = if ty == Type::Text { format!("({by})::text collate \"C\"") } else { by };
        Query {
            text: format!("select y.id from {from}{filter} order by {by}{way}, y.id{limit}"),
            ordered: true,
        }
    }

    fn set_operation(&mut self, depth: usize) -> Query {
        let ty = self.ty();
        let mut sides = Vec::new();
        for _ in 0..2 {
            self.scope.clear();
            let from = self.from("y");
            let (c, v) = (self.condition(depth.min(2)), self.value(ty, 1));
            sides.push(format!(
                "select {c} c1, {v} c2 from {from} where {}",
                self.condition(depth.min(2))
            ));
        }
        let op =
            self.one(&["union", "union all", "intersect", "except", "except all", "intersect all"]);
        self.scope = vec!["v".to_owned()];
        let outer =
            self.one(&["c1", "not c1", "c1 is not true", "c2 is null", "c1 or c2 is null", "true"]);
        Self::any_order(format!("select * from ({} {op} {}) v where {outer}", sides[0], sides[1]))
    }

    fn derived(&mut self, depth: usize) -> Query {
        let from = self.from("y");
        let mut inner = self.scope.clone();
        let ty = self.ty();
        let (c, v) = (self.condition(depth.min(2)), self.value(ty, depth.min(2)));
        let more = self.one(&["", "", " limit 5", " offset 0"]);
        let order = if more.contains("limit") { " order by y.id" } else { "" };
        let outer = self.one(&[
            "v.p and v.a in (1, 2)",
            "not v.p",
            "v.p is null or v.a > 1",
            "not (v.p and v.a not in (1, null))",
            "v.p is not true",
            "(v.a = 1 or v.a = 2) and (v.a = 2 or v.a = 3)",
            "v.p = (v.a = 1)",
            "not ((v.a = 1 or v.a = 2) and (v.a = 3 or v.a = 4))",
            "v.t is null",
            "coalesce(v.p, v.a = 1)",
        ]);
        inner.clear();
        Self::any_order(format!(
            "select v.id, v.p, v.t from (select y.id, y.a, {c} p, {v} t from {from}{order}{more}) v where {outer}"
        ))
    }
}
