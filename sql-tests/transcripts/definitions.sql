-- Forms of definitions, and new names for what views, defaults and checks read
create table as0 as select 1 as x, 2 as y;
create table as1(a,b) as select 1, 'x'::text with no data;
\d as1
create table as2(a) as select 1, 'x'::text y;
select * from as2;
create table as3(a,b,c) as select 1, 'x'::text y;
create table if not exists as2(a) as select 1;
create temp table as4(a) on commit drop as select 1;
create unlogged table as5(a) with (fillfactor=70) as values (1),(2);
\d+ as5
create table u1(a int unique nulls not distinct, b int, unique nulls not distinct (b));
insert into u1 values (null,1);
insert into u1 values (null,2);
\d u1
create unique index u1x on u1(a,b) nulls not distinct;
create table i1(a int, b int, c text, primary key (a) include (c), unique (b) include (c));
\d i1
select pg_get_constraintdef(oid) from pg_constraint where conrelid='i1'::regclass order by 1;
create index i1x on i1(b) include (c,a);
\d i1x
alter table i1 drop column c;
\d i1
create table ch(a int, constraint ch1 check (a > 0) not valid, constraint ch2 check (a<100) no inherit);
\d ch
insert into ch values (-1);
alter table ch add constraint ch3 check (a > -5) not valid;
alter table ch validate constraint ch3;
alter table ch validate constraint nope;
alter table ch add constraint ch4 check (a > 2) no inherit not valid;
create table chc() inherits (ch);
\d chc
create table ch5(a int check (a>0) no inherit);
\d ch5
create type e1 as enum ('a','b','c');
alter type e1 rename value 'b' to 'B';
alter type e1 rename value 'x' to 'B';
alter type e1 rename value 'a' to 'c';
select enum_range(null::e1);
create table vt(a int, b text);
create view v1 as select a, b from vt where a > 1;
create view v2 as select * from vt x join vt y using (a);
create view v3 as select v1.a+1 as s from v1;
alter table vt rename column a to aa;
\d+ v1
\d+ v2
select * from v3;
alter table vt rename to vt2;
select * from v1;
select pg_get_viewdef('v2'::regclass);
alter view v1 rename column b to bb;
\d v1
alter view v1 rename to v1r;
select * from v3;
create schema s2;
alter table vt2 set schema s2;
select pg_get_viewdef('v2'::regclass);
alter schema s2 rename to s3;
select pg_get_viewdef('v2'::regclass);
create function fsql(x int) returns int language sql as 'select x+1';
create view v4 as select fsql(aa) from s3.vt2;
alter function fsql(int) rename to fsql2;
select pg_get_viewdef('v4'::regclass);
create type mood as enum ('sad','ok');
create table mt(m mood default 'sad', check (m <> 'ok'));
create view v5 as select m, 'sad'::mood as k from mt;
alter type mood rename to mood2;
select pg_get_viewdef('v5'::regclass);
\d mt
create recursive view rv(n) as values (1) union all select n+1 from rv where n < 5;
select * from rv;
\d+ rv
create view sb with (security_barrier) as select 1 as x;
\d+ sb
alter view sb set (security_barrier=true);
alter view sb reset (security_barrier);
create schema cs create table cst(a int primary key) create view csv as select * from cst create index cix on cst(a) grant select on cst to public;
\d cs.*
create schema if not exists cs;
create table ip(a int, b int) partition by list(a);
create table ip1 partition of ip for values in (1);
create index ipx on only ip(b);
\d ip
create index ip1x on ip1(b);
create index ip1y on ip1(a);
create index ip1z on ip1(b);
alter index ipx attach partition ip1y;
alter index ipx attach partition ip1x;
alter index ipx attach partition ip1x;
alter index ipx attach partition ip1z;
\d ip
\d ip1
create table ip2(a int, b int);
create index ip2x on ip2(b);
alter index ipx attach partition ip2x;
alter index ip1x attach partition ip2x;
alter index ipx attach partition ip2;
create table ip3 partition of ip(b default 5, constraint cc check (b > 0), unique (b)) for values in (3);
create table ip4 partition of ip(b with options not null default 6) for values in (4);
create table ip5 partition of ip(zz default 6) for values in (5);
create table ip6 partition of ip(b default 6, b not null) for values in (5);
\d ip3
\d ip4
insert into ip(a) values (3),(4);
insert into ip(a,b) values (3,-1);
select * from ip order by a;
create materialized view mv as select g as a, g * 2 as b from generate_series(1, 3) g;
refresh materialized view concurrently mv;
create unique index on mv (a);
refresh materialized view concurrently mv with no data;
refresh materialized view concurrently mv;
select * from mv order by a;
