-- How a piece of runs, all of one organization, becomes part of the record. `upsert.py` reads the statements by name.
-- Three words are written out there: `{columns}`, `{columns of x}`, and `{content of x}`, the canonical JSON of a run:
-- what its source sent, without key and version. What was computed from the price table is left out, so that a newer
-- table never makes an old record look different.

-- name: lock
-- Whoever writes runs of an organization holds its lock to the end of the transaction: see `Merge.add`. There are a
-- thousand of them, since a server has room for some thousands in all; two organizations may have to share one.
select pg_advisory_xact_lock(hashtext('agent_analytics.ingest'), hashtext(%(name)s) %% 1000)

-- name: create_staging
create temporary table if not exists staged_runs (like analytics.runs) on commit delete rows;
create temporary table if not exists newer_runs (place tid, started_at timestamptz, mine boolean) on commit delete rows;
set local timezone = 'UTC';
set local enable_sort = off;
set local enable_incremental_sort = off;
set local jit = off

-- name: empty_staging
truncate pg_temp.staged_runs, pg_temp.newer_runs

-- name: stage
copy pg_temp.staged_runs ({columns}) from stdin (format csv)

-- name: create_organization
insert into analytics.organizations (organization, name) values (%(organization)s, %(organization)s)
on conflict do nothing

-- name: zone
-- Shared until we commit: a new time zone has to wait, for the days that we report as changed are of this one.
select timezone from analytics.organizations for share

-- name: create_teams
insert into analytics.teams (organization, team)
select %(organization)s, unnest(%(names)s::text[])
on conflict do nothing

-- name: create_users
insert into analytics.users (organization, "user")
select %(organization)s, unnest(%(names)s::text[])
on conflict do nothing

-- name: create_agent_types
insert into analytics.agent_types (organization, agent_type)
select %(organization)s, unnest(%(names)s::text[])
on conflict do nothing

-- name: drop_losers
-- Of several versions of a run in one piece the newest stays: the latest version; on a tie one that has ended;
-- then the greatest canonical JSON, which is written only for versions that share their run.
with repeated as (
  select run_id from pg_temp.staged_runs group by run_id having count(*) > 1
), ranked as (
  select
    staged.ctid as place,
    row_number() over (
      partition by run_id
      order by updated_at desc, status = 'running', {content of staged} collate "C" desc
    ) as rank
  from pg_temp.staged_runs staged
  join repeated using (run_id)
)
delete from pg_temp.staged_runs staged
using ranked
where staged.ctid = ranked.place and ranked.rank > 1

-- name: insert_new
with inserted as (
  insert into analytics.runs ({columns})
  select {columns} from pg_temp.staged_runs
  on conflict (organization, run_id) do nothing
  returning started_at
)
select timezone(%(zone)s, started_at)::date as day, count(*)
from inserted
group by day

-- name: find_newer
-- The staged runs that are newer than the record's, with the record's start, and whether this transaction wrote that.
-- The first run at or after a key, in the order of keys: only the primary key's index gives that without a sort, which
-- is off. A planner that knows nothing of a new organization yet would else read all of its runs for each key.
insert into pg_temp.newer_runs (place, started_at, mine)
select staged.ctid, recorded.started_at, recorded.mine
from pg_temp.staged_runs staged
cross join lateral (
  select {columns}, runs.xmin = pg_current_xact_id()::xid as mine
  from analytics.runs
  where organization = %(organization)s and run_id >= staged.run_id
  order by organization, run_id
  limit 1
) recorded
where recorded.run_id = staged.run_id
and case
  when staged.updated_at <> recorded.updated_at
  then staged.updated_at > recorded.updated_at
  when (staged.status = 'running') <> (recorded.status = 'running')
  then recorded.status = 'running'
  when ({columns of staged}) is distinct from ({columns of recorded})
  then {content of staged} collate "C" > {content of recorded} collate "C"
  else false
end

-- name: update_newer
with updated as (
  insert into analytics.runs as recorded ({columns})
  select {columns of staged}
  from pg_temp.staged_runs staged
  join pg_temp.newer_runs newer on newer.place = staged.ctid
  on conflict (organization, run_id) do update set ({columns}) = ({columns of excluded})
  returning started_at
)
select distinct timezone(%(zone)s, started_at)::date as day, 0
from updated
union all
select timezone(%(zone)s, started_at)::date, count(*) filter (where not mine)
from pg_temp.newer_runs
group by 1

-- name: report_changes
insert into analytics.changes (organization, day)
select %(organization)s, unnest(%(days)s::date[])
