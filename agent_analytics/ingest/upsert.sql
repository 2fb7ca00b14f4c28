-- How a batch of checked runs enters the record: the newest version of each run wins, whatever order they come in.
-- Only one ingest writes at a time (an advisory lock), so what is read here stays true until it is written.

-- name: stage
create temporary table incoming (like analytics.runs) on commit drop

-- name: keep_newest
-- Of two versions of a run in one batch: the newer, else the ended, else the greater canonical JSON.
delete from pg_temp.incoming
using (
  select ctid as place, row_number() over (
    partition by organization, run_id
    order by updated_at desc, status = 'running', to_jsonb(incoming)::text collate "C" desc
  ) as version
  from pg_temp.incoming
) as ranked
where ctid = place and version > 1

-- name: repeated
select exists (select from pg_temp.incoming group by organization, run_id having count(*) > 1)

-- name: create_organization
insert into analytics.organizations (organization, name) values (%(organization)s, %(organization)s)
on conflict do nothing

-- name: create_teams
insert into analytics.teams (organization, team)
select distinct organization, team from pg_temp.incoming
where organization = %(organization)s and team is not null
on conflict do nothing

-- name: create_users
insert into analytics.users (organization, "user")
select distinct organization, "user" from pg_temp.incoming
where organization = %(organization)s and "user" is not null
on conflict do nothing

-- name: create_agent_types
insert into analytics.agent_types (organization, agent_type)
select distinct organization, agent_type from pg_temp.incoming
where organization = %(organization)s
on conflict do nothing

-- name: find_newer
-- Which of them are newer than what the record holds, and on which day that one lies. Ties are looked at whole.
create temporary table newer on commit drop as
select ours.run_id, timezone(organizations.timezone, theirs.started_at)::date as old_day
from pg_temp.incoming as ours
join analytics.runs as theirs on theirs.organization = ours.organization and theirs.run_id = ours.run_id
join analytics.organizations on organizations.organization = theirs.organization
where ours.organization = %(organization)s
  and (
    ours.updated_at > theirs.updated_at
    or ours.updated_at = theirs.updated_at and (
      theirs.status = 'running' and ours.status <> 'running'
      or (theirs.status = 'running') = (ours.status = 'running')
        and to_jsonb(ours)::text collate "C" > to_jsonb(theirs)::text collate "C"
    )
  )

-- name: insert
with inserted as (
  insert into analytics.runs
  select * from pg_temp.incoming where organization = %(organization)s order by run_id
  on conflict do nothing
  returning started_at
)
select timezone(organizations.timezone, started_at)::date, count(*)
from inserted cross join analytics.organizations
where organizations.organization = %(organization)s
group by 1

-- name: forget
drop table pg_temp.newer
