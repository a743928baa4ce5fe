create extension pase;
create table t (id int primary key, a int, b text);
create table u (id int, tid int);
create index u_tid on u (tid);
create table items (id int primary key, vec float4[]);
insert into t select i, i % 10, 'x' || i from generate_series(1, 1000) i;
insert into u select i, i % 3 from generate_series(1, 300) i;
insert into items select i, array[i, i + 1, i + 2]::float4[] from generate_series(1, 1000) i;
create index items_vec on items using pase_hnsw (vec) with (dim = 3);
-- what is planned
explain (costs off, verbose) select * from t where a = 3;
explain (costs off, verbose) select id, b from t where id = 4 and b > 'x';
explain (costs off) select * from t where id in (1, 2, 3) order by id desc limit 2;
explain (costs off, verbose) select id, vec <#> '3,1,1'::pase from items order by vec <#> '3,1,1'::pase limit 10;
explain (costs off, verbose) select a, count(*) from t group by a having count(*) > 2 order by 2 desc limit 3;
explain (costs off) select a from t union select tid from u;
explain (costs off) select a from t intersect select tid from u;
explain (costs off, verbose) select t.b from t join u on t.id = u.tid where u.id > 3;
explain (costs off, verbose) select id, (select count(*) from u where u.tid = t.id) from t where id < 10;
explain (costs off, verbose) select (select max(tid) from u), id from t;
explain (costs off) select * from t where id not in (select tid from u);
explain (costs off, verbose) select a, sum(id) over (partition by a order by b) from t;
explain (costs off) select * from generate_series(1, 10) g where g > 3;
explain (costs off) values (1), (2);
explain (costs off) select 1 where false;
explain (costs off) select * from t where a = 1 for update;
explain (costs off) select max(id) from t;
explain (costs off) with recursive r (n) as (select 1 union all select n + 1 from r where n < 5) select * from r;
-- what was done
explain (analyze, costs off, timing off, summary off, buffers) select * from t where a = 3;
explain (analyze, costs off, timing off, summary off, buffers) select * from t where id = 500;
explain (analyze, costs off, timing off, summary off) select * from t order by b desc limit 5;
explain (analyze, costs off, timing off, summary off) select id, (select count(*) from u where u.tid = t.id) from t where id < 4;
explain (analyze, costs off, timing off, summary off) select case when id < 0 then (select max(tid) from u) end from t where id = 1;
-- writes
explain (costs off) insert into t values (2000, 1, 'a');
explain (costs off, verbose) insert into t (id) values (2000), (2001) returning id;
explain (costs off, verbose) insert into t (id, a) select id, tid from u where tid = 1;
explain (costs off, verbose) update t set a = a + 1 where id = 1 returning *;
explain (costs off) delete from t where a = 3;
begin;
explain (analyze, costs off, timing off, summary off) insert into t values (1, 1, 'a'), (2000, 1, 'b') on conflict (id) do update set a = excluded.a where t.a > 5;
explain (analyze, costs off, timing off, summary off) delete from t where a = 3;
select count(*) from t where a = 3;
rollback;
prepare p (int) as select * from t where id = $1;
explain (costs off) execute p (4);
explain (costs off) create table w as select * from u;
-- other formats
explain (costs off, format json) select * from t where a = 3 order by b;
explain (costs off, format yaml) select * from t where a = 3;
explain (costs off, format xml) select * from t where a < 3;
-- refused
explain (timing) select 1;
explain (nosuch) select 1;
explain (format nosuch) select 1;
