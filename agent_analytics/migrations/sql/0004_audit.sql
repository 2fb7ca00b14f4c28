-- Written once: nobody may update or delete, and `id` and `at` are PostgreSQL's own. Without an organization named,
-- the service may only add what concerns the platform as a whole; `unscoped` reads everything.
alter table analytics.audit enable row level security;
alter table analytics.audit force row level security;

create policy service_reads on analytics.audit for select to agent_analytics_service
using (organization = current_setting('app.organization', true));

create policy service_adds on analytics.audit for insert to agent_analytics_service
with check (organization is not distinct from nullif(current_setting('app.organization', true), ''));

create policy unscoped on analytics.audit for select to agent_analytics_unscoped using (true);

grant select on analytics.audit to agent_analytics_service, agent_analytics_unscoped;
grant insert (organization, action, actor, role, via, object, details, reference)
on analytics.audit to agent_analytics_service;
