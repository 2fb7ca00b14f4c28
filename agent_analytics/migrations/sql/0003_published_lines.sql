-- What is published stays as it is: rows are only ever added. People's own logins have no policy here, so they see
-- none of it: a line's people and runs say whose figures it adds up, and which lines a lead may see depends on them.
do $$
declare
  entity text;
begin
  foreach entity in array array['published_lines', 'published_people', 'published_runs'] loop
    execute format('alter table analytics.%I enable row level security', entity);
    execute format('alter table analytics.%I force row level security', entity);
    execute format($policy$
      create policy service on analytics.%I to agent_analytics_service
      using (organization = current_setting('app.organization', true))
      with check (organization = current_setting('app.organization', true))
    $policy$, entity);
    execute format('create policy unscoped on analytics.%I for select to agent_analytics_unscoped using (true)', entity);
    execute format('grant select, insert on analytics.%I to agent_analytics_service', entity);
    execute format('grant select on analytics.%I to agent_analytics_unscoped', entity);
  end loop;
end $$;
