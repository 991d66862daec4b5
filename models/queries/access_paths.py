"""How PostgreSQL is to reach rows where its statistics cannot be trusted; each is put before a statement.

A launch plans a million rows that nobody has counted yet, and later themes come after the counting. Batches are small
beside the tables, so none may read all of one, whatever seems cheap. A setting holds until the transaction ends.
"""

from sqlalchemy import text
from sqlalchemy.orm import Session

BY_INDEX = "SET LOCAL enable_seqscan = off;"

#: For statements that are given rows and name them as one array as well, which leads to them by an index: joined to
#: that array, a nested loop would go through it once for every row.
BY_ARRAY = f"{BY_INDEX} SET LOCAL enable_nestloop = off;"

#: For the first few of many in the order of an index, which else are all gathered and sorted.
IN_ORDER = f"{BY_INDEX} SET LOCAL enable_bitmapscan = off; SET LOCAL enable_sort = off;"

#: For prepared statements, which else are planned anew for the values of each call wherever that looks cheaper.
PLANNED_ONCE = "SET LOCAL plan_cache_mode = force_generic_plan;"


def by_index(session: Session) -> None:
    """For all that follows in the transaction."""
    session.execute(text(BY_INDEX))
