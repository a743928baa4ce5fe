-- Roles, what they begin with, own and give
create user du1 password 'x';
create user du2 with password 'x' createdb;
create user du3 createdb connection limit 5 valid until '2030-01-01';
create group dg1 with user du1, du2;
alter user du1 createrole nologin;
alter user du1 with valid until 'infinity';
alter group dg1 add user du3;
alter group dg1 drop user du1;
\du d*
alter role du2 set work_mem = '5MB';
alter role du2 set search_path to a, b;
alter role du2 set nosuch to 3;
alter role du2 set my.x to 3;
alter role all set work_mem = '6MB';
alter role du2 in database postgres set work_mem='7MB';
alter database postgres set timezone to 'Europe/Berlin';
\drds
alter role du2 reset work_mem;
alter role du2 reset all;
alter database postgres reset all;
alter role all reset all;
alter role du2 in database postgres reset all;
set role to none;
set role none;
set role du2;
set role to default;
set role to 'none';
create table dow(a int);
grant select on dow to du2;
alter table dow owner to du1;
reassign owned by du1 to du2;
\dp dow
drop owned by du2;
\dp dow
alter default privileges in schema public grant select on tables to du1;
alter default privileges for role du2 grant execute on functions to du1 with grant option;
alter default privileges revoke execute on functions from public;
alter default privileges for role du2 grant usage on types to du3;
alter default privileges for role du2 grant usage,create on schemas to du3;
\ddp
create table dflt(a int);
\dp dflt
drop role du1;
drop owned by du1;
drop owned by du2;
drop owned by du3;
drop role du1, du2, du3, dg1;
\ddp
\drds
create role pg_x;
create role dr1 login connection limit -5;
alter role nosuch set work_mem = 1;
drop owned by postgres;
