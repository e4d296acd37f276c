# What a run needs of the cluster beyond its profile (profiles/slurm/config.yaml).

from pathlib import Path

from snakemake.scheduling.job_scheduler import JobRateLimiter

from dfsc.slurm import cancel_leftovers, check_reachable

if workflow.remote_exec:
    # Inside a job, Snakemake has one thing to run. Its default limit of 100 jobs a second holds the job, and its GPU, for
    # a second after the end: until the timer has rung at which it could submit more. No option reaches it here.
    JobRateLimiter.timespan = 0


# Made from apptainer.def, and used with --software-deployment-method apptainer only.
container: "dfsc.sif"


onstart:
    with stopping_in_one_line():
        if workflow.executor_plugin.name == "slurm":
            check_reachable()
        # Without a cluster this does nothing. Snakemake's lock on the folder is held by now.
        if number := cancel_leftovers(Path.cwd()):
            print(
                f"dfsc: {number} jobs of an earlier run were cancelled; they go on from their checkpoints",
                file=sys.stderr,
            )
        bring_back()
