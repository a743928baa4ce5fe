//! Settings (PostgreSQL's GUCs): what there is, and what a session has set.
//!
//! A session's values follow its transactions: ROLLBACK takes back what SET did, `SET LOCAL` ends
//! with the transaction, a savepoint can be rolled back to. Values are kept as canonical text in
//! base units and shown with units, as `SHOW` does.

mod check;
mod table;
mod value;

use std::collections::HashMap;
use std::sync::Arc;

pub use check::split_identifiers;
pub use table::{Context, REPORTED, Setting, SettingKind, find, settings};
use vicinity_types::io::IoStyle;
use vicinity_types::{PgError, Result, SqlState, Zone};

/// A setting's values in one session.
#[derive(Clone, Debug, Default, PartialEq)]
struct State {
    /// What RESET goes back to, if it is not the built-in default.
    reset: Option<String>,
    /// What SET gave.
    session: Option<String>,
    /// What SET LOCAL gave.
    local: Option<String>,
}

impl State {
    fn value(&self) -> Option<&str> {
        self.local.as_deref().or(self.session.as_deref()).or(self.reset.as_deref())
    }
}

/// Where a rollback goes back to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark(usize);

/// A session's settings.
#[derive(Debug, Default)]
pub struct Settings {
    states: HashMap<String, State>,
    /// Names and states before each change of the running transaction.
    undo: Vec<(String, State)>,
    /// Reported settings that changed since [`Settings::take_reports`].
    reports: Vec<&'static str>,
    /// Changes with every change, so that what is derived can be kept.
    version: u64,
}

/// Whose change it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The server's configuration or the connection's start: becomes what RESET gives.
    Startup,
    /// SET.
    Session,
    /// SET LOCAL, a function's SET clause.
    Local,
    /// What the server itself says (`is_superuser`, `transaction_isolation`): never refused.
    Internal,
}

/// The number that a value of an integer setting stands for, in the setting's unit.
pub fn number_of(name: &str, value: &str) -> Result<i64> {
    let setting = find(name).ok_or_else(|| unknown(name))?;
    let number = value::canonical(setting, name, value)?;
    number.parse().map_err(|_| unknown(name))
}

fn unknown(name: &str) -> PgError {
    PgError::new(
        SqlState::UNDEFINED_OBJECT,
        format!("unrecognized configuration parameter \"{name}\""),
    )
}

fn is_custom(name: &str) -> bool {
    name.contains('.')
}

/// Custom names are two or more identifiers with dots between.
fn check_custom_name(name: &str) -> Result<()> {
    let identifier = |part: &str| {
        let mut chars = part.chars();
        chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_' || !c.is_ascii())
            && chars.all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '$') || !c.is_ascii())
    };
    if name.split('.').all(identifier) {
        return Ok(());
    }
    Err(PgError::new(
        SqlState::INVALID_NAME,
        format!("invalid configuration parameter name \"{name}\""),
    )
    .detail("Custom parameter names must be two or more simple identifiers separated by dots."))
}

/// Whether a setting may be changed now (`superuser`: by a superuser).
fn check_context(setting: &Setting, name: &str, superuser: bool) -> Result<()> {
    let refuse = |text: &str| {
        let text = format!("parameter \"{name}\" cannot be {text}");
        Err(PgError::new(SqlState::CANT_CHANGE_RUNTIME_PARAM, text))
    };
    match setting.context {
        Context::Internal => refuse("changed"),
        Context::Postmaster => refuse("changed without restarting the server"),
        Context::Sighup => refuse("changed now"),
        Context::Backend | Context::SuperuserBackend => refuse("set after connection start"),
        Context::Superuser if !superuser => Err(PgError::new(
            SqlState::INSUFFICIENT_PRIVILEGE,
            format!("permission denied to set parameter \"{name}\""),
        )),
        Context::Superuser | Context::User => Ok(()),
    }
}

impl Settings {
    /// The defaults.
    pub fn new() -> Settings {
        Settings::default()
    }

    /// A setting's canonical value (numbers in base units).
    pub fn get(&self, name: &str) -> Option<&str> {
        let state = match self.states.get(name) {
            Some(state) => Some(state),
            None if name.bytes().any(|b| b.is_ascii_uppercase()) => {
                self.states.get(&name.to_ascii_lowercase())
            }
            None => None,
        };
        state.and_then(State::value).or_else(|| self.unset(name))
    }

    /// What is nowhere set: transactions begin with the session's defaults, all else with the server's.
    fn unset(&self, name: &str) -> Option<&str> {
        let setting = find(name)?;
        match setting.name {
            "transaction_isolation" => self.get("default_transaction_isolation"),
            "transaction_read_only" => self.get("default_transaction_read_only"),
            "transaction_deferrable" => self.get("default_transaction_deferrable"),
            _ => Some(setting.boot),
        }
    }

    /// What `SHOW name` gives.
    pub fn show(&self, name: &str) -> Result<String> {
        let value = self.get(name).ok_or_else(|| unknown(name))?;
        Ok(match find(name) {
            Some(setting) => value::shown(setting, value),
            None => value.to_owned(),
        })
    }

    /// What RESET would give, canonical.
    pub fn reset_value(&self, name: &str) -> Option<String> {
        let state = self.states.get(&name.to_ascii_lowercase());
        let reset = state.and_then(|s| s.reset.clone());
        reset.or_else(|| find(name).map(|s| s.boot.to_owned()))
    }

    /// Where the value comes from (`pg_settings.source`).
    pub fn source(&self, name: &str) -> &'static str {
        match self.states.get(&name.to_ascii_lowercase()) {
            Some(s) if s.local.is_some() || s.session.is_some() => "session",
            Some(s) if s.reset.is_some() => "client",
            _ => "default",
        }
    }

    /// A setting that is on or off.
    pub fn is_on(&self, name: &str) -> bool {
        self.get(name) == Some("on")
    }

    /// A whole number in the setting's base unit; 0 if it is none.
    pub fn integer(&self, name: &str) -> i64 {
        self.get(name).and_then(|v| v.parse().ok()).unwrap_or(0)
    }

    /// Changes with every change.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// SET and its kin. `superuser` is whether the session's user is one.
    pub fn set(&mut self, name: &str, value: &str, source: Source, superuser: bool) -> Result<()> {
        let (key, value) = self.checked(name, value, source, superuser)?;
        self.store(&key, Some(value), source);
        Ok(())
    }

    fn checked(
        &self,
        name: &str,
        value: &str,
        source: Source,
        superuser: bool,
    ) -> Result<(String, String)> {
        let key = name.to_ascii_lowercase();
        let Some(setting) = find(name) else {
            if !is_custom(name) {
                return Err(unknown(name));
            }
            check_custom_name(name)?;
            return Ok((key, value.to_owned()));
        };
        if matches!(source, Source::Session | Source::Local) {
            check_context(setting, name, superuser)?;
        }
        if source == Source::Internal {
            return Ok((setting.name.to_ascii_lowercase(), value.to_owned()));
        }
        let value = value::canonical(setting, name, value)?;
        let value = match setting.kind {
            SettingKind::Text => {
                check::checked(setting.name, value, self.get(name).unwrap_or_default())?
            }
            SettingKind::Bool => {
                check::checked_bool(setting.name, &value)?;
                value
            }
            _ => value,
        };
        Ok((setting.name.to_ascii_lowercase(), value))
    }

    fn store(&mut self, key: &str, value: Option<String>, source: Source) {
        let state = self.states.entry(key.to_owned()).or_default();
        let before = state.clone();
        match source {
            Source::Startup | Source::Internal => {
                state.reset = value;
                state.session = None;
            }
            Source::Session => {
                state.session = value;
                state.local = None;
            }
            Source::Local => {
                // A local RESET shows the reset value until the transaction ends.
                let reset = || state.reset.clone().or_else(|| find(key).map(|s| s.boot.into()));
                state.local = value.or_else(reset);
            }
        }
        let changed = before.value() != state.value();
        if matches!(source, Source::Session | Source::Local) {
            self.undo.push((key.to_owned(), before));
        }
        if changed {
            self.note(key);
        }
    }

    fn note(&mut self, key: &str) {
        self.version += 1;
        let reported = REPORTED.iter().find(|name| name.eq_ignore_ascii_case(key));
        if let Some(name) = reported
            && !self.reports.contains(name)
        {
            self.reports.push(name);
        }
    }

    /// RESET name, SET name TO DEFAULT.
    pub fn reset(&mut self, name: &str, source: Source, superuser: bool) -> Result<()> {
        let key = name.to_ascii_lowercase();
        match find(name) {
            Some(setting) => check_context(setting, name, superuser)?,
            None if is_custom(name) => check_custom_name(name)?,
            None => return Err(unknown(name)),
        }
        if find(name).is_none() {
            // A custom setting that was ever set stays known, and empty.
            self.store(&key, Some(String::new()), source);
        } else {
            self.store(&key, None, source);
        }
        Ok(())
    }

    /// RESET ALL: what belongs to the transaction and the session's identity stays.
    pub fn reset_all(&mut self) {
        const KEPT: &[&str] = &[
            "transaction_isolation",
            "transaction_read_only",
            "transaction_deferrable",
            "role",
            "session_authorization",
            "is_superuser",
            "seed",
        ];
        let keys: Vec<String> = self
            .states
            .iter()
            .filter(|(key, s)| {
                !KEPT.contains(&key.as_str()) && (s.session.is_some() || s.local.is_some())
            })
            .map(|(key, _)| key.clone())
            .collect();
        for key in keys {
            let value = find(&key).is_none().then(String::new);
            self.store(&key, value, Source::Session);
        }
    }

    /// Where the running transaction's changes stand: at a savepoint, at a function's start.
    pub fn mark(&self) -> Mark {
        Mark(self.undo.len())
    }

    /// ROLLBACK TO, or the end of a function with settings of its own.
    pub fn rollback_to(&mut self, mark: Mark) {
        while self.undo.len() > mark.0 {
            let Some((key, before)) = self.undo.pop() else { return };
            let now = self.states.get(&key).and_then(State::value).map(str::to_owned);
            let changed = now.as_deref() != before.value();
            self.states.insert(key.clone(), before);
            if changed {
                self.note(&key);
            }
        }
    }

    /// The transaction failed or was rolled back.
    pub fn rollback(&mut self) {
        self.rollback_to(Mark(0));
    }

    /// The transaction was committed: SET stays, SET LOCAL ends.
    pub fn commit(&mut self) {
        let undo = std::mem::take(&mut self.undo);
        for (key, _) in undo {
            let Some(state) = self.states.get_mut(&key) else { continue };
            if let Some(local) = state.local.take()
                && state.value() != Some(&local)
            {
                self.note(&key);
            }
        }
    }

    /// Whether a reported setting changed since [`Settings::take_reports`].
    pub fn has_reports(&self) -> bool {
        !self.reports.is_empty()
    }

    /// Reported settings that changed since last asked, with their values.
    pub fn take_reports(&mut self) -> Vec<(&'static str, String)> {
        let names = std::mem::take(&mut self.reports);
        names.into_iter().map(|n| (n, self.show(n).unwrap_or_default())).collect()
    }

    /// All reported settings, for the start of a connection.
    pub fn all_reports(&mut self) -> Vec<(&'static str, String)> {
        self.reports.clear();
        REPORTED.iter().map(|n| (*n, self.show(n).unwrap_or_default())).collect()
    }

    /// Names and values of `SHOW ALL`, by name; custom ones are not listed.
    pub fn all(&self) -> Vec<(&'static Setting, String)> {
        let listed = settings().iter().filter(|s| !s.hidden);
        listed.map(|s| (s, self.show(s.name).unwrap_or_default())).collect()
    }

    /// What input and output of values need to know.
    pub fn io_style(&self) -> IoStyle {
        let text = |name| self.get(name).unwrap_or_default();
        IoStyle {
            extra_float_digits: i32::try_from(self.integer("extra_float_digits")).unwrap_or(1),
            bytea_output: check::bytea_output(text("bytea_output")),
            date_style: check::read_date_style(text("DateStyle")),
            interval_style: check::interval_style(text("IntervalStyle")),
            time_zone: Arc::new(Zone::setting(text("TimeZone")).unwrap_or_else(|_| Zone::utc())),
        }
    }

    /// The schemas of `search_path`, `$user` included as written.
    pub fn search_path(&self) -> Vec<String> {
        self.get("search_path").and_then(split_identifiers).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
