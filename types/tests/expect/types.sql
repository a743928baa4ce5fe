-- Names of types, for typname.rs's test: id, modifier, format_type, pg_type's own name.
select t.oid, m, case when t.oid = 1042 and m = -1 then 'character' when t.oid = 1014 and m = -1 then 'character[]' else format_type(t.oid, m) end, t.typname
from pg_type t
left join lateral (
  select unnest(case
    when t.typname in ('varchar', 'bpchar', '_varchar') then array[5, 14, 104]
    when t.typname in ('numeric', '_numeric') then array[(10 << 16) + 4, (5 << 16 | 2) + 4, (3 << 16 | ((-2) & 2047)) + 4]
    when t.typname in ('time', 'timetz', 'timestamp', 'timestamptz') then array[0, 3, 6]
    when t.typname = 'interval' then array[(32767 << 16) + 3, (4 << 16) + 65535, (7176 << 16) + 2, (6 << 16) + 65535, (6144 << 16) + 65535, (3080 << 16) + 65535]
    else '{}' end || -1) as m) mods on true
where t.oid < 16384 and t.typnamespace = 'pg_catalog'::regnamespace
  and t.typtype in ('b', 'p') and t.typname !~ 'range|^_?(pg_|gts|tsv|tsq|bit|varbit|mac|cidr|inet|money|tsm_|cstring$)|internal$|^_?jsonpath|macaddr|txid|_handler$|^any|^void|trigger|^record|^_record|xid8|^_cstring'
order by 1, 2;
