"""The detached supervisor: `python -m console.supervisor`, started by `themeline up`."""

from console.supervisor.lifecycle import supervise
from settings import get_settings

if __name__ == "__main__":
    supervise(get_settings())
