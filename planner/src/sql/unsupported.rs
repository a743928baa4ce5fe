//! Statements and expressions that PostgreSQL's grammar has and this one has not: they are refused by
//! name, not as errors of syntax.

use sqlparser::tokenizer::{Token, TokenWithSpan};
use vicinity_types::{PgError, Result};

use super::position;

/// What such statements begin with.
const STATEMENTS: &[&str] = &[
    "alter aggregate",
    "alter collation",
    "alter conversion",
    "alter event trigger",
    "alter extension",
    "alter foreign",
    "alter language",
    "alter large object",
    "alter operator",
    "alter policy",
    "alter publication",
    "alter rule",
    "alter server",
    "alter statistics",
    "alter subscription",
    "alter system",
    "alter tablespace",
    "alter text search",
    "alter user mapping",
    "cluster",
    "create access method",
    "create aggregate",
    "create cast",
    "create collation",
    "create conversion",
    "create database",
    "create event trigger",
    "create foreign",
    "create language",
    "create operator",
    "create policy",
    "create publication",
    "create rule",
    "create server",
    "create statistics",
    "create subscription",
    "create tablespace",
    "create text search",
    "create transform",
    "create user mapping",
    "drop access method",
    "drop aggregate",
    "drop cast",
    "drop collation",
    "drop conversion",
    "drop database",
    "drop event trigger",
    "drop foreign",
    "drop language",
    "drop operator",
    "drop policy",
    "drop publication",
    "drop rule",
    "drop server",
    "drop statistics",
    "drop subscription",
    "drop tablespace",
    "drop text search",
    "drop transform",
    "drop user mapping",
    "import foreign schema",
    "load",
    "security label",
];

/// Functions with a grammar of their own.
const FUNCTIONS: &[&str] = &[
    "xmlattributes",
    "xmlconcat",
    "xmlelement",
    "xmlexists",
    "xmlforest",
    "xmlnamespaces",
    "xmlparse",
    "xmlpi",
    "xmlroot",
    "xmlserialize",
    "xmltable",
];

/// Refuses what is not implemented.
pub(super) fn check(tokens: &[TokenWithSpan]) -> Result<()> {
    let opening: Vec<String> = tokens.iter().take(3).map_while(plain).collect();
    let opening = opening.join(" ");
    let begins = |words: &&&str| {
        opening.strip_prefix(**words).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
    };
    if let Some(words) = STATEMENTS.iter().find(begins) {
        return Err(PgError::unsupported(words.to_uppercase()));
    }
    for pair in tokens.windows(2) {
        let [word, next] = pair else { continue };
        if next.token == Token::LParen
            && let Some(name) = plain(word).filter(|w| FUNCTIONS.contains(&w.as_str()))
        {
            return Err(PgError::unsupported(format!("function {name}")).at(position(word)));
        }
    }
    Ok(())
}

fn plain(token: &TokenWithSpan) -> Option<String> {
    match &token.token {
        Token::Word(w) if w.quote_style.is_none() => Some(w.value.to_lowercase()),
        _ => None,
    }
}
