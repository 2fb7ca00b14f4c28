"""People's own database logins, and what they may read."""

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    pass
