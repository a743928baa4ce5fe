//! What a session's settings and the catalog contribute to input and output.

use std::sync::Arc;

use crate::datetime::zone::Zone;
use crate::datum::Oid;
use crate::enums::Label;
use crate::error::{PgError, Result, SqlState};

/// The setting `bytea_output`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum ByteaOutput {
    #[default]
    Hex,
    Escape,
}

/// First half of `DateStyle`: how dates and times are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum DateFormat {
    #[default]
    Iso,
    Sql,
    Postgres,
    German,
}

/// Second half of `DateStyle`: which field of `1/2/3` is the month.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum DateOrder {
    #[default]
    Mdy,
    Dmy,
    Ymd,
}

/// The setting `DateStyle`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct DateStyle {
    pub format: DateFormat,
    pub order: DateOrder,
}

/// The setting `IntervalStyle`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum IntervalStyle {
    #[default]
    Postgres,
    PostgresVerbose,
    SqlStandard,
    Iso8601,
}

/// The settings that text input and output depend on. `Default` is PostgreSQL's, in UTC.
#[derive(Clone, Debug)]
pub struct IoStyle {
    /// Above 0: shortest text that reads back exactly; otherwise this many digits more than 15 (or 6).
    pub extra_float_digits: i32,
    /// How `bytea` is written.
    pub bytea_output: ByteaOutput,
    /// How dates are written and ambiguous ones read.
    pub date_style: DateStyle,
    /// How intervals are written.
    pub interval_style: IntervalStyle,
    /// The session's time zone.
    pub time_zone: Arc<Zone>,
}

impl Default for IoStyle {
    fn default() -> Self {
        IoStyle {
            extra_float_digits: 1,
            bytea_output: ByteaOutput::Hex,
            date_style: DateStyle::default(),
            interval_style: IntervalStyle::default(),
            time_zone: Arc::new(Zone::utc()),
        }
    }
}

/// A type that is not built in, as the catalog describes it.
#[derive(Clone, Debug, PartialEq)]
pub struct UserType {
    /// What it is made of.
    pub shape: TypeShape,
}

/// What a user's type is made of.
#[derive(Clone, Debug, PartialEq)]
pub enum TypeShape {
    /// An enum and its labels in order. Held as a label's place.
    Enum(Arc<[Label]>),
    /// A composite and its columns in order. Held as a record.
    Composite(Arc<[Field]>),
    /// A domain. Held as its base type; its checks are the planner's.
    Domain {
        /// The type below.
        base: Oid,
        /// Its modifier, -1 for none.
        typmod: i32,
    },
    /// The array type over a user's type.
    Array {
        /// Element type.
        elem: Oid,
    },
}

/// A column of a composite type.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// Its type.
    pub ty: Oid,
    /// Its modifier, -1 for none.
    pub typmod: i32,
}

/// Catalog lookups that I/O of reg*, composite and enum types needs.
pub trait TypeNames: Send + Sync {
    /// The text of a reg* value; `None` lets the number be printed.
    fn reg_out(&self, ty: Oid, value: Oid) -> Option<String>;
    /// Reads a reg* name. Numbers and `-` never come here.
    fn reg_in(&self, ty: Oid, text: &str) -> Result<Oid>;
    /// Describes a type that is not built in.
    fn type_info(&self, ty: Oid) -> Option<UserType>;
    /// An enum's labels in order.
    fn labels(&self, ty: Oid) -> Option<Arc<[Label]>> {
        match self.type_info(ty)?.shape {
            TypeShape::Enum(labels) => Some(labels),
            TypeShape::Domain { base, .. } if base != ty => self.labels(base),
            _ => None,
        }
    }
    /// Whether a label was added to its type by the transaction of now.
    fn is_new_label(&self, _label: Oid) -> bool {
        false
    }
    /// What `'now'` means, in microseconds since 2000-01-01 UTC: the start of the transaction.
    fn now(&self) -> i64 {
        crate::datetime::clock()
    }
}

/// A catalog with nothing in it.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoNames;

impl TypeNames for NoNames {
    fn reg_out(&self, _ty: Oid, _value: Oid) -> Option<String> {
        None
    }

    fn reg_in(&self, ty: Oid, text: &str) -> Result<Oid> {
        let name = crate::typname::format_type(ty, None);
        Err(PgError::new(
            SqlState::UNDEFINED_OBJECT,
            format!("{} \"{text}\" does not exist", name.trim_start_matches("reg")),
        ))
    }

    fn type_info(&self, _ty: Oid) -> Option<UserType> {
        None
    }
}

/// What input and output functions are given.
#[derive(Clone, Copy)]
pub struct Io<'a> {
    /// The session's settings.
    pub style: &'a IoStyle,
    /// The catalog.
    pub names: &'a dyn TypeNames,
}
