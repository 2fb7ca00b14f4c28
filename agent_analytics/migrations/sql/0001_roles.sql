-- The database's own accounts. Nobody connects as the owner; passwords are set at each `migrate`.
do $$
declare
  account text;
begin
  foreach account in array array['agent_analytics_owner', 'agent_analytics_service', 'agent_analytics_unscoped'] loop
    if not exists (select from pg_roles where rolname = account) then
      execute format('create role %I nologin', account);
    end if;
  end loop;
end $$;

-- The account that migrates acts as the owner while it makes the owner's tables.
do $$
begin
  if not (select rolsuper from pg_roles where rolname = current_user) then
    execute format('grant agent_analytics_owner to %I', current_user);
  end if;
end $$;

create schema analytics authorization agent_analytics_owner;
grant create on schema public to agent_analytics_owner;
grant usage on schema analytics to agent_analytics_service, agent_analytics_unscoped;
