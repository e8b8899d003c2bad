"""The tool: ``python -m lastwords recover logs``, or ``lastwords recover logs``."""

import signal
import sys
from pathlib import Path

#: How the tool starts itself again: by this file and isolated, so that the folder it is started in has no say in what it imports.
PROGRAM = [sys.executable, "-I", str(Path(__file__).resolve())]


def main() -> None:
    """Runs the tool on this process's arguments and exits with its status."""
    try:
        from lastwords._native import run_tool
    except ImportError:
        print("lastwords: the tool works on 64-bit Linux only; here the package writes its log files directly", file=sys.stderr)
        sys.exit(2)
    # The tool waits without the interpreter, which could not raise KeyboardInterrupt meanwhile.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.exit(run_tool(PROGRAM, sys.argv[1:]))


if __name__ == "__main__":
    if not __package__:
        # Behind everything else: what is beside the package is not to hide the standard library.
        sys.path.append(str(Path(__file__).resolve().parents[1]))
    main()
