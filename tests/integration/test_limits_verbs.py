"""`themeline limits`: a file applied whole or not at all, and shown."""

from pathlib import Path

from tests.integration.command_line import CommandLine
from tests.integration.scene import LINE

EXAMPLE = Path(__file__).parents[2] / "examples" / "limits.yaml"


def test_the_example_is_applied_once_and_shown(cli: CommandLine) -> None:
    assert cli.run("limits", "show").stdout == "no limits: caps and quiet hours hold nothing back\n"
    applied = {"product_line": LINE, "changed": True, "counted_anew": 0}
    assert cli.json("limits", "apply", str(EXAMPLE)) == [applied]
    assert cli.json("limits", "apply", str(EXAMPLE)) == [{**applied, "changed": False}]
    assert "as before" in cli.run("limits", "apply", str(EXAMPLE)).stdout
    (shown,) = cli.json("limits", "show")
    assert (shown["product_line"], shown["timezone"], len(shown["quiet_hours"])) == (LINE, "Europe/London", 3)
    assert shown["applied_by"].startswith("console:")
    assert [cap["cap"] for cap in shown["caps"]] == ["one text a day", "three a week over all"]
    assert cli.json("limits", "show", "--product-line", "other") == []


def test_limits_are_shown_to_people_as_a_table(cli: CommandLine) -> None:
    cli.json("limits", "apply", str(EXAMPLE))
    lines = [" ".join(line.split()) for line in cli.run("limits", "show").stdout.splitlines()]
    assert "quiet hours sms, push, mini_program all other countries 21:00-08:00" in lines
    assert "quiet hours sms FR 00:00-24:00 on sun" in lines
    assert "cap: one text a day sms everywhere at most 1 per day" in lines
    assert lines[0].startswith(f"{LINE}, by console:")


def test_a_file_that_cannot_be_used_is_refused_whole(cli: CommandLine, tmp_path: Path) -> None:
    broken = tmp_path / "limits.yaml"
    broken.write_text(EXAMPLE.read_text(encoding="utf-8").replace("21:00-08:00", "9pm-8am"), encoding="utf-8")
    said = cli.refusal("limits", "apply", str(broken))
    assert said.startswith(f"{broken} cannot be used as it is:")
    assert "limits.0.quiet_hours.0.hours: must be hours such as 21:00-08:00" in said
    other = "\n  - product_line: giftwear\n"
    broken.write_text(EXAMPLE.read_text(encoding="utf-8") + other, encoding="utf-8")
    assert LINE in cli.refusal("limits", "apply", str(broken))
    assert cli.json("limits", "show") == []
