-- What PostgreSQL lets every account do, and a person's login should not: temporary tables, large objects, advisory
-- locks (the ingest waits for them), code in a DO block, sleeping. Run at each `migrate`, because a copied or restored
-- database forgets it. Only the database's owner or a superuser may; elsewhere `doctor` names what stays open.
do $$
declare
  mighty constant boolean := (select rolsuper from pg_roles where rolname = current_user);
  own constant boolean := (
    select pg_has_role(current_user, datdba, 'usage') from pg_database where datname = current_database()
  );
  ours constant text := 'agent_analytics_owner, agent_analytics_service, agent_analytics_unscoped';
  called regprocedure;
begin
  if mighty or own then
    execute format('revoke temporary, create on database %I from public', current_database());
    execute format('grant temporary on database %I to %s', current_database(), ours);
  end if;
  if mighty then
    for called in
      select oid from pg_proc
      where pronamespace = 'pg_catalog'::regnamespace
        and (proname ~ '^(lo_|pg_(try_)?advisory_|pg_sleep)' or proname in ('loread', 'lowrite', 'pg_logical_emit_message'))
    loop
      execute format('revoke execute on function %s from public', called);
    end loop;
    for called in
      select oid from pg_proc where pronamespace = 'pg_catalog'::regnamespace and proname ~ '^pg_(try_)?advisory_'
    loop
      execute format('grant execute on function %s to %s', called, ours);
    end loop;
    execute 'revoke usage on language plpgsql, sql from public';
    execute format('grant usage on language plpgsql, sql to %s', ours);
    revoke create on schema public from public;
  end if;
end $$;
