//! `WITH (...)` of a table.

use sqlparser::ast::{CreateTableOptions, SqlOption};
use vicinity_types::{PgError, Result, SqlState};

use crate::exec::name;

/// `WITH (...)`: PostgreSQL's storage parameters, kept for `pg_class.reloptions`.
pub(crate) fn storage_options(options: &CreateTableOptions) -> Result<Vec<(String, String)>> {
    let list = match options {
        CreateTableOptions::None => return Ok(Vec::new()),
        CreateTableOptions::With(list) => list,
        CreateTableOptions::Plain(list) if list.is_empty() => return Ok(Vec::new()),
        CreateTableOptions::Plain(list)
            if list.iter().all(|o| matches!(o, SqlOption::TableSpace(_))) =>
        {
            return Err(PgError::unsupported("TABLESPACE"));
        }
        _ => return Err(PgError::unsupported("this table option")),
    };
    list.iter().map(storage_option).collect()
}

fn storage_option(option: &SqlOption) -> Result<(String, String)> {
    let (key, value) = match option {
        SqlOption::KeyValue { key, value } => {
            (name::ident(key), value.to_string().trim_matches('\'').to_owned())
        }
        SqlOption::Ident(key) => (name::ident(key), "true".to_owned()),
        _ => return Err(PgError::unsupported("this table option")),
    };
    check_storage_option(&key, &value)?;
    Ok((key, value))
}

/// An error for a parameter that tables do not have.
pub(crate) fn check_storage_option(key: &str, value: &str) -> Result<()> {
    let known = matches!(
        key,
        "fillfactor" | "toast_tuple_target" | "parallel_workers" | "user_catalog_table"
    ) || key.starts_with("autovacuum_")
        || key == "vacuum_truncate"
        || key == "vacuum_index_cleanup"
        || key.starts_with("toast.")
        || key == "oids";
    if !known {
        return Err(PgError::new(
            SqlState::INVALID_PARAMETER_VALUE,
            format!("unrecognized parameter \"{key}\""),
        ));
    }
    if key == "oids" && value.eq_ignore_ascii_case("true") {
        return Err(PgError::unsupported("WITH OIDS"));
    }
    if key == "fillfactor" && !value.parse().is_ok_and(|v: i32| (10..=100).contains(&v)) {
        return Err(PgError::new(
            SqlState::INVALID_PARAMETER_VALUE,
            format!("value {value} out of bounds for option \"fillfactor\""),
        )
        .detail("Valid values are between \"10\" and \"100\"."));
    }
    Ok(())
}
