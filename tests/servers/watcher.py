"""Ends what a run has started once the run is gone, be it by SIGKILL:

    watcher.py PID FOLDER

PID is the run's process, which has started this one; see run_folder in
common.py.  It asks for its parent again and again: unlike a pipe, that tells
of the run alone, whatever the run's other children have inherited; and unlike
PR_SET_PDEATHSIG, it is not misled by the end of a thread."""

import os
import sys
import time

import common

run, folder = int(sys.argv[1]), sys.argv[2]
while os.getppid() == run:
    time.sleep(0.2)
common.end_run(folder)
