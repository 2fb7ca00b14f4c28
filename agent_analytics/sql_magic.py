"""`%load_ext agent_analytics`: JupySQL's `%sql` under the person's own database login.

The connection is made by a function, so that neither URL nor password is in what JupySQL knows, shows or saves.
"""

from typing import Any

import sqlalchemy as sa

from agent_analytics import sql

ALIAS = "agent_analytics"


def load_ipython_extension(shell: Any) -> None:
    """Raises ServiceError or Forbidden where there is no login."""
    # Slow to import, and only notebooks need it.
    from sql.connection import ConnectionManager
    from sql.magic import load_ipython_extension as load

    sql.connect(sql.url()).close()
    load(shell)
    magic = shell.magics_manager.registry["SqlMagic"]
    magic.displaycon = False
    # An engine keeps no connection but the one in use; after it was ended, the next one reads the login anew.
    engine = sa.create_engine("postgresql+psycopg://", creator=lambda: sql.connect(sql.url()), poolclass=sa.NullPool)
    ConnectionManager.set(engine, displaycon=False, alias=ALIAS, config=magic)
