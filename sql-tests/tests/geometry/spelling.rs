//! Text of these types, spelled as nobody should.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::values::{NAMES, one};
use super::{Both, tries};

fn number(r: &mut StdRng) -> String {
    if r.random_ratio(2, 3) {
        return r.random_range(-3..5).to_string();
    }
    let odd = [
        "1.5",
        "+3",
        ".5",
        "5.",
        "1e2",
        "1E-3",
        "nan",
        "NaN",
        "inf",
        "-inf",
        "Infinity",
        "+Infinity",
        "0x10",
        "0x1p-2",
        "-0X.8p1",
        "1_0",
        "",
        "1e400",
        "1e-400",
        "--1",
        "1 2",
        "-0",
        "1e",
        "abc",
        " 7",
        "7 ",
        "\t8",
        "infinit",
        "0x",
    ];
    one(r, &odd).to_owned()
}

fn space(r: &mut StdRng) -> &'static str {
    one(r, &["", "", "", "", " ", "  ", "\t", "\n"])
}

fn point(r: &mut StdRng) -> String {
    let (a, b) = (number(r), number(r));
    let s = [0; 6].map(|_| space(r));
    match r.random_range(0..20) {
        0..15 => format!("{}({}{a}{},{}{b}{}){}", s[0], s[1], s[2], s[3], s[4], s[5]),
        15..18 => format!("{}{a},{b}{}", s[0], s[1]),
        _ => {
            let odd =
                ["(A,B", "A,B)", "((A,B))", "(A B)", "(A;B)", "", "(A,B,1)", "<A,B>", "(A,B)x"];
            one(r, &odd).replace('A', &a).replace('B', &b)
        }
    }
}

fn points(r: &mut StdRng, count: usize) -> String {
    (0..count).map(|_| point(r)).collect::<Vec<_>>().join(",")
}

/// Brackets around `%`.
const AROUND: [&str; 14] = [
    "%", "(%)", "[%]", "((%))", "<%>", "{%}", " ( % ) ", "[%)", "(%", "%)", "[%] x", "[[%]]",
    "(%))", " [ % ] ",
];

fn text(r: &mut StdRng, ty: &str) -> String {
    match ty {
        "point" => point(r),
        "line" if r.random_bool(0.5) => {
            let forms =
                ["{A,B,C}", " { A , B , C } ", "{A,B,C", "A,B,C", "[A,B,C]", "{A,B,C}x", "{A,B}"];
            let form = one(r, &forms);
            form.replace('A', &number(r)).replace('B', &number(r)).replace('C', &number(r))
        }
        "circle" => {
            let forms = [
                "<P,R>",
                "(P,R)",
                "((P),R)",
                "P,R",
                " < P , R > ",
                "<P,R",
                "<P R>",
                "<P,R>z",
                "(P,R>",
                "((P),R>",
                "(P),R",
                "<(P),R>",
                "< ( P ), R >",
            ];
            let form = one(r, &forms);
            form.replace('P', &point(r)).replace('R', &number(r))
        }
        "path" | "polygon" => {
            let count = r.random_range(0..5);
            one(r, &AROUND).replace('%', &points(r, count))
        }
        _ => {
            let count = if r.random_ratio(1, 5) { r.random_range(0..4) } else { 2 };
            one(r, &AROUND).replace('%', &points(r, count))
        }
    }
}

/// An array's text: elements quoted or bare, `;` between boxes.
fn array(r: &mut StdRng, ty: &str) -> String {
    let count = r.random_range(0..4);
    let mut items = Vec::new();
    for _ in 0..count {
        let text = text(r, ty);
        items.push(match r.random_range(0..8) {
            0 => "NULL".to_owned(),
            1 => text,
            _ => format!("\"{text}\""),
        });
    }
    let between = if ty == "box" { ";" } else { "," };
    format!("{{{}}}", items.join(between))
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_spellings_are_read_as_postgres_does() {
    let Some(mut both) = Both::start().await else { return };
    let mut r = StdRng::seed_from_u64(18);
    for _ in 0..tries(600) {
        let ty = one(&mut r, &NAMES);
        let sql = match r.random_range(0..4) {
            0 => format!("select '{}'::{ty}[]", array(&mut r, ty)),
            1 => {
                let digits = r.random_range(-3..4);
                both.set_up(&format!("set extra_float_digits = {digits}")).await;
                format!("select {ty} '{}'", text(&mut r, ty))
            }
            _ => format!("select '{}'::{ty}", text(&mut r, ty)),
        };
        both.compare(&sql).await;
    }
    both.finish().await;
}
