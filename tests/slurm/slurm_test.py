"""Life of a run under Slurm: limits, preemption, dead nodes, cut links, chains. On a real cluster of four nodes:

    tests/slurm/cluster python3 tests/slurm/slurm_test.py TRIREME WRITE_TINY_RUN [unittest's arguments]

Every job is one that `trireme submit` made. Every test proves that its fault fired, and that the run ended with the
weights of one process that nothing ever happened to. With TRIREME_FAULT_TABLE a row is written for each fault.
"""
import json
import os
import pathlib
import signal
import subprocess
import sys
import time
import unittest

from tiny_runs import TRIREME, Run, job, node, output, processes_on, ranks_on

LIMIT = 150  # seconds: nothing here takes as long unless it hangs; no measure of speed
# A save in the background is agreed upon only when every rank comes to it, and a rank that sleeps does not: a test that
# names the step from which a run goes on saves at once.
SAVED_AT_ONCE = ("--set", "checkpoint.async=false")


class SlurmTest(unittest.TestCase):
    oracle = ""
    runs = {}

    @classmethod
    def setUpClass(cls):
        if not SlurmTest.oracle:
            run = Run("oracle")
            output(TRIREME, "train", run.yaml)
            SlurmTest.oracle = run.hash()

    def setUp(self):
        self.assertEqual(len(self.oracle), 64)
        self.run_ = Run(self.id().split(".")[-1])

    def tearDown(self):
        subprocess.run(["scancel", "--user=root"], check=False)
        off = [number for number in (1, 2, 3, 4) if not pathlib.Path(f"/proc/{self.init_of(number)}").exists()]
        for number in off:
            node("start", number)
        for number in (1, 2, 3, 4):
            node("mend", number)
        self.wait("all ranks to end", lambda: not self.run_.nodes_of_ranks())
        self.wait("four idle nodes", lambda: output("sinfo", "-h", "-p", "prod", "-t", "idle", "-o", "%D") == "4")
        if off:  # the controller may not have noticed yet that it was off, nor that it does not listen again
            self.wait("four nodes that start what they are told", self.four_nodes_start_something)

    @staticmethod
    def four_nodes_start_something():
        command = ["srun", "--quiet", "--partition=prod", "-N4", "-n4", "--immediate=10", "true"]
        return subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode == 0

    @staticmethod
    def init_of(number):
        return pathlib.Path(os.environ["TRIREME_TEST_CLUSTER"], f"n{number}.pid").read_text().strip()

    def wait(self, what, condition, run=None):
        """Seconds until `condition` held."""
        start = time.monotonic()
        while not condition():
            if time.monotonic() - start > LIMIT:
                queue = output("squeue", "-o", "%i %j %T %r %N")
                said = (run or self.run_).said()
                self.fail(f"waited {LIMIT} s for {what}\n{queue}\n{said[-4000:] or 'its jobs have said nothing'}")
            time.sleep(0.1)
        return time.monotonic() - start

    def wait_for_text(self, text, run=None):
        return self.wait(f"'{text}'", lambda: text in (run or self.run_).said(), run)

    def wait_for_state(self, number, *states, run=None):
        return self.wait(f"job {number} {states}", lambda: job(number)["JobState"] in states, run)

    def wait_until_requeued(self, number, run=None):
        self.wait(f"job {number} to be requeued",
                  lambda: job(number)["JobState"] == "PENDING" and job(number)["Restarts"] != "0", run)

    def start_again(self, number, run=None):
        """Slurm lets a requeued job wait two minutes, for its nodes to clean up: see to it that they have, and start it."""
        self.wait_until_requeued(number, run)
        self.wait("its nodes to clean up", lambda: not any(processes_on(n, "slurmstepd") for n in (1, 2, 3, 4)))
        output("scontrol", "update", f"jobid={number}", "starttime=now")

    @staticmethod
    def end_soon(number):
        """The job's end comes one to two minutes from now, and it does not know. Slurm looks every 30 s: with a lead of
        two minutes it signals within 30 s, and at least as much is left."""
        hours, minutes, _ = map(int, job(number)["RunTime"].split(":"))
        output("scontrol", "update", f"jobid={number}", f"timelimit={hours * 60 + minutes + 2}")

    def finish(self, number, run=None):
        run = run or self.run_
        self.wait_for_state(number, "COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", run=run)
        self.assertEqual(job(number)["JobState"], "COMPLETED", run.said()[-4000:])
        self.assertEqual(run.hash(), self.oracle, f"not the weights of one process\n{run.said()[-4000:]}")

    def record(self, fault_id, fault, outcome, detect=-1.0, recover=-1.0, lost=-1):
        table = os.environ.get("TRIREME_FAULT_TABLE")
        if table:
            row = {"id": fault_id, "fault": fault, "outcome": outcome, "detect_seconds": round(detect, 1),
                   "recover_seconds": round(recover, 1), "steps_lost": lost, "test": "slurm." + self.id().split(".")[-1]}
            with open(table, "a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")

    def lost(self):
        """Steps that were computed more than once."""
        steps = self.run_.steps()
        return len(steps) - len(set(steps))

    def test_signal_before_the_limit(self):
        """Both templates: the signal reaches all ranks, they save, the job requeues itself and goes on."""
        runs = {name: Run("limit-" + name) for name in ("srun", "mpirun")}
        slow = ",".join(f"step/slow:0:{step}:sleep=2" for step in range(10, 40))
        ids = {name: run.submit("--launcher", name, "--lead", "120", fault=slow)[0] for name, run in runs.items()}
        for name, run in runs.items():
            self.wait_for_text("fault fired", run)
            self.end_soon(ids[name])
        for name, run in runs.items():
            with self.subTest(launcher=name):
                self.wait_for_text(f"job {ids[name]}: exit code 85", run)
                self.assertRegex(run.said(), "asked to stop by a signal")
                self.wait_until_requeued(ids[name], run)
                output("scontrol", "update", f"jobid={ids[name]}", "timelimit=10")
        for name, run in runs.items():
            with self.subTest(launcher=name):
                self.start_again(ids[name], run)
                self.finish(ids[name], run)
                self.assertEqual(job(ids[name])["Restarts"], "1")
                self.assertEqual(run.steps(), list(range(1, 41)), "no step was lost or done twice")
        self.record("F3", "USR1 before the time limit, through srun and through mpirun",
                    "saved after the step, exit code 85, requeued itself, went on to the same weights", lost=0)

    def test_preemption(self):
        number = self.run_.submit("--tasks-per-node", "2", "--cpus-per-task", "1", "--partition", "scavenge", site="generic",
                                   fault="step/slow:0:12:sleep=10")[0]
        self.wait_for_text("fault fired")
        other = int(output("sbatch", "--parsable", "-N4", "--exclusive", "-p", "prod", "-o", "/dev/null", "--wrap", "sleep 1"))
        self.wait_for_text(f"job {number}: exit code 85")
        self.wait_for_state(other, "COMPLETED")
        self.start_again(number)
        self.finish(number)
        self.assertEqual(self.run_.steps(), list(range(1, 41)))
        self.record("F25", "preempted by a job of a higher partition",
                    "saved after the step, requeued, went on to the same weights", lost=0)

    def test_node_power_off(self):
        number = self.run_.submit(*SAVED_AT_ONCE, fault="step/slow:0:15:sleep=15")[0]
        self.wait_for_text("fault fired")  # rank 0 sleeps, the others are in a collective with it
        first, second = self.run_.nodes_of_ranks()
        node("kill", second)
        self.assertEqual(ranks_on(second), [], "the node is off")
        noticed = self.wait("all ranks to end", lambda: not ranks_on(first))
        killed_at = max(self.run_.steps())
        self.start_again(number)
        recovered = self.wait("a new step", lambda: len(self.run_.steps()) > killed_at)
        self.finish(number)
        self.assertIn("resumed at step 12", self.run_.said())
        self.record("F2", "power off of a node in the middle of a step",
                    "Slurm noticed and requeued the job (SlurmdTimeout 20 s here), which resumed on other nodes to the same weights",
                    noticed, recovered, self.lost())

    def test_link_cut_in_a_collective(self):
        ids = self.run_.submit("--chain", "2", *SAVED_AT_ONCE, "--set", "guard.deadline=10", fault="step/slow:0:15:sleep=4")
        self.wait_for_text("fault fired")
        first, second = self.run_.nodes_of_ranks()
        node("cut", second)
        alone = self.wait("the ranks behind the cut link to end", lambda: not ranks_on(second))
        self.wait("all ranks to end", lambda: not ranks_on(first))
        node("kill", second)  # its slurmstepd waits for srun for as long as nobody reboots it
        # Who is first: srun, which gives up the silent node, or Slurm, which finds it dead and requeues the job?
        self.wait_for_state(ids[0], "PENDING", "FAILED")
        requeued = job(ids[0])["JobState"] == "PENDING"
        if requeued:
            self.start_again(ids[0])
        recovered = self.wait("the next job", lambda: "resumed at step 12" in self.run_.said())
        self.finish(ids[0] if requeued else ids[1])
        self.record("F16", "link of a node cut in the middle of a collective, guard.deadline 10 s",
                    "ranks on both sides ended by themselves, the next job of the chain resumed to the same weights", alone,
                    recovered, self.lost())

    def test_chain_of_five_jobs(self):
        stops = (5, 13, 21, 29)
        ids = self.run_.submit("--chain", "6", fault=",".join(f"step/slow:0:{s}:sleep=6" for s in stops))
        for number, (job_id, step) in enumerate(zip(ids, stops)):
            self.wait_for_text(f"rank 0 at step {step}:")
            if number == 0:  # a launcher may reach some ranks only: they agree
                os.kill(ranks_on(self.run_.nodes_of_ranks()[-1])[-1], signal.SIGUSR1)
            else:
                output("scancel", "--signal=USR1", str(job_id))
            self.wait_for_state(job_id, "FAILED")
            self.assertEqual(job(job_id)["ExitCode"], "85:0", self.run_.said()[-4000:])
            self.assertEqual(self.run_.events("end")[number]["step"], step + 1)
            if number == 0:
                self.record("F5", "USR1 to one rank of four", "all ranks stopped after the same step, exit code 85", lost=0)
        self.finish(ids[4])
        self.wait_for_state(ids[5], "CANCELLED")
        self.assertEqual(self.run_.steps(), list(range(1, 41)))
        self.record("F26", "a chain of five jobs, each told to stop, against one job",
                    "the same weights; the sixth job, not needed, was cancelled", lost=0)

    def test_restart_loop_without_progress(self):
        ids = self.run_.submit("--chain", "6", "--set", "job.attempts=3", fault="step/slow:0:2:kill")
        self.wait_for_state(ids[5], "CANCELLED")
        states = [(job(number)["JobState"], job(number)["ExitCode"]) for number in ids]
        self.assertEqual(self.run_.said().count("fault fired"), 3, states)
        self.assertEqual(states[3], ("FAILED", "3:0"), "the fourth refused to start")
        self.assertIn("no progress", self.run_.said())
        self.assertEqual([state for state, _ in states], ["FAILED"] * 4 + ["CANCELLED"] * 2)
        self.record("F27", "each job of a chain of six dies at the third step",
                    "three jobs died, the fourth refused to start (exit code 3), the other two were cancelled")

    def test_a_cancelled_job_stays_so(self):
        number = self.run_.submit(fault="step/slow:0:10:sleep=6")[0]
        self.wait_for_text("fault fired")
        output("scancel", str(number))
        self.wait_for_state(number, "CANCELLED")
        self.wait("its ranks to end", lambda: not self.run_.nodes_of_ranks())
        self.wait("the job to leave its nodes", lambda: output("squeue", "-h") == "")
        self.assertEqual((job(number)["JobState"], job(number)["Restarts"]), ("CANCELLED", "0"))


if __name__ == "__main__":
    if len(sys.argv) < 3 or "TRIREME_TEST_CLUSTER" not in os.environ:
        sys.exit(__doc__)
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]], verbosity=2)
