//! The plane geometry types: every spelling PostgreSQL reads, and the one it writes.

use std::sync::Arc;

use bytes::BufMut;

use super::{float, is_space};
use crate::datum::{Datum, Oid};
use crate::error::{PgError, Result, SqlState};
use crate::geo::{Circle, Line, Lseg, Path, Point, Polygon, Rect};
use crate::oid;

/// A scanner over the input of one geometric value.
struct Scan<'a> {
    /// The type's name in messages.
    name: &'static str,
    whole: &'a str,
    rest: &'a str,
}

impl<'a> Scan<'a> {
    fn new(name: &'static str, text: &'a str) -> Scan<'a> {
        Scan { name, whole: text, rest: text }
    }

    fn invalid(&self) -> PgError {
        PgError::invalid_input(self.name, self.whole)
    }

    fn skip(&mut self) {
        self.rest = self.rest.trim_start_matches(is_space);
    }

    fn peek(&mut self) -> Option<char> {
        self.skip();
        self.rest.chars().next()
    }

    fn eat(&mut self, c: char) -> bool {
        self.skip();
        match self.rest.strip_prefix(c) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn need(&mut self, c: char) -> Result<()> {
        if self.eat(c) { Ok(()) } else { Err(self.invalid()) }
    }

    fn end(&mut self) -> Result<()> {
        self.skip();
        if self.rest.is_empty() { Ok(()) } else { Err(self.invalid()) }
    }

    /// The longest text here that is a number, as `strtod` would find it.
    fn number(&mut self) -> Result<f64> {
        self.skip();
        let length = number_length(self.rest);
        let text =
            self.rest.get(..length).filter(|t| !t.is_empty()).ok_or_else(|| self.invalid())?;
        self.rest = self.rest.get(length..).unwrap_or("");
        match float::parse8(text) {
            Err(e) if e.code() == SqlState::NUMERIC_VALUE_OUT_OF_RANGE => Err(e),
            other => other.map_err(|_| self.invalid()),
        }
    }

    /// `x,y` or `(x,y)`
    fn pair(&mut self) -> Result<Point> {
        let parens = self.eat('(');
        let x = self.number()?;
        self.need(',')?;
        let y = self.number()?;
        if parens {
            self.need(')')?;
        }
        Ok(Point { x, y })
    }

    /// `count` points, in parentheses or brackets if these are there; tells whether it was brackets.
    ///
    /// Two opening parentheses are the list's and the first point's; one is the list's where no
    /// point has its own: `((1,2),(3,4))`, `(1,2),(3,4)`, `(1,2,3,4)`, `1,2,3,4`.
    fn points(&mut self, count: usize, brackets_allowed: bool) -> Result<(Vec<Point>, bool)> {
        let mut depth = 0;
        let open = self.peek() == Some('[');
        if open {
            if !brackets_allowed {
                return Err(self.invalid());
            }
            self.need('[')?;
            depth += 1;
        } else if self.peek() == Some('(') {
            let after = self.rest.get(1..).unwrap_or("").trim_start_matches(is_space);
            if after.starts_with('(') || self.rest.rfind('(') == Some(0) {
                // `((`, or the only parenthesis there is: the list's own.
                self.need('(')?;
                depth += 1;
            }
        }
        let mut points = Vec::with_capacity(count);
        for _ in 0..count {
            points.push(self.pair()?);
            self.eat(',');
        }
        while depth > 0 {
            if self.eat(')') || open && depth == 1 && self.eat(']') {
                depth -= 1;
            } else {
                return Err(self.invalid());
            }
        }
        Ok((points, open))
    }
}

/// Length of the number `text` begins with; 0 for none.
pub(crate) fn number_length(text: &str) -> usize {
    let hexadecimal = float::hexadecimal_length(text);
    if hexadecimal > 0 {
        return hexadecimal;
    }
    let bytes = text.as_bytes();
    let sign = usize::from(matches!(bytes.first(), Some(b'+' | b'-')));
    let unsigned = text.get(sign..).unwrap_or("");
    for word in ["infinity", "inf", "nan"] {
        if unsigned.get(..word.len()).is_some_and(|w| w.eq_ignore_ascii_case(word)) {
            return sign + word.len();
        }
    }
    let digits = |mut at: usize| {
        while bytes.get(at).is_some_and(u8::is_ascii_digit) {
            at += 1;
        }
        at
    };
    let mut at = digits(sign);
    let mut any = at > sign;
    if bytes.get(at) == Some(&b'.') {
        let end = digits(at + 1);
        any |= end > at + 1;
        at = end;
    }
    if !any {
        return 0;
    }
    if matches!(bytes.get(at), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
        let end = digits(at + 1 + sign);
        if end > at + 1 + sign {
            at = end;
        }
    }
    at
}

/// Reads a value of one of the geometric types.
pub fn parse(ty: Oid, text: &str) -> Result<Datum> {
    Ok(match ty {
        oid::POINT => Datum::Point(parse_point(text)?),
        oid::LSEG => {
            let (a, b) = two_points("lseg", text, true)?;
            Datum::Lseg(Arc::new(Lseg { a, b }))
        }
        oid::BOX => {
            let (a, b) = two_points("box", text, false)?;
            Datum::Box(Arc::new(Rect::spanning(a, b)))
        }
        oid::LINE => Datum::Line(parse_line(text)?),
        oid::CIRCLE => Datum::Circle(parse_circle(text)?),
        oid::PATH => Datum::Path(Arc::new(parse_path(text)?)),
        oid::POLYGON => Datum::Polygon(Arc::new(parse_polygon(text)?)),
        _ => return Err(super::unknown_type(ty)),
    })
}

/// Reads a point.
pub fn parse_point(text: &str) -> Result<Point> {
    let mut s = Scan::new("point", text);
    let point = s.pair()?;
    s.end()?;
    Ok(point)
}

fn two_points(name: &'static str, text: &str, brackets: bool) -> Result<(Point, Point)> {
    let mut s = Scan::new(name, text);
    let (points, _) = s.points(2, brackets)?;
    s.end()?;
    match points.as_slice() {
        [a, b] => Ok((*a, *b)),
        _ => Err(s.invalid()),
    }
}

/// Reads a line: `{a,b,c}`, or two points on it.
fn parse_line(text: &str) -> Result<Line> {
    let mut s = Scan::new("line", text);
    let bad = |message: &str| Err(PgError::new(SqlState::INVALID_TEXT_REPRESENTATION, message));
    if s.eat('{') {
        let a = s.number()?;
        s.need(',')?;
        let b = s.number()?;
        s.need(',')?;
        let c = s.number()?;
        s.need('}')?;
        s.end()?;
        if is_zero(a) && is_zero(b) {
            return bad("invalid line specification: A and B cannot both be zero");
        }
        return Ok(Line { a, b, c });
    }
    let (points, _) = s.points(2, true)?;
    s.end()?;
    match points.as_slice() {
        [p, q] if p.same(*q) => bad("invalid line specification: must be two distinct points"),
        [p, q] => Line::through(*p, *q),
        _ => Err(s.invalid()),
    }
}

fn is_zero(v: f64) -> bool {
    v.abs() <= crate::geo::EPSILON
}

/// Reads a circle: `<(x,y),r>`, `((x,y),r)`, `(x,y),r` or `x,y,r`; either bracket closes what either opened.
fn parse_circle(text: &str) -> Result<Circle> {
    let mut s = Scan::new("circle", text);
    let mut open = s.eat('<');
    if !open && s.peek() == Some('(') {
        let after = s.rest.get(1..).unwrap_or("").trim_start_matches(is_space);
        open = after.starts_with('(') && s.eat('(');
    }
    let center = s.pair()?;
    s.eat(',');
    let radius = s.number()?;
    if radius < 0.0 {
        return Err(s.invalid());
    }
    if open && !s.eat(')') {
        s.need('>')?;
    }
    s.end()?;
    Ok(Circle { center, radius })
}

/// How many points a list has: one more than half its commas, which must be odd.
fn count_points(text: &str) -> Option<usize> {
    let commas = text.matches(',').count();
    (commas % 2 == 1).then(|| commas.div_ceil(2))
}

fn parse_path(text: &str) -> Result<Path> {
    let mut s = Scan::new("path", text);
    let count = count_points(text).ok_or_else(|| s.invalid())?;
    let (points, open) = s.points(count, true)?;
    s.end()?;
    Ok(Path { closed: !open, points })
}

fn parse_polygon(text: &str) -> Result<Polygon> {
    let mut s = Scan::new("polygon", text);
    let count = count_points(text).ok_or_else(|| s.invalid())?;
    let (points, _) = s.points(count, false)?;
    s.end()?;
    Ok(Polygon { points })
}

/// Writes a geometric value; anything else is not touched.
pub fn write(value: &Datum, digits: i32, out: &mut Vec<u8>) {
    match value {
        Datum::Point(p) => write_point(p.x, p.y, digits, out),
        Datum::Lseg(l) => {
            out.put_u8(b'[');
            write_points(&[l.a, l.b], digits, out);
            out.put_u8(b']');
        }
        Datum::Box(b) => write_points(&[b.high, b.low], digits, out),
        Datum::Polygon(p) => {
            out.put_u8(b'(');
            write_points(&p.points, digits, out);
            out.put_u8(b')');
        }
        Datum::Path(p) => {
            let (open, close) = if p.closed { (b'(', b')') } else { (b'[', b']') };
            out.put_u8(open);
            write_points(&p.points, digits, out);
            out.put_u8(close);
        }
        Datum::Line(l) => {
            out.put_u8(b'{');
            float::write8(l.a, digits, out);
            out.put_u8(b',');
            float::write8(l.b, digits, out);
            out.put_u8(b',');
            float::write8(l.c, digits, out);
            out.put_u8(b'}');
        }
        Datum::Circle(c) => {
            out.put_u8(b'<');
            write_point(c.center.x, c.center.y, digits, out);
            out.put_u8(b',');
            float::write8(c.radius, digits, out);
            out.put_u8(b'>');
        }
        _ => {}
    }
}

/// Writes `(x,y)`.
pub fn write_point(x: f64, y: f64, digits: i32, out: &mut Vec<u8>) {
    out.put_u8(b'(');
    float::write8(x, digits, out);
    out.put_u8(b',');
    float::write8(y, digits, out);
    out.put_u8(b')');
}

fn write_points(points: &[Point], digits: i32, out: &mut Vec<u8>) {
    for (i, p) in points.iter().enumerate() {
        if i > 0 {
            out.put_u8(b',');
        }
        write_point(p.x, p.y, digits, out);
    }
}
