//! Column references.

use datafusion::logical_expr::Expr;
use datafusion::logical_expr::expr::Placeholder;
use sqlparser::ast::{self, Ident};
use vicinity_types::{Kind, PgError, Result, SqlState, oid};

use super::function::Arguments;
use super::row::Fields;
use super::scope::{Item, Scope, ScopeColumn};
use super::{Binder, Conflict, Outer, fold, position};
use crate::call::{PgType, Typed, placeholder};

impl Binder<'_> {
    /// `a`, `t.a`, `s.t.a`, or a whole row.
    pub(super) fn column(&mut self, idents: &[Ident]) -> Result<Typed> {
        let place = idents.first().and_then(|i| position(i.span));
        let parts: Vec<String> = idents.iter().map(fold).collect();
        let variable = self.variable(&parts);
        let conflict = self.variables.map(|v| v.conflict()).unwrap_or_default();
        if let Some((number, ty)) = variable.filter(|_| conflict == Conflict::Variable) {
            return Ok(Typed::new(placeholder(number, ty), ty));
        }
        for level in (0..self.levels.len()).rev() {
            let Some(scope) = self.levels.get(level).map(|l| &l.scope) else { continue };
            let Some(found) = lookup(scope, &parts).map_err(|e| e.or_at(place))? else { continue };
            if variable.is_some() && conflict == Conflict::Error {
                return Err(ambiguous(parts.last().map_or("", String::as_str))
                    .detail("It could refer to either a PL/pgSQL variable or a table column.")
                    .or_at(place));
            }
            return Ok(self.at_level(level, found, place));
        }
        if let Some((number, ty)) = variable {
            return Ok(Typed::new(placeholder(number, ty), ty));
        }
        if let Some(field) = self.field_of_variable(&parts) {
            return Ok(field);
        }
        // whole rows and functions' values come after columns, variables included
        for level in (0..self.levels.len()).rev() {
            let Some(scope) = self.levels.get(level).map(|l| &l.scope) else { continue };
            if let [name] = parts.as_slice()
                && let Some(item) = scope.items.iter().find(|i| i.alias == *name).cloned()
            {
                let whole = self.whole_row(&item);
                item.columns.iter().for_each(|c| self.uses.add_column(c.table, c.attr));
                return Ok(self.outer_value(level, whole));
            }
        }
        if let Some(value) = self.function_of_row(&parts) {
            return Ok(value);
        }
        Err(self.no_such_column(&parts).or_at(place))
    }

    /// `t.f`: a function of the row, where it has no such column.
    fn function_of_row(&mut self, parts: &[String]) -> Option<Typed> {
        let (name, table) = parts.split_last().filter(|(_, table)| !table.is_empty())?;
        let (level, item) = self.item(table)?;
        let whole = self.whole_row(&item);
        let row = self.outer_value(level, whole);
        let value = self.function_of(name, &row)?;
        item.columns.iter().for_each(|c| self.uses.add_column(c.table, c.attr));
        Some(value)
    }

    /// A function of a value, written as its field.
    pub(super) fn function_of(&mut self, name: &str, value: &Typed) -> Option<Typed> {
        let arguments = || Arguments::plain(vec![value.clone()]);
        let found = self.resolve(None, name, arguments()).ok()?;
        (found.target.kind() == b'f').then(|| self.call(None, name, arguments()).ok())?
    }

    fn variable(&self, parts: &[String]) -> Option<(usize, PgType)> {
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        self.variables?.lookup(&parts)
    }

    /// A variable whose value is a row.
    fn row_variable(&self, parts: &[String]) -> Option<(Typed, Fields)> {
        let (number, ty) = self.variable(parts)?;
        let row = Typed::new(placeholder(number, ty), ty);
        let fields = self.row_fields(&row);
        (!fields.is_empty()).then_some((row, fields))
    }

    /// `v.a` of such a variable.
    fn field_of_variable(&mut self, parts: &[String]) -> Option<Typed> {
        let (own, variable) = parts.split_last().filter(|(_, variable)| !variable.is_empty())?;
        let (row, fields) = self.row_variable(variable)?;
        let at = fields.iter().position(|(name, _)| name == own)?;
        let (name, ty) = fields.into_iter().nth(at)?;
        self.note_field(row.ty.oid, at);
        Some(super::special::field_select(row, at, name, ty))
    }

    /// A column of a level: as it is in the innermost, as a parameter in the others.
    fn at_level(&mut self, level: usize, found: ScopeColumn, place: Option<usize>) -> Typed {
        if let (Some(place), Expr::Column(c)) = (place, &found.expr) {
            self.places.entry(c.flat_name()).or_insert(place);
        }
        self.uses.add_column(found.table, found.attr);
        self.outer_value(level, found.typed())
    }

    /// A value of a level: as it is in the innermost, as a parameter in the others.
    pub(super) fn outer_value(&mut self, level: usize, value: Typed) -> Typed {
        if level + 1 == self.levels.len() {
            return value;
        }
        let known = self.outers.iter().position(|o| o.level == level && o.expr == value.expr);
        let index = known.unwrap_or_else(|| {
            self.outers.push(Outer { level, expr: value.expr.clone(), ty: value.ty });
            self.outers.len() - 1
        });
        let field = arrow::datatypes::Field::new("outer", value.ty.arrow(), true);
        let id = format!("$outer{index}");
        Typed::new(
            Expr::Placeholder(Placeholder { id, field: Some(std::sync::Arc::new(field)) }),
            value.ty,
        )
    }

    /// What an expression stands for, if it is a parameter for an outer query's value.
    pub(super) fn outer_of(&self, expr: &Expr) -> Option<&Outer> {
        let Expr::Placeholder(p) = expr else { return None };
        self.outers.get(p.id.strip_prefix("$outer")?.parse::<usize>().ok()?)
    }

    /// A row of an item as one value.
    pub(super) fn whole_row(&self, item: &Item) -> Typed {
        let mut visible = item.columns.iter().filter(|c| !c.hidden);
        if item.scalar
            && let Some(column) = visible.next()
        {
            return column.typed();
        }
        let visible = item.columns.iter().filter(|c| !c.hidden);
        let fields = visible.map(|c| (c.name.clone(), c.typed())).collect();
        let ty = PgType::with_kind(item.row_type.unwrap_or(oid::RECORD), -1, Kind::Record);
        let row = super::row::named_row(fields, ty);
        if item.nullable { super::row::unless_missing(row, item) } else { row }
    }

    fn no_such_column(&self, parts: &[String]) -> PgError {
        let undefined = |text: String| PgError::new(SqlState::UNDEFINED_COLUMN, text);
        match parts {
            [name] => {
                let error = undefined(format!("column \"{name}\" does not exist"));
                match self.suggestion(name, None) {
                    Some(hint) => error.hint(hint),
                    None => error,
                }
            }
            [.., table, name] => {
                let known =
                    self.levels.iter().any(|l| l.scope.items.iter().any(|i| i.alias == *table));
                if known {
                    let error = undefined(format!("column {table}.{name} does not exist"));
                    match self.suggestion(name, Some(table)) {
                        Some(hint) => error.hint(hint),
                        None => error,
                    }
                } else {
                    self.missing_from(table)
                }
            }
            [] => undefined("column does not exist".to_owned()),
        }
    }

    /// A qualifier that means nothing here; a table of that name may be there under an alias.
    fn missing_from(&self, table: &str) -> PgError {
        let is_it = |item: &&Item| {
            let relation = self.types.catalog.relation(item.relation);
            relation.is_some_and(|r| r.name == table) && item.alias != table
        };
        let levels = self.levels.iter().rev();
        let aliased = levels.flat_map(|l| l.scope.items.iter()).find(is_it);
        let undefined = |text: String| PgError::new(SqlState::UNDEFINED_TABLE, text);
        match aliased {
            None => undefined(format!("missing FROM-clause entry for table \"{table}\"")),
            Some(item) => {
                undefined(format!("invalid reference to FROM-clause entry for table \"{table}\""))
                    .hint(format!(
                        "Perhaps you meant to reference the table alias \"{}\".",
                        item.alias
                    ))
            }
        }
    }

    /// PostgreSQL proposes the closest names.
    fn suggestion(&self, name: &str, table: Option<&str>) -> Option<String> {
        let level = self.levels.last()?;
        let mut best: Option<(usize, Vec<String>)> = None;
        for item in level.scope.items.iter().filter(|i| table.is_none_or(|t| i.alias == t)) {
            for column in item.columns.iter().filter(|c| !c.hidden) {
                let distance = distance(name, &column.name);
                if distance > 3 || distance * 2 > name.len().max(1) {
                    continue;
                }
                let shown = format!("\"{}.{}\"", item.alias, column.name);
                match &mut best {
                    Some((have, list)) if *have == distance => list.push(shown),
                    Some((have, _)) if *have < distance => {}
                    _ => best = Some((distance, vec![shown])),
                }
            }
        }
        match best?.1.as_slice() {
            [one] => Some(format!("Perhaps you meant to reference the column {one}.")),
            [one, two] => Some(format!(
                "Perhaps you meant to reference the column {one} or the column {two}."
            )),
            _ => None,
        }
    }

    /// The item a qualifier means, with its level.
    pub(super) fn item(&self, parts: &[String]) -> Option<(usize, Item)> {
        (0..self.levels.len()).rev().find_map(|level| {
            let scope = &self.levels.get(level)?.scope;
            find_item(scope, parts).map(|item| (level, item.clone()))
        })
    }

    /// The columns `t.*` means.
    /// `t.*` as one value, a row of the table; None if that is no table.
    pub(super) fn item_row(&mut self, name: &ast::ObjectName) -> Option<Typed> {
        let (level, item) = self.item(&super::name_parts(name))?;
        item.columns.iter().for_each(|c| self.uses.add_column(c.table, c.attr));
        let whole = self.whole_row(&item);
        Some(self.outer_value(level, whole))
    }

    /// The same where it must be one.
    pub(super) fn whole_item(&mut self, name: &ast::ObjectName) -> Result<Typed> {
        match self.item_row(name) {
            Some(row) => Ok(row),
            None => {
                let parts = super::name_parts(name);
                let missing = self.missing_from(parts.last().map_or("", String::as_str));
                Err(missing.or_at(super::name_position(name)))
            }
        }
    }

    /// The values of `t.*`.
    pub(super) fn item_values(&mut self, name: &ast::ObjectName) -> Result<Vec<Typed>> {
        Ok(self.item_columns(name)?.into_iter().map(|(_, value, ..)| value).collect())
    }

    pub(super) fn item_columns(
        &mut self,
        name: &ast::ObjectName,
    ) -> Result<Vec<(String, Typed, u32, i16)>> {
        let parts = super::name_parts(name);
        let place = super::name_position(name);
        if let ([name], None) = (parts.as_slice(), self.item(&parts))
            && let Some(fields) = self.variables.and_then(|v| v.fields(name))
        {
            let value = |(name, number, ty)| (name, Typed::new(placeholder(number, ty), ty), 0, 0);
            return Ok(fields.into_iter().map(value).collect());
        }
        if self.item(&parts).is_none()
            && let Some((row, fields)) = self.row_variable(&parts)
        {
            let columns = self.spread_row(&row, fields).into_iter();
            return Ok(columns.map(|(name, value)| (name, value, 0, 0)).collect());
        }
        let (level, item) = self.item(&parts).ok_or_else(|| {
            self.missing_from(parts.last().map_or("", String::as_str)).or_at(place)
        })?;
        let columns: Vec<ScopeColumn> = item.columns.into_iter().filter(|c| !c.hidden).collect();
        Ok(columns
            .into_iter()
            .map(|c| {
                let (name, table, attr) = (c.name.clone(), c.table, c.attr);
                (name, self.at_level(level, c, place), table, attr)
            })
            .collect())
    }
}

fn ambiguous(name: &str) -> PgError {
    PgError::new(SqlState::AMBIGUOUS_COLUMN, format!("column reference \"{name}\" is ambiguous"))
}

fn find_item<'s>(scope: &'s Scope, parts: &[String]) -> Option<&'s Item> {
    match parts {
        [name] => scope.items.iter().find(|i| i.alias == *name),
        [schema, name] | [_, schema, name] => scope
            .items
            .iter()
            .find(|i| i.alias == *name && i.schema.as_deref() == Some(schema.as_str())),
        _ => None,
    }
}

pub(super) fn lookup(scope: &Scope, parts: &[String]) -> Result<Option<ScopeColumn>> {
    let pick = |columns: &[ScopeColumn], name: &str| {
        let mut found = columns.iter().filter(|c| c.name == name && !c.hidden);
        match (found.next(), found.next()) {
            (Some(_), Some(_)) => Err(ambiguous(name)),
            (Some(one), None) => Ok(Some(one.clone())),
            (None, _) => {
                let mut hidden = columns.iter().filter(|c| c.name == name && c.hidden);
                match (hidden.next(), hidden.next()) {
                    (Some(_), Some(_)) => Err(ambiguous(name)),
                    (found, _) => Ok(found.cloned()),
                }
            }
        }
    };
    match parts {
        [name] => pick(&scope.columns, name),
        [qualifier @ .., name] => match find_item(scope, qualifier) {
            Some(item) => pick(&item.columns, name),
            None => Ok(None),
        },
        [] => Ok(None),
    }
}

/// Levenshtein distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut last = i;
        let mut left = i + 1;
        let mut next = vec![left];
        for (cb, above) in b.iter().zip(row.iter().skip(1)) {
            let cost = last + usize::from(ca != *cb);
            left = cost.min(above + 1).min(left + 1);
            last = *above;
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}
