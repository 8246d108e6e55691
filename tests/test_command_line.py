"""The command line: every mistake is one line and exit code 2, never a traceback."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SRGAN = str(ROOT / "configs/srgan.py")
# A front door, called once for each list of words on stdin: importing it once saves seconds.
DOOR = '''
"""A front door for a test."""
import json, os, sys
from absl import flags
from jsr import command_line
from jsr.errors import PartlyDone, UserError

CONFIG = command_line.define_config()
FAIL = flags.DEFINE_enum("fail", None, ["user", "partly", "interrupt"], "how to end")

def main(words):
    ends = {"user": UserError("a mistake"), "partly": PartlyDone("b.png failed"),
            "interrupt": KeyboardInterrupt()}
    if FAIL.value:
        raise ends[FAIL.value]
    config = command_line.read_config(CONFIG)
    print(json.dumps([words, config.scale, config.name]))

for number, words in enumerate(json.load(sys.stdin)):
    if os.fork() == 0:
        for stream, name in ((1, "out"), (2, "err")):
            os.dup2(os.open(f"{number}.{name}", os.O_WRONLY | os.O_CREAT), stream)
        sys.argv = [sys.argv[0], *words]
        command_line.run_command(main)
        sys.exit(0)
    print(os.waitstatus_to_exitcode(os.wait()[1]))
'''
FILES = {
    "syntax": "def get_config(: pass",
    "key": "def get_config(presets=''):\n    return {}['absent']",
    "attribute": "def get_config(presets=''):\n    import os\n    return os.absent",
    "runtime": "def get_config(presets=''):\n    raise RuntimeError('first\\nsecond')",
    "reading": "def get_config(presets=''):\n    return open('absent.txt')",
    "imports": "import absent_package",
    "assertion": "def get_config(presets=''):\n    assert False",
    "number": "def get_config(presets=''):\n    return 5",
    "nothing": "NAME = 'nothing'",
    "plain": "from ml_collections import ConfigDict\n"
    "def get_config():\n    return ConfigDict({'scale': 3, 'name': 'plain'})",
}
# Words, and what the line on stderr says.
MISTAKES = {
    "no config": ([], "--config is missing: try --config configs/srgan.py"),
    "config without a value": (["--config"], "--config is missing"),
    "empty config": (["--config="], "--config is missing"),
    "absent file": (["--config", "absent.py:div2k"], "there is no config file absent.py"),
    "folder": (["--config", "."], "there is no config file ."),
    "unknown preset": ([f"--config={SRGAN}:nope"], "'nope' of srgan is unknown; known: div2k,"),
    "file without presets": (["--config=plain.py:big"], "plain.py: TypeError: get_config() takes"),
    "unknown key": (["--config", SRGAN, "--config.nope", "3"], "key 'nope' is unknown"),
    "unknown key, single dash": (["-config", SRGAN, "-config.nope=3"], "key 'nope' is unknown"),
    "unknown inner key": (["--config", SRGAN, "--config.data.nope=3"], "'data.nope' is unknown"),
    "key below a number": (["--config", SRGAN, "--config.scale.x=3"], "'scale.x' is unknown"),
    "word for a number": (["--config", SRGAN, "--config.scale", "four"], "config.scale=four"),
    "fraction for a number": (["--config", SRGAN, "--config.scale=2.5"], "config.scale=2.5"),
    "number for a section": (["--config", SRGAN, "--config.data=3"], "config.data=3"),
    "key without a value": (["--config", SRGAN, "--config.scale"], "Missing value for flag"),
    "unknown flag": (["--config", SRGAN, "--foo"], "Unknown command line flag 'foo'"),
    "not among the choices": (["--fail=perhaps"], "perhaps"),
    "syntax": (["--config=syntax.py"], "syntax.py: SyntaxError: invalid syntax"),
    "KeyError": (["--config=key.py"], "key.py: KeyError: 'absent' (line 2)"),
    "AttributeError": (["--config=attribute.py"], "(line 3)"),
    "error of two lines": (["--config=runtime.py"], "RuntimeError: first second (line 2)"),
    "OSError": (["--config=reading.py"], "reading.py: FileNotFoundError: [Errno 2]"),
    "ImportError": (["--config=imports.py"], "No module named 'absent_package' (line 1)"),
    "AssertionError": (["--config=assertion.py"], "assertion.py: AssertionError (line 2)"),
    "no ConfigDict": (["--config=number.py"], "returned int, expected a ConfigDict"),
    "no get_config": (["--config=nothing.py"], "has no attribute 'get_config'"),
    "UserError of the command": (["--fail=user"], "error: a mistake"),
}
OTHERS = {
    "preset": ["--config", f"{SRGAN}:smoke"],
    "packaged": ["--config=configs/srgan.py"],
    "key": ["--config", SRGAN, "--config.scale=2", "stray", "--", "--words"],
    "last config": ["--config", SRGAN, "--config", "plain.py"],
    "partly": ["--fail=partly"],
    "interrupt": ["--fail=interrupt"],
    "help": ["--help"],
}


@pytest.fixture(scope="module")
def ends(tmp_path_factory):
    """(exit code, stdout, stderr) of the front door for each case."""
    folder = tmp_path_factory.mktemp("door")
    (folder / "door.py").write_text(DOOR)
    for name, text in FILES.items():
        (folder / f"{name}.py").write_text(text)
    cases = {name: words for name, (words, _) in MISTAKES.items()} | OTHERS
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "door.py"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        input=json.dumps(list(cases.values())),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.returncode == 0 and not run.stderr, run.stderr
    codes = [int(line) for line in run.stdout.split()]
    texts = [[(folder / f"{i}.{n}").read_text() for n in ("out", "err")] for i in range(len(codes))]
    return dict(zip(cases, ((c, *t) for c, t in zip(codes, texts, strict=True)), strict=True))


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_is_one_line_and_exit_code_2(ends, case):
    code, out, err = ends[case]
    assert (code, out) == (2, "")
    assert err.startswith("error: ") and err.endswith("\n") and len(err.splitlines()) == 1
    assert MISTAKES[case][1] in err


def test_presets_keys_and_packaged_configs_reach_the_command(ends):
    printed = {name: json.loads(ends[name][1]) for name in ("preset", "packaged", "key")}
    assert printed["preset"] == [[], 4, "srgan-smoke"]
    # There is no folder configs/ where the door runs.
    assert printed["packaged"] == [[], 4, "srgan"]
    assert printed["key"] == [["stray", "--words"], 2, "srgan"]
    assert all(ends[name][0] == 0 for name in printed)


def test_the_last_of_two_configs_holds(ends):
    assert json.loads(ends["last config"][1])[1:] == [3, "plain"]


def test_partly_done_is_told_and_is_exit_code_1(ends):
    assert ends["partly"] == (1, "", "b.png failed\n")


def test_ctrl_c_is_silent(ends):
    assert ends["interrupt"] == (130, "", "")


def test_help_shows_every_flag_of_the_front_door(ends):
    code, out, err = ends["help"]
    assert (code, err) == (0, "")
    assert "A front door for a test." in out
    assert "--config:" in out and "--fail:" in out


def test_a_mistake_on_the_command_line_of_main_starts_no_jax():
    words = [sys.executable, "-X", "importtime", "-m", "jsr.main", "--config", SRGAN, "--foo"]
    run = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert run.returncode == 2 and "error: Unknown command line flag 'foo'" in run.stderr
    imported = [line.rpartition("|")[2].strip() for line in run.stderr.splitlines() if "|" in line]
    assert "jsr.command_line" in imported and "jax" not in imported
