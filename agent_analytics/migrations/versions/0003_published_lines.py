"""Published lines: figures of an organization that tell of nobody."""

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    pass
