"""Published lines: figures of an organization that tell of nobody."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

from agent_analytics.migrations import run_sql

revision = "0003"
down_revision = "0002"

MONEY, TOTAL, COUNT = sa.Numeric(20, 9), sa.Numeric(38, 9), sa.BigInteger
COUNTS = ("runs", "ended", "succeeded", "failed", "cancelled", "ended_with_cost", "timed")
TOKENS = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens")
SUMS = (*TOKENS, "total_tokens", "retries", "duration_sum_us")
COSTS = ("input_cost", "output_cost", "cost")


def upgrade() -> None:
    op.execute("set local role agent_analytics_owner")
    _create_lines()
    _create_people()
    _create_runs()
    run_sql("0003_published_lines.sql")
    op.execute("reset role")


def _create_lines() -> None:
    op.create_table(
        "published_lines",
        sa.Column("organization", sa.Text, primary_key=True),
        sa.Column("line", COUNT, sa.Identity(always=True), primary_key=True),
        sa.Column("day", sa.Date, nullable=False),
        sa.Column("agent_type", sa.Text, nullable=False),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("people", sa.Integer, nullable=False),
        *(sa.Column(name, COUNT, nullable=False) for name in COUNTS),
        *(sa.Column(name, COUNT) for name in SUMS),
        *(sa.Column(name, TOTAL) for name in (*COSTS, "wasted_cost")),
        schema="analytics",
    )


def _create_people() -> None:
    op.create_table(
        "published_people",
        sa.Column("organization", sa.Text, primary_key=True),
        sa.Column("line", COUNT, primary_key=True),
        sa.Column("user", sa.Text, primary_key=True),
        sa.Column("teams", ARRAY(sa.Text), nullable=False),
        sa.Column("cost", TOTAL, nullable=False),
        schema="analytics",
    )


def _create_runs() -> None:
    op.create_table(
        "published_runs",
        sa.Column("organization", sa.Text, primary_key=True),
        sa.Column("run_id", sa.Text, primary_key=True),
        sa.Column("line", COUNT, primary_key=True),
        sa.Column("status", sa.Text, nullable=False),
        *(sa.Column(name, COUNT) for name in TOKENS),
        *(sa.Column(name, MONEY) for name in COSTS),
        sa.Column("retries", sa.Integer, nullable=False),
        sa.Column("duration_us", COUNT),
        schema="analytics",
    )
