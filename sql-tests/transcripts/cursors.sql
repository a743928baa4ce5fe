create table t (id int primary key, v text);
insert into t select i, 'v' || i from generate_series(1, 10) i;
declare c cursor for select * from t;
begin;
declare c scroll cursor for select * from t order by id;
declare c cursor for select 1;
rollback;
begin;
declare c scroll cursor for select * from t order by id;
fetch c;
fetch 2 from c;
fetch next in c;
fetch prior from c;
fetch last from c;
fetch first from c;
fetch absolute 5 from c;
fetch absolute -2 from c;
fetch relative -3 from c;
fetch relative 0 from c;
fetch 0 from c;
fetch forward 2 from c;
fetch backward 3 from c;
fetch forward all from c;
fetch next from c;
fetch backward 2 from c;
fetch -1 from c;
fetch backward all from c;
fetch prior from c;
fetch all c;
fetch absolute 0 from c;
fetch absolute 100 from c;
fetch absolute -100 from c;
\set QUIET off
move 3 from c;
move absolute 0 c;
move forward all from c;
move backward all from c;
move last from c;
move relative 0 in c;
\set QUIET on
fetch prior c;
close c;
fetch c;
rollback;
begin;
declare n no scroll cursor for select id from t order by id;
fetch 2 n;
fetch prior from n;
rollback;
close nope;
-- What the cursor sees is what it saw.
begin;
declare c cursor for select count(*) from t where v <> 'x';
declare d cursor for select id from t order by id;
delete from t where id > 5;
insert into t values (100, 'new');
fetch c;
fetch all d;
rollback;
-- Over a commit.
begin;
declare h cursor with hold for select id from t order by id;
declare s cursor for select 1;
fetch h;
select name, statement, is_holdable, is_binary, is_scrollable from pg_cursors order by name;
commit;
select name, is_holdable from pg_cursors;
fetch 2 h;
delete from t where id = 4;
fetch h;
insert into t values (4, 'v4');
begin;
fetch h;
rollback;
fetch h;
close all;
select count(*) from pg_cursors;
begin;
declare h2 cursor with hold for select id from t;
rollback;
fetch h2;
-- Savepoints.
begin;
declare a cursor for select 1;
savepoint s;
declare b cursor for select 2;
fetch a;
rollback to s;
fetch b;
rollback to s;
fetch a;
commit;
-- Updates and deletes of the current row.
begin;
declare c cursor for select v, id from t where id > 3 order by id for update;
update t set v = 'no' where current of c;
rollback;
begin;
declare c cursor for select * from t where id between 3 and 5;
fetch 2 from c;
update t set v = 'changed' where current of c returning *;
update t set v = v || '!' where current of c;
fetch c;
delete from t where current of c returning id;
fetch c;
update t set v = 'x' where current of c;
update t set v = 'x' where current of nope;
rollback;
begin;
declare c cursor for select id, count(*) from t group by id;
fetch c \g /dev/null
update t set v = 'x' where current of c;
rollback;
select * from t where id between 3 and 5 order by id;
begin;
declare c cursor with hold for select * from t for update;
rollback;
begin;
declare c scroll cursor for select * from t for update;
rollback;
-- PL/pgSQL.
do $$
declare
  c cursor for select id, v from t order by id;
  r record;
  i int; s text;
begin
  open c;
  fetch c into r;
  raise notice 'first %, found %', r, found;
  fetch last from c into i, s;
  raise notice 'last % %', i, s;
  fetch relative -2 from c into r;
  raise notice 'relative %', r.id;
  move next from c;
  fetch next from c into r;
  raise notice 'next %', r.id;
  fetch next from c into r;
  raise notice 'behind %, found %', r.id, found;
  close c;
  for r in c loop
    continue when r.id % 4 <> 0;
    raise notice 'loop %', r.v;
  end loop;
end $$;
do $$
declare
  c cursor (low int, high int) for select id from t where id between low and high order by id;
begin
  open c(2, 3);
  raise notice 'name %', c;
  close c;
  open c(high := 4, low := 4);
  close c;
  for r in c(5, 7) loop raise notice 'got %', r.id; end loop;
end $$;
do $$
declare c refcursor; r t; n int := 3;
begin
  open c for select * from t where id > n order by id;
  fetch c into r;
  raise notice '% is in %', r.v, c;
  close c;
  open c for execute 'select * from t where id = $1' using 9;
  fetch c into r;
  raise notice '%', r;
  open c for select 1;
end $$;
do $$
declare c refcursor; r record;
begin
  fetch c into r;
end $$;
do $$
declare c cursor for select * from t order by id for update;
begin
  for r in c loop
    if r.id % 2 = 0 then
      update t set v = 'even ' || r.id where current of c;
    else
      delete from t where current of c;
    end if;
  end loop;
end $$;
select * from t order by id;
do $$
declare c refcursor := 'mine';
begin
  begin
    open c for select 1;
    raise exception 'gone';
  exception when raise_exception then
    raise notice '%', (select count(*) from pg_cursors where name = 'mine');
  end;
end $$;
create function opened(refcursor) returns refcursor as $$
begin
  open $1 for select id from t order by id;
  return $1;
end $$ language plpgsql;
begin;
select opened('mine');
fetch 2 in mine;
select opened('mine');
rollback;
begin;
select opened(null);
fetch all in "<unnamed portal 2>";
commit;
