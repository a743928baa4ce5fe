//! Arrays as text: `{1,2}`, `[0:1]={a,"b,c"}`, `{{1},{NULL}}`; int2vector and oidvector.

use std::sync::Arc;

use bytes::BufMut;

use super::{Io, TypeShape, is_space};
use crate::array::{Array, Dim, Elements};
use crate::datum::{Datum, Oid};
use crate::error::{PgError, Result, SqlState};
use crate::oid;

/// Most dimensions of an array.
pub const MAX_DIMS: usize = 6;
/// Most elements of an array, as PostgreSQL limits what it allocates.
pub const MAX_ELEMENTS: usize = 134_217_727;

/// What separates elements: a semicolon for boxes and domains over them, a comma for all others.
fn delimiter(elem: Oid, io: &Io<'_>) -> u8 {
    if elem == oid::BOX {
        return b';';
    }
    let made = (elem >= oid::FIRST_MADE).then(|| io.names.type_info(elem)).flatten();
    match made.map(|info| info.shape) {
        Some(TypeShape::Domain { base, .. }) if base != elem => delimiter(base, io),
        _ => b',',
    }
}

fn malformed(text: &str, detail: impl Into<String>) -> PgError {
    PgError::new(
        SqlState::INVALID_TEXT_REPRESENTATION,
        format!("malformed array literal: \"{text}\""),
    )
    .detail(detail)
}

fn too_many_dims(count: usize) -> PgError {
    PgError::new(
        SqlState::PROGRAM_LIMIT_EXCEEDED,
        format!("number of array dimensions ({count}) exceeds the maximum allowed ({MAX_DIMS})"),
    )
}

/// Refuses more dimensions than an array can have.
pub fn check_dims(count: usize) -> Result<()> {
    if count > MAX_DIMS { Err(too_many_dims(count)) } else { Ok(()) }
}

/// Reads an array whose elements are of type `elem`.
pub fn parse(elem: Oid, typmod: i32, text: &str, io: &Io<'_>) -> Result<Datum> {
    let (explicit, body) = explicit_dims(text)?;
    if !body.starts_with('{') {
        let detail = if explicit.is_empty() {
            "Array value must start with \"{\" or dimension information."
        } else {
            "Array contents must start with \"{\"."
        };
        return Err(malformed(text, detail));
    }
    let mut p = Parser {
        text: body,
        rest: body.as_bytes(),
        elem,
        typmod,
        io,
        dims: Vec::new(),
        depth: 0,
        values: Values::new(elem),
        scratch: Vec::new(),
        failed: None,
    };
    p.rest = p.rest.get(1..).unwrap_or(&[]);
    p.level(1)?;
    if !p.rest.iter().all(|b| is_space(char::from(*b))) {
        return Err(malformed(body, "Junk after closing right brace."));
    }
    if let Some(error) = p.failed {
        return Err(error);
    }
    let lengths = p.dims;
    let elements = p.values.finish();
    let dims = final_dims(text, &explicit, &lengths)?;
    Ok(Datum::Array(Arc::new(Array { elem, dims, elements })))
}

fn final_dims(text: &str, explicit: &[Dim], lengths: &[usize]) -> Result<Vec<Dim>> {
    let empty = lengths.contains(&0);
    if explicit.is_empty() {
        if empty {
            return Ok(Vec::new());
        }
        let dim = |len: &usize| Dim { len: i32::try_from(*len).unwrap_or(i32::MAX), lower: 1 };
        return Ok(lengths.iter().map(dim).collect());
    }
    let same = explicit.len() == lengths.len()
        && explicit.iter().zip(lengths).all(|(d, len)| usize::try_from(d.len) == Ok(*len));
    if !same {
        return Err(malformed(text, "Specified array dimensions do not match array contents."));
    }
    Ok(explicit.to_vec())
}

/// Reads `[1:2][0:3]=`; returns no dimensions where there are none.
fn explicit_dims(text: &str) -> Result<(Vec<Dim>, &str)> {
    let mut rest = text.trim_start_matches(is_space);
    let mut dims = Vec::new();
    while let Some(inner) = rest.strip_prefix('[') {
        if dims.len() >= MAX_DIMS {
            return Err(too_many_dims(dims.len() + 1));
        }
        let (first, after) = bound(inner).ok_or_else(|| {
            malformed(text, "\"[\" must introduce explicitly-specified array dimensions.")
        })?;
        let (lower, upper, after) = match after.strip_prefix(':') {
            Some(after) => {
                let (upper, after) = bound(after)
                    .ok_or_else(|| malformed(text, "Missing array dimension value."))?;
                (first, upper, after)
            }
            None => (1, first, after),
        };
        rest = after
            .strip_prefix(']')
            .ok_or_else(|| malformed(text, "Missing \"]\" after array dimensions."))?;
        rest = rest.trim_start_matches(is_space);
        if upper < lower {
            return Err(PgError::new(
                SqlState::ARRAY_SUBSCRIPT_ERROR,
                "upper bound cannot be less than lower bound",
            ));
        }
        let len = i64::from(upper) - i64::from(lower) + 1;
        let len = i32::try_from(len).map_err(|_| too_big())?;
        dims.push(Dim { len, lower });
    }
    if dims.is_empty() {
        return Ok((dims, rest));
    }
    let rest = rest
        .strip_prefix('=')
        .ok_or_else(|| malformed(text, "Missing \"=\" after array dimensions."))?;
    Ok((dims, rest.trim_start_matches(is_space)))
}

fn bound(text: &str) -> Option<(i32, &str)> {
    let sign = usize::from(text.starts_with(['+', '-']));
    let digits = text.bytes().skip(sign).take_while(u8::is_ascii_digit).count();
    let (number, rest) = text.split_at_checked(sign + digits)?;
    Some((number.parse().ok()?, rest))
}

pub(crate) fn too_big() -> PgError {
    PgError::new(
        SqlState::PROGRAM_LIMIT_EXCEEDED,
        format!("array size exceeds the maximum allowed ({MAX_ELEMENTS})"),
    )
}

/// Elements as they are read; floats without NULLs stay packed.
struct Values {
    packed: Option<Vec<f32>>,
    datums: Vec<Datum>,
}

impl Values {
    fn new(elem: Oid) -> Values {
        Values { packed: (elem == oid::FLOAT4).then(Vec::new), datums: Vec::new() }
    }

    fn push(&mut self, value: Datum) {
        match (&mut self.packed, value) {
            (Some(floats), Datum::Float4(v)) => floats.push(v),
            (packed, other) => {
                if let Some(floats) = packed.take() {
                    self.datums = floats.into_iter().map(Datum::Float4).collect();
                }
                self.datums.push(other);
            }
        }
    }

    fn finish(self) -> Elements {
        match self.packed {
            Some(floats) => Elements::Float4(floats),
            None => Elements::Datums(self.datums),
        }
    }
}

struct Parser<'a> {
    text: &'a str,
    rest: &'a [u8],
    elem: Oid,
    typmod: i32,
    io: &'a Io<'a>,
    /// Lengths of the dimensions, as the first array of each level showed them.
    dims: Vec<usize>,
    /// The level elements are at; 0 while unknown.
    depth: usize,
    values: Values,
    scratch: Vec<u8>,
    /// The first element that is no value of its type: reported once the braces are known to match.
    failed: Option<PgError>,
}

/// What one element's text turned out to be.
enum Item {
    Null,
    Text,
    Nothing,
}

impl Parser<'_> {
    fn bad(&self, detail: impl Into<String>) -> PgError {
        malformed(self.text, detail)
    }

    fn unexpected(&self, c: u8) -> PgError {
        self.bad(format!("Unexpected \"{}\" character.", char::from(c)))
    }

    fn uneven(&self) -> PgError {
        self.bad("Multidimensional arrays must have sub-arrays with matching dimensions.")
    }

    fn peek(&mut self) -> Option<u8> {
        while let Some((b, rest)) = self.rest.split_first() {
            if !is_space(char::from(*b)) {
                return Some(*b);
            }
            self.rest = rest;
        }
        None
    }

    fn advance(&mut self) {
        self.rest = self.rest.get(1..).unwrap_or(&[]);
    }

    /// Reads up to the closing brace of an array at `level`, whose opening one is read.
    fn level(&mut self, level: usize) -> Result<()> {
        if level > MAX_DIMS {
            return Err(too_many_dims(level));
        }
        if self.dims.len() < level {
            self.dims.push(usize::MAX);
        }
        let delimiter = delimiter(self.elem, self.io);
        let mut count = 0;
        loop {
            match self.peek() {
                None => return Err(self.bad("Unexpected end of input.")),
                Some(b'}') if count == 0 && level == 1 => {
                    self.advance();
                    break;
                }
                Some(b'{') => {
                    if self.depth != 0 && self.depth <= level {
                        return Err(self.unexpected(b'{'));
                    }
                    self.advance();
                    self.level(level + 1)?;
                    let next = self.peek();
                    if next.is_some_and(|b| b != delimiter && !b"{}\\".contains(&b)) {
                        return Err(self.bad("Unexpected array element."));
                    }
                }
                Some(_) => self.element(level, delimiter)?,
            }
            count += 1;
            match self.peek() {
                Some(b) if b == delimiter => self.advance(),
                Some(b'}') => {
                    self.advance();
                    break;
                }
                Some(b) => return Err(self.unexpected(b)),
                None => return Err(self.bad("Unexpected end of input.")),
            }
            if matches!(self.peek(), Some(b'}')) {
                return Err(self.unexpected(b'}'));
            }
        }
        match self.dims.get_mut(level - 1) {
            Some(len) if *len == usize::MAX => *len = count,
            Some(len) if *len != count => return Err(self.uneven()),
            _ => {}
        }
        Ok(())
    }

    fn element(&mut self, level: usize, delimiter: u8) -> Result<()> {
        if self.depth == 0 && self.dims.len() == level {
            self.depth = level;
        }
        if self.depth != level {
            return Err(self.bad("Unexpected array element."));
        }
        let value = match self.item(delimiter)? {
            Item::Nothing => {
                let found = self.rest.first().copied().unwrap_or(delimiter);
                return Err(self.unexpected(found));
            }
            Item::Null => Datum::Null,
            Item::Text => {
                if self.failed.is_some() {
                    return Ok(());
                }
                let text = String::from_utf8_lossy(&self.scratch);
                match super::text_in(self.elem, self.typmod, &text, self.io) {
                    Ok(value) => value,
                    Err(error) => {
                        self.failed = Some(error);
                        return Ok(());
                    }
                }
            }
        };
        self.values.push(value);
        Ok(())
    }

    /// Reads an element's text into the scratch buffer, without quotes, escapes and outer blanks.
    fn item(&mut self, delimiter: u8) -> Result<Item> {
        self.scratch.clear();
        let mut quoted = false;
        // Blanks after this many bytes are content: they were quoted or escaped.
        let mut keep = 0;
        loop {
            let Some((b, rest)) = self.rest.split_first() else {
                return Err(self.bad("Unexpected end of input."));
            };
            match *b {
                b if b == delimiter || b == b'}' => break,
                b'{' => return Err(self.unexpected(b'{')),
                b'"' => {
                    if quoted || !self.scratch.is_empty() {
                        return Err(self.bad("Unexpected array element."));
                    }
                    self.rest = rest;
                    self.quoted()?;
                    quoted = true;
                    keep = self.scratch.len();
                    continue;
                }
                b'\\' => {
                    let Some((escaped, rest)) = rest.split_first() else {
                        return Err(self.bad("Unexpected end of input."));
                    };
                    if quoted {
                        return Err(self.unexpected(b'\\'));
                    }
                    self.scratch.push(*escaped);
                    keep = self.scratch.len();
                    self.rest = rest;
                    continue;
                }
                b if quoted && !is_space(char::from(b)) => {
                    return Err(self.bad("Unexpected array element."));
                }
                b if !quoted => self.scratch.push(b),
                _ => {}
            }
            self.rest = rest;
        }
        while self.scratch.len() > keep
            && self.scratch.last().is_some_and(|b| is_space(char::from(*b)))
        {
            self.scratch.pop();
        }
        Ok(if quoted || keep > 0 {
            Item::Text
        } else if self.scratch.is_empty() {
            Item::Nothing
        } else if self.scratch.eq_ignore_ascii_case(b"null") {
            Item::Null
        } else {
            Item::Text
        })
    }

    fn quoted(&mut self) -> Result<()> {
        loop {
            match self.rest {
                [b'"', rest @ ..] => {
                    self.rest = rest;
                    return Ok(());
                }
                [b'\\', escaped, rest @ ..] => {
                    self.scratch.push(*escaped);
                    self.rest = rest;
                }
                [] | [b'\\'] => return Err(self.bad("Unexpected end of input.")),
                [b, rest @ ..] => {
                    self.scratch.push(*b);
                    self.rest = rest;
                }
            }
        }
    }
}

/// Writes an array.
pub fn write(a: &Array, io: &Io<'_>, out: &mut Vec<u8>) -> Result<()> {
    if a.is_empty() {
        out.put_slice(b"{}");
        return Ok(());
    }
    if a.dims.iter().any(|d| d.lower != 1) {
        for d in &a.dims {
            let upper = i64::from(d.lower) + i64::from(d.len) - 1;
            out.put_slice(format!("[{}:{upper}]", d.lower).as_bytes());
        }
        out.put_u8(b'=');
    }
    let begin = out.len();
    let delimiter = delimiter(a.elem, io);
    let lengths: Vec<usize> = a.dims.iter().map(|d| usize::try_from(d.len).unwrap_or(0)).collect();
    let mut scratch = Vec::new();
    for i in 0..a.len() {
        // Braces open and close where the index is a multiple of the inner dimensions' product.
        if i > 0 {
            let closing = boundaries(&lengths, i);
            out.put_bytes(b'}', closing);
            out.put_u8(delimiter);
            out.put_bytes(b'{', closing);
        } else {
            out.put_bytes(b'{', lengths.len());
        }
        write_element(a, i, delimiter, io, &mut scratch, out)?;
        super::check_length(out.len() - begin)?;
    }
    out.put_bytes(b'}', lengths.len());
    Ok(())
}

/// How many inner arrays end before the element at `index`.
fn boundaries(lengths: &[usize], index: usize) -> usize {
    let mut size = 1;
    let inner = lengths.iter().skip(1).rev();
    inner
        .take_while(|len| {
            size *= **len;
            index.is_multiple_of(size.max(1))
        })
        .count()
}

fn write_element(
    a: &Array,
    i: usize,
    delimiter: u8,
    io: &Io<'_>,
    scratch: &mut Vec<u8>,
    out: &mut Vec<u8>,
) -> Result<()> {
    if let Some(v) = a.as_f32s().and_then(|v| v.get(i)) {
        super::float::write4(*v, io.style.extra_float_digits, out);
        return Ok(());
    }
    let value = a.get(i);
    match &value {
        Datum::Null => out.put_slice(b"NULL"),
        Datum::Bool(_)
        | Datum::Int2(_)
        | Datum::Int4(_)
        | Datum::Int8(_)
        | Datum::Float8(_)
        | Datum::Numeric(_)
        | Datum::Uuid(_) => super::text_out(a.elem, &value, io, out)?,
        _ => {
            scratch.clear();
            super::text_out(a.elem, &value, io, scratch)?;
            quote_into(scratch, delimiter, out);
        }
    }
    Ok(())
}

fn quote_into(text: &[u8], delimiter: u8, out: &mut Vec<u8>) {
    let special = |b: &u8| {
        *b == delimiter || matches!(b, b'"' | b'\\' | b'{' | b'}') || is_space(char::from(*b))
    };
    if !text.is_empty() && !text.eq_ignore_ascii_case(b"null") && !text.iter().any(special) {
        return out.put_slice(text);
    }
    out.put_u8(b'"');
    for b in text {
        if matches!(b, b'"' | b'\\') {
            out.put_u8(b'\\');
        }
        out.put_u8(*b);
    }
    out.put_u8(b'"');
}

/// Reads an int2vector or oidvector: numbers with blanks between, subscripts from 0.
pub fn parse_vector(ty: Oid, text: &str) -> Result<Datum> {
    let elem = if ty == oid::INT2VECTOR { oid::INT2 } else { oid::OID };
    let read = |word: &str| {
        Ok(if elem == oid::INT2 {
            Datum::Int2(super::scalar::parse_int(word, "smallint")?)
        } else {
            Datum::Oid(super::scalar::parse_oid(word, "oid")?)
        })
    };
    let values: Vec<Datum> = text.split_ascii_whitespace().map(read).collect::<Result<_>>()?;
    let len = i32::try_from(values.len()).map_err(|_| too_big())?;
    let dims = vec![Dim { len, lower: 0 }];
    Ok(Datum::Array(Arc::new(Array { elem, dims, elements: Elements::Datums(values) })))
}

/// Writes an int2vector or oidvector.
pub fn write_vector(a: &Array, out: &mut Vec<u8>) {
    let mut buffer = itoa::Buffer::new();
    for (i, value) in a.iter().enumerate() {
        if i > 0 {
            out.put_u8(b' ');
        }
        match value {
            Datum::Int2(v) => out.put_slice(buffer.format(v).as_bytes()),
            Datum::Oid(v) => out.put_slice(buffer.format(v).as_bytes()),
            _ => {}
        }
    }
}

/// Applies an element modifier to all elements.
pub fn apply_typmod(a: Arc<Array>, typmod: i32, explicit: bool) -> Result<Arc<Array>> {
    if a.as_f32s().is_some() {
        return Ok(a);
    }
    let values = a.iter().map(|d| super::apply_typmod(a.elem, typmod, d, explicit));
    let values = values.collect::<Result<Vec<_>>>()?;
    Ok(Arc::new(Array { elem: a.elem, dims: a.dims.clone(), elements: Elements::Datums(values) }))
}
