-- Triggers: what fires when, what functions are told, what they return.
create table t (id int primary key, v text, n int default 0);
create table seen (what text);
create function note() returns trigger language plpgsql as $$
begin
  insert into seen values (format('%s %s %s %s %s new=%s old=%s', tg_name, tg_when, tg_level, tg_op, tg_table_name, new, old));
  if tg_op = 'DELETE' then return old; end if;
  return new;
end $$;
create trigger b_row before insert or update or delete on t for each row execute function note();
create trigger a_row after insert or update or delete on t for each row execute procedure note('x', 2);
create trigger b_stmt before insert or update or delete on t execute function note();
create trigger a_stmt after insert or update or delete on t for each statement execute function note();
insert into t values (1, 'one'), (2, 'two');
select * from seen; truncate seen;
update t set v = v || '!' where id = 1;
select * from seen; truncate seen;
update t set v = 'none' where id = 99;
select * from seen; truncate seen;
delete from t where id = 2;
select * from seen; truncate seen;
insert into t values (1, 'again'), (3, 'three') on conflict (id) do update set v = excluded.v;
select * from seen; truncate seen;
insert into t values (1, 'nothing') on conflict do nothing;
select * from seen; truncate seen;
\d t
drop trigger b_row on t;
drop trigger a_row on t;
drop trigger b_stmt on t;
drop trigger a_stmt on t;
drop trigger a_stmt on t;
drop trigger if exists a_stmt on t;
-- what it is told
create function tell() returns trigger language plpgsql as $$
begin
  raise notice '% % % % % % % % %', tg_name, tg_relid = 't'::regclass, tg_relname, tg_table_schema, tg_nargs, tg_argv, tg_argv[0], tg_argv[1], pg_trigger_depth();
  return null;
end $$;
create trigger tell after insert on t for each row execute function tell('a b', 7);
insert into t values (10, 'ten');
drop trigger tell on t;
-- NEW is changed, rows are left out
create function change() returns trigger language plpgsql as $$
begin
  if new.id = 666 then return null; end if;
  new.v := upper(new.v);
  new.n := coalesce(new.n, 0) + 1;
  return new;
end $$;
create trigger change before insert or update on t for each row execute function change();
insert into t values (20, 'twenty', null), (666, 'beast', 1), (21, 'more', 5) returning *;
update t set id = 666 where id = 20;
update t set v = 'low' where id = 20 returning v, n;
drop trigger change on t;
-- UPDATE OF, WHEN
create function say() returns trigger language plpgsql as $$ begin raise notice '% %', tg_name, new; return new; end $$;
create trigger of_v after update of v on t for each row execute function say();
create trigger of_n after update of n on t for each row when (old.n is distinct from new.n) execute function say();
update t set n = 1 where id = 20;
update t set n = 2 where id = 20;
update t set v = 'x', n = 2 where id = 20;
alter table t disable trigger of_v;
update t set v = 'y' where id = 20;
alter table t enable trigger of_v;
alter table t disable trigger all;
update t set v = 'z', n = 77 where id = 20;
alter table t enable trigger all;
alter trigger of_v on t rename to renamed;
select tgname, tgenabled, tgtype, tgattr from pg_trigger where tgrelid = 't'::regclass order by 1;
select pg_get_triggerdef(oid), pg_get_triggerdef(oid, true) from pg_trigger where tgrelid = 't'::regclass order by 1;
\d t
drop trigger renamed on t;
drop trigger of_n on t;
-- transition tables
create function sums() returns trigger language plpgsql as $$
begin
  raise notice '% old=% new=%', tg_op, (select sum(n) from was), (select string_agg(id || ':' || n, ',' order by id) from is_now);
  return null;
end $$;
create trigger sums after update on t referencing old table as was new table as is_now for each statement execute function sums();
update t set n = n + 100 where id in (20, 21);
update t set n = 0 where false;
drop trigger sums on t;
-- recursion, errors and their context
create table chain (n int);
create function down() returns trigger language plpgsql as $$
begin
  if new.n > 0 then
    insert into chain values (new.n - 1);
  end if;
  return null;
end $$;
create trigger down after insert on chain for each row execute function down();
insert into chain values (4);
select * from chain;
create function fail() returns trigger language plpgsql as $$
begin
  raise exception 'no % on %', tg_op, tg_table_name;
end $$;
create trigger fail before delete on chain execute function fail();
delete from chain;
create function divide() returns trigger language plpgsql as $$
declare x int;
begin
  x := 1 / new.n;
  insert into seen select 1 / new.n;
  return new;
end $$;
create trigger zdivide before insert on chain for each row execute function divide();
insert into chain values (0);
create function no_return() returns trigger language plpgsql as $$ begin end $$;
create trigger a_no_return before insert on chain for each row execute function no_return();
insert into chain values (1);
drop trigger a_no_return on chain;
create function other_row() returns trigger language plpgsql as $$ begin return row(1, 2); end $$;
create trigger a_other before insert on chain for each row execute function other_row();
insert into chain values (1);
drop table chain;
-- the row being written is written to
create function meddle() returns trigger language plpgsql as $$
begin
  if pg_trigger_depth() = 1 then update t set n = -1 where id = new.id; end if;
  return new;
end $$;
create trigger meddle before update on t for each row execute function meddle();
update t set v = 'q' where id = 1;
drop trigger meddle on t;
-- TRUNCATE, COPY
create trigger tr before truncate on t execute function note();
create trigger cp before insert on t for each row execute function note();
copy t from stdin;
50	fifty	5
\.
truncate t;
select * from seen;
-- audit with whole rows
create table audit (op text, was jsonb, row_is t);
create function log_it() returns trigger language plpgsql as $$
begin
  insert into audit values (tg_op, to_jsonb(old), new);
  return null;
end $$;
create trigger log_it after insert or update or delete on t for each row execute function log_it();
insert into t values (1, 'a', 1);
update t set v = 'b';
delete from t;
select * from audit;
create table copy_of (like t);
create function keep() returns trigger language plpgsql as $$ begin insert into copy_of select new.*; return new; end $$;
create trigger keep before insert on t for each row execute function keep();
insert into t values (5, 'five', 55);
select * from copy_of;
-- what is refused
create trigger x instead of insert on t for each row execute function note();
create trigger x before truncate on t for each row execute function note();
create trigger x before insert on t for each row when (old.id = 1) execute function note();
create trigger x before insert on t for each statement when (new.id = 1) execute function note();
create trigger x before insert on t for each row when (id = 1) execute function note();
create trigger x before update of nope on t for each row execute function note();
create trigger keep before insert on t for each row execute function note();
create trigger x before insert on t for each row execute function nope();
create trigger x before insert on t for each row execute function now();
create trigger x before insert on t referencing new table as n execute function note();
create function args(a int) returns trigger language plpgsql as $$ begin return null; end $$;
select note();
-- constraint triggers wait for the commit
create table d (n int);
create function tell_n() returns trigger language plpgsql as $$ begin raise notice '% % %', tg_name, tg_op, coalesce(new.n, old.n); return null; end $$;
create constraint trigger later after insert or update or delete on d deferrable initially deferred for each row execute function tell_n();
create constraint trigger soon after insert on d deferrable for each row execute function tell_n();
create constraint trigger never after insert on d for each row when (new.n > 5) execute function tell_n();
begin; insert into d values (1); insert into d values (7); update d set n = 8 where n = 7; commit;
begin; set constraints later immediate; insert into d values (2); set constraints all deferred; insert into d values (3); set constraints soon immediate; commit;
begin; insert into d values (4); savepoint s; insert into d values (5); rollback to s; commit;
insert into d values (6);
set constraints never deferred;
set constraints nope deferred;
\d d
select conname, contype, condeferrable, condeferred from pg_constraint where conrelid = 'd'::regclass order by 1;
