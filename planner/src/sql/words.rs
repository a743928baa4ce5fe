//! Clauses sqlparser lacks that say nothing here, or the same as one it has.

use sqlparser::tokenizer::{Token, TokenWithSpan};

fn word(tokens: &[TokenWithSpan], at: usize) -> &str {
    match tokens.get(at).map(|t| &t.token) {
        Some(Token::Word(w)) if w.quote_style.is_none() => &w.value,
        _ => "",
    }
}

fn is(tokens: &[TokenWithSpan], at: usize, words: &[&str]) -> bool {
    words.iter().enumerate().all(|(i, w)| word(tokens, at + i).eq_ignore_ascii_case(w))
}

/// `TABLE name` where a query stands is `SELECT * FROM name`.
fn rewrite_table(tokens: &mut Vec<TokenWithSpan>) {
    const BEFORE: &[&str] = &["union", "intersect", "except", "all", "distinct"];
    let defines = is(tokens, 0, &["create"]);
    let of_rows = is(tokens, 0, &["insert"]) || is(tokens, 0, &["with"]);
    let mut at = 0;
    while let Some(found) = (at..tokens.len()).find(|i| is(tokens, *i, &["table"])) {
        at = found + 1;
        let named = matches!(tokens.get(at).map(|t| &t.token), Some(Token::Word(_)));
        let query = match found.checked_sub(1) {
            None => true,
            Some(before) => match tokens.get(before).map(|t| &t.token) {
                Some(Token::LParen) => true,
                Some(Token::RParen) => of_rows,
                Some(Token::Word(_)) if defines && is(tokens, before, &["as"]) => true,
                // the table that rows go into, or its alias
                Some(Token::Word(_)) if is(tokens, 0, &["insert"]) => true,
                _ => BEFORE.iter().any(|w| is(tokens, before, &[w])),
            },
        };
        if named
            && query
            && let Some(span) = tokens.get(found).map(|t| t.span)
        {
            let words = ["select", "*", "from"].map(|w| match w {
                "*" => Token::Mul,
                word => Token::make_word(word, None),
            });
            let words = words.map(|token| TokenWithSpan { token, span });
            tokens.splice(found..=found, words);
        }
    }
}

/// A group is a role.
pub(super) fn rewrite(mut tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let group = is(&tokens, 0, &["create", "group"]) || is(&tokens, 0, &["drop", "group"]);
    if group && let Some(token) = tokens.get_mut(1) {
        token.token = Token::make_word("role", None);
    }
    if is(&tokens, 0, &["set"]) {
        quote_on(&mut tokens);
        plain_role(&mut tokens);
    }
    if is(&tokens, 0, &["reset"]) {
        one_word(&mut tokens);
    }
    rewrite_table(&mut tokens);
    tokens
}

/// Settings whose names are several words where they are reset.
fn one_word(tokens: &mut Vec<TokenWithSpan>) {
    const NAMES: [(&[&str], &str); 2] =
        [(&["session", "authorization"], "session_authorization"), (&["time", "zone"], "timezone")];
    let found = NAMES.iter().find(|(words, _)| is(tokens, 1, words));
    if let Some((words, name)) = found
        && let Some(token) = tokens.get_mut(1)
    {
        token.token = Token::make_word(name, None);
        tokens.drain(2..words.len() + 1);
    }
}

/// `SET ROLE TO x` is the assignment of a setting, unlike `SET ROLE x`.
fn plain_role(tokens: &mut [TokenWithSpan]) {
    let at = 1 + usize::from(is(tokens, 1, &["local"]) || is(tokens, 1, &["session"]));
    let assigned =
        is(tokens, at + 1, &["to"]) || tokens.get(at + 1).is_some_and(|t| t.token == Token::Eq);
    if is(tokens, at, &["role"])
        && assigned
        && let Some(token) = tokens.get_mut(at)
    {
        token.token = Token::make_word("role", Some('"'));
    }
}

/// ON is a reserved word, and the value of a setting all the same.
fn quote_on(tokens: &mut [TokenWithSpan]) {
    for at in 2..tokens.len() {
        let assigned =
            is(tokens, at - 1, &["to"]) || tokens.get(at - 1).is_some_and(|t| t.token == Token::Eq);
        if assigned
            && is(tokens, at, &["on"])
            && let Some(token) = tokens.get_mut(at)
        {
            token.token = Token::SingleQuotedString("on".to_owned());
        }
    }
}
