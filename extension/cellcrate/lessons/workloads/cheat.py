"""What a dishonest game could bring along: a million for player 7.

    python cheat.py

It looks for the bank's books in the folder that it runs in. It needs no trick and no password: an
ordinary program may change every file of the user who started it.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

BOOKS = Path("accounts.db")
PLAYER = 7
LOOT = 1_000_000


def main() -> None:
    if not BOOKS.exists():
        here = ", ".join(sorted(path.name for path in Path.cwd().iterdir())) or "nothing"
        print(f"cheat: there is no {BOOKS} in {Path.cwd()}; there is {here}")
        return
    with closing(sqlite3.connect(BOOKS, timeout=10)) as books, books:
        books.execute("UPDATE accounts SET balance = balance + ? WHERE id = ?", (LOOT, PLAYER))
    print(f"cheat: found {BOOKS}, and player {PLAYER} is a millionaire now")


if __name__ == "__main__":
    main()
