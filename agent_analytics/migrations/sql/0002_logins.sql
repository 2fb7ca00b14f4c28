-- What a person may read who writes SQL. PostgreSQL looks the rights up by `session_user`, which no statement of
-- theirs can change, in a table that they cannot read. An expired login has no organization and sees nothing.
-- The owner alone writes logins; forced row security would else stop it, too.
alter table analytics.logins enable row level security;
alter table analytics.logins force row level security;
create policy owner on analytics.logins to agent_analytics_owner using (true) with check (true);

create function analytics.login_organization() returns text
language sql stable parallel safe security definer set search_path = pg_catalog, pg_temp
return (
  select organization from analytics.logins
  where login = session_user and expires_at > statement_timestamp()
);

create function analytics.login_administers() returns boolean
language sql stable parallel safe security definer set search_path = pg_catalog, pg_temp
return exists (
  select from analytics.logins
  where login = session_user and expires_at > statement_timestamp() and role = 'ORG_ADMIN'
);

create function analytics.login_user() returns text
language sql stable parallel safe security definer set search_path = pg_catalog, pg_temp
return (
  select "user" from analytics.logins
  where login = session_user and expires_at > statement_timestamp()
);

create function analytics.login_teams() returns text[]
language sql stable parallel safe security definer set search_path = pg_catalog, pg_temp
return (
  select teams from analytics.logins
  where login = session_user and expires_at > statement_timestamp()
);

revoke all on function
  analytics.login_organization(), analytics.login_administers(), analytics.login_user(), analytics.login_teams()
from public;
grant execute on function
  analytics.login_organization(), analytics.login_administers(), analytics.login_user(), analytics.login_teams()
to agent_analytics_people;

-- Each function stands in a scalar sub-SELECT, so that it is called once for a statement and not for each row.
create policy people on analytics.runs for select to agent_analytics_people
using (
  organization = (select analytics.login_organization())
  and (
    (select analytics.login_administers())
    or team = any ((select analytics.login_teams())::text[])
    or "user" = (select analytics.login_user())
  )
);

create policy people on analytics.organizations for select to agent_analytics_people
using (organization = (select analytics.login_organization()));

-- Of names, a lead reads those of own teams and those that the visible runs show: `runs` below is under its own
-- policy, and is read once for a statement. For an admin it is not read at all.
create policy people on analytics.teams for select to agent_analytics_people
using (
  organization = (select analytics.login_organization())
  and (
    (select analytics.login_administers())
    or team = any ((select analytics.login_teams())::text[])
    or team in (select runs.team from analytics.runs)
  )
);

create policy people on analytics.users for select to agent_analytics_people
using (
  organization = (select analytics.login_organization())
  and (
    (select analytics.login_administers())
    or "user" = (select analytics.login_user())
    or "user" in (select runs."user" from analytics.runs)
  )
);

create policy people on analytics.agent_types for select to agent_analytics_people
using (
  organization = (select analytics.login_organization())
  and ((select analytics.login_administers()) or agent_type in (select runs.agent_type from analytics.runs))
);

grant usage on schema analytics to agent_analytics_people;
grant select on analytics.runs, analytics.organizations, analytics.teams, analytics.users, analytics.agent_types
to agent_analytics_people;
grant select on analytics.local_runs, public.workspaces, public.users to agent_analytics_people;

-- EXPLAIN tells the planner's estimates, and those come from everybody's rows. Without statistics the planner guesses
-- the same for every person, whether they exist elsewhere or not. Teams, agent types and models keep theirs: grouping
-- by two of them without took three times as long.
alter table analytics.runs
  alter "user" set statistics 0, alter error_message set statistics 0, alter attributes set statistics 0;
alter table analytics.organizations alter name set statistics 0, alter timezone set statistics 0;
alter table analytics.teams alter organization set statistics 0, alter team set statistics 0;
alter table analytics.users alter organization set statistics 0, alter "user" set statistics 0;
alter table analytics.agent_types alter organization set statistics 0, alter agent_type set statistics 0;
