"""Messages that are formatted without Python read as if Python had formatted them."""

from __future__ import annotations

from conftest import Logs

SCRIPT = """
import itertools, random, struct
log = lastwords.setup_logger("worker", LOGS, console=False, rotate_size=1 << 30)
log.propagate = False
expected = open(LOGS + "/expected", "w", encoding="utf-8")
def say(template, *arguments):
    log.info("n%d " + template, say.count, *arguments)
    expected.write(("n%d " + template) % (say.count, *arguments) + "\\n")
    say.count += 1
say.count = 0
"""


def same(logs: Logs, script: str) -> None:
    logs.run(SCRIPT + script + "\nexpected.close()")
    assert logs.messages() == (logs.folder / "expected").read_text(encoding="utf-8").splitlines()


def test_each_directive_with_each_kind_of_value(logs: Logs) -> None:
    same(
        logs,
        """
values = [0, 7, -7, 2**63 - 1, -(2**63), 2**63, 10**30, True, False, None, 0.0, -0.0, 0.5, 1.5, 2.5, 1e16, 1e300, 5e-324]
values += ["", "text", "ünïcode ☂", "100%", "%s", "a" * 5000, (), (1, 2), [1], {}, {"a": 1}, b"bytes", object, 1 + 2j]
directives = ["%s", "%d", "%i", "%f", "%.0f", "%.1f", "%.3f", "%.9f", "%.12f", "%5d", "%-5s|", "%05.1f", "%x", "%X", "%o"]
directives += ["%e", "%g", "%r", "%a", "%+d", "% d", "%%%s", "%s%%", "%ld", "%.3s"]
for directive, value in itertools.product(directives, values):
    try:
        directive % (value,)
    except (TypeError, ValueError, OverflowError):
        continue
    say(directive, value)
    say("before " + directive + " after", value)
""",
    )


def test_many_floats_and_integers(logs: Logs) -> None:
    same(
        logs,
        """
seed = int.from_bytes(os.urandom(4), "little")
print("seed", seed)
random = random.Random(seed)
for n in range(20_000):
    any_float = struct.unpack("d", random.randbytes(8))[0]
    half = random.randint(-10**6, 10**6) / 2**random.randint(0, 20)
    say("%d %.3f %f %.0f %s %i", random.getrandbits(random.randint(1, 70)) - 2**32, half, any_float, half, "x" * (n % 90), -n)
    scaled = random.uniform(-1, 1) * 2.0**random.randint(-80, 64)
    power = random.choice((-1, 1)) * 2.0**random.randint(-80, 64)
    near = random.randint(0, 10**6) + random.choice((0.5, 0.25, 0.999999999, 0.9999999999, 0.9995, 1e-9, 0.0))
    say("%.0f %.1f %.6f %.9f %.2f %.0f %.4f %.9f", scaled, scaled, scaled, scaled, power, near, near, near)
""",
    )


def test_what_is_wrong_with_the_arguments_is_shown_as_python_shows_it_and_the_program_goes_on(logs: Logs) -> None:
    running = logs.start(
        """
log = lastwords.setup_logger("worker", LOGS, console=False)
for template, *arguments in [("%d", "x"), ("%d %d", 1), ("%d", 1, 2), ("%", 1), ("%q", 1), ("%.f", "x"), ("%d", None)]:
    log.info(template, *arguments)
log.info("goes on")
"""
    )
    errors = running.communicate(timeout=60)[1]
    assert running.returncode == 0 and errors.count("--- Logging error ---") == 7
    assert "TypeError: not enough arguments" in errors and "unsupported format character 'q'" in errors
    assert logs.messages() == ["goes on"]
