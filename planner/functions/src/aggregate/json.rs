//! `json_agg`, `json_object_agg` and their `jsonb` forms.

use std::sync::Arc;

use vicinity_types::jsonb::parse;
use vicinity_types::{Datum, Oid, PgError, Result, SqlState};

use super::{Aggregate, MakeAggregate, maker};
use crate::env::Env;
use crate::json::write::{key, string, value};

pub(super) fn make(name: &str, types: &[Oid]) -> Option<MakeAggregate> {
    let types = types.to_vec();
    let fresh =
        |object, binary| maker(JsonAgg { types: types.clone(), text: None, object, binary });
    match name {
        "json_agg" => fresh(false, false),
        "jsonb_agg" => fresh(false, true),
        "json_object_agg" => fresh(true, false),
        "jsonb_object_agg" => fresh(true, true),
        _ => None,
    }
}

/// The document so far, as text without its end.
#[derive(Clone)]
struct JsonAgg {
    types: Vec<Oid>,
    text: Option<String>,
    object: bool,
    binary: bool,
}

impl JsonAgg {
    fn ty(&self, i: usize) -> Oid {
        self.types.get(i).copied().unwrap_or(0)
    }
}

impl Aggregate for JsonAgg {
    fn step(&mut self, env: &dyn Env, args: &[Datum]) -> Result<()> {
        let (first, second) = (self.ty(0), self.ty(1));
        let open = if self.object { "{ " } else { "[" };
        let fresh = self.text.is_none();
        let text = self.text.get_or_insert_with(|| open.to_owned());
        match args {
            [datum] => {
                if !fresh {
                    // Rows and arrays go on lines of their own.
                    let tall = matches!(datum, Datum::Array(_) | Datum::Record(_));
                    text.push_str(if tall { ", \n " } else { ", " });
                }
                value(env, first, datum, false, text);
            }
            [name, datum] => {
                if !fresh {
                    text.push_str(", ");
                }
                if name.is_null() {
                    return Err(PgError::new(
                        SqlState::INVALID_PARAMETER_VALUE,
                        "field name must not be null",
                    ));
                }
                string(&key(env, first, name)?, text);
                text.push_str(" : ");
                value(env, second, datum, false, text);
            }
            _ => {}
        }
        Ok(())
    }

    fn finish(&mut self, _: &dyn Env) -> Result<Datum> {
        let Some(text) = &self.text else { return Ok(Datum::Null) };
        let whole = text.clone() + if self.object { " }" } else { "]" };
        if self.binary {
            return Ok(Datum::Jsonb(Arc::new(parse::jsonb(&whole)?)));
        }
        Ok(Datum::text(whole))
    }

    fn size(&self) -> usize {
        self.text.as_ref().map_or(0, String::capacity)
    }
}
