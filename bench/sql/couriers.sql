-- The tables of the logistics document that its pgbench scripts run on: one of traces with its trigger, one without,
-- and where couriers are now.
create table cainiao_0_2 (uid int, pos point, crt_date date, crt_time time(0));
create table cainiao_0_3 (like cainiao_0_2);
create unlogged table cainiao_trace_realtime (uid int primary key, pos point, crt_date date, crt_time time(0));
create index idx_cainiao_trace_realtime_pos on cainiao_trace_realtime using gist (pos);
create or replace function ins_cainiao() returns trigger as $$
declare
begin
  insert into cainiao_trace_realtime(uid,pos,crt_date,crt_time)
    values (NEW.uid, NEW.pos, NEW.crt_date, NEW.crt_time)
    on conflict (uid) do update set pos=excluded.pos,crt_date=excluded.crt_date,crt_time=excluded.crt_time;
  return null;
end;
$$ language plpgsql strict;
create trigger tg after insert on cainiao_0_2 for each row execute procedure ins_cainiao();
