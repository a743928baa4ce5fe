-- Checks, conditions of triggers and views as the catalog shows them.
create table t(a float8, p point, b real, n numeric, c int, check (a > 1.5), check (a < 1e10), check (p[0] > 0), check (p[0] + p[1] < 15.5), check (a <> 0.1 and b < 2.5::real and n > 0.25), check (a > -1.5), check (-a < 0.5), check (n > c), check (t is not null));
\d t
select conname, pg_get_constraintdef(oid) from pg_constraint where conrelid = 't'::regclass order by conname;
create function f() returns trigger language plpgsql as $$ begin return new; end $$;
create trigger t1 before update on t for each row when (old.* is distinct from new.*) execute function f();
create trigger t2 before update on t for each row when (old.a > 1.5 and new.p[0] > 0) execute function f();
create trigger t3 before insert on t for each row when (new.p[1] > 1e3) execute function f();
create trigger t4 before update on t for each row when (old is distinct from new) execute function f();
create trigger t5 before update on t for each row when (old.a is distinct from new.a and (old.p ~= new.p or new.p is null)) execute function f();
select pg_get_triggerdef(oid) from pg_trigger where tgrelid = 't'::regclass order by tgname;
select pg_get_triggerdef(oid, true) from pg_trigger where tgrelid = 't'::regclass order by tgname;
create view v as select p[0], p[1] as y, a+1.5 as s, 1.5, 2.5::float8 as lit from t where p[0] > 1.5;
\d+ v
create table u(a int default 3, f float8 default 1.5, g float8 generated always as (f * 1.5) stored, p point, h float8 generated always as (p[0] * 1.5) stored, check (f between 0.5 and 1.5), check (f in (1.5, 2.5)));
create index ui on u ((p[0]));
create index ui2 on u (a) where f > 1.5;
\d u
create view v2 as select (select p[0] from u limit 1) as q, exists (select 1 from u) as e, (select 2) from u;
select pg_get_viewdef('v2');
create table arr(x int[], y text[]);
create view v3 as select x[1], x[1:2] as b, x[:2] as c, y[1] || 'a' as d from arr where x[1] > 2;
select pg_get_viewdef('v3');
alter table arr add check (x[1] > 1), add check (array_length(x,1) < 3);
\d arr
create type comp as (x int, y point);
create table ct(c comp, d comp[]);
create view v5 as select (c).x, (c).y[0] as y0, (d[1]).x as dx, (d[1]).y[1] as dy from ct where (c).x > 1;
select pg_get_viewdef('v5');
create view v6 as select * from (select 1, p[0] as x from t) q(a);
select pg_get_viewdef('v6');
create view v7 as with w as (select 1) select * from w;
select pg_get_viewdef('v7');
alter table t rename a to aa;
alter table t rename p to pp;
alter table t rename to tt;
\d tt
\d+ v
