//! Random geometry, as literals.

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

/// The names of the types.
pub(crate) const NAMES: [&str; 7] = ["point", "lseg", "box", "path", "polygon", "line", "circle"];

/// One of several.
pub(crate) fn one<'a>(r: &mut StdRng, of: &[&'a str]) -> &'a str {
    of.choose(r).copied().unwrap_or_default()
}

/// A coordinate: small whole numbers and halves mostly, so that things touch, and what is near the tolerance.
pub(crate) fn coordinate(r: &mut StdRng) -> String {
    match r.random_range(0..20) {
        0..11 => r.random_range(-3..4).to_string(),
        11..15 => (f64::from(r.random_range(-6..7)) / 2.0).to_string(),
        15..17 => r.random_range(-5.0..5.0f64).to_string(),
        17 => {
            let near = [1e-7, -1e-7, 9e-7, 2e-6].choose(r).copied().unwrap_or_default();
            (f64::from(r.random_range(-2..3)) + near).to_string()
        }
        18 => one(r, &["1e6", "-1e9", "1e-9", "-0"]).to_owned(),
        _ => one(r, &["NaN", "Infinity", "-Infinity"]).to_owned(),
    }
}

/// Numbers whose products, quotients and sums end beyond what a float holds, or close to it.
fn extreme(r: &mut StdRng) -> String {
    const NUMBERS: &[&str] = &[
        "0", "1", "-2", "3", "1e200", "-1e200", "1e-200", "-1e-200", "1e308", "-1e308", "1.5e154",
        "-1e160", "1e-160", "5e-324",
    ];
    one(r, NUMBERS).to_owned()
}

/// Where numbers come from.
type Number = fn(&mut StdRng) -> String;

fn point(r: &mut StdRng, n: Number) -> String {
    format!("({},{})", n(r), n(r))
}

fn points(r: &mut StdRng, n: Number, most: usize) -> String {
    let count = r.random_range(1..=most);
    (0..count).map(|_| point(r, n)).collect::<Vec<_>>().join(",")
}

/// A literal of a type with its cast.
pub(crate) fn literal(r: &mut StdRng, ty: &str) -> String {
    made_of(r, ty, coordinate)
}

/// The same, of extreme numbers.
pub(crate) fn extreme_literal(r: &mut StdRng, ty: &str) -> String {
    made_of(r, ty, extreme)
}

fn made_of(r: &mut StdRng, ty: &str, n: Number) -> String {
    let text = match ty {
        "point" => point(r, n),
        "lseg" => format!("[{},{}]", point(r, n), point(r, n)),
        "box" => format!("{},{}", point(r, n), point(r, n)),
        "path" if r.random_bool(0.5) => format!("[{}]", points(r, n, 4)),
        "path" | "polygon" => format!("({})", points(r, n, 5)),
        "line" if r.random_bool(0.5) => format!("[{},{}]", point(r, n), point(r, n)),
        "line" => format!("{{{},{},{}}}", n(r), n(r), n(r)),
        "circle" => format!("<{},{}>", point(r, n), n(r).trim_start_matches('-')),
        "integer" => r.random_range(-1..7).to_string(),
        _ => n(r),
    };
    format!("'{text}'::{ty}")
}

/// The same, or NULL at times.
pub(crate) fn literal_or_null(r: &mut StdRng, ty: &str) -> String {
    if r.random_ratio(1, 40) { format!("null::{ty}") } else { literal(r, ty) }
}
