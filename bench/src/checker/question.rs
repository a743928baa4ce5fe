//! What checkers ask, and what is wrong with an answer.

use rand::Rng;
use rand_xoshiro::Xoshiro256PlusPlus;
use tokio_postgres::{Client, SimpleQueryMessage};
use vicinity_types::{PgError, Result};

use crate::client::failed;
use crate::data::At;

/// A search.
pub(super) struct Question {
    point: String,
    inside: Option<String>,
    /// A condition that no index serves.
    other: Option<String>,
    /// Sort keys behind the distance.
    keys: &'static str,
    limit: Option<usize>,
    offset: usize,
    /// Lets time go by between the two ways of asking, in one snapshot.
    later: bool,
}

/// A row of an answer: its distance as text, and who it is.
type Found = (String, i32);

impl Question {
    pub(super) fn random([x, y]: At, rng: &mut Xoshiro256PlusPlus) -> Question {
        let point = format!("point({x},{y})");
        let size = 10f64.powf(rng.random_range(1.0..5.5));
        let inside = match rng.random_range(0..6) {
            0 => None,
            1 => Some(format!(
                "pos <@ box(point({},{}),point({},{}))",
                x - size,
                y - size,
                x + size,
                y + size / 2.0
            )),
            2 => Some(format!("circle(point({},{}),{size}) @> pos", x + size / 3.0, y)),
            3 => Some(format!("(pos <@ circle({point},{size}) or pos >> point({},0))", x + size)),
            _ => Some(format!("circle({point},{size}) @> pos")),
        };
        let weight = rng.random_range(0..10);
        let other = match rng.random_range(0..6) {
            0 => Some(format!("weight = {weight}")),
            1 => Some(format!("weight <> {weight} and uid % 3 > 0")),
            _ => None,
        };
        let keys = match rng.random_range(0..6) {
            0 => ", uid",
            1 => ", weight desc, uid",
            _ => "",
        };
        let limit = match rng.random_range(0..50) {
            0 => None,
            1..10 => Some(1),
            10..20 => Some(rng.random_range(2..1000)),
            _ => Some(100),
        };
        let offset = if rng.random_ratio(1, 5) { rng.random_range(0..200) } else { 0 };
        let later = rng.random_ratio(1, 10);
        Question { point, inside, other, keys, limit, offset, later }
    }

    fn conditions(&self, written: impl Fn(&str) -> String) -> String {
        let all: Vec<String> = self.inside.iter().chain(&self.other).map(|c| written(c)).collect();
        if all.is_empty() { String::new() } else { format!("where {}", all.join(" and ")) }
    }

    fn indexed(&self) -> String {
        let Question { point, keys, limit, offset, .. } = self;
        let filter = self.conditions(str::to_owned);
        let limit = limit.map_or_else(String::new, |n| format!("limit {n}"));
        format!(
            "select pos <-> {point}, uid from bench_checker {filter} \
             order by pos <-> {point}{keys} {limit} offset {offset}"
        )
    }

    /// The same of all rows, with nothing an index could serve, in full.
    fn scanned(&self) -> String {
        let Question { point, keys, .. } = self;
        let filter = self.conditions(|c| format!("({c}) is true"));
        let keys = if keys.is_empty() { ", uid" } else { keys };
        format!(
            "select d, uid from (select (pos <-> {point}) + 0 as d, uid, weight from bench_checker {filter}) q \
             order by d{keys}"
        )
    }

    /// Asks both ways in one snapshot and compares; rows compared.
    pub(super) async fn check(&self, client: &Client) -> Result<u64> {
        let wait = if self.later { "do $$ begin perform pg_sleep(0.05); end $$;" } else { "" };
        let sql = format!(
            "begin isolation level repeatable read; {}; {wait} {}; commit",
            self.scanned(),
            self.indexed()
        );
        let messages = client.simple_query(&sql).await.map_err(failed)?;
        let mut answers: [Vec<Found>; 2] = Default::default();
        let mut which = 0;
        for message in messages {
            match message {
                SimpleQueryMessage::RowDescription(_) => which += 1,
                SimpleQueryMessage::Row(row) => {
                    let uid = row.get(1).and_then(|v| v.parse().ok()).unwrap_or(-1);
                    answers[which - 1].push((row.get(0).unwrap_or("null").to_owned(), uid));
                }
                _ => {}
            }
        }
        let [all, found] = answers;
        match self.difference(&found, &all) {
            None => Ok(found.len() as u64),
            Some(what) => Err(PgError::internal(format!("{what}\n  {}", self.indexed()))),
        }
    }

    /// What of `found` is not as in `all`, the rows of a whole scan in order. Rows equally far may come in any order
    /// where no further key tells them apart.
    fn difference(&self, found: &[Found], all: &[Found]) -> Option<String> {
        let from = self.offset.min(all.len());
        let to = self.limit.map_or(all.len(), |n| all.len().min(from + n));
        if found.len() != to - from {
            return Some(format!("{} rows, not {}", found.len(), to - from));
        }
        let ties = self.keys.is_empty();
        let differ = |a: &Found, b: &Found| if ties { a.0 != b.0 } else { a != b };
        let wrong = found.iter().zip(&all[from..to]).position(|(a, b)| differ(a, b));
        if let Some(at) = wrong {
            return Some(format!("row {at} is {:?}, not {:?}", found[at], all[from + at]));
        }
        let mut sorted = found.to_vec();
        sorted.sort_unstable();
        let twice = sorted.windows(2).find(|w| w[0] == w[1]);
        if let Some(twice) = twice {
            return Some(format!("{:?} comes twice", twice[0]));
        }
        let mut known = all.to_vec();
        known.sort_unstable();
        let strange = found.iter().find(|f| known.binary_search(f).is_err())?;
        Some(format!("{strange:?} is not there"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(keys: &'static str, limit: Option<usize>, offset: usize) -> Question {
        let point = "point(0,0)".to_owned();
        Question { point, inside: None, other: None, keys, limit, offset, later: false }
    }

    fn rows(text: &str) -> Vec<Found> {
        let row = |pair: &str| {
            let (distance, uid) = pair.split_once(':')?;
            Some((distance.to_owned(), uid.parse().ok()?))
        };
        text.split_whitespace().filter_map(row).collect()
    }

    /// Every way for an answer to be wrong, beside those that ties allow.
    #[test]
    fn faults_are_found() {
        let all = rows("1:1 2:2 2:3 2:4 3:5 NaN:6 null:7");
        let wrong = |keys, limit, offset, found: &str| {
            question(keys, limit, offset).difference(&rows(found), &all).is_some()
        };
        assert!(!wrong("", Some(3), 0, "1:1 2:4 2:2"));
        assert!(!wrong("", Some(2), 2, "2:2 2:4"));
        assert!(!wrong("", None, 4, "3:5 NaN:6 null:7"));
        assert!(!wrong("", Some(9), 9, ""));
        for found in ["1:1 2:2", "1:1 2:2 2:3 2:4", "1:1 2:2 3:5", "2:2 1:1 2:3"] {
            assert!(wrong("", Some(3), 0, found), "{found}");
        }
        for found in ["1:1 2:2 2:2", "1:1 2:2 2:9", "1:1 2:2 2:1"] {
            assert!(wrong("", Some(3), 0, found), "{found}");
        }
        assert!(!wrong(", uid", Some(3), 0, "1:1 2:2 2:3"));
        assert!(wrong(", uid", Some(3), 0, "1:1 2:3 2:2"));
        assert!(wrong("", None, 4, "3:5 NaN:6"));
    }
}
