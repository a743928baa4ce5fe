//! What checkers ask, what all rows of a snapshot say to it, and what is wrong with an answer.

use std::cmp::Reverse;

use rand::Rng;
use rand_xoshiro::Xoshiro256PlusPlus;
use vicinity_types::geo::hypotenuse;

use super::sql_point;
use crate::data::At;

/// A courier of a snapshot.
#[derive(Clone, Copy, Debug)]
pub(super) struct Courier {
    pub(super) uid: i32,
    pub(super) at: Option<At>,
    pub(super) weight: i32,
}

/// A row of an answer: its distance, as [`order_of`], and who it is.
pub(super) type Found = (u64, i32);

/// Distances as they order: NaN is farther than infinity, and what is nowhere is farthest.
pub(super) fn order_of(distance: Option<f64>) -> u64 {
    match distance {
        None => u64::MAX,
        Some(d) if d.is_nan() => f64::NAN.to_bits(),
        Some(d) => d.to_bits(),
    }
}

/// A search.
#[derive(Debug)]
pub(super) struct Question {
    point: At,
    /// Whether rows come by their distance from the point, or in any order.
    ordered: bool,
    inside: Inside,
    other: Other,
    keys: Keys,
    limit: Option<usize>,
    offset: usize,
}

/// Conditions on the place.
#[derive(Debug)]
enum Inside {
    All,
    Box(At, At),
    Circle(At, f64),
    /// One or the other.
    Either(Box<[Inside; 2]>),
}

/// Conditions that no index serves.
#[derive(Debug)]
enum Other {
    All,
    Weight(i32),
    NotWeight(i32),
}

/// Sort keys behind the distance.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Keys {
    Distance,
    Uid,
    WeightUid,
}

impl Inside {
    /// Of about some size, or with a courier on the border.
    fn random(at: At, couriers: &[Courier], rng: &mut Xoshiro256PlusPlus) -> Inside {
        match rng.random_range(0..10) {
            // What order the corners of a box are in, PostgreSQL tells by NaN too.
            0..2 => Inside::All,
            _ if at.iter().any(|v| !v.is_finite()) => Inside::All,
            2 => {
                let both = [0; 2].map(|_| Inside::part(at, couriers, rng));
                Inside::Either(Box::new(both))
            }
            _ => Inside::part(at, couriers, rng),
        }
    }

    fn part([x, y]: At, couriers: &[Courier], rng: &mut Xoshiro256PlusPlus) -> Inside {
        let size = 10f64.powf(rng.random_range(1.0..5.5));
        let border = nearby([x, y], couriers, rng);
        let away = |[u, v]: At| hypotenuse(x - u, y - v);
        match rng.random_range(0..8) {
            0 => Inside::Box([x - size, y - size], border.unwrap_or([x + size, y + size / 2.0])),
            1 => Inside::Box([x - size, y - size], [x + size, y + size / 2.0]),
            2 => Inside::Circle([x + size / 3.0, y], size),
            3..5 => Inside::Circle([x, y], border.map_or(size, away)),
            _ => Inside::Circle([x, y], size),
        }
    }

    fn sql(&self) -> Option<String> {
        let circle = |at, radius: f64| format!("circle({},{radius:?})", sql_point(at));
        Some(match self {
            Inside::All => return None,
            Inside::Box(a, b) => format!("pos <@ box({},{})", sql_point(*a), sql_point(*b)),
            Inside::Circle(at, radius) => format!("{} @> pos", circle(*at, *radius)),
            Inside::Either(both) => {
                let both: Vec<String> = both.iter().filter_map(Inside::sql).collect();
                format!("({})", both.join(" or "))
            }
        })
    }

    fn has(&self, at: Option<At>) -> bool {
        match (self, at) {
            (Inside::All, _) => true,
            (_, None) => false,
            (Inside::Box(a, b), Some(at)) => {
                at.iter().zip(a).zip(b).all(|((v, a), b)| a.min(*b) <= *v && *v <= a.max(*b))
            }
            (Inside::Circle([u, v], radius), Some([x, y])) => hypotenuse(u - x, v - y) <= *radius,
            (Inside::Either(both), at) => both.iter().any(|i| i.has(at)),
        }
    }
}

/// The nearest of some couriers.
fn nearby([x, y]: At, couriers: &[Courier], rng: &mut Xoshiro256PlusPlus) -> Option<At> {
    let some = (0..50).filter_map(|_| couriers.get(rng.random_range(0..couriers.len().max(1))));
    let places = some.filter_map(|c| c.at).filter(|at| at.iter().all(|v| v.is_finite()));
    places.min_by(|a, b| {
        let [a, b] = [a, b].map(|[u, v]| hypotenuse(x - u, y - v));
        a.total_cmp(&b)
    })
}

impl Question {
    pub(super) fn random(
        point: At,
        couriers: &[Courier],
        rng: &mut Xoshiro256PlusPlus,
    ) -> Question {
        let weight = rng.random_range(0..10);
        // What is filtered out makes a search go on beyond what it took for enough.
        let other = match rng.random_range(0..4) {
            0 => Other::Weight(weight),
            1 => Other::NotWeight(weight),
            _ => Other::All,
        };
        let keys = match rng.random_range(0..6) {
            0 => Keys::Uid,
            1 => Keys::WeightUid,
            _ => Keys::Distance,
        };
        let inside = Inside::random(point, couriers, rng);
        let is_all = matches!(inside, Inside::All);
        let limit = match rng.random_range(0..100) {
            0..2 => None,
            // Few will be in there.
            2..20 if !is_all => None,
            20..30 => Some(1),
            30..50 => Some(100),
            _ => Some(10f64.powf(rng.random_range(0.0..3.0)) as usize),
        };
        let offset = if rng.random_ratio(1, 5) { rng.random_range(0..200) } else { 0 };
        let ordered = is_all || rng.random_ratio(4, 5);
        Question { point, ordered, inside, other, keys, limit, offset }
    }

    pub(super) fn sql(&self) -> String {
        let point = sql_point(self.point);
        let other = match self.other {
            Other::All => None,
            Other::Weight(w) => Some(format!("weight = {w}")),
            Other::NotWeight(w) => Some(format!("weight <> {w} and uid % 3 > 0")),
        };
        let conditions: Vec<String> = self.inside.sql().into_iter().chain(other).collect();
        let filter = match conditions.as_slice() {
            [] => String::new(),
            all => format!("where {}", all.join(" and ")),
        };
        let keys = match self.keys {
            Keys::Distance => "",
            Keys::Uid => ", uid",
            Keys::WeightUid => ", weight desc, uid",
        };
        let order = match self.ordered {
            true => format!("order by pos <-> {point}{keys}"),
            false => String::new(),
        };
        let limit = self.limit.map_or_else(String::new, |n| format!("limit {n}"));
        format!(
            "select pos <-> {point}, uid from bench_checker {filter} {order} {limit} offset {}",
            self.offset
        )
    }

    fn order(&self, courier: &Courier) -> u64 {
        let [x, y] = self.point;
        order_of(courier.at.map(|[u, v]| hypotenuse(u - x, v - y)))
    }

    fn wants(&self, courier: &Courier) -> bool {
        let other = match self.other {
            Other::All => true,
            Other::Weight(w) => courier.weight == w,
            Other::NotWeight(w) => courier.weight != w && courier.uid % 3 > 0,
        };
        other && self.inside.has(courier.at)
    }

    /// The answer, of all couriers in order of their uid.
    fn answer(&self, couriers: &[Courier]) -> Vec<Found> {
        let wanted = couriers.iter().filter(|c| self.wants(c));
        let mut all: Vec<(u64, Reverse<i32>, i32)> = wanted
            .map(|c| {
                let weight = if self.keys == Keys::WeightUid { c.weight } else { 0 };
                (self.order(c), Reverse(weight), c.uid)
            })
            .collect();
        let to = self.limit.map_or(all.len(), |n| all.len().min(self.offset + n));
        if to < all.len() {
            all.select_nth_unstable(to);
            all.truncate(to);
        }
        all.sort_unstable();
        all.into_iter().skip(self.offset).map(|(distance, _, uid)| (distance, uid)).collect()
    }

    /// What of `found` is not as all couriers, in order of their uid, have it. Rows equally far may come in any order
    /// where no further key tells them apart.
    pub(super) fn difference(&self, found: &[Found], couriers: &[Courier]) -> Option<String> {
        let expected = self.answer(couriers);
        let told = |(distance, uid): &Found| format!("{uid} at {}", f64::from_bits(*distance));
        let ties = self.keys == Keys::Distance;
        let differ = |a: &Found, b: &Found| if ties { a.0 != b.0 } else { a != b };
        let wrong = found.iter().zip(&expected).position(|(a, b)| differ(a, b));
        if self.ordered
            && let Some(at) = wrong
        {
            return Some(format!("row {at} is {}, not {}", told(&found[at]), told(&expected[at])));
        }
        if found.len() != expected.len() {
            return Some(format!("{} rows, not {}", found.len(), expected.len()));
        }
        let mut sorted = found.to_vec();
        sorted.sort_unstable();
        if let Some(twice) = sorted.windows(2).find(|w| w[0] == w[1]) {
            return Some(format!("{} comes twice", told(&twice[0])));
        }
        let is_there = |(distance, uid): &&Found| {
            let courier = couriers.binary_search_by_key(uid, |c| c.uid).map(|i| &couriers[i]);
            courier.is_ok_and(|c| self.wants(c) && self.order(c) == *distance)
        };
        let strange = found.iter().find(|f| !is_there(f))?;
        Some(format!("{} is not there", told(strange)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(keys: Keys, limit: Option<usize>, offset: usize) -> Question {
        let (inside, other) = (Inside::All, Other::All);
        Question { point: [0.0; 2], ordered: true, inside, other, keys, limit, offset }
    }

    fn rows(text: &str) -> Vec<(Option<f64>, i32)> {
        let row = |pair: &str| {
            let (distance, uid) = pair.split_once(':')?;
            Some((distance.parse().ok(), uid.parse().ok()?))
        };
        text.split_whitespace().filter_map(row).collect()
    }

    /// Every way for an answer to be wrong, beside those that ties allow.
    #[test]
    fn faults_are_found() {
        let all = rows("1:1 2:2 2:3 2:4 3:5 NaN:6 null:7");
        let courier = |(x, uid): (Option<f64>, i32)| Courier {
            uid,
            at: x.map(|x| [x, 0.0]),
            weight: uid % 2,
        };
        let couriers: Vec<Courier> = all.into_iter().map(courier).collect();
        let wrong = |keys, limit, offset, found: &str| {
            let found: Vec<Found> =
                rows(found).into_iter().map(|(d, uid)| (order_of(d), uid)).collect();
            question(keys, limit, offset).difference(&found, &couriers).is_some()
        };
        assert!(!wrong(Keys::Distance, Some(3), 0, "1:1 2:4 2:2"));
        assert!(!wrong(Keys::Distance, Some(2), 2, "2:2 2:4"));
        assert!(!wrong(Keys::Distance, None, 4, "3:5 NaN:6 null:7"));
        assert!(!wrong(Keys::Distance, Some(9), 9, ""));
        for found in ["1:1 2:2", "1:1 2:2 2:3 2:4", "1:1 2:2 3:5", "2:2 1:1 2:3"] {
            assert!(wrong(Keys::Distance, Some(3), 0, found), "{found}");
        }
        for found in ["1:1 2:2 2:2", "1:1 2:2 2:9", "1:1 2:2 2:1"] {
            assert!(wrong(Keys::Distance, Some(3), 0, found), "{found}");
        }
        assert!(!wrong(Keys::Uid, Some(3), 0, "1:1 2:2 2:3"));
        assert!(wrong(Keys::Uid, Some(3), 0, "1:1 2:3 2:2"));
        assert!(!wrong(Keys::WeightUid, Some(3), 0, "1:1 2:3 2:2"));
        assert!(wrong(Keys::Distance, None, 4, "3:5 NaN:6"));
    }
}
