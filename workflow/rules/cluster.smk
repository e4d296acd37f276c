# What a run needs of the cluster beyond its profile (slurm/config.yaml).

from dfsc.cluster.drivers import register
from dfsc.cluster.slurm import cancel_leftovers, check_reachable


# Made from apptainer.def, and used with --software-deployment-method apptainer only.
container: "dfsc.sif"


onstart:  # of a run that executes something: not of a dry run, nor within a job
    with stopping_in_one_line():
        needed = [] if workflow.touch else list(workflow.dag.needrun_jobs())
        through_slurm = workflow.executor_plugin.name == "slurm"
        if through_slurm:
            check_reachable()
        if number := cancel_leftovers({str(file) for job in needed for file in job.output}):
            print(
                f"dfsc: {number} jobs of an earlier run were cancelled; they go on from their checkpoints",
                file=sys.stderr,
            )
        bring_back()
        if through_slurm:
            # Snakemake's executor gives all jobs of a run one name, which nothing public tells.
            register(
                workflow.scheduler._executor.run_uuid,
                {str(file) for job in needed for file in job.output if not job.is_local},
            )
