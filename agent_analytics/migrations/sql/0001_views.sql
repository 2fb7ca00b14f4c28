-- Runs on their organization's own calendar: what every answer asks, here and in the cache.
create view analytics.local_runs with (security_invoker = true) as
select
  runs.*,
  timezone(organizations.timezone, runs.started_at)::date as day,
  date_trunc('hour', timezone(organizations.timezone, runs.started_at)) as hour,
  case
    when runs.status <> 'running'
    then (extract(epoch from runs.ended_at - runs.started_at) * 1000000)::bigint
  end as duration_us
from analytics.runs
join analytics.organizations using (organization);

-- The names that the platform's own documents use.
create view public.workspaces with (security_invoker = true) as
select id, organization as slug, name, timezone, created_at
from analytics.organizations;

create view public.users with (security_invoker = true) as
select users.id, organizations.id as workspace_id, users."user" as external_id, users.created_at
from analytics.users
join analytics.organizations using (organization);

grant select on analytics.local_runs, public.workspaces, public.users
to agent_analytics_service, agent_analytics_unscoped;
