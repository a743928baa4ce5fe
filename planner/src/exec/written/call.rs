//! Calls as PostgreSQL writes them: functions, aggregates, windows, and those with a grammar of their own.

use sqlparser::ast::{
    self, Expr, FunctionArg, FunctionArgExpr, FunctionArgumentClause, FunctionArguments,
    WindowFrameBound,
};

use vicinity_storage::catalog::model::ArgMode;
use vicinity_types::oid;

use super::parentheses::Inside;
use super::{Writer, direction};
use crate::call::{Builtin, Callable, PgType, callable_of};
use crate::df::window::Exclude;
use crate::exec::name;
use crate::names;
use crate::sql::window::excluded;
use crate::user_call::UserCall;

/// Words of the grammar that are values.
pub(super) fn is_value_word(word: &str) -> bool {
    const WORDS: [&str; 11] = [
        "CURRENT_DATE",
        "CURRENT_TIME",
        "CURRENT_TIMESTAMP",
        "LOCALTIME",
        "LOCALTIMESTAMP",
        "CURRENT_USER",
        "CURRENT_ROLE",
        "SESSION_USER",
        "USER",
        "CURRENT_CATALOG",
        "CURRENT_SCHEMA",
    ];
    WORDS.contains(&word)
}

/// The name that an argument is given by.
fn label(a: &FunctionArg) -> Option<String> {
    match a {
        FunctionArg::Unnamed(_) => None,
        FunctionArg::Named { name, .. } => Some(name::ident(name)),
        FunctionArg::ExprNamed { name, .. } => match name {
            Expr::Identifier(name) => Some(name::ident(name)),
            _ => None,
        },
    }
}

/// The types of the arguments that are written, of a call that has those left out, too. The last ones have names.
fn argument_types(c: &dyn Callable, count: usize, labels: &[String]) -> Option<Vec<PgType>> {
    let declared: Vec<&str> = if labels.is_empty() {
        Vec::new()
    } else if let Some(builtin) = c.as_any().downcast_ref::<Builtin>() {
        builtin.proc().names.clone()
    } else {
        let function = c.as_any().downcast_ref::<UserCall>()?.function();
        let given = |mode: ArgMode| !matches!(mode, ArgMode::Out | ArgMode::Table);
        let inputs = function.args.iter().filter(|a| given(a.mode));
        inputs.map(|a| a.name.as_deref().unwrap_or("")).collect()
    };
    let place = |label: &String| declared.iter().position(|name| *name == label.as_str());
    let named = labels.iter().map(place);
    let plain = (0..count.checked_sub(labels.len())?).map(Some);
    plain.chain(named).map(|at| c.args().get(at?).copied()).collect()
}

/// An argument of a call.
enum Argument<'e> {
    Value(&'e Expr),
    /// `t.*`, written.
    Row(String),
}

impl Writer<'_> {
    pub(super) fn function(&self, whole: &Expr, f: &ast::Function) -> Option<String> {
        let word = name::last(&f.name).to_uppercase();
        let list = match &f.args {
            FunctionArguments::List(list) => list,
            FunctionArguments::Subquery(query) if word == "ARRAY" => {
                return Some(format!("ARRAY({})", self.query(query)?));
            }
            _ => return is_value_word(&word).then_some(word),
        };
        if is_value_word(&word) {
            let args: Vec<String> = list.args.iter().map(ToString::to_string).collect();
            return Some(format!("{word}({})", args.join(", ")));
        }
        if !f.within_group.is_empty() {
            return None;
        }
        let bound = self.bind(whole)?;
        let (mut args, mut labels) = (Vec::new(), Vec::new());
        for a in &list.args {
            labels.extend(label(a));
            match a {
                FunctionArg::Named { arg: FunctionArgExpr::Expr(e), .. }
                | FunctionArg::ExprNamed { arg: FunctionArgExpr::Expr(e), .. } => {
                    args.push(Argument::Value(e));
                }
                FunctionArg::Unnamed(FunctionArgExpr::Expr(e)) => args.push(Argument::Value(e)),
                FunctionArg::Unnamed(FunctionArgExpr::Wildcard) if list.args.len() == 1 => {
                    let name = self.names.function_name(f, &bound);
                    return Some(format!("{name}(*){}", self.behind_call(f)?));
                }
                // A row as a whole; ROW would have its fields.
                FunctionArg::Unnamed(FunctionArgExpr::QualifiedWildcard(item)) if word != "ROW" => {
                    let [ast::ObjectNamePart::Identifier(row)] = item.0.as_slice() else {
                        return None;
                    };
                    args.push(Argument::Row(self.names.row(row)?));
                }
                _ => return None,
            }
        }
        let own = name::last(&f.name);
        let common = matches!(own.as_str(), "coalesce" | "greatest" | "least" | "nullif");
        let types: Vec<PgType> = match callable_of(&bound.expr) {
            _ if common => vec![bound.ty; args.len()],
            Some((c, given)) if given.len() >= args.len() => {
                argument_types(c.as_ref(), args.len(), &labels)?
            }
            Some(_) => return None,
            // an aggregate or window function takes its arguments as they are
            None => args.iter().map(|a| self.type_of(a)).collect::<Option<_>>()?,
        };
        let last = f.name.0.last().and_then(|part| part.as_ident());
        let row = own == "row" && last.is_some_and(|name| name.quote_style.is_none());
        let texts: Option<Vec<String>> =
            args.iter().zip(types).map(|(a, ty)| self.argument(a, ty, row)).collect();
        let mut texts = texts?;
        let plain = texts.len().checked_sub(labels.len())?;
        for (text, label) in texts.iter_mut().skip(plain).zip(&labels) {
            *text = format!("{} => {text}", names::quote(label));
        }
        let shown = match common || row {
            true => own.to_uppercase(),
            false => self.names.function_name(f, &bound),
        };
        let distinct = match list.duplicate_treatment {
            Some(ast::DuplicateTreatment::Distinct) => "DISTINCT ",
            _ => "",
        };
        let order = match list.clauses.as_slice() {
            [] => String::new(),
            [FunctionArgumentClause::OrderBy(keys)] => format!(" ORDER BY {}", self.keys(keys)?),
            _ => return None,
        };
        let behind = self.behind_call(f)?;
        Some(format!("{shown}({distinct}{}{order}){behind}", texts.join(", ")))
    }

    /// An argument; a row among the fields of a row says what it is.
    fn argument(&self, a: &Argument<'_>, ty: PgType, field: bool) -> Option<String> {
        match a {
            Argument::Row(text) => Some(text.clone()),
            Argument::Value(e) if field && self.names.is_row(e) => self.whole_row(e),
            Argument::Value(e) => self.given(e, ty, Inside::Free),
        }
    }

    /// The type of an argument that is taken as it is.
    fn type_of(&self, a: &Argument<'_>) -> Option<PgType> {
        match a {
            Argument::Row(_) => Some(PgType::new(oid::RECORD)),
            Argument::Value(e) => self.bind(e).map(|t| t.ty),
        }
    }

    /// FILTER and OVER.
    fn behind_call(&self, f: &ast::Function) -> Option<String> {
        let mut out = String::new();
        if let Some(filter) = &f.filter {
            out.push_str(&format!(" FILTER (WHERE {})", self.expr(filter)?));
        }
        match &f.over {
            None => {}
            Some(ast::WindowType::NamedWindow(name)) => {
                out.push_str(&format!(" OVER {}", names::quote(&name::ident(name))));
            }
            Some(ast::WindowType::WindowSpec(spec)) => {
                out.push_str(&format!(" OVER ({})", self.window(spec)?));
            }
        }
        Some(out)
    }

    /// What stands between the parentheses of OVER and WINDOW.
    pub(crate) fn window(&self, spec: &ast::WindowSpec) -> Option<String> {
        let mut parts = Vec::new();
        parts.extend(spec.window_name.as_ref().map(|name| names::quote(&name::ident(name))));
        if !spec.partition_by.is_empty() {
            let by: Option<Vec<String>> = spec.partition_by.iter().map(|e| self.key(e)).collect();
            parts.push(format!("PARTITION BY {}", by?.join(", ")));
        }
        if !spec.order_by.is_empty() {
            parts.push(format!("ORDER BY {}", self.keys(&spec.order_by)?));
        }
        if let Some(frame) = &spec.window_frame {
            parts.push(self.frame(frame)?);
        }
        Some(parts.join(" "))
    }

    fn frame(&self, frame: &ast::WindowFrame) -> Option<String> {
        let read = excluded(frame);
        let start = self.frame_bound(&read.start)?;
        let bounds = match frame.end_bound {
            None => start,
            Some(_) => format!("BETWEEN {start} AND {}", self.frame_bound(&read.end)?),
        };
        let exclude = match read.exclude {
            Exclude::None => "",
            Exclude::Row => " EXCLUDE CURRENT ROW",
            Exclude::Group => " EXCLUDE GROUP",
            Exclude::Ties => " EXCLUDE TIES",
        };
        Some(format!("{} {bounds}{exclude}", frame.units))
    }

    fn frame_bound(&self, bound: &WindowFrameBound) -> Option<String> {
        Some(match bound {
            WindowFrameBound::CurrentRow => "CURRENT ROW".to_owned(),
            WindowFrameBound::Preceding(None) => "UNBOUNDED PRECEDING".to_owned(),
            WindowFrameBound::Following(None) => "UNBOUNDED FOLLOWING".to_owned(),
            WindowFrameBound::Preceding(Some(e)) => format!("{} PRECEDING", self.expr(e)?),
            WindowFrameBound::Following(Some(e)) => format!("{} FOLLOWING", self.expr(e)?),
        })
    }

    fn keys(&self, keys: &[ast::OrderByExpr]) -> Option<String> {
        let key = |k: &ast::OrderByExpr| {
            k.with_fill.is_none().then_some(())?;
            Some(self.key(&k.expr)? + direction(&k.options))
        };
        Some(keys.iter().map(key).collect::<Option<Vec<_>>>()?.join(", "))
    }

    /// Calls with a grammar of their own (`get_func_sql_syntax`).
    pub(super) fn form(&self, whole: &Expr) -> Option<String> {
        let bound = self.bind(whole)?;
        let types = callable_of(&bound.expr).map(|(c, _)| c.args().to_vec()).unwrap_or_default();
        let text = |e: &Expr, at: usize| self.hidden(e, types.get(at).copied()?);
        let word = |word: &str, e: Option<&Expr>, at: usize| match e {
            Some(e) => Some(format!(" {word} {}", text(e, at)?)),
            None => Some(String::new()),
        };
        Some(match whole {
            Expr::Extract { field, expr, .. } => {
                format!("EXTRACT({} FROM {})", field.to_string().to_lowercase(), self.expr(expr)?)
            }
            Expr::Position { expr, r#in } => {
                format!("POSITION(({}) IN ({}))", text(expr, 1)?, text(r#in, 0)?)
            }
            Expr::Substring {
                expr,
                substring_from: Some(from),
                substring_for,
                special,
                shorthand,
            } => {
                let (from, length) = (from.as_ref(), substring_for.as_deref());
                if *special || *shorthand {
                    let name = if *shorthand { "substr" } else { "\"substring\"" };
                    let length = match length {
                        Some(length) => format!(", {}", text(length, 2)?),
                        None => String::new(),
                    };
                    return Some(format!("{name}({}, {}{length})", text(expr, 0)?, text(from, 1)?));
                }
                let (from, length) = (word("FROM", Some(from), 1)?, word("FOR", length, 2)?);
                format!("SUBSTRING({}{from}{length})", text(expr, 0)?)
            }
            Expr::Overlay { expr, overlay_what, overlay_from, overlay_for } => {
                let what = word("PLACING", Some(overlay_what), 1)?;
                let from = word("FROM", Some(overlay_from), 2)?;
                let length = word("FOR", overlay_for.as_deref(), 3)?;
                format!("OVERLAY({}{what}{from}{length})", text(expr, 0)?)
            }
            Expr::Trim { trim_where, trim_what, expr, trim_characters: None } => {
                let side = match trim_where {
                    Some(side) => side.to_string(),
                    None => "BOTH".to_owned(),
                };
                let what = match trim_what {
                    Some(what) => format!(" {}", text(what, 1)?),
                    None => String::new(),
                };
                format!("TRIM({side}{what} FROM {})", text(expr, 0)?)
            }
            _ => return None,
        })
    }
}
