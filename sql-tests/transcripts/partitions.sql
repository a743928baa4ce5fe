-- What psql shows of partitions and of tables that inherit.
create table hours (uid int, pos point, crt_time time(0), constraint pos_set check (pos is not null), primary key (uid, crt_time)) partition by range (crt_time);
create table hours_00 partition of hours for values from ('00:00') to ('12:00');
create table hours_12 partition of hours for values from ('12:00') to ('24:00') partition by list (uid);
create table hours_12_1 partition of hours_12 for values in (1, 2);
create table hours_rest partition of hours default;
create index on hours (uid);
create function nothing() returns trigger language plpgsql as 'begin return null; end';
create trigger tg after insert on hours for each row execute function nothing();
\d hours
\d+ hours
\d hours_00
\d+ hours_00
\d+ hours_12
\d+ hours_12_1
\d+ hours_rest
\d hours_pkey
\d hours_uid_idx
\d hours_00_pkey
\dt
\di
\dP
create table base (id int primary key, name text check (name <> ''));
create table child (extra int) inherits (base);
create table grand () inherits (child);
\d base
\d+ base
\d child
\d+ child
\d+ grand
create unlogged table ul (a int);
\d+ ul
create table lk (like base including all, z int);
\d+ lk
explain (costs off) select * from hours;
explain (costs off) select * from base;
explain (costs off) select * from only base;
explain (costs off, verbose) select uid from hours;
explain (costs off, verbose) select name from base where name > 'a';
-- Partitions that a filter rules out are not scanned.
create table nums (n int, v text) partition by range (n);
create table nums_1 partition of nums for values from (0) to (10);
create table nums_2 partition of nums for values from (10) to (20);
create table nums_3 partition of nums for values from (20) to (30);
explain (costs off) select * from nums where n = 5;
explain (costs off) select * from nums where n < 15;
explain (costs off) select * from nums where n >= 10 and n < 20;
explain (costs off) select * from nums where n > 25;
explain (costs off) select * from nums where n = 30;
explain (costs off) select * from nums where v = 'x' order by n;
