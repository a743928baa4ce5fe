//! Functions over partitions.

use vicinity_types::Datum::Oid;

sets! { pub(crate) PARTITION, _env;
    // A table that is no partition is its own only ancestor.
    "pg_partition_ancestors" [Oid(table)] => {
        Ok(Box::new(std::iter::once(Ok(vec![Oid(*table)]))))
    };
}
