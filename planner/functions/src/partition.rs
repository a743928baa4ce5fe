//! Functions over partitions.

use vicinity_types::Datum::{self, Int4, Oid};

typed_scalars! { pub(crate) TYPED, env, types;
    "satisfies_hash_partition" [Oid(table), Int4(modulus), Int4(remainder), key @ ..] => {
        let given: Vec<_> = types.args.iter().copied().skip(3).zip(key.iter().cloned()).collect();
        env.satisfies_hash_partition(*table, (*modulus, *remainder), &given)
    },
        [..] => false;
}

sets! { pub(crate) PARTITION, env;
    "pg_partition_ancestors" [Oid(table)] => {
        let found = env.partition_ancestors(*table);
        Ok(Box::new(found.into_iter().map(|t| Ok(vec![Oid(t)]))))
    };
    "pg_partition_tree" [Oid(table)] => {
        let found = env.partition_tree(*table);
        Ok(Box::new(found.into_iter().map(|(own, parent, leaf, level)| {
            let parent = parent.map_or(Datum::Null, Oid);
            Ok(vec![Oid(own), parent, Datum::Bool(leaf), Datum::Int4(level)])
        })))
    };
}
