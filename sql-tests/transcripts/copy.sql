-- Options and their errors.
create table t (a int, b text, c int generated always as (a + 1) stored);
create view v as select 1 as x;
create sequence sq;
copy t to stdout (format binary, delimiter ',');
copy t to stdout (format binary, null 'x');
copy t to stdout (format binary, header);
copy t to stdout (format xyz);
copy t to stdout (format csv, format csv);
copy t to stdout (delimiter 'ab');
copy t to stdout (delimiter E'\n');
copy t to stdout (delimiter 'a');
copy t to stdout (null E'a\n');
copy t to stdout (null);
copy t to stdout (quote 'a');
copy t to stdout (escape 'a');
copy t to stdout (force_quote *);
copy t to stdout (format csv, force_not_null (a));
copy t to stdout (format csv, force_null (a));
copy t to stdout (force_null (a));
copy t to stdout (force_not_null (a));
copy t to stdout (format csv, quote 'ab');
copy t to stdout (format csv, escape 'ab');
copy t to stdout (format csv, quote ',');
copy t to stdout (format csv, null ',');
copy t to stdout (format csv, null '"');
copy t to stdout (format csv, force_quote (zz));
copy t to stdout (format csv, force_quote (c));
copy t(a) to stdout (format csv, force_quote (b));
copy t to stdout (header match);
copy t to stdout (header 3);
copy t to stdout (encoding 'foo');
copy t to stdout (encoding 'utf8', freeze off);
copy t to stdout (foo 3);
copy t(a, a) to stdout;
copy t(zz) to stdout;
copy t(c) to stdout;
copy v to stdout;
copy sq to stdout;
copy nope to stdout;
copy t to stdout where a > 1;
copy (select 1) from stdin;
copy (select 1 into foo) to stdout;
copy (insert into t(a) values (1)) to stdout;
copy t from '/nope/x';
copy t to '/nope/x';
copy t to 'relative';
copy t from '/tmp';
copy t to '/tmp';
do $$ begin copy t to stdout; end $$;
-- Text.
copy t from stdin;
1	one
2	\N
3	back\\slash\ttab\nline\x41\101\
4	
\.
copy t to stdout;
copy t (b, a) to stdout (delimiter '|', null 'nothing', header);
copy t from stdin;
x	y
\.
copy t from stdin;
1
\.
copy t from stdin;
1	2	3
\.
copy t from stdin where c > 1;
\.
copy t from stdin where a > 100 and b is not null;
1	x
200	y
300	\N
\.
copy t from stdin (header match);
a	c
\.
copy t from stdin (header match);
a
\.
copy t(b) from stdin (header match);
\N
\.
copy t from stdin (header true);
a	b
9	9
\.
select * from t order by a, b;
truncate t;
-- CSV.
copy t from stdin (format csv);
1,"a ""quoted"" word"
2,"comma, and
newline"
3,
4,""
\.
copy t from stdin (format csv, header, null 'NULL', force_null (b));
h
11,"NULL"
12,NULL
\.
copy t from stdin csv force not null b;
5,
\.
copy t from stdin with (format csv, delimiter ';', quote '''', escape '!');
6;'it!'s !! here'
\.
select *, b is null from t order by a;
copy t to stdout (format csv, header, force_quote (b));
copy t to stdout csv quote '''' escape '\';
copy (select '\.' as x, '' as y) to stdout csv;
copy (select '\.' as x) to stdout csv;
-- The syntax of old.
copy t (a) to stdout with delimiter '|' null 'n';
copy t from stdin using delimiters ',' with null as 'X';
7,X
\.
-- Errors leave the session and its transaction as they should.
begin;
copy t from stdin;
1	fine
zz	1
\.
select 1;
rollback;
create table u (a int primary key, b text not null, c int check (c < 10));
copy u from stdin;
1	x	1
1	y	2
\.
copy u from stdin;
1	\N	1
\.
copy u from stdin;
1	x	100
\.
select count(*) from u;
-- Types.
create table ty (a int[], f float8[], j jsonb, ts timestamptz, p point, by bytea, v varchar(3));
set timezone = 'UTC';
copy ty from stdin;
{1,2}	{1.5,NULL}	{"a": "x\\ty"}	2020-01-01 00:00:00+00	(1,2)	\\x00ff	abc
\N	{}	"a\\\\b"	infinity	\N	\\x	\N
\.
copy ty(v) from stdin;
abcd
\.
copy ty to stdout;
copy ty to stdout (format csv);
copy (select count(*), 'x' from ty) to stdout;
copy (insert into u values (5, 'five', 5), (6, 'six', 6) returning a, b) to stdout;
-- Several in one string, and the client's own files.
copy u to stdout \; copy u (a) to stdout \; select 5;
\copy u to '/tmp/vicinity-copy-transcript.csv' csv header
truncate u;
\copy u from '/tmp/vicinity-copy-transcript.csv' csv header
select * from u;
copy u to '/tmp/vicinity-copy-transcript.bin' (format binary);
truncate u;
copy u from '/tmp/vicinity-copy-transcript.bin' (format binary);
copy t from '/tmp/vicinity-copy-transcript.bin' (format binary);
copy t from '/tmp/vicinity-copy-transcript.csv' (format binary);
select * from u;
begin read only;
copy u from stdin;
\.
rollback;
