//! PostgreSQL's grammar where sqlparser's PostgreSQL dialect differs from it.

use std::any::TypeId;

use sqlparser::ast::{self, BinaryOperator, DataType, Expr, Ident, UnaryOperator};
use sqlparser::dialect::{Dialect, PostgreSqlDialect, Precedence};
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Token, Word};

use super::{call, grouping, items, merge, part, reserved};

/// Precedence of every operator that is not arithmetic or a comparison.
const OTHER: u8 = 70;
/// Unary minus: tighter than all but `::`, `[]` and `.`.
const UNARY: u8 = 120;

/// What [`Expr::Prefixed`] has before a cursor's name.
pub const CURRENT_OF: &str = "CURRENT OF";

/// sqlparser's PostgreSQL dialect with PostgreSQL's operators, typed literals and precedences.
///
/// Prefix operators other than + - come out as [`Expr::Prefixed`] with the operator for prefix.
#[derive(Debug)]
pub(super) struct VicinityDialect;

/// The tail: every question goes to sqlparser's PostgreSQL dialect.
const PG: PostgreSqlDialect = PostgreSqlDialect {};

macro_rules! delegate {
    ($($name:ident)*) => { $(fn $name(&self) -> bool { PG.$name() })* };
}

impl Dialect for VicinityDialect {
    fn dialect(&self) -> TypeId {
        PG.dialect()
    }

    fn identifier_quote_style(&self, identifier: &str) -> Option<char> {
        PG.identifier_quote_style(identifier)
    }

    fn is_delimited_identifier_start(&self, ch: char) -> bool {
        PG.is_delimited_identifier_start(ch)
    }

    fn is_identifier_start(&self, ch: char) -> bool {
        PG.is_identifier_start(ch)
    }

    fn is_identifier_part(&self, ch: char) -> bool {
        PG.is_identifier_part(ch)
    }

    fn is_custom_operator_part(&self, ch: char) -> bool {
        PG.is_custom_operator_part(ch)
    }

    fn is_reserved_for_identifier(&self, kw: Keyword) -> bool {
        PG.is_reserved_for_identifier(kw)
    }

    fn is_identifier_generating_function_name(
        &self,
        ident: &Ident,
        name_parts: &[ast::ObjectNamePart],
    ) -> bool {
        !name_parts.is_empty() && part::is_bracket(ident)
    }

    fn is_column_alias(&self, kw: &Keyword, parser: &mut Parser) -> bool {
        match &parser.get_current_token().token {
            Token::Word(w) if w.keyword == *kw => {
                w.quote_style.is_some() || reserved::is_bare_label(&w.value)
            }
            _ => PG.is_column_alias(kw, parser),
        }
    }

    fn is_table_factor_alias(&self, explicit: bool, kw: &Keyword, parser: &mut Parser) -> bool {
        let reserved = match &parser.get_current_token().token {
            Token::Word(w) if w.quote_style.is_none() => reserved::is_reserved(&w.value),
            _ => false,
        };
        !reserved && PG.is_table_factor_alias(explicit, kw, parser)
    }

    fn prec_value(&self, prec: Precedence) -> u8 {
        PG.prec_value(prec)
    }

    fn get_next_precedence(&self, parser: &Parser) -> Option<Result<u8, ParserError>> {
        match &parser.peek_token_ref().token {
            Token::Word(w) if w.keyword == Keyword::OPERATOR => Some(Ok(OTHER)),
            Token::Word(w) if is_null_word(w) => Some(Ok(PG.prec_value(Precedence::Is))),
            // `substring(x SIMILAR y ESCAPE z)` has no TO
            Token::Word(w)
                if w.keyword == Keyword::SIMILAR && keyword_at(parser, 1) != Some(Keyword::TO) =>
            {
                Some(Ok(0))
            }
            // these are ordinary column or alias names in PostgreSQL
            Token::Word(w)
                if matches!(
                    w.keyword,
                    Keyword::XOR
                        | Keyword::RLIKE
                        | Keyword::REGEXP
                        | Keyword::MATCH
                        | Keyword::MEMBER
                        | Keyword::DIV
                ) =>
            {
                Some(Ok(0))
            }
            _ => PG.get_next_precedence(parser),
        }
    }

    fn parse_statement(&self, parser: &mut Parser) -> Option<Result<ast::Statement, ParserError>> {
        match keyword_at(parser, 0) {
            Some(Keyword::MERGE) => Some(merge::parse(parser)),
            _ => None,
        }
    }

    fn parse_prefix(&self, parser: &mut Parser) -> Option<Result<Expr, ParserError>> {
        let next = parser.peek_token_ref();
        let span = next.span;
        match &next.token {
            tok @ (Token::Minus | Token::Plus) => {
                let op = match tok {
                    Token::Minus => UnaryOperator::Minus,
                    _ => UnaryOperator::Plus,
                };
                parser.next_token();
                Some(
                    parser
                        .parse_subexpr(UNARY)
                        .map(|expr| Expr::UnaryOp { op, expr: Box::new(expr) }),
                )
            }
            Token::CustomBinaryOperator(name) => {
                let prefix = Ident { value: name.clone(), quote_style: None, span };
                parser.next_token();
                Some(
                    parser
                        .parse_subexpr(OTHER)
                        .map(|value| Expr::Prefixed { prefix, value: Box::new(value) }),
                )
            }
            Token::Word(w)
                if w.value.eq_ignore_ascii_case("variadic") && w.quote_style.is_none() =>
            {
                let prefix = Ident { value: "VARIADIC".to_owned(), quote_style: None, span };
                parser.next_token();
                Some(
                    parser
                        .parse_expr()
                        .map(|value| Expr::Prefixed { prefix, value: Box::new(value) }),
                )
            }
            Token::Word(w)
                if w.quote_style.is_none()
                    && w.value.eq_ignore_ascii_case("current")
                    && matches!(&parser.peek_nth_token_ref(1).token,
                        Token::Word(of) if of.keyword == Keyword::OF) =>
            {
                parser.next_token();
                parser.next_token();
                let prefix = Ident { value: CURRENT_OF.to_owned(), quote_style: None, span };
                Some(
                    parser.parse_identifier().map(|name| Expr::Prefixed {
                        prefix,
                        value: Box::new(Expr::Identifier(name)),
                    }),
                )
            }
            Token::Word(w)
                if w.quote_style.is_none() && reserved::begins_no_expression(&w.value) =>
            {
                Some(parser.expected_ref("an expression", next))
            }
            Token::Word(w)
                if w.keyword == Keyword::NOT && keyword_at(parser, 1) == Some(Keyword::EXISTS) =>
            {
                parser.next_token();
                let operand = parser.parse_subexpr(PG.prec_value(Precedence::UnaryNot));
                Some(operand.map(not_exists))
            }
            Token::Word(w) if w.keyword == Keyword::TRIM && w.quote_style.is_none() => {
                call::trim(parser)
            }
            Token::Word(w) if w.keyword == Keyword::INTERVAL && w.quote_style.is_none() => {
                precise_interval(parser)
            }
            Token::Word(w) if w.keyword == Keyword::SUBSTRING && w.quote_style.is_none() => {
                call::substring(parser)
            }
            Token::Word(w) if call::is_normalize(w) => call::normalize(parser),
            Token::Word(w) if grouping::begins(w, parser) => Some(grouping::sets(parser)),
            Token::Word(_) => typed_literal(parser),
            Token::LParen if parser.peek_nth_token_ref(1).token == Token::RParen => {
                grouping::nothing(parser)
            }
            Token::LParen => values_subquery(parser),
            _ => None,
        }
    }

    fn parse_infix(
        &self,
        parser: &mut Parser,
        expr: &Expr,
        _precedence: u8,
    ) -> Option<Result<Expr, ParserError>> {
        let next = parser.peek_token_ref();
        match &next.token {
            token if comparison(token).is_some() && is_comparison(expr) => {
                Some(parser.expected_ref("no other comparison", next))
            }
            // sqlparser takes the left side into what it makes itself, and lends it here: what this
            // made of a long chain would copy all before it, again for every operator.
            Token::CustomBinaryOperator(name) if is_quantifier(parser, 1) => {
                let op = BinaryOperator::Custom(name.clone());
                parser.next_token();
                Some(quantified(parser, expr, op))
            }
            token if quantifies_values(parser) => {
                let op = comparison(token)?;
                parser.next_token();
                Some(quantified(parser, expr, op))
            }
            Token::Word(_) if like_any(parser).is_some() => {
                let (op, words) = like_any(parser)?;
                (0..words).for_each(|_| drop(parser.next_token()));
                Some(quantified(parser, expr, op))
            }
            Token::Word(w) if w.keyword == Keyword::OPERATOR => {
                let (op, tokens) = named_operator_any(parser)?;
                (0..tokens).for_each(|_| drop(parser.next_token()));
                Some(quantified(parser, expr, op))
            }
            Token::Word(_) if items::begin_with_query(parser) => Some(items::parse(parser, expr)),
            Token::Word(w) if is_null_word(w) => {
                parser.next_token();
                Some(Ok(Expr::IsNull(Box::new(expr.clone()))))
            }
            Token::Word(w) if w.keyword == Keyword::COLLATE => {
                parser.next_token();
                let collation = parser.parse_object_name(false);
                let expr = Box::new(expr.clone());
                Some(collation.map(|collation| Expr::Collate { expr, collation }))
            }
            Token::Word(w) if w.keyword == Keyword::IS => distinct(parser, expr),
            Token::Word(w) if matches!(w.keyword, Keyword::NOT | Keyword::BETWEEN) => {
                between(parser, expr)
            }
            _ => None,
        }
    }

    delegate! {
        supports_unicode_string_literal supports_filter_during_aggregation
        allow_extract_custom allow_extract_single_quotes supports_create_index_with_clause
        supports_explain_with_utility_options supports_listen_notify supports_bitwise_shift_operators
        supports_comment_on supports_load_extension supports_named_fn_args_with_colon_operator
        supports_empty_projections supports_nested_comments
        supports_string_escape_constant supports_numeric_literal_underscores
        supports_array_typedef_with_brackets supports_set_names supports_alter_column_type_using
        supports_notnull_operator supports_interval_options supports_insert_table_alias
        supports_create_table_like_parenthesized supports_select_wildcard_with_alias
        supports_comma_separated_trim
    }

    // sqlparser's own takes `(a)::text` within ROLLUP for a list: grouping::sets reads them.
    fn supports_group_by_expr(&self) -> bool {
        false
    }

    // A name of an argument is a name: as an expression it would be parsed twice, and so on inwards.
    fn supports_named_fn_args_with_expr_name(&self) -> bool {
        false
    }

    fn supports_named_fn_args_with_assignment_operator(&self) -> bool {
        true
    }

    fn supports_in_empty_list(&self) -> bool {
        false
    }
}

/// Whether `<op> ANY (VALUES ...)` follows, which sqlparser takes for a call.
fn quantifies_values(parser: &Parser) -> bool {
    matches!(keyword_at(parser, 1), Some(Keyword::ANY | Keyword::ALL | Keyword::SOME))
        && parser.peek_nth_token_ref(2).token == Token::LParen
        && keyword_at(parser, 3) == Some(Keyword::VALUES)
}

fn comparison(token: &Token) -> Option<BinaryOperator> {
    Some(match token {
        Token::Eq => BinaryOperator::Eq,
        Token::Neq => BinaryOperator::NotEq,
        Token::Lt => BinaryOperator::Lt,
        Token::LtEq => BinaryOperator::LtEq,
        Token::Gt => BinaryOperator::Gt,
        Token::GtEq => BinaryOperator::GtEq,
        _ => return None,
    })
}

/// Comparisons do not associate: `a = b = c` is an error.
fn is_comparison(expr: &Expr) -> bool {
    use BinaryOperator as O;
    let Expr::BinaryOp { op, .. } = expr else { return false };
    matches!(op, O::Eq | O::NotEq | O::Lt | O::LtEq | O::Gt | O::GtEq)
}

/// `ISNULL` is no keyword of sqlparser's.
fn is_null_word(word: &Word) -> bool {
    word.quote_style.is_none() && word.value.eq_ignore_ascii_case("isnull")
}

fn is_quantifier(parser: &Parser, n: usize) -> bool {
    matches!(keyword_at(parser, n), Some(Keyword::ANY | Keyword::ALL | Keyword::SOME))
}

/// `[NOT] LIKE ANY (...)` and the like: the operator that is meant, and how many words it is.
fn like_any(parser: &Parser) -> Option<(BinaryOperator, usize)> {
    use BinaryOperator as O;
    let negated = keyword_at(parser, 0) == Some(Keyword::NOT);
    let at = usize::from(negated);
    let op = match (keyword_at(parser, at)?, negated) {
        (Keyword::LIKE, false) => O::PGLikeMatch,
        (Keyword::LIKE, true) => O::PGNotLikeMatch,
        (Keyword::ILIKE, false) => O::PGILikeMatch,
        (Keyword::ILIKE, true) => O::PGNotILikeMatch,
        _ => return None,
    };
    is_quantifier(parser, at + 1).then_some((op, at + 1))
}

/// `OPERATOR(schema.op) ANY (...)`: the operator, and how many tokens it is.
fn named_operator_any(parser: &Parser) -> Option<(BinaryOperator, usize)> {
    let token = |n: usize| &parser.peek_nth_token_ref(n).token;
    if *token(1) != Token::LParen {
        return None;
    }
    let mut parts = vec![token(2).to_string()];
    let mut at = 3;
    while *token(at) == Token::Period {
        parts.push(token(at + 1).to_string());
        at += 2;
    }
    let quantified = *token(at) == Token::RParen && is_quantifier(parser, at + 1);
    quantified.then_some((BinaryOperator::PGCustomBinaryOperator(parts), at + 1))
}

/// `x <op> ANY (...)`, `x <op> ALL (...)`: sqlparser's own grammar knows them of comparisons only.
fn quantified(parser: &mut Parser, left: &Expr, op: BinaryOperator) -> Result<Expr, ParserError> {
    let left = Box::new(left.clone());
    let quantifier = parser.expect_one_of_keywords(&[Keyword::ANY, Keyword::ALL, Keyword::SOME])?;
    let subquery = matches!(
        &parser.peek_nth_token_ref(1).token,
        Token::Word(w) if matches!(w.keyword, Keyword::SELECT | Keyword::WITH | Keyword::VALUES)
    );
    let right = if subquery {
        parser.parse_subexpr(UNARY)?
    } else {
        parser.expect_token(&Token::LParen)?;
        let right = parser.parse_expr()?;
        parser.expect_token(&Token::RParen)?;
        right
    };
    let right = Box::new(right);
    Ok(if quantifier == Keyword::ALL {
        Expr::AllOp { left, compare_op: op, right }
    } else {
        Expr::AnyOp { left, compare_op: op, right, is_some: quantifier == Keyword::SOME }
    })
}

pub(super) fn keyword_at(parser: &Parser, n: usize) -> Option<Keyword> {
    match &parser.peek_nth_token_ref(n).token {
        Token::Word(w) if w.quote_style.is_none() => Some(w.keyword),
        _ => None,
    }
}

/// PostgreSQL's `b_expr`, which ends before IS, NOT and the connectives.
pub(super) fn b_expr(parser: &mut Parser) -> Result<Expr, ParserError> {
    parser.parse_subexpr(PG.prec_value(Precedence::Is))
}

/// `IS [NOT] DISTINCT FROM`: sqlparser takes all that follows for its right side, AND and OR too.
fn distinct(parser: &mut Parser, expr: &Expr) -> Option<Result<Expr, ParserError>> {
    let negated = keyword_at(parser, 1) == Some(Keyword::NOT);
    let at = 1 + usize::from(negated);
    let words = (keyword_at(parser, at), keyword_at(parser, at + 1));
    if words != (Some(Keyword::DISTINCT), Some(Keyword::FROM)) {
        return None;
    }
    (0..at + 2).for_each(|_| drop(parser.next_token()));
    let right = match b_expr(parser) {
        Ok(right) => Box::new(right),
        Err(error) => return Some(Err(error)),
    };
    let left = Box::new(expr.clone());
    let made = if negated { Expr::IsNotDistinctFrom } else { Expr::IsDistinctFrom };
    Some(Ok(made(left, right)))
}

/// `BETWEEN SYMMETRIC`: either bound may be the lower one. PostgreSQL's grammar too makes it of two
/// BETWEENs.
fn between(parser: &mut Parser, expr: &Expr) -> Option<Result<Expr, ParserError>> {
    let negated = keyword_at(parser, 0) == Some(Keyword::NOT);
    let at = usize::from(negated);
    let (first, second) = (keyword_at(parser, at), keyword_at(parser, at + 1));
    if first != Some(Keyword::BETWEEN)
        || !matches!(second, Some(Keyword::SYMMETRIC | Keyword::ASYMMETRIC))
    {
        return None;
    }
    (0..at + 2).for_each(|_| drop(parser.next_token()));
    let plain = match parser.parse_between(expr.clone(), negated) {
        Ok(plain) => plain,
        Err(error) => return Some(Err(error)),
    };
    let turned = match plain.clone() {
        Expr::Between { expr, negated, low, high } if second == Some(Keyword::SYMMETRIC) => {
            Expr::Between { expr, negated, low: high, high: low }
        }
        _ => return Some(Ok(plain)),
    };
    let op = if negated { BinaryOperator::And } else { BinaryOperator::Or };
    let both = Expr::BinaryOp { left: Box::new(plain), op, right: Box::new(turned) };
    Some(Ok(Expr::Nested(Box::new(both))))
}

/// `interval(3) '1.5 s'`: sqlparser forgets the precision.
fn precise_interval(parser: &mut Parser) -> Option<Result<Expr, ParserError>> {
    let token = |n: usize| &parser.peek_nth_token_ref(n).token;
    let precise = *token(1) == Token::LParen
        && matches!(token(2), Token::Number(..))
        && *token(3) == Token::RParen
        && matches!(token(4), Token::SingleQuotedString(_));
    if !precise {
        return None;
    }
    Some(parser.parse_data_type().and_then(|data_type| {
        let value = parser.parse_value()?;
        Ok(Expr::TypedString(ast::TypedString { data_type, value, uses_odbc_syntax: false }))
    }))
}

/// `NOT` over what begins with EXISTS: all of `EXISTS (..) IS NULL` if that is there.
fn not_exists(operand: Expr) -> Expr {
    match operand {
        Expr::Exists { subquery, negated } => Expr::Exists { subquery, negated: !negated },
        operand => Expr::UnaryOp { op: UnaryOperator::Not, expr: Box::new(operand) },
    }
}

/// `(VALUES (1))` as a value.
fn values_subquery(parser: &mut Parser) -> Option<Result<Expr, ParserError>> {
    let is = |n: usize, keyword: Keyword| matches!(&parser.peek_nth_token_ref(n).token, Token::Word(w) if w.keyword == keyword);
    if !is(1, Keyword::VALUES) || parser.peek_nth_token_ref(2).token != Token::LParen {
        return None;
    }
    parser.next_token();
    let query = parser.parse_query();
    Some(query.and_then(|query| {
        parser.expect_token(&Token::RParen)?;
        Ok(Expr::Subquery(query))
    }))
}

/// Words that may stand before a string without being its type.
fn never_type(keyword: Keyword) -> bool {
    use Keyword as K;
    matches!(
        keyword,
        K::ALL | K::AND | K::ANY | K::ARRAY | K::AS | K::ASC | K::BETWEEN | K::BOTH | K::CASE
            | K::CAST | K::COLLATE | K::CURRENT_DATE | K::CURRENT_TIME | K::CURRENT_TIMESTAMP
            | K::CURRENT_USER | K::DEFAULT | K::DESC | K::DISTINCT | K::ELSE | K::END | K::ESCAPE
            | K::EXCEPT | K::EXISTS | K::FALSE | K::FOR | K::FROM | K::GROUP | K::HAVING | K::ILIKE
            | K::IN | K::INTERSECT | K::INTERVAL | K::INTO | K::IS | K::LEADING | K::LIKE | K::LIMIT
            | K::LOCALTIME | K::LOCALTIMESTAMP | K::NOT | K::NULL | K::OFFSET | K::ON | K::OR
            | K::ORDER | K::RETURNING | K::ROW | K::SELECT | K::SESSION_USER | K::SIMILAR | K::SOME
            | K::THEN | K::TRAILING | K::TRUE | K::UNION | K::UNIQUE | K::USER | K::USING
            | K::VALUES | K::VARIADIC | K::WHEN | K::WHERE | K::WITH | K::PLACING
            // sqlparser reads these with their precision and zone
            | K::DATE | K::TIME | K::TIMESTAMP | K::TIMESTAMPTZ | K::DOUBLE
    )
}

/// `type 'text'` and `schema.type 'text'`, whatever the type.
fn typed_literal(parser: &mut Parser) -> Option<Result<Expr, ParserError>> {
    if !matches!(&parser.peek_token_ref().token,
        Token::Word(w) if w.quote_style.is_some() || !never_type(w.keyword))
    {
        return None;
    }
    let qualified = match &parser.peek_nth_token_ref(1).token {
        Token::SingleQuotedString(_) => false,
        Token::Period
            if matches!(parser.peek_nth_token_ref(2).token, Token::Word(_))
                && matches!(parser.peek_nth_token_ref(3).token, Token::SingleQuotedString(_)) =>
        {
            true
        }
        _ => return None,
    };
    Some(parse_typed_literal(parser, qualified))
}

fn parse_typed_literal(parser: &mut Parser, qualified: bool) -> Result<Expr, ParserError> {
    let quoted =
        matches!(&parser.peek_token_ref().token, Token::Word(w) if w.quote_style.is_some());
    let data_type = if quoted || qualified {
        let mut parts = vec![parser.parse_identifier()?];
        if qualified {
            parser.expect_token(&Token::Period)?;
            parts.push(parser.parse_identifier()?);
        }
        DataType::Custom(ast::ObjectName::from(parts), Vec::new())
    } else {
        // `int` and the like are words of the grammar, not names of types. Here their length is what it is.
        let named = |name| DataType::Custom(ast::Ident::new(name).into(), Vec::new());
        match parser.parse_data_type()? {
            DataType::Char(None) | DataType::Character(None) => named("bpchar"),
            DataType::Bit(None) => named("bit"),
            other => other,
        }
    };
    Ok(Expr::TypedString(ast::TypedString {
        data_type,
        value: parser.parse_value()?,
        uses_odbc_syntax: false,
    }))
}
