//! `(row).*`, which sqlparser's grammar takes of names only: the star travels as a field that no type
//! can have.

use sqlparser::ast::{AccessExpr, Expr};
use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Token, TokenWithSpan, Word};

/// The field that is all of them.
pub(crate) const ALL_FIELDS: &str = " *";

/// `(t.*) IS NULL` and `t.*::text` speak of the row, as `t` does.
fn whole_rows(tokens: &mut Vec<TokenWithSpan>) {
    let mut at = 2;
    while at < tokens.len() {
        let is = |at: usize, wanted: &Token| tokens.get(at).is_some_and(|t| t.token == *wanted);
        let word = |at: usize, keyword: Keyword| matches!(tokens.get(at).map(|t| &t.token), Some(Token::Word(w)) if w.keyword == keyword);
        let star = is(at, &Token::Mul)
            && is(at - 1, &Token::Period)
            && matches!(tokens.get(at - 2).map(|t| &t.token), Some(Token::Word(_)));
        let close =
            at + 1 + tokens.iter().skip(at + 1).take_while(|t| t.token == Token::RParen).count();
        let tested = is(at + 1, &Token::DoubleColon) || word(close, Keyword::IS);
        if star && tested {
            tokens.drain(at - 1..=at);
        } else {
            at += 1;
        }
    }
}

/// Rewrites the tokens of a statement.
pub(super) fn rewrite(mut tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    whole_rows(&mut tokens);
    let is =
        |token: Option<&TokenWithSpan>, wanted: &Token| token.is_some_and(|t| t.token == *wanted);
    for at in 2..tokens.len() {
        let star = is(tokens.get(at), &Token::Mul)
            && is(tokens.get(at - 1), &Token::Period)
            && is(tokens.get(at - 2), &Token::RParen);
        if star && let Some(token) = tokens.get_mut(at) {
            token.token = Token::Word(Word {
                value: ALL_FIELDS.to_owned(),
                quote_style: Some('"'),
                keyword: Keyword::NoKeyword,
            });
        }
    }
    tokens
}

/// The row whose fields an item of a list is, if it is `(row).*`.
pub(crate) fn starred(expr: &Expr) -> Option<Expr> {
    let Expr::CompoundFieldAccess { root, access_chain } = expr else { return None };
    let (last, rest) = access_chain.split_last()?;
    let AccessExpr::Dot(Expr::Identifier(field)) = last else { return None };
    if field.value != ALL_FIELDS {
        return None;
    }
    Some(match rest {
        [] => (**root).clone(),
        rest => Expr::CompoundFieldAccess { root: root.clone(), access_chain: rest.to_vec() },
    })
}
