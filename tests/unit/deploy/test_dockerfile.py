"""The Dockerfile as text: a linter's opinion, and what it repeats of the project."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

from click.testing import CliRunner

from llm_service import __version__
from llm_service.cli.main import main
from llm_service.files.conversion import ocr
from llm_service.files.conversion.policy import ConversionPolicy
from llm_service.settings.root import Settings
from llm_service.settings.tree import walk
from tests.unit.deploy.compose_file import PROJECT

DOCKERFILE = (PROJECT / "Dockerfile").read_text()
IGNORED = (PROJECT / ".dockerignore").read_text().splitlines()


def test_hadolint_finds_nothing() -> None:
    tool = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([tool, PROJECT / "Dockerfile"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_its_label_has_the_version_of_the_package() -> None:
    assert f"\nARG VERSION={__version__}\n" in DOCKERFILE


def test_it_exposes_the_port_that_is_the_default() -> None:
    port = next(setting.default for setting in walk(Settings) if setting.name == "HTTP_PORT")
    assert f"\nEXPOSE {port}\n" in DOCKERFILE


def test_each_setting_that_it_sets_is_one() -> None:
    known = {name for setting in walk(Settings) for name in setting.names}
    (block,) = re.findall(r"\nENV (PATH=(?:.*\\\n)*.*)", DOCKERFILE)
    names = set(re.findall(r"(\w+)=", block)) - {"PATH", "PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED"}
    assert names == {"LOG_DIR", "HTTP_HOST"}
    assert names <= known


def test_its_health_check_and_its_command_are_commands() -> None:
    lines = re.findall(r'^(?:HEALTHCHECK .* )?CMD \["(.*)"\]$', DOCKERFILE, re.MULTILINE)
    assert lines == ['llm-service", "check", "--live', "run"]
    for line in lines:
        words = [word for word in line.split('", "') if word != "llm-service"]
        assert CliRunner().invoke(main, [*words, "--help"]).exit_code == 0


def test_the_context_is_a_list_of_what_may_come_in() -> None:
    rules = [line for line in IGNORED if line and not line.startswith("#")]
    assert rules[0] == "*"
    allowed = {rule[1:] for rule in rules if rule.startswith("!")}
    copied = {
        word.rstrip("/")
        for line in re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILE, re.MULTILINE)
        for word in line.split()
    }
    assert copied <= allowed | {"deploy/image/slim.py"}
    assert allowed - copied <= {".dockerignore", "Dockerfile", "deploy", "deploy/image"}
    assert {"**/.env*", "**/*.pem", "**/*.key", "**/__pycache__"} <= set(rules[-6:])


def test_with_ocr_it_has_what_tesseract_needs_where_it_is_looked_for() -> None:
    wanted = {f"{language}.traineddata" for language in ConversionPolicy().ocr_languages.split("+")}
    assert set(re.findall(r"\w+\.traineddata", DOCKERFILE)) == wanted
    (place,) = re.findall(r"^COPY --from=builder /opt/tessdata (\S+)$", DOCKERFILE, re.MULTILINE)
    assert place in ocr.USUAL_FOLDERS
    (branch,) = re.findall(r'case " \$\{EXTRAS\} " in \*" (\w+) "\*\)', DOCKERFILE)
    extras = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert branch in extras
