"""The GPUs of one machine are shared out among processes; the claims need no GPU to be tested."""

import subprocess
import sys
from pathlib import Path

CLAIM = "import sys; from dfsc.device import claimed_gpu; print(claimed_gpu(2, sys.argv[1]), flush=True); input()"


def test_each_process_takes_a_gpu_of_its_own_until_it_ends(tmp_path: Path) -> None:
    processes: list[subprocess.Popen[str]] = []

    def claim() -> str:
        command = [sys.executable, "-c", CLAIM, str(tmp_path)]
        processes.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        output = processes[-1].stdout
        assert output is not None
        return output.readline().strip()

    try:
        assert [claim(), claim()] == ["0", "1"]
        processes[1].kill()
        processes[1].wait()
        assert claim() == "1"
        assert [claim(), claim(), claim()] == ["0", "1", "0"], "none is free: they are shared evenly"
    finally:
        for process in processes:
            process.kill()
            process.communicate()
