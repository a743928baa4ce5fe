-- What errors say of where they happened, and the names they use.
create table t(a int check (a > 0), b varchar(3), c date);
do $$ begin execute 'selec 1'; end $$;
do $$ begin execute 'select nosuch from t'; end $$;
do $$ begin execute 'select 1; selec 2'; end $$;
create domain dm as int check (value > 0);
create domain dn as dm check (value < 100);
create domain dnn as dn not null;
create table td(x dm, y dnn);
copy td from stdin;
1	1
-1	2
\.
copy td from stdin;
1	-2
\.
copy td from stdin;
1	\N
\.
copy t from stdin;
1	abcd	2020-01-01
\.
copy t from stdin csv;
1,abc,2020-13-01
\.
select (-1)::dn;
select 200::dn;
select (-1)::dnn;
select 200::dnn;
select (-1::dm)::dn;
insert into td values (1, -3);
insert into td values (1, 300);
create schema s;
create table s.t(a int);
drop table s.t1;
drop table if exists s.t1;
drop view s.t1;
drop index s.t1;
comment on column s.t.zz is 'x';
create domain s.dd as int;
alter domain s.dd drop constraint zz;
create function s.f(int) returns int language sql as 'select $1';
create or replace function s.f(int) returns text language sql as 'select $1::text';
alter function s.f(int) rename to f;
