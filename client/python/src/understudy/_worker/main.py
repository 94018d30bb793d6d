# SPDX-License-Identifier: MIT
"""python -I -u RUNTIME/understudy/_worker/main.py understudy-zygote FD

The environment's interpreter runs this file by its path. `understudy` is loaded from
RUNTIME whatever the environment holds, since daemon and worker are of one version; for
everything else RUNTIME comes last on sys.path.
"""

import sys


def main() -> None:
    before = frozenset(sys.modules)
    runtime = __file__.rsplit("/", 3)[0]
    sys.path.insert(0, runtime)
    from understudy._worker import zygote

    sys.path.remove(runtime)
    sys.path.append(runtime)
    zygote.main(int(sys.argv[2]), runtime, before)


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] != "understudy-zygote":
        sys.exit("started by understudy-node; not a command for people")
    main()
