\timing on
create table t (id serial primary key, name text, pay numeric(10,2), at date);
insert into t (name, pay, at) values ('one', 1.5, '2024-01-02'), ('two', null, null);
select * from t order by id;
\x on
select * from t where id = 1;
\x off
select count(*), sum(pay) as total from t;
select nosuch from t;
insert into t (id) values (1);
begin;
select 1 as one \gset
\echo :one
select 1/0;
select 1;
rollback;
do $$ begin raise notice 'hello %', 'you'; raise warning 'careful'; end $$;
\set VERBOSITY verbose
\unset VERBOSITY
prepare p (int) as select name from t where id = $1;
execute p (2);
show server_encoding;
\d t
drop table t;
