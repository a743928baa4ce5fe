//! `FROM t *`: a table with those that inherit from it, as without the star. It stands behind the name of a table in
//! FROM and UPDATE, where nothing is multiplied.

use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::other::word_is;

/// Words that end a FROM, or begin a query in one.
const ENDS: &[&str] = &[
    "select",
    "values",
    "with",
    "table",
    "where",
    "group",
    "having",
    "window",
    "order",
    "limit",
    "offset",
    "fetch",
    "for",
    "union",
    "intersect",
    "except",
    "returning",
    "set",
];
/// Functions whose arguments may have a FROM.
const FUNCTIONS: &[&str] = &["extract", "substring", "overlay", "trim"];

/// What comes next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    /// The name of a table, or the next part of it.
    Table,
    /// What stands behind a table's name.
    Behind,
    Other,
}

/// What a parenthesis is around, or the statement.
#[derive(Clone, Copy)]
struct Level {
    /// The arguments of such a function.
    function: bool,
    /// Inside of a FROM.
    from: bool,
    next: Next,
}

/// Rewrites the tokens of a statement.
pub(super) fn rewrite(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let follows = |pair: &[TokenWithSpan]| matches!(pair, [name, star] if matches!(name.token, Token::Word(_)) && star.token == Token::Mul);
    if !tokens.windows(2).any(follows) {
        return tokens;
    }
    let mut out: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len());
    let mut outer: Vec<Level> = Vec::new();
    let mut level = Level { function: false, from: false, next: Next::Other };
    for token in tokens {
        let before = out.last();
        match &token.token {
            Token::Mul if level.next == Next::Behind => {
                level.next = Next::Other;
                continue;
            }
            Token::LParen => {
                let function = before.is_some_and(|t| FUNCTIONS.iter().any(|f| word_is(t, f)));
                outer.push(level);
                level = Level { function, from: level.next == Next::Table, next: level.next };
            }
            Token::RParen => {
                if let Some(left) = outer.pop() {
                    level = Level { next: Next::Other, ..left };
                }
            }
            Token::Comma if level.from => level.next = Next::Table,
            Token::Period if level.next == Next::Behind => level.next = Next::Table,
            Token::Word(_) => level.word(&token, before),
            _ => level.next = Next::Other,
        }
        out.push(token);
    }
    out
}

impl Level {
    fn word(&mut self, token: &TokenWithSpan, before: Option<&TokenWithSpan>) {
        let is = |word: &str| is_unquoted(token, word);
        let distinct = before.is_some_and(|t| word_is(t, "distinct"));
        if is("from") && !self.function && !distinct {
            (self.from, self.next) = (true, Next::Table);
        } else if is("update") || self.from && (is("join") || is("using")) {
            self.next = Next::Table;
        } else if ENDS.iter().any(|end| is(end)) {
            (self.from, self.next) = (false, Next::Other);
        } else {
            let named = self.next == Next::Table && !is("only") && !is("lateral");
            self.next = if named { Next::Behind } else { Next::Other };
        }
    }
}

fn is_unquoted(token: &TokenWithSpan, word: &str) -> bool {
    word_is(token, word) && matches!(&token.token, Token::Word(w) if w.quote_style.is_none())
}
