//! The settings there are: PostgreSQL 15's own list, taken from its `pg_settings`, and Vicinity's.

use std::collections::HashMap;
use std::sync::OnceLock;

/// Who may change a setting, and when (`pg_settings.context`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Context {
    Internal,
    Postmaster,
    Sighup,
    Backend,
    SuperuserBackend,
    Superuser,
    User,
}

impl Context {
    fn parse(text: &str) -> Context {
        match text {
            "internal" => Context::Internal,
            "postmaster" => Context::Postmaster,
            "sighup" => Context::Sighup,
            "backend" => Context::Backend,
            "superuser-backend" => Context::SuperuserBackend,
            "superuser" => Context::Superuser,
            _ => Context::User,
        }
    }

    /// As `pg_settings` spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Context::Internal => "internal",
            Context::Postmaster => "postmaster",
            Context::Sighup => "sighup",
            Context::Backend => "backend",
            Context::SuperuserBackend => "superuser-backend",
            Context::Superuser => "superuser",
            Context::User => "user",
        }
    }
}

/// What values a setting takes.
#[derive(Clone, Debug, PartialEq)]
pub enum SettingKind {
    /// `on` or `off`.
    Bool,
    /// A whole number in a range, in the setting's unit.
    Integer {
        /// Least value.
        min: i64,
        /// Greatest value.
        max: i64,
    },
    /// A number in a range.
    Real {
        /// Least value.
        min: f64,
        /// Greatest value.
        max: f64,
    },
    /// Any text; some are checked further.
    Text,
    /// One of some words.
    Enum(Vec<&'static str>),
}

impl SettingKind {
    /// `pg_settings.vartype`
    pub fn as_str(&self) -> &'static str {
        match self {
            SettingKind::Bool => "bool",
            SettingKind::Integer { .. } => "integer",
            SettingKind::Real { .. } => "real",
            SettingKind::Text => "string",
            SettingKind::Enum(_) => "enum",
        }
    }
}

/// One setting, as `pg_settings` describes it.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Setting {
    pub name: &'static str,
    /// `kB`, `ms` ...: what a bare number means.
    pub unit: Option<&'static str>,
    pub category: &'static str,
    pub short_desc: &'static str,
    pub extra_desc: Option<&'static str>,
    pub context: Context,
    pub kind: SettingKind,
    /// Texts of the range, as `pg_settings` prints them.
    pub min: Option<&'static str>,
    pub max: Option<&'static str>,
    /// The built-in default in base units.
    pub boot: &'static str,
    /// Not listed by `SHOW ALL` and `pg_settings`.
    pub hidden: bool,
}

/// Settings whose changes the client is told about (`ParameterStatus`).
pub const REPORTED: &[&str] = &[
    "application_name",
    "client_encoding",
    "DateStyle",
    "default_transaction_read_only",
    "in_hot_standby",
    "integer_datetimes",
    "IntervalStyle",
    "is_superuser",
    "server_encoding",
    "server_version",
    "session_authorization",
    "standard_conforming_strings",
    "TimeZone",
];

/// Settings of this server, and those of PostgreSQL that its listing leaves out. The columns are
/// name, unit, category, descriptions, context, type, least, greatest, words, default.
const OWN: &str = "\
vicinity.lane\t\tQuery Tuning / Other Planner Options\tPicks how statements run: row at a time, in batches, or as the planner sees fit.\t\tuser\tenum\t\t\tauto|row|batch\tauto
vicinity.memory_limit\tkB\tResource Usage / Memory\tSets the memory that rows may take; those not used lately are kept in files above it.\t0 means no limit.\tpostmaster\tinteger\t0\t2147483647\t\t0
is_superuser\t\tPreset Options\tShows whether the current user is a superuser.\t\tinternal\tbool\t\t\t\ton
session_authorization\t\tUngrouped\tSets the session user name.\t\tuser\tstring\t\t\t\t
role\t\tUngrouped\tSets the current role.\t\tuser\tstring\t\t\t\tnone
seed\t\tUngrouped\tSets the seed for random-number generation.\t\tuser\treal\t-1\t1\t\t0
default_with_oids\t\tVersion and Platform Compatibility / Previous PostgreSQL Versions\tWITH OIDS is no longer supported; this can only be false.\t\tuser\tbool\t\t\t\toff
";

fn parse(line: &'static str, hidden: bool) -> Option<Setting> {
    let mut columns = line.split('\t');
    let mut next = || columns.next();
    let some = |text: &'static str| (!text.is_empty()).then_some(text);
    let (name, unit, category, short, extra) = (next()?, next()?, next()?, next()?, next()?);
    let (context, vartype, min, max) = (next()?, next()?, next()?, next()?);
    let (words, boot) = (next()?, next()?);
    let kind = match vartype {
        "bool" => SettingKind::Bool,
        "integer" => SettingKind::Integer { min: min.parse().ok()?, max: max.parse().ok()? },
        // The listing rounds the largest double up; what is larger than all of them is no bound.
        "real" => SettingKind::Real { min: min.parse().ok()?, max: max.parse().ok()? },
        "enum" => SettingKind::Enum(words.split('|').collect()),
        _ => SettingKind::Text,
    };
    Some(Setting {
        name,
        unit: some(unit),
        category,
        short_desc: short,
        extra_desc: some(extra),
        context: Context::parse(context),
        kind,
        min: some(min),
        max: some(max),
        boot,
        hidden,
    })
}

struct Table {
    settings: Vec<Setting>,
    names: HashMap<String, usize>,
}

fn table() -> &'static Table {
    static TABLE: OnceLock<Table> = OnceLock::new();
    TABLE.get_or_init(|| {
        let listed = include_str!("../../../data/pg_settings.tsv").lines();
        let mut settings: Vec<Setting> = listed.filter_map(|l| parse(l, false)).collect();
        let own = OWN.lines().filter_map(|l| parse(l, !l.starts_with("vicinity.")));
        settings.extend(own);
        settings.sort_by_key(|s| s.name.to_ascii_lowercase());
        let names = settings.iter().enumerate();
        let names = names.map(|(i, s)| (s.name.to_ascii_lowercase(), i)).collect();
        Table { settings, names }
    })
}

/// All settings by name.
pub fn settings() -> &'static [Setting] {
    &table().settings
}

/// A setting by name, in any case. PostgreSQL's old spellings are known too.
pub fn find(name: &str) -> Option<&'static Setting> {
    let lower = name.to_ascii_lowercase();
    let lower = match lower.as_str() {
        "sort_mem" => "work_mem",
        "vacuum_mem" => "maintenance_work_mem",
        other => other,
    };
    let table = table();
    table.settings.get(*table.names.get(lower)?)
}
