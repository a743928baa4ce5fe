//! Where couriers are: usual places, and those that are hard for an index.

use std::collections::VecDeque;
use std::f64::consts::TAU;
use std::sync::{Mutex, PoisonError};

use rand::Rng;
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::data::At;

/// Places just written that are remembered.
const RECENT: usize = 64;
/// Hubs.
const HUBS: usize = 16;

/// All of them.
pub(super) struct Places {
    cities: Vec<At>,
    hubs: Vec<Hub>,
    recent: Mutex<VecDeque<At>>,
}

/// A crowd: rings of couriers nearly as far from the middle as each other, and streets of them that cross it. Cells
/// are cut at coordinates of entries, so that the borders of cells are as far away as what is in them, and nearly
/// everybody is nearly as far as the k-th.
struct Hub {
    middle: At,
    /// Of the smallest ring; the others are three and nine times as large.
    radius: f64,
    /// Between streets.
    step: f64,
}

impl Hub {
    /// Whole numbers: distances along streets are equal to the last bit.
    fn new([x, y]: At, rng: &mut Xoshiro256PlusPlus) -> Hub {
        let mut size = || 10f64.powf(rng.random_range(1.0..3.5)).round();
        Hub { middle: [x.round(), y.round()], radius: size(), step: size() }
    }

    fn crossing(&self, rng: &mut Xoshiro256PlusPlus) -> At {
        self.middle.map(|v| v + self.step * f64::from(rng.random_range(-8..=8)))
    }

    fn place(&self, rng: &mut Xoshiro256PlusPlus) -> At {
        if rng.random_bool(0.4) {
            return self.crossing(rng).map(|v| v + self.step * little(rng));
        }
        let radius = self.radius * 3f64.powi(rng.random_range(0..3)) * (1.0 + little(rng));
        let (sine, cosine) = (f64::from(rng.random_range(0..3600)) / 3600.0 * TAU).sin_cos();
        let [x, y] = self.middle;
        [x + radius * cosine, y + radius * sine]
    }
}

/// Nothing, or little of any magnitude down to what a double can tell.
fn little(rng: &mut Xoshiro256PlusPlus) -> f64 {
    if rng.random_ratio(1, 4) {
        return 0.0;
    }
    let sign = if rng.random() { 1.0 } else { -1.0 };
    sign * 10f64.powf(rng.random_range(-15.0..-1.5))
}

fn shared(rng: &mut Xoshiro256PlusPlus) -> At {
    [0; 2].map(|_| f64::from(rng.random_range(-3..=3)) * 1e5)
}

fn odd(rng: &mut Xoshiro256PlusPlus) -> At {
    let (infinite, nan) = (f64::INFINITY, f64::NAN);
    let odd = [nan, infinite, -infinite, 0.0, -0.0, 1e300, 1e-300];
    [0; 2].map(|_| odd[rng.random_range(0..odd.len())])
}

impl Places {
    pub(super) fn new(cities: Vec<At>, rng: &mut Xoshiro256PlusPlus) -> Places {
        let mut places = Places { cities, hubs: Vec::new(), recent: Mutex::default() };
        for _ in 0..HUBS {
            let hub = Hub::new(places.usual(rng), rng);
            places.hubs.push(hub);
        }
        places
    }

    fn usual(&self, rng: &mut Xoshiro256PlusPlus) -> At {
        if self.cities.is_empty() {
            return [0; 2].map(|_| rng.random_range(-500_000.0..500_000.0));
        }
        let city = self.cities[rng.random_range(0..self.cities.len())];
        city.map(|v| v + rng.random_range(-2_000.0..2_000.0))
    }

    fn hub(&self, rng: &mut Xoshiro256PlusPlus) -> &Hub {
        &self.hubs[rng.random_range(0..self.hubs.len())]
    }

    /// Where a courier may be; `None` is nowhere.
    pub(super) fn place(&self, rng: &mut Xoshiro256PlusPlus) -> Option<At> {
        let at = match rng.random_range(0..100) {
            0 => return None,
            1..3 => odd(rng),
            3..10 => shared(rng),
            10..45 => self.hub(rng).place(rng),
            _ => self.usual(rng),
        };
        Some(at)
    }

    /// Notes where somebody was put.
    pub(super) fn note(&self, at: At) {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.truncate(RECENT - 1);
        recent.push_front(at);
    }

    /// Two places next to each other where nobody else comes, for those who change them over and over.
    pub(super) fn stage(&self) -> [At; 2] {
        let [x, y] = self.hubs.first().map_or([0.0; 2], |hub| hub.middle);
        [[x + 0.37, y + 0.41], [x + 0.371, y + 0.41]]
    }

    fn recent(&self, rng: &mut Xoshiro256PlusPlus) -> Option<At> {
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.get(rng.random_range(0..RECENT)).copied()
    }

    /// A point to ask about.
    pub(super) fn center(&self, rng: &mut Xoshiro256PlusPlus) -> At {
        match rng.random_range(0..100) {
            0 => odd(rng),
            1..5 => self.stage()[0],
            5..10 => shared(rng),
            10..35 => self.hub(rng).middle,
            35..50 => self.hub(rng).crossing(rng),
            50..60 => self.hub(rng).place(rng),
            60..80 => {
                let at = self.recent(rng).unwrap_or_else(|| self.usual(rng));
                at.map(|v| if rng.random() { v } else { v + rng.random_range(-1.0..1.0) })
            }
            _ => self.usual(rng),
        }
    }
}
