//! Numeric's arithmetic against what PostgreSQL 15 answered: `expect/expressions.tsv`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

use vicinity_types::numeric::{Numeric, text};
use vicinity_types::{PgError, Result};

/// A reader of the few forms the expectations use: literals, casts, calls, one operator.
struct Reader<'a>(&'a str);

impl Reader<'_> {
    fn skip(&mut self) {
        self.0 = self.0.trim_start();
    }

    fn eat(&mut self, token: &str) -> bool {
        self.skip();
        self.0.strip_prefix(token).map(|rest| self.0 = rest).is_some()
    }

    fn word(&mut self) -> String {
        self.skip();
        let n = self
            .0
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '.')
            .unwrap_or(self.0.len());
        let (word, rest) = self.0.split_at(n);
        self.0 = rest;
        word.to_owned()
    }

    fn expression(&mut self) -> Result<String> {
        let left = self.operand()?;
        for op in ["+", "-", "*", "/", "%"] {
            if self.eat(op) {
                let right = self.operand()?;
                return apply(op, &[left, right]);
            }
        }
        Ok(left)
    }

    fn operand(&mut self) -> Result<String> {
        self.skip();
        let mut value = if self.eat("(") {
            let value = self.expression()?;
            assert!(self.eat(")"));
            value
        } else if self.eat("'") {
            let (text, rest) = self.0.split_once('\'').unwrap();
            self.0 = rest;
            text.to_owned()
        } else if self.eat("-") {
            format!("-{}", self.word())
        } else {
            let word = self.word();
            if self.eat("(") {
                let mut args = Vec::new();
                loop {
                    args.push(self.expression()?);
                    if self.eat(")") {
                        break;
                    }
                    assert!(self.eat(","));
                }
                apply(&word, &args)?
            } else {
                let mut end = word;
                if end.ends_with(['e', 'E']) && self.0.starts_with(['-', '+']) {
                    end.push_str(&self.0[..1]);
                    self.0 = &self.0[1..];
                    end.push_str(&self.word());
                }
                end
            }
        };
        let mut was_float = "";
        while self.eat("::") {
            let ty = self.word();
            value = cast(&value, &ty, was_float)?;
            was_float = if ty == "float4" || ty == "float8" {
                if ty == "float4" { "4" } else { "8" }
            } else {
                ""
            };
        }
        Ok(value)
    }
}

fn cast(value: &str, ty: &str, float: &str) -> Result<String> {
    Ok(match (ty, float) {
        ("numeric", "4") => Numeric::from_f32(value.parse().unwrap()).to_string(),
        ("numeric", "8") => Numeric::from_f64(value.parse().unwrap()).to_string(),
        ("numeric", _) => text::parse(value)?.to_string(),
        ("int4", _) => text::parse(value)?.to_i32()?.to_string(),
        ("float8", _) => {
            let v = text::parse(value)?.to_f64()?;
            let mut out = Vec::new();
            vicinity_types::io::float::write8(v, 1, &mut out);
            String::from_utf8_lossy(&out).into_owned()
        }
        ("float4", _) => text::parse(value)?.to_f32()?.to_string(),
        other => panic!("cast {other:?}"),
    })
}

fn apply(function: &str, args: &[String]) -> Result<String> {
    let n: Vec<Numeric> = args.iter().map(|a| text::parse(a)).collect::<Result<_>>()?;
    let small = |i: usize| n.get(i).map_or(0, |n| n.to_i64().unwrap());
    Ok(match function {
        "+" => n[0].add(&n[1])?,
        "-" => n[0].sub(&n[1])?,
        "*" => n[0].mul(&n[1])?,
        "/" => n[0].div(&n[1])?,
        "%" => n[0].rem(&n[1])?,
        "div" => n[0].div_trunc(&n[1])?,
        "sqrt" => n[0].sqrt()?,
        "exp" => n[0].exp()?,
        "ln" => n[0].ln()?,
        "log" if n.len() == 1 => n[0].log10()?,
        "log" => n[1].log(&n[0])?,
        "power" => n[0].power(&n[1])?,
        "round" => n[0].round(small(1)),
        "trunc" => n[0].trunc(small(1)),
        "ceil" => n[0].ceil(),
        "floor" => n[0].floor(),
        "gcd" => n[0].gcd(&n[1])?,
        "lcm" => n[0].lcm(&n[1])?,
        "factorial" => Numeric::factorial(small(0))?,
        "min_scale" => Numeric::from(n[0].min_scale().unwrap()),
        other => panic!("function {other}"),
    }
    .to_string())
}

#[test]
fn arithmetic_is_postgresqls() {
    let mut bad = String::new();
    for line in include_str!("expect/expressions.tsv").lines().filter(|l| !l.is_empty()) {
        let (expression, expected) = line.split_once('\t').unwrap();
        let got = match Reader(expression).expression() {
            Ok(value) => format!("ok\t{value}"),
            Err(e) => answer(&e),
        };
        if got != expected {
            bad.push_str(&format!("{expression}\n  PostgreSQL: {expected}\n  got:        {got}\n"));
        }
    }
    assert!(bad.is_empty(), "{bad}");
}

fn answer(e: &PgError) -> String {
    format!("{}\t{}", e.code(), e.message())
}
