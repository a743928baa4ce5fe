//! Messages to the client, appended to a buffer.

use bytes::{BufMut, BytesMut};
use vicinity_types::{Oid, Report};

use crate::backend::{Column, CopyShape};

/// ParseComplete.
pub const PARSE_COMPLETE: &[u8] = b"1\0\0\0\x04";
/// BindComplete.
pub const BIND_COMPLETE: &[u8] = b"2\0\0\0\x04";
/// CloseComplete.
pub const CLOSE_COMPLETE: &[u8] = b"3\0\0\0\x04";
/// NoData.
pub const NO_DATA: &[u8] = b"n\0\0\0\x04";
/// PortalSuspended.
pub const PORTAL_SUSPENDED: &[u8] = b"s\0\0\0\x04";
/// EmptyQueryResponse.
pub const EMPTY_QUERY: &[u8] = b"I\0\0\0\x04";

/// CopyDone.
pub const COPY_DONE: &[u8] = b"c\0\0\0\x04";

/// Writes one message: its type, its length, and what `body` appends.
pub fn message(out: &mut BytesMut, tag: u8, body: impl FnOnce(&mut BytesMut)) {
    out.put_u8(tag);
    let at = out.len();
    out.put_u32(0);
    body(out);
    let len = u32::try_from(out.len() - at).unwrap_or(u32::MAX);
    if let Some(place) = out.get_mut(at..at + 4) {
        place.copy_from_slice(&len.to_be_bytes());
    }
}

/// A zero-terminated string; a zero inside would end it early and is left out.
pub fn cstr(out: &mut BytesMut, text: &str) {
    if text.contains('\0') {
        out.put_slice(text.replace('\0', "").as_bytes());
    } else {
        out.put_slice(text.as_bytes());
    }
    out.put_u8(0);
}

/// ReadyForQuery; `status` is `I`, `T` or `E`.
pub fn ready(out: &mut BytesMut, status: u8) {
    out.put_slice(&[b'Z', 0, 0, 0, 5, status]);
}

/// ParameterStatus.
pub fn parameter_status(out: &mut BytesMut, name: &str, value: &str) {
    message(out, b'S', |out| {
        cstr(out, name);
        cstr(out, value);
    });
}

/// BackendKeyData.
pub fn backend_key(out: &mut BytesMut, pid: i32, secret: i32) {
    message(out, b'K', |out| {
        out.put_i32(pid);
        out.put_i32(secret);
    });
}

/// An Authentication request: 0 is Ok, 10 to 12 are SASL's steps with their data.
pub fn authentication(out: &mut BytesMut, code: i32, data: &[u8]) {
    message(out, b'R', |out| {
        out.put_i32(code);
        out.put_slice(data);
    });
}

/// NegotiateProtocolVersion: the newest minor version here, and what was not understood.
pub fn negotiate_version(out: &mut BytesMut, unknown: &[String]) {
    message(out, b'v', |out| {
        out.put_i32(0);
        out.put_i32(i32::try_from(unknown.len()).unwrap_or(0));
        for name in unknown {
            cstr(out, name);
        }
    });
}

/// CommandComplete.
pub fn command_complete(out: &mut BytesMut, tag: &str) {
    message(out, b'C', |out| cstr(out, tag));
}

/// CommandComplete of a statement that counts rows: `SELECT 1`.
pub fn command_complete_rows(out: &mut BytesMut, verb: &str, rows: u64) {
    message(out, b'C', |out| {
        out.put_slice(verb.as_bytes());
        out.put_u8(b' ');
        put_u64(out, rows);
        out.put_u8(0);
    });
}

fn put_u64(out: &mut BytesMut, mut value: u64) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    for place in digits.iter_mut().rev() {
        *place = b'0' + u8::try_from(value % 10).unwrap_or(0);
        at -= 1;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.put_slice(digits.get(at..).unwrap_or_default());
}

/// ParameterDescription.
pub fn parameter_description(out: &mut BytesMut, types: &[Oid]) {
    message(out, b't', |out| {
        out.put_u16(u16::try_from(types.len()).unwrap_or(u16::MAX));
        for ty in types {
            out.put_u32(*ty);
        }
    });
}

/// RowDescription; `format` gives each column's code.
pub fn row_description(out: &mut BytesMut, columns: &[Column], format: impl Fn(usize) -> i16) {
    message(out, b'T', |out| {
        out.put_u16(u16::try_from(columns.len()).unwrap_or(u16::MAX));
        for (i, column) in columns.iter().enumerate() {
            cstr(out, &column.name);
            out.put_u32(column.table);
            out.put_i16(column.attr);
            out.put_u32(column.ty);
            out.put_i16(column.len);
            out.put_i32(column.typmod);
            out.put_i16(format(i));
        }
    });
}

/// CopyInResponse (`tag` `G`) or CopyOutResponse (`H`).
pub fn copy_response(out: &mut BytesMut, tag: u8, shape: CopyShape) {
    message(out, tag, |out| {
        out.put_u8(u8::from(shape.binary));
        out.put_u16(u16::try_from(shape.columns).unwrap_or(u16::MAX));
        for _ in 0..shape.columns {
            out.put_i16(i16::from(shape.binary));
        }
    });
}

/// ErrorResponse (`tag` `E`) or NoticeResponse (`N`) with every field that is set.
pub fn report(out: &mut BytesMut, tag: u8, severity: &str, report: &Report) {
    message(out, tag, |out| {
        let mut field = |kind: u8, text: &str| {
            out.put_u8(kind);
            cstr(out, text);
        };
        field(b'S', severity);
        field(b'V', severity);
        let code = report.code.unwrap_or(vicinity_types::SqlState::INTERNAL_ERROR);
        field(b'C', code.as_str());
        field(b'M', &report.message);
        let texts = [
            (b'D', &report.detail),
            (b'H', &report.hint),
            (b'q', &report.internal_query),
            (b'W', &report.context),
            (b's', &report.schema),
            (b't', &report.table),
            (b'c', &report.column),
            (b'd', &report.data_type),
            (b'n', &report.constraint),
        ];
        for (kind, text) in texts {
            if let Some(text) = text {
                field(kind, text);
            }
        }
        for (kind, number) in [(b'P', report.position), (b'p', report.internal_position)] {
            if let Some(number) = number {
                field(kind, &number.to_string());
            }
        }
        out.put_u8(0);
    });
}
