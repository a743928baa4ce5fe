-- Where errors of functions happened.
\set VERBOSITY default
create table couriers (id int primary key, name text not null, load int check (load < 100));
insert into couriers values (0, 'Ada', 10), (1, 'Bo', 20);
create function raised(a int) returns int language plpgsql as $$
begin
  raise exception 'bad %', a;
end $$;
create function outer_one(a int) returns int language plpgsql as $$
begin
  return raised(a) + 1;
end $$;
create function performed(a int) returns int language plpgsql as $$
begin
  perform outer_one(a);
  return 1;
end $$;
select performed(3);
do $$ begin perform performed(1); end $$;
-- queries whose rows go somewhere
create function looped() returns int language plpgsql as $$
declare r record;
begin
  for r in select 1 / id as x from couriers loop
    null;
  end loop;
  return 1;
end $$;
select looped();
create function queried() returns setof int language plpgsql as $$
begin
  return query select 1 / id from couriers;
end $$;
select * from queried();
create function queried_text() returns setof int language plpgsql as $$
begin
  return query execute 'select 1 / id from couriers';
end $$;
select * from queried_text();
create function taken() returns int language plpgsql as $$
declare x int;
begin
  select 1 / id into x from couriers where id = 0;
end $$;
select taken();
create function taken_text() returns int language plpgsql as $$
declare x int;
begin
  execute 'select 1 / id from couriers where id = 0' into x;
end $$;
select taken_text();
-- expressions that read tables are queries
create function read_one() returns int language plpgsql as $$
declare x int;
begin
  x := (select 1 / id from couriers where id = 0);
end $$;
select read_one();
create function asked() returns int language plpgsql as $$
begin
  if (select 1 / id from couriers where id = 0) > 1 then return 1; end if;
end $$;
select asked();
-- what RETURN gives is converted after the body
create function as_text() returns int language plpgsql as $$
begin
  return 'abc';
exception when others then
  return 0;
end $$;
select as_text();
-- an error that is raised again was where it was
create function again() returns int language plpgsql as $$
begin
  begin
    perform raised(7);
  exception when others then
    raise;
  end;
end $$;
select again();
create function here() returns text language plpgsql as $$
declare s text;
begin
  get diagnostics s = pg_context;
  return s;
end $$;
select here();
-- functions in SQL
create function two(a int) returns int language sql as 'insert into couriers values (a, ''Cy'', 5); select 1 / a';
select two(1);
delete from couriers where id = 0;
select two(0);
create function from_sql(a int) returns setof int language sql as 'select raised(a)';
select * from from_sql(4);
set check_function_bodies = off;
create function unknown_one() returns int language sql as 'select nosuch';
create function unknown_two() returns int language sql as 'select 1; select nosuch';
create function another_type() returns int language sql as 'select ''a''::text';
reset check_function_bodies;
select unknown_one();
select unknown_two();
select another_type();
create function unknown_three() returns int language sql as 'select nosuch';
create function another_type_two() returns int language sql as 'select ''a''::text';
-- rows of another shape than the function's
create function texts() returns setof int language plpgsql as $$
begin
  return query select name from couriers where false;
end $$;
select * from texts();
create function too_few() returns table (a int, b text) language plpgsql as $$
begin
  return query execute 'select id from couriers';
end $$;
select * from too_few();
create function listed() returns setof record language plpgsql as $$
begin
  return query select id, name from couriers where id = 1;
end $$;
select * from listed() as t(a int);
select * from listed() as t(a int, b int);
select * from listed() as t(a int, b text);
create function next_record() returns setof couriers language plpgsql as $$
declare r record;
begin
  for r in select id, id as name, load from couriers loop
    return next r;
  end loop;
end $$;
select * from next_record();
create function next_row() returns setof couriers language plpgsql as $$
begin
  return next row(1, 2);
end $$;
select * from next_row();
create function next_value() returns setof couriers language plpgsql as $$
begin
  return next 1;
end $$;
select * from next_value();
create function one_row() returns couriers language plpgsql as $$
begin
  return row(1, 2, 3);
end $$;
select * from one_row();
create function one_value() returns couriers language plpgsql as $$
begin
  return 1;
end $$;
select one_value();
create function no_tuples() returns setof int language plpgsql as $$
begin
  return query insert into couriers values (9, 'Di', 1);
end $$;
select * from no_tuples();
