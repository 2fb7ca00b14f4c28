"""Organizations, their teams, users and agent types, and the runs."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB, UUID

from agent_analytics.migrations import run_sql
from agent_analytics.tables import TransactionId

revision = "0001"
down_revision = None

SLUG = "organization ~ '^[a-z0-9][a-z0-9-]{0,62}$'"
STATUS = "status in ('running', 'succeeded', 'failed', 'cancelled')"
ORGANIZATION = "analytics.organizations.organization"


def upgrade() -> None:
    run_sql("0001_roles.sql")
    op.execute("set local role agent_analytics_owner")
    _create_organizations()
    for table, name, *more in (("teams", "team"), ("users", "user", _id()), ("agent_types", "agent_type")):
        _create_names(table, name, *more)
    _create_runs()
    _create_changes()
    run_sql("0001_security.sql")
    run_sql("0001_views.sql")
    op.execute("reset role")
    op.execute("grant select on public.schema_version to agent_analytics_service, agent_analytics_unscoped")


def _created_at() -> sa.Column:
    return sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False)


def _id() -> sa.Column:
    return sa.Column("id", UUID, server_default=sa.func.gen_random_uuid(), nullable=False, unique=True)


def _create_organizations() -> None:
    op.create_table(
        "organizations",
        sa.Column("organization", sa.Text, sa.CheckConstraint(SLUG), primary_key=True),
        _id(),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("timezone", sa.Text, server_default="UTC", nullable=False),
        _created_at(),
        schema="analytics",
    )


def _create_names(table: str, name: str, *more: sa.Column) -> None:
    op.create_table(
        table,
        sa.Column("organization", sa.Text, sa.ForeignKey(ORGANIZATION), primary_key=True),
        sa.Column(name, sa.Text, primary_key=True),
        *more,
        _created_at(),
        schema="analytics",
    )


def _create_runs() -> None:
    instant, money, count = sa.DateTime(timezone=True), sa.Numeric(20, 9), sa.BigInteger
    op.create_table(
        "runs",
        sa.Column("organization", sa.Text, primary_key=True),
        sa.Column("run_id", sa.Text, primary_key=True),
        sa.Column("user", sa.Text),
        sa.Column("team", sa.Text),
        sa.Column("agent_type", sa.Text, nullable=False),
        sa.Column("status", sa.Text, sa.CheckConstraint(STATUS), nullable=False),
        sa.Column("started_at", instant, nullable=False),
        sa.Column("ended_at", instant),
        sa.Column("model", sa.Text),
        sa.Column("model_version", sa.Text),
        sa.Column("input_tokens", count),
        sa.Column("output_tokens", count),
        sa.Column("cache_read_tokens", count),
        sa.Column("cache_write_tokens", count),
        sa.Column("reasoning_tokens", count),
        sa.Column("input_cost", money),
        sa.Column("output_cost", money),
        sa.Column("cost", money),
        sa.Column("cost_source", sa.Text),
        sa.Column("retries", sa.Integer, server_default="0", nullable=False),
        sa.Column("error_category", sa.Text),
        sa.Column("error_message", sa.Text),
        sa.Column("attributes", JSONB, server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.Column("updated_at", instant, nullable=False),
        sa.CheckConstraint("ended_at >= started_at"),
        sa.CheckConstraint("status <> 'running' or ended_at is null"),
        schema="analytics",
    )
    op.create_index("runs_by_start", "runs", ["organization", "started_at"], schema="analytics")


def _create_changes() -> None:
    op.create_table(
        "changes",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("transaction", TransactionId, server_default=sa.func.pg_current_xact_id(), nullable=False),
        sa.Column("organization", sa.Text, nullable=False),
        sa.Column("day", sa.Date),
        _created_at(),
        schema="analytics",
    )
    op.create_index("changes_by_transaction", "changes", ["transaction"], schema="analytics")
