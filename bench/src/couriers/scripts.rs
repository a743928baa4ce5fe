//! The pgbench scripts.

use std::path::{Path, PathBuf};

use vicinity_types::Result;

use crate::data::At;
use crate::failed;

/// What is run by default: each alone, the trigger with many connections too, and the document's mixture.
pub(super) const ALL: [&str; 9] =
    ["sel1", "pt", "knn1", "knn100", "ups", "ins", "instrig", "instrig@64", "ups@4+knn100@4"];

/// Files of one script; pgbench takes no more of them than 128.
const FILES: usize = 100;

/// A script and how many connections run it: `ups@4`.
pub(crate) struct Script<'a> {
    pub(crate) name: &'a str,
    pub(crate) clients: u32,
}

impl<'a> Script<'a> {
    /// Of `name@clients`; the connections that are not said are `usual`.
    pub(crate) fn parse(text: &'a str, usual: u32) -> Result<Script<'a>> {
        let Some((name, clients)) = text.split_once('@') else {
            return Ok(Script { name: text, clients: usual.max(1) });
        };
        let clients = clients.parse().ok().filter(|n| *n > 0);
        let clients = clients.ok_or_else(|| failed(format!("{text} has no number behind @")))?;
        Ok(Script { name, clients })
    }
}

/// What scripts are made from.
pub(crate) struct Shape {
    pub(crate) couriers: u32,
    /// So many statements in one pipeline.
    pub(crate) pipeline: Option<u32>,
    /// Where couriers are; all over the map where there is none.
    pub(crate) cities: Vec<At>,
}

impl Shape {
    /// Writes a script to files; more than one where its points are of different cities.
    pub(crate) fn files(&self, under: &Path, name: &str) -> Result<Vec<PathBuf>> {
        let (uid, point, statement) =
            statement(name).ok_or_else(|| failed(format!("there is no script {name}")))?;
        let places = if point { self.places() } else { vec![String::new()] };
        let uid =
            if uid { format!("\\set uid random(1,{})\n", self.couriers) } else { String::new() };
        let mut files = Vec::with_capacity(places.len());
        for (i, place) in places.iter().enumerate() {
            let one = format!("{uid}{place}{statement}\n");
            let text = match self.pipeline {
                None => one,
                Some(n) => {
                    let all = one.repeat(usize::try_from(n).unwrap_or(1));
                    format!("\\startpipeline\n{all}\\endpipeline\n")
                }
            };
            let path = under.join(format!("{name}-{i}.sql"));
            std::fs::write(&path, text).map_err(failed)?;
            files.push(path);
        }
        Ok(files)
    }

    /// What sets `x` and `y`, to be chosen from.
    fn places(&self) -> Vec<String> {
        if self.cities.is_empty() {
            return vec![place([0.0, 0.0], 500_000.0)];
        }
        let step = self.cities.len().div_ceil(FILES);
        self.cities.iter().step_by(step).map(|city| place(*city, 2_000.0)).collect()
    }
}

/// A random point around another.
fn place([x, y]: At, around: f64) -> String {
    let set =
        |name: &str, v: f64| format!("\\set {name} random({:.0},{:.0})\n", v - around, v + around);
    set("x", x) + &set("y", y)
}

/// Of a name: whether it needs a courier, whether a point, and the statement.
fn statement(name: &str) -> Option<(bool, bool, String)> {
    let nearest = |n: u32| {
        format!(
            "select * from cainiao_trace_realtime where circle(point(:x,:y),20000) @> pos \
             order by pos <-> point(:x,:y) limit {n};"
        )
    };
    let insert = |table: &str| {
        format!("insert into {table} values (:uid, point(:x,:y), now()::date, now()::time);")
    };
    Some(match name {
        "sel1" => (false, false, "select 1;".to_owned()),
        "pt" => (true, false, "select * from cainiao_trace_realtime where uid=:uid;".to_owned()),
        "knn1" => (false, true, nearest(1)),
        "knn100" => (false, true, nearest(100)),
        "ups" => {
            let upsert = "insert into cainiao_trace_realtime (uid,pos) values (:uid, point(:x,:y)) \
                          on conflict (uid) do update set pos=excluded.pos;";
            (true, true, upsert.to_owned())
        }
        "ins" => (true, true, insert("cainiao_0_3")),
        "instrig" => (true, true, insert("cainiao_0_2")),
        _ => return None,
    })
}
