"""The audit: who saw whose run, who exported what, who changed which setting."""

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    pass
