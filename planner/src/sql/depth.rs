//! How deep a statement's tree may become (invariant bounded): looked at in its tokens, before
//! there is a tree whose every walk, its drop included, would exhaust the stack.

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Token, TokenWithSpan};
use vicinity_types::{PgError, Result, SqlState};

/// How deep expressions and queries may nest (error 54001 beyond).
pub(super) const NESTING: usize = 1000;
/// Operators in a row: `a + b + c` leans to the left, a level for each.
const CHAIN: usize = 5000;
/// UNIONs and the like in a row.
const SET_OPERATIONS: usize = 3000;
/// Queries of WITH in a statement: each may stand on the one before.
const WITH_QUERIES: usize = 300;

/// `54001`, PostgreSQL's words.
pub(crate) fn too_deep() -> PgError {
    PgError::new(SqlState::STATEMENT_TOO_COMPLEX, "stack depth limit exceeded")
        .hint("Simplify the statement: it is nested too deeply.")
}

/// Refuses what would become too deep.
pub(super) fn check(tokens: &[TokenWithSpan]) -> Result<()> {
    nesting(tokens)?;
    chains(tokens)
}

/// Parentheses, brackets, CASEs and prefixes are where expressions nest.
fn nesting(tokens: &[TokenWithSpan]) -> Result<()> {
    let mut depth = 0usize;
    let mut prefixes = 0usize;
    for token in tokens {
        let prefix = match &token.token {
            Token::LParen | Token::LBracket => {
                depth += 1;
                false
            }
            Token::RParen | Token::RBracket => {
                depth = depth.saturating_sub(1);
                false
            }
            Token::Word(w) if w.keyword == Keyword::CASE => {
                depth += 1;
                false
            }
            Token::Word(w) if w.keyword == Keyword::END => {
                depth = depth.saturating_sub(1);
                false
            }
            Token::Word(w) => w.keyword == Keyword::NOT,
            Token::Minus | Token::Plus | Token::CustomBinaryOperator(_) => true,
            _ => false,
        };
        prefixes = if prefix { prefixes + 1 } else { 0 };
        if depth + prefixes > NESTING {
            return Err(too_deep());
        }
    }
    Ok(())
}

/// Operators in a row, inside of one parenthesis.
#[derive(Clone, Copy, Default)]
struct Row {
    /// ANDs and ORs.
    logical: usize,
    /// Other operators since the last of them: they stand on its right side.
    run: usize,
}

/// What leans to the left without a parenthesis.
fn chains(tokens: &[TokenWithSpan]) -> Result<()> {
    // Operators since the last comma, for every open parenthesis.
    let mut open = vec![Row::default()];
    let (mut sets, mut queries) = (0usize, 0usize);
    for (i, token) in tokens.iter().enumerate() {
        let Some(top) = open.last_mut() else { break };
        match &token.token {
            Token::LParen | Token::LBracket => open.push(Row::default()),
            Token::RParen | Token::RBracket => {
                open.pop();
                if open.is_empty() {
                    open.push(Row::default());
                }
            }
            Token::Comma => *top = Row::default(),
            Token::Word(w) => match w.keyword {
                Keyword::UNION | Keyword::INTERSECT | Keyword::EXCEPT => {
                    sets += 1;
                    *top = Row::default();
                }
                Keyword::AS => {
                    let next = tokens.get(i + 1).map(|t| &t.token);
                    queries += usize::from(matches!(next, Some(Token::LParen)));
                }
                Keyword::AND | Keyword::OR => {
                    *top = Row { logical: top.logical + 1, run: 0 };
                }
                Keyword::COLLATE | Keyword::IS | Keyword::AT => top.run += 1,
                _ => {}
            },
            Token::Number(..)
            | Token::SingleQuotedString(_)
            | Token::Placeholder(_)
            | Token::Period
            | Token::Whitespace(_)
            | Token::EOF => {}
            _ => top.run += 1,
        }
        let long = open.last().is_some_and(|top| top.logical + top.run > CHAIN);
        if long || sets > SET_OPERATIONS || queries > WITH_QUERIES {
            return Err(too_deep());
        }
    }
    Ok(())
}
