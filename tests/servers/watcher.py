"""End all processes that a run has started when the run has ended, even by SIGKILL:

    watcher.py PID FOLDER

PID is the run's process, which has started this one; see run_folder in
common.py.  It polls the id of its parent. A pipe would stay open in the run's
other children, and PR_SET_PDEATHSIG would also report the end of a thread."""

import os
import sys
import time

import common

run, folder = int(sys.argv[1]), sys.argv[2]
while os.getppid() == run:
    time.sleep(0.2)
common.end_run(folder)
