//! `EXCLUDE` in a window's frame, which sqlparser's grammar lacks: before parsing, the clause is
//! taken out and its word left in the frame's last bound, as a call that no user can write.

use sqlparser::ast::{self, Expr, WindowFrame, WindowFrameBound};
use sqlparser::tokenizer::{Span, Token, TokenWithSpan, Word};

use super::other::word_is;
use crate::df::window::Exclude;

/// What such a call's name begins with: an identifier with a space in front.
const MARK: &str = " exclude ";

/// A frame with its EXCLUDE clause.
pub(crate) struct Excluded {
    pub(crate) start: WindowFrameBound,
    pub(crate) end: WindowFrameBound,
    pub(crate) exclude: Exclude,
}

/// Moves every EXCLUDE clause into the bound before it.
pub(super) fn mark_excludes(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    if !tokens.iter().any(|t| word_is(t, "exclude")) {
        return tokens;
    }
    let mut out: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len());
    let mut rest = tokens.into_iter().peekable();
    while let Some(token) = rest.next() {
        let begins = word_is(&token, "exclude");
        let length = match rest.peek() {
            Some(t) if begins && (word_is(t, "group") || word_is(t, "ties")) => 1,
            Some(t) if begins && (word_is(t, "current") || word_is(t, "no")) => 2,
            _ => 0,
        };
        let from = if length == 0 { None } else { bound_start(&out) };
        let (Some(from), Some(kind)) = (from, rest.peek().filter(|_| from.is_some())) else {
            out.push(token);
            continue;
        };
        let kind = match &kind.token {
            Token::Word(w) => w.value.to_ascii_lowercase(),
            _ => String::new(),
        };
        for _ in 0..length {
            rest.next();
        }
        wrap(&mut out, from, &kind, token.span);
    }
    out
}

/// Where the last bound of a frame begins.
fn bound_start(tokens: &[TokenWithSpan]) -> Option<usize> {
    let mut depth = 0usize;
    for (i, token) in tokens.iter().enumerate().rev() {
        match &token.token {
            Token::RParen => depth += 1,
            Token::LParen => depth = depth.checked_sub(1)?,
            _ if depth > 0 => {}
            _ if ["and", "rows", "range", "groups"].iter().any(|w| word_is(token, w)) => {
                return Some(i + 1);
            }
            _ => {}
        }
    }
    None
}

/// `expr FOLLOWING` becomes `" exclude ties"(expr) FOLLOWING`; `CURRENT ROW` and `UNBOUNDED ..`
/// become calls of a word.
fn wrap(out: &mut Vec<TokenWithSpan>, from: usize, kind: &str, span: Span) {
    let plain = |token: Token| TokenWithSpan { token, span };
    let mut bound = out.split_off(from);
    let current = bound.first().is_some_and(|t| word_is(t, "current"));
    let unbounded = bound.first().is_some_and(|t| word_is(t, "unbounded"));
    let side = if current {
        bound = vec![plain(Token::SingleQuotedString("current".to_owned()))];
        plain(Token::make_word("FOLLOWING", None))
    } else {
        let Some(side) = bound.pop() else { return };
        if unbounded {
            bound = vec![plain(Token::SingleQuotedString("unbounded".to_owned()))];
        }
        side
    };
    let mark = Word {
        value: format!("{MARK}{kind}"),
        quote_style: Some('"'),
        keyword: sqlparser::keywords::Keyword::NoKeyword,
    };
    out.push(plain(Token::Word(mark)));
    out.push(plain(Token::LParen));
    out.append(&mut bound);
    out.push(plain(Token::RParen));
    out.push(side);
}

/// A frame as written, its end and EXCLUDE read back.
pub(crate) fn excluded(frame: &WindowFrame) -> Excluded {
    let (start, mut exclude) = unmarked(&frame.start_bound);
    let end = match &frame.end_bound {
        Some(end) => {
            let (end, found) = unmarked(end);
            exclude = found;
            end
        }
        None => WindowFrameBound::CurrentRow,
    };
    Excluded { start, end, exclude }
}

fn unmarked(bound: &WindowFrameBound) -> (WindowFrameBound, Exclude) {
    let (WindowFrameBound::Preceding(Some(expr)) | WindowFrameBound::Following(Some(expr))) = bound
    else {
        return (bound.clone(), Exclude::None);
    };
    let Some((kind, inner)) = marked(expr) else { return (bound.clone(), Exclude::None) };
    let exclude = match kind {
        "current" => Exclude::Row,
        "group" => Exclude::Group,
        "ties" => Exclude::Ties,
        _ => Exclude::None,
    };
    let word = match inner {
        Expr::Value(v) => match &v.value {
            ast::Value::SingleQuotedString(word) => Some(word.as_str()),
            _ => None,
        },
        _ => None,
    };
    let inner = match word {
        Some("current") => return (WindowFrameBound::CurrentRow, exclude),
        Some("unbounded") => None,
        _ => Some(Box::new(inner.clone())),
    };
    let bound = match bound {
        WindowFrameBound::Preceding(_) => WindowFrameBound::Preceding(inner),
        _ => WindowFrameBound::Following(inner),
    };
    (bound, exclude)
}

fn marked(expr: &Expr) -> Option<(&str, &Expr)> {
    let Expr::Function(f) = expr else { return None };
    let [ast::ObjectNamePart::Identifier(name)] = f.name.0.as_slice() else { return None };
    let kind = name.value.strip_prefix(MARK)?;
    let ast::FunctionArguments::List(list) = &f.args else { return None };
    match list.args.as_slice() {
        [ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(inner))] => Some((kind, inner)),
        _ => None,
    }
}
