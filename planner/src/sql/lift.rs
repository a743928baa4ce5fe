//! Constants taken out of a statement's text, so that statements that differ in nothing else share a plan.
//!
//! This only looks at tokens, before the grammar does: a text that is known needs no parsing at all. What stays in the
//! text is what may mean something else than its value: numbers of result columns in ORDER BY, modifiers of types,
//! strings behind the name of a type. Statements with clauses where one constant may have to be the same as another
//! (GROUP BY, DISTINCT, set operations) are left alone.

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Token, TokenWithSpan, Word};
use vicinity_types::{Oid, oid};

/// Statements with more constants are left alone: they are lists, not questions asked again and again.
const MOST: usize = 32;

/// A statement without its constants.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Lifted {
    /// Its text with parameters in their places.
    pub(crate) text: String,
    /// The constants, in order.
    pub(crate) values: Vec<Constant>,
}

/// A constant, as its spelling types it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Constant {
    Int4(i32),
    Int8(i64),
    Numeric(String),
    /// A string, of no type yet.
    Text(String),
}

impl Constant {
    fn number(text: &str) -> Option<Constant> {
        if text.bytes().all(|b| b.is_ascii_digit()) {
            return Some(match (text.parse(), text.parse()) {
                (Ok(v), _) => Constant::Int4(v),
                (_, Ok(v)) => Constant::Int8(v),
                _ => Constant::Numeric(text.to_owned()),
            });
        }
        let decimal = |b: u8| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-');
        text.bytes().all(decimal).then(|| Constant::Numeric(text.to_owned()))
    }

    /// The type its parameter is declared with; 0 for a string.
    pub(crate) fn declared(&self) -> Oid {
        match self {
            Constant::Int4(_) => oid::INT4,
            Constant::Int8(_) => oid::INT8,
            Constant::Numeric(_) => oid::NUMERIC,
            Constant::Text(_) => 0,
        }
    }
}

impl Lifted {
    /// The types its parameters are declared with.
    pub(crate) fn types(&self) -> Vec<Oid> {
        self.values.iter().map(Constant::declared).collect()
    }
}

/// Where the tokens so far lead.
#[derive(Default)]
struct State {
    depth: usize,
    /// Inside ORDER BY of this depth.
    order: Option<usize>,
    /// Behind `::`, in the name of a type.
    type_name: bool,
    /// Inside the parentheses of a type's modifiers, opened at this depth.
    modifiers: Option<usize>,
}

impl State {
    /// Takes a token; whether it is a constant that may be taken out.
    fn see(&mut self, before: Option<&Token>, token: &Token) -> bool {
        match token {
            Token::LParen => {
                if std::mem::take(&mut self.type_name) && self.modifiers.is_none() {
                    self.modifiers = Some(self.depth);
                }
                self.depth += 1;
            }
            Token::RParen => {
                self.type_name = false;
                self.depth = self.depth.saturating_sub(1);
                self.modifiers = self.modifiers.filter(|at| *at < self.depth);
                self.order = self.order.filter(|at| *at <= self.depth);
            }
            Token::DoubleColon => self.type_name = true,
            Token::Word(w) => match w.keyword {
                Keyword::ORDER => self.order = Some(self.depth),
                Keyword::LIMIT | Keyword::OFFSET | Keyword::FOR => self.order = None,
                _ => {}
            },
            Token::Number(..) | Token::SingleQuotedString(_) => {
                self.type_name = false;
                let is_place = self.order == Some(self.depth);
                return !is_place && self.modifiers.is_none() && begins_value(before);
            }
            _ => self.type_name = false,
        }
        false
    }
}

/// Whether a value, and nothing but a value, may stand behind a token.
fn begins_value(before: Option<&Token>) -> bool {
    match before {
        Some(Token::Word(Word { keyword, quote_style: None, .. })) => matches!(
            keyword,
            Keyword::SELECT
                | Keyword::WHERE
                | Keyword::AND
                | Keyword::OR
                | Keyword::NOT
                | Keyword::BETWEEN
                | Keyword::WHEN
                | Keyword::THEN
                | Keyword::ELSE
                | Keyword::LIMIT
                | Keyword::OFFSET
                | Keyword::RETURNING
        ),
        Some(
            Token::Eq
            | Token::Neq
            | Token::Lt
            | Token::Gt
            | Token::LtEq
            | Token::GtEq
            | Token::Plus
            | Token::Minus
            | Token::Mul
            | Token::Div
            | Token::LParen
            | Token::Comma,
        ) => true,
        _ => false,
    }
}

/// Whether a statement with this word is left alone.
fn is_left_alone(word: &Word) -> bool {
    use Keyword as K;
    word.quote_style.is_none()
        && matches!(
            word.keyword,
            K::GROUP
                | K::HAVING
                | K::DISTINCT
                | K::UNION
                | K::INTERSECT
                | K::EXCEPT
                | K::WITH
                | K::WINDOW
                | K::OVER
                | K::WITHIN
                | K::CAST
                | K::INTERVAL
                | K::FETCH
                | K::TABLESAMPLE
        )
}

/// Takes the constants out of a statement's tokens; `offset` characters stand before its text.
pub(super) fn lift(text: &str, offset: usize, tokens: &[TokenWithSpan]) -> Option<Lifted> {
    let Token::Word(verb) = &tokens.first()?.token else { return None };
    if !matches!(
        verb.keyword,
        Keyword::SELECT | Keyword::INSERT | Keyword::UPDATE | Keyword::DELETE
    ) {
        return None;
    }
    // SELECT INTO makes a table.
    let into = |w: &Word| w.keyword == Keyword::INTO && verb.keyword == Keyword::SELECT;
    let wide = !text.is_ascii();
    let place = |column: u64| {
        let at = usize::try_from(column).ok()?.checked_sub(1 + offset)?;
        if wide { text.char_indices().nth(at).map(|(i, _)| i) } else { Some(at) }
    };
    let mut done = 0;
    let mut out = Lifted { text: String::new(), values: Vec::new() };
    let mut state = State::default();
    let mut before = None;
    for token in tokens {
        match &token.token {
            Token::Placeholder(_) => return None,
            Token::Word(w) if is_left_alone(w) || into(w) => return None,
            _ => {}
        }
        if state.see(before, &token.token) {
            let value = match &token.token {
                Token::Number(n, _) => Constant::number(n)?,
                Token::SingleQuotedString(s) => Constant::Text(s.clone()),
                _ => return None,
            };
            out.values.push(value);
            if out.values.len() > MOST {
                return None;
            }
            out.text.push_str(text.get(done..place(token.span.start.column)?)?);
            out.text.push('$');
            out.text.push_str(&out.values.len().to_string());
            done = place(token.span.end.column).unwrap_or(text.len());
        }
        before = Some(&token.token);
    }
    out.text.push_str(text.get(done..)?);
    (!out.values.is_empty()).then_some(out)
}
