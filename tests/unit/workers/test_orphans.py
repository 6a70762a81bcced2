"""No process outlives the one that started it, not even one that ended before it could be tied."""

import os
import subprocess
import sys
from collections.abc import Callable

import pytest

CODE = "import sys; from workers.orphans import die_with_parent; die_with_parent(int(sys.argv[1]))"


@pytest.mark.parametrize(("parent", "code"), [(os.getpid, 0), (os.getppid, 1)])
def test_a_process_whose_parent_is_gone_ends_at_once(parent: Callable[[], int], code: int) -> None:
    done = subprocess.run([sys.executable, "-c", CODE, str(parent())], check=False)

    assert done.returncode == code
