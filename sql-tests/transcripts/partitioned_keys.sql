-- What psql shows of foreign keys that refer to partitioned tables.
create table p (id int, k int, v text, primary key (id, k)) partition by range (k);
create table p1 partition of p for values from (0) to (10);
create table p2 partition of p for values from (10) to (20) partition by list (id);
create table p2a partition of p2 for values in (1, 2);
create table p2d partition of p2 default;
create table c (x int, id int, k int, foreign key (id, k) references p on update cascade on delete set null);
\d p
\d c
\d p1
\d p2
\d p2a
insert into p values (1, 1, 'a'), (1, 11, 'b'), (3, 12, 'c');
insert into c values (1, 1, 1), (2, 1, 11), (3, 3, 12);
insert into c values (9, 9, 9);
update p set k = 5 where id = 1 and k = 1;
select * from c order by x;
update p set id = 2 where id = 1 and k = 11;
select * from c order by x;
update p set k = 15 where k = 5;
select * from c order by x;
select tableoid::regclass, * from p order by 2, 3;
delete from p where id = 3;
select * from c order by x;
alter table p detach partition p1;
\d p1
create table p3 (id int not null, k int not null, v text);
alter table p attach partition p3 for values from (20) to (30);
\d p3
insert into p values (7, 22, 'x');
insert into c values (4, 7, 22);
alter table p detach partition p3;
drop table p3;
truncate p;
drop table p2;
create table c2 (id int, k int, constraint c2_fk foreign key (id, k) references p (id, k)) partition by range (id);
create table c2a partition of c2 for values from (0) to (10);
create table c2b (id int, k int);
insert into c2b values (11, 99);
alter table c2 attach partition c2b for values from (10) to (20);
delete from c2b;
alter table c2 attach partition c2b for values from (10) to (20);
\d c2
\d c2a
\d c2b
\d p
insert into c2 values (7, 22);
insert into c2 values (7, 23);
insert into c2a values (8, 23);
delete from p where id = 7;
delete from c2;
delete from p where id = 7;
select conname, conrelid::regclass, confrelid::regclass, conparentid <> 0 as part, conislocal, coninhcount, connoinherit from pg_constraint where contype = 'f' order by 1, conrelid::regclass::text, confrelid::regclass::text;
alter table c2 detach partition c2a;
\d c2a
alter table c2 drop constraint c2_fk;
alter table c2a drop constraint c2_fk;
\d c2b
alter table c drop constraint c_id_k_fkey;
\d p
create table s (id int primary key) partition by range (id);
create table s1 partition of s for values from (0) to (100);
create table s2 partition of s for values from (100) to (200);
create table self (id int primary key, up int references self) partition by range (id);
create table self1 partition of self for values from (0) to (100);
create table self2 partition of self for values from (100) to (200);
insert into self values (1, null), (101, 1), (2, 101);
insert into self values (3, 102);
delete from self where id = 101;
\d self
\d self1
create table t (id int references s on delete cascade, r int references s deferrable initially deferred);
insert into s values (1), (101);
insert into t values (1, 101), (101, 1), (1, 1);
begin; insert into t values (1, 7); commit;
delete from s1;
delete from t where id <> 1;
delete from s where id = 1;
select * from t;
create table nokey (a int) partition by list (a);
create table bad (a int references nokey);
alter table t add foreign key (r) references s not valid;
alter table s1 add constraint x foreign key (id) references t (id);
