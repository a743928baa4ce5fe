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

fn point(r: &mut StdRng) -> String {
    format!("({},{})", coordinate(r), coordinate(r))
}

fn points(r: &mut StdRng, most: usize) -> String {
    let n = r.random_range(1..=most);
    (0..n).map(|_| point(r)).collect::<Vec<_>>().join(",")
}

/// A literal of a type with its cast.
pub(crate) fn literal(r: &mut StdRng, ty: &str) -> String {
    let text = match ty {
        "point" => point(r),
        "lseg" => format!("[{},{}]", point(r), point(r)),
        "box" => format!("{},{}", point(r), point(r)),
        "path" if r.random_bool(0.5) => format!("[{}]", points(r, 4)),
        "path" | "polygon" => format!("({})", points(r, 5)),
        "line" if r.random_bool(0.5) => format!("[{},{}]", point(r), point(r)),
        "line" => format!("{{{},{},{}}}", coordinate(r), coordinate(r), coordinate(r)),
        "circle" => format!("<{},{}>", point(r), coordinate(r).trim_start_matches('-')),
        "integer" => r.random_range(-1..7).to_string(),
        _ => coordinate(r),
    };
    format!("'{text}'::{ty}")
}

/// The same, or NULL at times.
pub(crate) fn literal_or_null(r: &mut StdRng, ty: &str) -> String {
    if r.random_ratio(1, 40) { format!("null::{ty}") } else { literal(r, ty) }
}
