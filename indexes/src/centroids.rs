//! Centroids given from outside: the file of `clustering_type = 0`.
//!
//! PASE's form is one line, `dim|count|v1,v2,...`, with count x dim numbers. One centroid a line, its numbers
//! separated by commas, is read too.

use std::path::Path;

use vicinity_types::{PgError, Result, SqlState};

use crate::vector::MAX_DIM;

/// Centroids, one after another.
#[derive(Clone, Debug, PartialEq)]
pub struct Centroids {
    /// Dimensions of each.
    pub dim: usize,
    /// `dim` numbers each.
    pub values: Vec<f32>,
}

impl Centroids {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.values.len().checked_div(self.dim).unwrap_or(0)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Reads the file for an index of `dim` dimensions.
    pub fn load(path: &Path, dim: usize) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|e| {
            let code = match e.kind() {
                std::io::ErrorKind::NotFound => SqlState::UNDEFINED_FILE,
                std::io::ErrorKind::PermissionDenied => SqlState::INSUFFICIENT_PRIVILEGE,
                std::io::ErrorKind::InvalidData => SqlState::INVALID_TEXT_REPRESENTATION,
                _ => SqlState::IO_ERROR,
            };
            PgError::new(code, format!("open centroid file[{}] failed", path.display()))
                .detail(e.to_string())
        })?;
        Self::parse(&text, dim)
    }

    /// Parses the file's text for an index of `dim` dimensions.
    pub fn parse(text: &str, dim: usize) -> Result<Self> {
        if text.contains('|') { Self::parse_pase(text, dim) } else { Self::parse_lines(text, dim) }
    }

    fn parse_pase(text: &str, dim: usize) -> Result<Self> {
        let parts: Vec<&str> = text.trim().split('|').collect();
        let [file_dim, count, values] = parts.as_slice() else {
            return Err(format_error(format!(
                "centroid file format error, splits size:{}",
                parts.len()
            )));
        };
        let file_dim = parse_count("dim", file_dim)?;
        let count = parse_count("count", count)?;
        check_file_dim(file_dim, dim)?;
        let values = parse_numbers(values)?;
        if count.checked_mul(dim) != Some(values.len()) {
            return Err(format_error(format!(
                "centroid file format error, {} values found, {count} centroids of {dim} dimensions expected",
                values.len()
            )));
        }
        Ok(Centroids { dim, values })
    }

    fn parse_lines(text: &str, dim: usize) -> Result<Self> {
        let mut all = Vec::new();
        for line in text.lines().filter(|l| !l.trim().is_empty()) {
            let values = parse_numbers(line)?;
            check_file_dim(values.len(), dim)?;
            all.extend(values);
        }
        if all.is_empty() {
            return Err(format_error("centroid file format error, splits size:0".to_owned()));
        }
        Ok(Centroids { dim, values: all })
    }
}

fn format_error(message: String) -> PgError {
    PgError::new(SqlState::INVALID_TEXT_REPRESENTATION, message)
}

fn check_file_dim(found: usize, dim: usize) -> Result<()> {
    if found == dim {
        return Ok(());
    }
    Err(PgError::new(
        SqlState::INVALID_PARAMETER_VALUE,
        format!("centroids dim[{found}] in file not equal to opts[{dim}]"),
    ))
}

fn parse_count(what: &str, text: &str) -> Result<usize> {
    let limit = if what == "dim" { MAX_DIM } else { crate::options::MAX_CENTROIDS };
    match text.trim().parse::<usize>() {
        Ok(n) if (1..=limit).contains(&n) => Ok(n),
        // What the file says instead is not for everybody who may create an index.
        _ => Err(format_error(format!("centroid file format error, {what}"))),
    }
}

fn parse_numbers(text: &str) -> Result<Vec<f32>> {
    let one = |(at, t): (usize, &str)| match t.trim().parse::<f32>() {
        Ok(v) if v.is_finite() => Ok(v),
        _ => Err(format_error(format!("centroid file format error, value {}", at + 1))),
    };
    text.trim().trim_end_matches(',').split(',').enumerate().map(one).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn message(text: &str, dim: usize) -> String {
        Centroids::parse(text, dim).unwrap_err().message().to_owned()
    }

    #[test]
    fn reads_both_forms() {
        let a = Centroids::parse("2|3|1,2,3,4,5,6\n", 2).unwrap();
        let b = Centroids::parse("1,2\n 3, 4\n\n5,6\n", 2).unwrap();
        assert_eq!(a, b);
        assert_eq!(a.len(), 3);
    }

    #[test]
    fn says_what_is_wrong() {
        assert_eq!(message("2|3", 2), "centroid file format error, splits size:2");
        assert_eq!(message("2|1|1,2", 3), "centroids dim[2] in file not equal to opts[3]");
        assert_eq!(
            message("2|2|1,2,3", 2),
            "centroid file format error, 3 values found, 2 centroids of 2 dimensions expected"
        );
        assert_eq!(message("2|1|1,x", 2), "centroid file format error, value 2");
        assert_eq!(message("2|0|", 2), "centroid file format error, count");
        assert_eq!(message("", 2), "centroid file format error, splits size:0");
        let missing = Centroids::load(Path::new("/nowhere/c.txt"), 2).unwrap_err();
        assert_eq!(missing.message(), "open centroid file[/nowhere/c.txt] failed");
    }
}
