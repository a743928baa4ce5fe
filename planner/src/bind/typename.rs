//! Type names.

use sqlparser::ast::{
    ArrayElemTypeDef, CharacterLength, DataType, ExactNumberInfo, GeometricTypeKind,
    IntervalFields, TimezoneInfo,
};
use vicinity_storage::catalog::model::{RelationKind, fixed};
use vicinity_types::{Oid, PgError, Result, SqlState, oid};

use super::{Binder, name_parts, name_position};
use crate::call::PgType;
use crate::names::no_type;

/// `VARHDRSZ`, which PostgreSQL adds to lengths and precisions.
const HEADER: i32 = 4;

fn invalid(text: String) -> PgError {
    PgError::new(SqlState::INVALID_PARAMETER_VALUE, text)
}

impl Binder<'_> {
    /// The type and modifier a name means.
    pub(super) fn resolve_type(&self, ty: &DataType) -> Result<PgType> {
        let plain = |ty: Oid| Ok(self.types.plain(ty));
        let with = |ty: Oid, typmod: i32| Ok(self.types.pg(ty, typmod));
        match ty {
            DataType::Char(None) | DataType::Character(None) => with(oid::BPCHAR, 1 + HEADER),
            DataType::Char(len) | DataType::Character(len) => {
                with(oid::BPCHAR, length(len.as_ref(), "character")?)
            }
            DataType::CharacterVarying(len)
            | DataType::CharVarying(len)
            | DataType::Varchar(len)
            | DataType::Nvarchar(len) => {
                with(oid::VARCHAR, length(len.as_ref(), "character varying")?)
            }
            DataType::Bit(len) => with(oid::BIT, bit_length(Some(len.unwrap_or(1)), "bit")?),
            DataType::BitVarying(len) | DataType::VarBit(len) => {
                with(oid::VARBIT, bit_length(*len, "varbit")?)
            }
            DataType::Uuid => plain(oid::UUID),
            DataType::Numeric(info) | DataType::Decimal(info) | DataType::Dec(info) => {
                with(oid::NUMERIC, numeric(*info)?)
            }
            DataType::Float(ExactNumberInfo::None) => plain(oid::FLOAT8),
            DataType::Float(ExactNumberInfo::Precision(n)) => match n {
                0 => Err(invalid("precision for type float must be at least 1 bit".to_owned())),
                1..=24 => plain(oid::FLOAT4),
                25..=53 => plain(oid::FLOAT8),
                _ => Err(invalid("precision for type float must be less than 54 bits".to_owned())),
            },
            DataType::Int2(None) | DataType::SmallInt(None) => plain(oid::INT2),
            DataType::Int(None) | DataType::Int4(None) | DataType::Integer(None) => {
                plain(oid::INT4)
            }
            DataType::Int8(None) | DataType::BigInt(None) => plain(oid::INT8),
            DataType::Float4 | DataType::Real => plain(oid::FLOAT4),
            DataType::Float8 | DataType::DoublePrecision => plain(oid::FLOAT8),
            DataType::Bool | DataType::Boolean => plain(oid::BOOL),
            DataType::Date => plain(oid::DATE),
            DataType::Time(p, zone) => {
                let ty = if with_zone(zone) { oid::TIMETZ } else { oid::TIME };
                with(ty, precision(*p))
            }
            DataType::Timestamp(p, zone) => {
                let ty = if with_zone(zone) { oid::TIMESTAMPTZ } else { oid::TIMESTAMP };
                with(ty, precision(*p))
            }
            DataType::Interval { fields, precision } => {
                with(oid::INTERVAL, interval(fields.as_ref(), *precision))
            }
            DataType::JSON => plain(oid::JSON),
            DataType::JSONB => plain(oid::JSONB),
            DataType::Regclass => plain(oid::REGCLASS),
            DataType::Text => plain(oid::TEXT),
            DataType::Bytea => plain(oid::BYTEA),
            DataType::Trigger => plain(oid::TRIGGER),
            DataType::GeometricType(kind) => plain(match kind {
                GeometricTypeKind::Point => oid::POINT,
                GeometricTypeKind::Line => oid::LINE,
                GeometricTypeKind::LineSegment => oid::LSEG,
                GeometricTypeKind::GeometricBox => oid::BOX,
                GeometricTypeKind::GeometricPath => oid::PATH,
                GeometricTypeKind::Polygon => oid::POLYGON,
                GeometricTypeKind::Circle => oid::CIRCLE,
            }),
            DataType::Array(
                ArrayElemTypeDef::SquareBracket(elem, _)
                | ArrayElemTypeDef::AngleBracket(elem)
                | ArrayElemTypeDef::Parenthesis(elem),
            ) => self.array_type(self.resolve_type(elem)?),
            DataType::Custom(name, modifiers) => {
                let parts = name_parts(name);
                self.custom_type(&parts, modifiers).map_err(|e| e.or_at(name_position(name)))
            }
            DataType::Int2(Some(_))
            | DataType::SmallInt(Some(_))
            | DataType::Int(Some(_))
            | DataType::Int4(Some(_))
            | DataType::Integer(Some(_))
            | DataType::Int8(Some(_))
            | DataType::BigInt(Some(_)) => {
                Err(PgError::new(SqlState::SYNTAX_ERROR, "syntax error at or near \"(\""))
            }
            other => self.custom_type(&[other.to_string().to_lowercase()], &[]),
        }
    }

    /// An array of arrays is the same type.
    /// The same for a type that an expression has by name.
    pub(super) fn named_type(&mut self, ty: &DataType) -> Result<PgType> {
        let found = self.resolve_type(ty)?;
        let catalog = &self.types.catalog;
        let named = catalog.element_of(found.oid).filter(|_| found.oid >= oid::FIRST_USER);
        self.note(named.unwrap_or(found.oid));
        Ok(found)
    }

    fn array_type(&self, elem: PgType) -> Result<PgType> {
        if self.types.element(elem.oid).is_some() {
            return Ok(elem);
        }
        let array = self.types.array(elem.oid).ok_or_else(|| {
            PgError::new(
                SqlState::UNDEFINED_OBJECT,
                format!("type \"{}[]\" does not exist", self.types.name(elem.oid)),
            )
        })?;
        Ok(self.types.pg(array, elem.typmod))
    }

    fn custom_type(&self, parts: &[String], modifiers: &[String]) -> Result<PgType> {
        let shown = || parts.join(".");
        let missing = || no_type(&shown());
        let found = match parts {
            [name] => self.path.iter().find_map(|schema| self.type_in(*schema, name)),
            [schema, name] | [_, schema, name] => {
                let schema = self.schema(schema)?;
                self.type_in(schema, name)
            }
            _ => None,
        };
        let ty = found.ok_or_else(missing)?;
        let typmod = match (ty, modifiers) {
            (_, []) => -1,
            (oid::BPCHAR | oid::VARCHAR, [n]) => {
                n.parse::<i32>().map(|n| n + HEADER).map_err(|_| missing())?
            }
            (oid::BIT, [n]) => bit_length(n.parse().ok(), "bit")?,
            (oid::VARBIT, [n]) => bit_length(n.parse().ok(), "varbit")?,
            (oid::NUMERIC, [p]) => numeric(ExactNumberInfo::Precision(p.parse().unwrap_or(0)))?,
            (oid::NUMERIC, [p, s]) => numeric(ExactNumberInfo::PrecisionAndScale(
                p.parse().unwrap_or(0),
                s.parse().unwrap_or(0),
            ))?,
            (oid::TIME | oid::TIMETZ | oid::TIMESTAMP | oid::TIMESTAMPTZ, [p]) => {
                precision(p.parse().ok())
            }
            _ => {
                return Err(PgError::new(
                    SqlState::SYNTAX_ERROR,
                    format!("type modifier is not allowed for type \"{}\"", shown()),
                ));
            }
        };
        Ok(self.types.pg(ty, typmod))
    }

    /// A schema by name, or `3F000`.
    pub(super) fn schema(&self, name: &str) -> Result<Oid> {
        self.session.schema_oid(&self.types.catalog, name).ok_or_else(|| {
            PgError::new(SqlState::INVALID_SCHEMA_NAME, format!("schema \"{name}\" does not exist"))
        })
    }

    fn type_in(&self, schema: Oid, name: &str) -> Option<Oid> {
        let catalog = &self.types.catalog;
        if let Some(t) = catalog.type_named(schema, name) {
            return Some(t.oid);
        }
        if schema == fixed::PG_CATALOG {
            let info = vicinity_functions::type_named(name)
                .filter(|t| t.extension.is_none())
                .map(|t| t.oid);
            // sqlparser's own types come by SQL's name: "timestamptz" is one, "double" none
            return info;
        }
        if let Some(info) = vicinity_functions::type_named(name)
            && let Some(extension) = info.extension.and_then(|e| catalog.extension_named(e))
            && extension.schema == schema
        {
            return Some(info.oid);
        }
        // `_name` is the array type of a user's type
        if let Some(elem) = name.strip_prefix('_').and_then(|n| catalog.type_named(schema, n)) {
            return Some(elem.array_oid);
        }
        match &catalog.relation_named(schema, name)?.kind {
            RelationKind::Table(t) => Some(t.row_type),
            RelationKind::View(v) => Some(v.row_type),
            _ => None,
        }
    }
}

fn with_zone(zone: &TimezoneInfo) -> bool {
    matches!(zone, TimezoneInfo::WithTimeZone | TimezoneInfo::Tz)
}

fn precision(p: Option<u64>) -> i32 {
    p.map_or(-1, |p| i32::try_from(p.min(6)).unwrap_or(6))
}

fn length(len: Option<&CharacterLength>, name: &str) -> Result<i32> {
    match len {
        None => Ok(-1),
        Some(CharacterLength::IntegerLength { length: 0, .. }) => {
            Err(invalid(format!("length for type {} must be at least 1", short(name))))
        }
        Some(CharacterLength::IntegerLength { length, .. }) if *length <= 10_485_760 => {
            Ok(i32::try_from(*length).unwrap_or(0) + HEADER)
        }
        Some(_) => Err(invalid(format!("length for type {} cannot exceed 10485760", short(name)))),
    }
}

/// The modifier of `bit(n)` and `varbit(n)`.
pub(crate) fn bit_length(len: Option<u64>, name: &str) -> Result<i32> {
    const LONGEST: u64 = 10_485_760 * 8;
    match len {
        None => Ok(-1),
        Some(0) => Err(invalid(format!("length for type {name} must be at least 1"))),
        Some(len) if len <= LONGEST => Ok(i32::try_from(len).unwrap_or(i32::MAX)),
        Some(_) => Err(invalid(format!("length for type {name} cannot exceed {LONGEST}"))),
    }
}

fn short(name: &str) -> &str {
    if name == "character" { "char" } else { "varchar" }
}

fn numeric(info: ExactNumberInfo) -> Result<i32> {
    let (precision, scale) = match info {
        ExactNumberInfo::None => return Ok(-1),
        ExactNumberInfo::Precision(p) => (p, 0),
        ExactNumberInfo::PrecisionAndScale(p, s) => (p, s),
    };
    if !(1..=1000).contains(&precision) {
        return Err(invalid(format!("NUMERIC precision {precision} must be between 1 and 1000")));
    }
    if !(-1000..=1000).contains(&scale) {
        return Err(invalid(format!("NUMERIC scale {scale} must be between -1000 and 1000")));
    }
    let precision = i32::try_from(precision).unwrap_or(1000);
    let scale = i32::try_from(scale).unwrap_or(0);
    Ok(((precision << 16) | (scale & 0x7ff)) + HEADER)
}

fn interval(fields: Option<&IntervalFields>, precision: Option<u64>) -> i32 {
    const MONTH: i32 = 1 << 1;
    const YEAR: i32 = 1 << 2;
    const DAY: i32 = 1 << 3;
    const HOUR: i32 = 1 << 10;
    const MINUTE: i32 = 1 << 11;
    const SECOND: i32 = 1 << 12;
    let range = match fields {
        None if precision.is_none() => return -1,
        None => 0x7fff,
        Some(fields) => match fields {
            IntervalFields::Year => YEAR,
            IntervalFields::Month => MONTH,
            IntervalFields::Day => DAY,
            IntervalFields::Hour => HOUR,
            IntervalFields::Minute => MINUTE,
            IntervalFields::Second => SECOND,
            IntervalFields::YearToMonth => YEAR | MONTH,
            IntervalFields::DayToHour => DAY | HOUR,
            IntervalFields::DayToMinute => DAY | HOUR | MINUTE,
            IntervalFields::DayToSecond => DAY | HOUR | MINUTE | SECOND,
            IntervalFields::HourToMinute => HOUR | MINUTE,
            IntervalFields::HourToSecond => HOUR | MINUTE | SECOND,
            IntervalFields::MinuteToSecond => MINUTE | SECOND,
        },
    };
    let precision = precision.map_or(0xffff, |p| i32::try_from(p.min(6)).unwrap_or(6));
    (range << 16) | precision
}
