"""What libraries in C say by themselves is lost while they decode; what Python says never is."""

import subprocess
import sys

SILENCED = """
import os, sys, threading
from tune_audio.machine.error_stream import error_stream
with error_stream.silenced():
    os.write(2, b"not yet taken;")
copies = error_stream.take()
assert error_stream.take() == copies and len(copies) == 2
inside, outside = threading.Event(), threading.Event()
def other():
    with error_stream.silenced():
        inside.set()
        outside.wait()
thread = threading.Thread(target=other)
thread.start()
inside.wait()
with error_stream.silenced():
    os.write(2, b"LOST")
os.write(2, b"LOST, for the other thread is still inside")
print("Python's own;", file=sys.stderr)
outside.set()
thread.join()
os.write(2, b"heard again")
"""


def test_c_libraries_are_silenced_and_python_is_not() -> None:
    done = subprocess.run([sys.executable, "-c", SILENCED], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr == "not yet taken;Python's own;\nheard again"
