"""The record's tables as PostgreSQL holds them; the migrations make them, a test holds the two equal."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, UUID

STATUSES = ("running", "succeeded", "failed", "cancelled")
ENDED = STATUSES[1:]
COST_SOURCES = ("reported", "computed")
MONEY = sa.Numeric(20, 9)

metadata = sa.MetaData(schema="analytics")


class TransactionId(sa.types.UserDefinedType[int]):
    """PostgreSQL's `xid8`: a transaction's number, never used twice."""

    cache_ok = True

    def get_col_spec(self, **_: object) -> str:
        return "xid8"


def _created_at() -> sa.Column:
    return sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False)


def _public_id() -> sa.Column:
    return sa.Column("id", UUID, server_default=sa.func.gen_random_uuid(), nullable=False, unique=True)


organizations = sa.Table(
    "organizations",
    metadata,
    sa.Column("organization", sa.Text, primary_key=True),
    _public_id(),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("timezone", sa.Text, server_default="UTC", nullable=False),
    _created_at(),
)

teams = sa.Table(
    "teams",
    metadata,
    sa.Column("organization", sa.ForeignKey("organizations.organization"), primary_key=True),
    sa.Column("team", sa.Text, primary_key=True),
    _created_at(),
)

users = sa.Table(
    "users",
    metadata,
    sa.Column("organization", sa.ForeignKey("organizations.organization"), primary_key=True),
    sa.Column("user", sa.Text, primary_key=True),
    _public_id(),
    _created_at(),
)

agent_types = sa.Table(
    "agent_types",
    metadata,
    sa.Column("organization", sa.ForeignKey("organizations.organization"), primary_key=True),
    sa.Column("agent_type", sa.Text, primary_key=True),
    _created_at(),
)


def _run_columns() -> list[sa.Column]:
    """The run record of the ingest contract, and where its cost came from."""
    instant = sa.DateTime(timezone=True)
    return [
        sa.Column("organization", sa.Text, primary_key=True),
        sa.Column("run_id", sa.Text, primary_key=True),
        sa.Column("user", sa.Text),
        sa.Column("team", sa.Text),
        sa.Column("agent_type", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("started_at", instant, nullable=False),
        sa.Column("ended_at", instant),
        sa.Column("model", sa.Text),
        sa.Column("model_version", sa.Text),
        sa.Column("input_tokens", sa.BigInteger),
        sa.Column("output_tokens", sa.BigInteger),
        sa.Column("cache_read_tokens", sa.BigInteger),
        sa.Column("cache_write_tokens", sa.BigInteger),
        sa.Column("reasoning_tokens", sa.BigInteger),
        sa.Column("input_cost", MONEY),
        sa.Column("output_cost", MONEY),
        sa.Column("cost", MONEY),
        sa.Column("cost_source", sa.Text),
        sa.Column("retries", sa.Integer, server_default="0", nullable=False),
        sa.Column("error_category", sa.Text),
        sa.Column("error_message", sa.Text),
        sa.Column("attributes", JSONB, server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.Column("updated_at", instant, nullable=False),
    ]


# No foreign keys: the ingest creates organization, users, teams and agent types in the same transaction,
# and checking the keys of each row would halve its speed (docs/decisions.md).
runs = sa.Table(
    "runs",
    metadata,
    *_run_columns(),
    sa.Index("runs_by_start", "organization", "started_at"),
)

# One row for each (organization, local day) that a transaction touched; a null day is every day.
# The cache reads them by transaction, up to its snapshot's horizon.
changes = sa.Table(
    "changes",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("transaction", TransactionId, server_default=sa.func.pg_current_xact_id(), nullable=False),
    sa.Column("organization", sa.Text, nullable=False),
    sa.Column("day", sa.Date),
    _created_at(),
    sa.Index("changes_by_transaction", "transaction"),
)

# People's own database logins: whose each is, and what PostgreSQL lets it read by `session_user`.
logins = sa.Table(
    "logins",
    metadata,
    sa.Column("login", sa.Text, primary_key=True),
    sa.Column("organization", sa.Text, nullable=False),
    sa.Column("user", sa.Text),
    sa.Column("role", sa.Text, nullable=False),
    sa.Column("teams", ARRAY(sa.Text), server_default=sa.text("'{}'::text[]"), nullable=False),
    _created_at(),
    sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
)

# Who saw whose run, who exported what, who changed which setting. Rows are added, never changed.
# `organization` is null for what concerns the platform as a whole, `role` for an account that is not a person's.
audit = sa.Table(
    "audit",
    metadata,
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
    sa.Index("audit_by_time", "organization", "at", "id"),
    sa.Index("audit_of_all_by_time", "at", "id"),
)

# The relation that every answer asks, under this name and with these columns in both engines: a view in
# the record, a table in the cache. `day` and `hour` are the organization's own; `duration_us` is null
# while running and where the end is unknown.
local_runs = sa.Table(
    "local_runs",
    sa.MetaData(schema="analytics"),
    *_run_columns(),
    sa.Column("day", sa.Date, nullable=False),
    sa.Column("hour", sa.DateTime, nullable=False),
    sa.Column("duration_us", sa.BigInteger),
)

# Published lines, by which members see figures of all: see `privacy`. Rows are only ever added. A line's figures have
# the names under which the catalog counts them; `agent_type` is OTHER where slices were merged to hide people in them.
OTHER = "Other"
_TOKENS = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens")
_COSTS = ("input_cost", "output_cost", "cost")
_COUNTS = ("runs", "ended", "succeeded", "failed", "cancelled", "ended_with_cost", "timed")
_SUMS = (*_TOKENS, "total_tokens", "retries", "duration_sum_us")

published_lines = sa.Table(
    "published_lines",
    metadata,
    sa.Column("organization", sa.Text, primary_key=True),
    sa.Column("line", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("day", sa.Date, nullable=False),
    sa.Column("agent_type", sa.Text, nullable=False),
    sa.Column("published_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("people", sa.Integer, nullable=False),
    *(sa.Column(name, sa.BigInteger, nullable=False) for name in _COUNTS),
    *(sa.Column(name, sa.BigInteger) for name in _SUMS),
    *(sa.Column(name, sa.Numeric(38, 9)) for name in (*_COSTS, "wasted_cost")),
)

# Whose runs a line adds up, of which teams (null for none), and how much of its cost is theirs.
published_people = sa.Table(
    "published_people",
    metadata,
    sa.Column("organization", sa.Text, primary_key=True),
    sa.Column("line", sa.BigInteger, primary_key=True),
    sa.Column("user", sa.Text, primary_key=True),
    sa.Column("teams", ARRAY(sa.Text), nullable=False),
    sa.Column("cost", sa.Numeric(38, 9), nullable=False),
)

# Which values of a run were published, with which line: the first, and those that it was corrected to.
published_runs = sa.Table(
    "published_runs",
    metadata,
    sa.Column("organization", sa.Text, primary_key=True),
    sa.Column("run_id", sa.Text, primary_key=True),
    sa.Column("line", sa.BigInteger, primary_key=True),
    sa.Column("status", sa.Text, nullable=False),
    *(sa.Column(name, sa.BigInteger) for name in _TOKENS),
    *(sa.Column(name, MONEY) for name in _COSTS),
    sa.Column("retries", sa.Integer, nullable=False),
    sa.Column("duration_us", sa.BigInteger),
)
