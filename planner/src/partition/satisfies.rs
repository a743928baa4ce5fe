//! `satisfies_hash_partition`: the constraint of a hash partition.

use vicinity_storage::catalog::model::Strategy;
use vicinity_types::{Datum, Oid, PgError, Result, SqlState};

use super::{bounds, key_types};
use crate::context::ExecContext;

/// Whether the partition with a modulus and remainder has rows with a key; `None` without such a table.
pub(crate) fn satisfies(
    ctx: &ExecContext,
    table: Oid,
    (modulus, remainder): (i32, i32),
    key: &[(Oid, Datum)],
) -> Result<Option<bool>> {
    let wrong = |message: String| Err(PgError::new(SqlState::INVALID_PARAMETER_VALUE, message));
    let no_hash = |name: &str| wrong(format!("\"{name}\" is not a hash partitioned table"));
    let Some(relation) = ctx.catalog.relation(table) else {
        return crate::hooks::virtual_name(table).map_or(Ok(None), |name| no_hash(&name));
    };
    let by = relation.table().and_then(|t| t.partitioning.as_ref());
    let Some(by) = by.filter(|by| by.strategy == Strategy::Hash) else {
        return no_hash(&relation.name);
    };
    let whole = |n: i32| u64::try_from(n).ok();
    let Some(modulus) = whole(modulus).filter(|m| *m > 0) else {
        return wrong(
            "modulus for hash partition must be an integer value greater than zero".into(),
        );
    };
    let Some(remainder) = whole(remainder) else {
        return wrong(
            "remainder for hash partition must be an integer value greater than or equal to zero"
                .into(),
        );
    };
    if remainder >= modulus {
        return wrong("remainder for hash partition must be less than modulus".into());
    }
    let types = key_types(relation, by);
    if types.len() != key.len() {
        return wrong(format!(
            "number of partitioning columns ({}) does not match number of partition keys provided ({})",
            types.len(),
            key.len()
        ));
    }
    for (at, ((wanted, _), (given, _))) in types.iter().zip(key).enumerate() {
        if !is_held_alike(*given, *wanted) {
            let named = |ty: Oid| ctx.type_name(ty, None);
            return wrong(format!(
                "column {} of the partition key has type {}, but supplied value is of type {}",
                at + 1,
                named(*wanted),
                named(*given)
            ));
        }
    }
    let values: Vec<Datum> = key.iter().map(|(_, value)| value.clone()).collect();
    let hash = bounds(&ctx.engine, &ctx.catalog, relation)?.hash(ctx, &values)?;
    Ok(Some(hash % modulus == remainder))
}

/// `IsBinaryCoercible`
fn is_held_alike(given: Oid, wanted: Oid) -> bool {
    given == wanted || vicinity_functions::cast(given, wanted).is_some_and(|c| c.method == b'b')
}
