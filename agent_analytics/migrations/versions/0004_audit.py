"""The audit: who saw whose run, who exported what, who changed which setting."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from agent_analytics.migrations import run_sql

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.execute("set local role agent_analytics_owner")
    op.create_table(
        "audit",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.Column("organization", sa.Text),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("actor", sa.Text),
        sa.Column("role", sa.Text),
        sa.Column("via", sa.Text, nullable=False),
        sa.Column("object", sa.Text),
        sa.Column("details", JSONB, server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.Column("reference", sa.Text),
        schema="analytics",
    )
    op.create_index("audit_by_time", "audit", ["organization", "at", "id"], schema="analytics")
    op.create_index("audit_of_all_by_time", "audit", ["at", "id"], schema="analytics")
    run_sql("0004_audit.sql")
    op.execute("reset role")
