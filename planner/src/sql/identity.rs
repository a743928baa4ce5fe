//! Options of identity columns: sqlparser wants them in one order, PostgreSQL takes any.

use sqlparser::tokenizer::{Token, TokenWithSpan};

/// sqlparser's order.
const ORDER: &[&str] = &["increment", "minvalue", "maxvalue", "start", "cache", "cycle"];

fn word(token: Option<&TokenWithSpan>) -> Option<String> {
    match token.map(|t| &t.token) {
        Some(Token::Word(w)) if w.quote_style.is_none() => Some(w.value.to_ascii_lowercase()),
        _ => None,
    }
}

/// Puts the options of every `AS IDENTITY (...)` in order.
pub(super) fn order_options(tokens: &mut Vec<TokenWithSpan>) {
    let mut at = 0;
    while at < tokens.len() {
        let begins = word(tokens.get(at)).as_deref() == Some("identity")
            && tokens.get(at + 1).is_some_and(|t| t.token == Token::LParen);
        at += 1;
        if !begins {
            continue;
        }
        let rest = tokens.get(at + 1..).unwrap_or_default();
        let Some(len) = rest.iter().position(|t| t.token == Token::RParen) else { return };
        let mut options = split(rest.get(..len).unwrap_or_default());
        options.sort_by_key(|(rank, _)| *rank);
        let sorted: Vec<TokenWithSpan> = options.into_iter().flat_map(|(_, o)| o).collect();
        tokens.splice(at + 1..at + 1 + len, sorted);
    }
}

/// The options with their places in the order.
fn split(tokens: &[TokenWithSpan]) -> Vec<(usize, Vec<TokenWithSpan>)> {
    let mut out: Vec<(usize, Vec<TokenWithSpan>)> = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        let own = word(Some(token));
        let after_no = at > 0 && word(tokens.get(at - 1)).as_deref() == Some("no");
        let named = if own.as_deref() == Some("no") { word(tokens.get(at + 1)) } else { own };
        let rank = named.and_then(|n| ORDER.iter().position(|o| *o == n));
        match rank {
            Some(rank) if !after_no => out.push((rank, vec![token.clone()])),
            _ => match out.last_mut() {
                Some((_, option)) => option.push(token.clone()),
                None => out.push((0, vec![token.clone()])),
            },
        }
    }
    out
}
