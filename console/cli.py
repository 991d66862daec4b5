"""The command `themeline`."""

import importlib
import sys

import typer
from pydantic import ValidationError

from console.supervisor.environment import apply_environment
from console.verbs import SettingsInvalid, verb_group
from settings import Settings, get_settings

INTERRUPTED = 130

app = verb_group("Approval and distribution of marketing themes.")

#: Which module of console.commands has a verb or group of verbs. Only the one that is called is imported.
VERBS = {
    "up": "installation",
    "down": "installation",
    "status": "installation",
    "import": "import_retail",
    "people": "people",
    "inbox": "inbox",
    "policy": "policy",
    "accounts": "accounts",
    "product-lines": "product_lines",
    "serve": "serve",
    "bounces": "bounces",
    "limits": "limits",
    "theme": "theme",
    "quote": "quote",
    "presets": "presets",
    "exclusions": "exclusions",
    "products": "products",
    "codes": "codes",
    "offers": "offers",
    "api-keys": "api_keys",
    "deliveries": "deliveries",
    "audit": "audit",
    "alerts": "alerts",
    "notices": "notices",
    "demo": "demo",
}
_OWN_VERBS = frozenset({"up", "down", "status", "demo"})  # they know by themselves which installation they mean


def add_commands(only: str | None = None) -> None:
    """With `only` a known verb, no other module is imported: a command starts as fast as its own part allows."""
    modules = {VERBS[only]} if only in VERBS else dict.fromkeys(VERBS.values())
    for module in modules:
        importlib.import_module(f"console.commands.{module}").register(app)


@app.callback()
def connect(context: typer.Context) -> None:
    """Connect to the installation of the state directory, where the environment does not say otherwise."""
    settings = _settings()
    if context.invoked_subcommand not in _OWN_VERBS:
        apply_environment(settings.state_dir)
        get_settings.cache_clear()


def _settings() -> Settings:
    """Raises SettingsInvalid, naming the variables."""
    try:
        return Settings()
    except ValidationError as invalid:
        problems = [f"THEMELINE_{str(error['loc'][0]).upper()}: {error['msg']}" for error in invalid.errors()]
        raise SettingsInvalid(problems=problems) from None


def main() -> None:
    try:
        add_commands(only=next((word for word in sys.argv[1:] if not word.startswith("-")), None))
    except KeyboardInterrupt:  # later ones are Typer's
        raise SystemExit(INTERRUPTED) from None
    app()


if __name__ == "__main__":
    main()
