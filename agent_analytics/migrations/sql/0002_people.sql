-- The group that every person's own login belongs to. It is the server's, while each database has its own logins.
do $$
begin
  if not exists (select from pg_roles where rolname = 'agent_analytics_people') then
    create role agent_analytics_people nologin;
  end if;
end $$;
