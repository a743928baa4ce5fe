//! `MERGE`: sqlparser's grammar has other servers' actions, not all of PostgreSQL's.
//!
//! In its tree an UPDATE without assignments and an INSERT of no row are `DO NOTHING`, and an INSERT
//! of a "row" is one of default values.

use sqlparser::ast::helpers::attached_token::AttachedToken;
use sqlparser::ast::{
    Merge, MergeAction, MergeClause, MergeClauseKind, MergeInsertExpr, MergeInsertKind,
    MergeUpdateExpr, Query, SetExpr, Statement, TableFactor, Values, With,
};
use sqlparser::keywords::Keyword as K;
use sqlparser::parser::{IsOptional, Parser, ParserError};
use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::other::word_is;

/// `WITH .. MERGE ..` as `MERGE WITH .. ..`: who reads a statement looks at its first word.
pub(super) fn rewrite(mut tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let Some(with) = tokens.iter().position(|t| word_is(t, "with")) else { return tokens };
    let mut depth = 0usize;
    for at in with..tokens.len() {
        match tokens.get(at) {
            Some(t) if t.token == Token::LParen => depth += 1,
            Some(t) if t.token == Token::RParen => depth = depth.saturating_sub(1),
            Some(t) if depth == 0 && word_is(t, "merge") => {
                if let Some(slice) = tokens.get_mut(with..=at) {
                    slice.rotate_right(1);
                }
                break;
            }
            _ => {}
        }
    }
    tokens
}

/// Reads one whose first word is next.
pub(super) fn parse(parser: &mut Parser) -> Result<Statement, ParserError> {
    let merge_token = AttachedToken(parser.next_token());
    let with = if parser.parse_keyword(K::WITH) { Some(with(parser)?) } else { None };
    parser.expect_keyword(K::INTO)?;
    let table = parser.parse_table_factor()?;
    parser.expect_keyword(K::USING)?;
    let source = parser.parse_table_and_joins()?;
    let source = match source.joins.as_slice() {
        [] => source.relation,
        _ => TableFactor::NestedJoin { table_with_joins: Box::new(source), alias: None },
    };
    parser.expect_keyword(K::ON)?;
    let on = Box::new(parser.parse_expr()?);
    let mut clauses = vec![clause(parser)?];
    while parser.peek_keyword(K::WHEN) {
        clauses.push(clause(parser)?);
    }
    let merge = Statement::Merge(Merge {
        merge_token,
        optimizer_hints: Vec::new(),
        into: true,
        table,
        source,
        on,
        clauses,
        output: None,
    });
    Ok(match with {
        None => merge,
        Some(with) => Statement::Query(Box::new(Query {
            with: Some(with),
            body: Box::new(SetExpr::Merge(merge)),
            order_by: None,
            limit_clause: None,
            fetch: None,
            locks: Vec::new(),
            for_clause: None,
            settings: None,
            format_clause: None,
            pipe_operators: Vec::new(),
        })),
    })
}

fn with(parser: &mut Parser) -> Result<With, ParserError> {
    let with_token = AttachedToken(parser.get_current_token().clone());
    let recursive = parser.parse_keyword(K::RECURSIVE);
    let cte_tables = parser.parse_comma_separated(Parser::parse_cte)?;
    Ok(With { with_token, recursive, cte_tables })
}

fn clause(parser: &mut Parser) -> Result<MergeClause, ParserError> {
    parser.expect_keyword(K::WHEN)?;
    let when_token = AttachedToken(parser.get_current_token().clone());
    let matched = !parser.parse_keyword(K::NOT);
    parser.expect_keyword(K::MATCHED)?;
    let predicate = if parser.parse_keyword(K::AND) { Some(parser.parse_expr()?) } else { None };
    parser.expect_keyword(K::THEN)?;
    let token = parser.peek_token();
    let attached = AttachedToken(token.clone());
    let update = |assignments| {
        MergeAction::Update(MergeUpdateExpr {
            update_token: attached.clone(),
            assignments,
            update_predicate: None,
            delete_predicate: None,
        })
    };
    let insert = |columns, kind| {
        MergeAction::Insert(MergeInsertExpr {
            insert_token: attached.clone(),
            columns,
            kind_token: attached.clone(),
            kind,
            insert_predicate: None,
        })
    };
    let rows =
        |rows| MergeInsertKind::Values(Values { explicit_row: false, value_keyword: false, rows });
    let action = if parser.parse_keyword(K::DO) {
        parser.expect_keyword(K::NOTHING)?;
        if matched { update(Vec::new()) } else { insert(Vec::new(), rows(Vec::new())) }
    } else if matched && parser.parse_keyword(K::UPDATE) {
        parser.expect_keyword(K::SET)?;
        update(parser.parse_comma_separated(Parser::parse_assignment)?)
    } else if matched && parser.parse_keyword(K::DELETE) {
        MergeAction::Delete { delete_token: attached.clone() }
    } else if !matched && parser.parse_keyword(K::INSERT) {
        if parser.parse_keywords(&[K::DEFAULT, K::VALUES]) {
            insert(Vec::new(), MergeInsertKind::Row)
        } else {
            let columns =
                parser.parse_parenthesized_qualified_column_list(IsOptional::Optional, false)?;
            parser.expect_keyword(K::VALUES)?;
            parser.expect_token(&Token::LParen)?;
            let row = parser.parse_comma_separated(Parser::parse_expr)?;
            let content = sqlparser::ast::Parens {
                opening_token: attached.clone(),
                content: row,
                closing_token: attached.clone(),
            };
            parser.expect_token(&Token::RParen)?;
            insert(columns, rows(vec![content]))
        }
    } else {
        return parser.expected("an action", token);
    };
    let clause_kind = if matched { MergeClauseKind::Matched } else { MergeClauseKind::NotMatched };
    Ok(MergeClause { when_token, clause_kind, predicate, action })
}
