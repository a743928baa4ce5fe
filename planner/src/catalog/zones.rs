//! `pg_timezone_names`, `pg_timezone_abbrevs`.

use vicinity_types::datetime::abbreviations;
use vicinity_types::datetime::zone::Zone;
use vicinity_types::interval::Interval;
use vicinity_types::{Datum, Result};

use super::row::{Rows, flag, text};
use super::{RowsFn, VirtualTable};
use crate::context::ExecContext;

pub(super) fn rows_of(name: &str) -> Option<RowsFn> {
    Some(match name {
        "pg_timezone_names" => names,
        "pg_timezone_abbrevs" => abbreviations_rows,
        _ => return None,
    })
}

fn offset(east: i32) -> Datum {
    Datum::Interval(Interval { months: 0, days: 0, micros: i64::from(east) * 1_000_000 })
}

/// Every zone as it is at the transaction's time.
fn names(ctx: &ExecContext, table: &VirtualTable) -> Result<Vec<Vec<Datum>>> {
    let mut rows = Rows::new(table);
    let now = ctx.session.transaction_time();
    for zone in Zone::all() {
        let seen = zone.at(now);
        rows.push([
            ("name", text(zone.name())),
            ("abbrev", text(seen.abbreviation)),
            ("utc_offset", offset(seen.east)),
            ("is_dst", flag(seen.dst)),
        ]);
    }
    rows.done()
}

fn abbreviations_rows(ctx: &ExecContext, table: &VirtualTable) -> Result<Vec<Vec<Datum>>> {
    let mut rows = Rows::new(table);
    let now = ctx.session.transaction_time();
    for (name, east, dst, zone) in abbreviations::ALL {
        // Some mean what their zone says they mean now.
        let of_zone = Some(*zone).filter(|z| !z.is_empty()).and_then(Zone::named);
        let east = of_zone.map_or(*east, |z| z.offset_of_abbreviation(name, now));
        rows.push([
            ("abbrev", text(name.to_uppercase())),
            ("utc_offset", offset(east)),
            ("is_dst", flag(*dst)),
        ]);
    }
    rows.done()
}
