//! `c[2]` and `c[1:2].f` where columns to be written are named: sqlparser's grammar takes names only.
//! A name may have parts that are calls, though, and so subscripts travel as calls of brackets.

use sqlparser::ast::{
    AccessExpr, Expr, FunctionArg, FunctionArgExpr, Ident, ObjectName, ObjectNamePart,
    ObjectNamePartFunction, Subscript,
};
use sqlparser::keywords::Keyword as K;
use sqlparser::tokenizer::{Token, TokenWithSpan, Word};

/// `[2]`
const ELEMENT: &str = "[]";
/// `[1:2]`, its bounds named.
const SLICE: &str = "[:]";
const LOWER: &str = "lower";
const UPPER: &str = "upper";

/// Whether a part of a name is such a call.
pub(super) fn is_bracket(part: &Ident) -> bool {
    part.quote_style.is_some() && matches!(part.value.as_str(), ELEMENT | SLICE)
}

/// The column that a name begins with, and the way from there to a part of it.
pub(crate) fn path(name: &ObjectName) -> Option<(&Ident, Vec<AccessExpr>)> {
    let (first, rest) = name.0.split_first()?;
    let step = |part: &ObjectNamePart| match part {
        ObjectNamePart::Identifier(field) => AccessExpr::Dot(Expr::Identifier(field.clone())),
        ObjectNamePart::Function(call) => AccessExpr::Subscript(subscript(call)),
    };
    Some((first.as_ident()?, rest.iter().map(step).collect()))
}

fn subscript(call: &ObjectNamePartFunction) -> Subscript {
    let (mut lower_bound, mut upper_bound) = (None, None);
    for arg in &call.args {
        match arg {
            FunctionArg::Named { name, arg: FunctionArgExpr::Expr(bound), .. } => {
                let slot = if name.value == LOWER { &mut lower_bound } else { &mut upper_bound };
                *slot = Some(bound.clone());
            }
            FunctionArg::Unnamed(FunctionArgExpr::Expr(index)) => {
                return Subscript::Index { index: index.clone() };
            }
            _ => {}
        }
    }
    Subscript::Slice { lower_bound, upper_bound, stride: None }
}

fn is(token: Option<&TokenWithSpan>, keyword: K) -> bool {
    matches!(token.map(|t| &t.token), Some(Token::Word(w)) if w.keyword == keyword && w.quote_style.is_none())
}

/// Rewrites the tokens of a statement.
pub(super) fn rewrite(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let writes = |t: &TokenWithSpan| is(Some(t), K::UPDATE) || is(Some(t), K::INSERT);
    let brackets = tokens.iter().any(|t| t.token == Token::LBracket);
    // The words of a trigger's events write nothing.
    let brackets = brackets && !is(tokens.first(), K::CREATE);
    if !brackets || !tokens.iter().any(writes) {
        return tokens;
    }
    let mut rewriter = Rewriter { tokens: &tokens, at: 0, out: Vec::with_capacity(tokens.len()) };
    while rewriter.at < tokens.len() {
        let token = rewriter.peek();
        let (set, insert) = (is(token, K::SET), is(token, K::INSERT));
        rewriter.take();
        if set {
            rewriter.assignments();
        } else if insert {
            rewriter.columns();
        }
    }
    rewriter.out
}

struct Rewriter<'t> {
    tokens: &'t [TokenWithSpan],
    at: usize,
    out: Vec<TokenWithSpan>,
}

impl Rewriter<'_> {
    fn peek(&self) -> Option<&TokenWithSpan> {
        self.tokens.get(self.at)
    }

    fn token(&self) -> Option<&Token> {
        self.peek().map(|t| &t.token)
    }

    /// Takes a token as it is.
    fn take(&mut self) {
        self.out.extend(self.peek().cloned());
        self.at += 1;
    }

    /// Puts a token where the present one stands.
    fn put(&mut self, token: Token) {
        if let Some(span) = self.peek().map(|t| t.span) {
            self.out.push(TokenWithSpan { token, span });
        }
    }

    /// The list behind SET.
    fn assignments(&mut self) {
        loop {
            match self.token() {
                Some(Token::LParen) => self.list(),
                _ => self.name(),
            }
            // the value, up to the next column
            let mut depth = 0usize;
            loop {
                let token = self.peek();
                let ends = depth == 0
                    && [K::WHERE, K::RETURNING, K::WHEN, K::SET].iter().any(|w| is(token, *w));
                match self.token() {
                    None => return,
                    _ if ends => return,
                    Some(Token::LParen | Token::LBracket) => depth += 1,
                    Some(Token::RParen | Token::RBracket) if depth == 0 => return,
                    Some(Token::RParen | Token::RBracket) => depth -= 1,
                    Some(Token::Comma) if depth == 0 => break,
                    _ => {}
                }
                self.take();
            }
            self.take();
        }
    }

    /// What an INSERT begins with, up to its columns.
    fn columns(&mut self) {
        while matches!(self.token(), Some(Token::Word(_) | Token::Period))
            && ![K::VALUES, K::SELECT, K::DEFAULT].iter().any(|w| is(self.peek(), *w))
        {
            self.take();
        }
        if self.token() == Some(&Token::LParen) {
            self.list();
        }
    }

    /// Names in parentheses.
    fn list(&mut self) {
        self.take();
        loop {
            self.name();
            if self.token() != Some(&Token::Comma) {
                return;
            }
            self.take();
        }
    }

    /// A name with its subscripts.
    fn name(&mut self) {
        if !matches!(self.token(), Some(Token::Word(_))) {
            return;
        }
        self.take();
        loop {
            match self.token() {
                Some(Token::Period) => {
                    self.take();
                    self.take();
                }
                Some(Token::LBracket) => self.subscript(),
                _ => return,
            }
        }
    }

    fn subscript(&mut self) {
        let (mut depth, mut colon, mut end) = (0usize, None, self.at);
        for (i, t) in self.tokens.iter().enumerate().skip(self.at) {
            match t.token {
                Token::LBracket | Token::LParen => depth += 1,
                Token::RBracket | Token::RParen => depth = depth.saturating_sub(1),
                Token::Colon if depth == 1 => colon = Some(i),
                _ => {}
            }
            if depth == 0 {
                end = i;
                break;
            }
        }
        let call = if colon.is_some() { SLICE } else { ELEMENT };
        let word = |value: &str| {
            let value = value.to_owned();
            Token::Word(Word { value, quote_style: Some('"'), keyword: K::NoKeyword })
        };
        self.put(Token::Period);
        self.put(word(call));
        self.put(Token::LParen);
        self.at += 1;
        let bound = |me: &mut Self, name: &str, to: usize| {
            if me.at < to {
                me.put(word(name));
                me.put(Token::Assignment);
                while me.at < to {
                    me.take();
                }
            }
        };
        if let Some(colon) = colon {
            let both = self.at < colon && colon + 1 < end;
            bound(self, LOWER, colon);
            if both {
                self.put(Token::Comma);
            }
            self.at = colon + 1;
            bound(self, UPPER, end);
        }
        while self.at < end {
            self.take();
        }
        self.put(Token::RParen);
        self.at = end + 1;
    }
}
