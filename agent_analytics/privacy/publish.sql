-- How an organization's lines are published. `publishing.py` reads the statements by name; row security keeps each to
-- the one organization. `{values}` are the columns of which a run's figures are made, also `of` a relation or `as old`.

-- name: lock
select pg_advisory_xact_lock(hashtext('agent_analytics.publish'), hashtext(%(organization)s))

-- name: active
select count(distinct "user") from analytics.local_runs where day between %(first)s and %(last)s

-- name: create_pending
create temporary table pending on commit drop as
select 0::bigint as share, false as corrected, 0 as sign, run_id, day, agent_type, "user", team, {values}
from analytics.local_runs limit 0

-- name: collect
-- Every ended run of a day that is over and of which nothing is published; and each whose values have changed since:
-- what they are, and, taken away, what they were.
insert into pg_temp.pending
with published as (
  select distinct on (run_id) * from analytics.published_runs order by run_id, line desc
), news as (
  select
    published.run_id is not null as corrected,
    ended.run_id, day, agent_type, "user", team, {values of ended}, {values of published as old}
  from analytics.local_runs as ended left join published using (run_id)
  where ended.status <> 'running' and day <= %(last)s
    and (published.run_id is null or ({values of ended}) is distinct from ({values of published}))
), signed as (
  select corrected, 1 as sign, run_id, day, agent_type, "user", team, {values} from news
  union all
  select corrected, -1, run_id, day, agent_type, "user", team, {values as old} from news where corrected
)
select dense_rank() over (order by corrected, day, agent_type, "user", team), * from signed

-- name: know_pending
-- How much there is, or joins are planned for nothing.
analyze pg_temp.pending

-- name: create_chosen
create temporary table chosen (share bigint, line bigint) on commit drop

-- name: choose
copy pg_temp.chosen (share, line) from stdin

-- name: know_chosen
analyze pg_temp.chosen

-- name: keep_people
insert into analytics.published_people (organization, line, "user", teams, cost)
select %(organization)s, line, "user", array_agg(distinct team), abs(sum(sign * coalesce(cost, 0)))
from pg_temp.pending join pg_temp.chosen using (share)
where "user" is not null
group by line, "user"

-- name: keep_runs
insert into analytics.published_runs (organization, run_id, line, {values})
select %(organization)s, run_id, line, {values}
from pg_temp.pending join pg_temp.chosen using (share)
where sign = 1

-- name: count_waiting
select count(*) from pg_temp.pending where sign = 1 and not exists (
  select from pg_temp.chosen where chosen.share = pending.share
)
