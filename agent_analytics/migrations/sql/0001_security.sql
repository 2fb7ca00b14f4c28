-- Row security. The service names one organization for each transaction (`app.organization`) and sees no other;
-- with none named it sees nothing. The condition is plain on purpose: a sub-SELECT would cost, and Citus refuses it.
-- `unscoped` reads every organization: the cache's feed, the platform area and the worker's own jobs.
do $$
declare
  entity text;
begin
  foreach entity in array array['organizations', 'teams', 'users', 'agent_types', 'runs', 'changes'] loop
    execute format('alter table analytics.%I enable row level security', entity);
    execute format('alter table analytics.%I force row level security', entity);
    execute format($policy$
      create policy service on analytics.%I to agent_analytics_service
      using (organization = current_setting('app.organization', true))
      with check (organization = current_setting('app.organization', true))
    $policy$, entity);
    execute format('create policy unscoped on analytics.%I for select to agent_analytics_unscoped using (true)', entity);
    execute format('grant select on analytics.%I to agent_analytics_service, agent_analytics_unscoped', entity);
  end loop;
end $$;

grant insert on analytics.teams, analytics.users, analytics.agent_types, analytics.changes to agent_analytics_service;
grant insert, update (name, timezone) on analytics.organizations to agent_analytics_service;
grant insert, update on analytics.runs to agent_analytics_service;
