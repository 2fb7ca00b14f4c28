"""People's own database logins, and what they may read."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

from agent_analytics.migrations import run_sql

revision = "0002"
down_revision = "0001"

LOGIN = "login ~ '^aa_[0-9a-f]{16}$'"
ROLE = "role in ('ORG_ADMIN', 'TEAM_LEAD')"


def upgrade() -> None:
    run_sql("0002_people.sql")
    op.execute("set local role agent_analytics_owner")
    _create_logins()
    run_sql("0002_logins.sql")
    op.execute("reset role")


def _create_logins() -> None:
    instant = sa.DateTime(timezone=True)
    op.create_table(
        "logins",
        sa.Column("login", sa.Text, sa.CheckConstraint(LOGIN), primary_key=True),
        sa.Column("organization", sa.Text, nullable=False),
        sa.Column("user", sa.Text),
        sa.Column("role", sa.Text, sa.CheckConstraint(ROLE), nullable=False),
        sa.Column("teams", ARRAY(sa.Text), server_default=sa.text("'{}'::text[]"), nullable=False),
        sa.Column("created_at", instant, server_default=sa.func.now(), nullable=False),
        sa.Column("expires_at", instant, nullable=False),
        schema="analytics",
    )
