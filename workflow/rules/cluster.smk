# What a run needs of the cluster beyond its profile (profiles/slurm/config.yaml).

from pathlib import Path

from dfsc.slurm import cancel_leftovers


# Made from apptainer.def, and used with --software-deployment-method apptainer only.
container: "dfsc.sif"


onstart:
    # Without a cluster this does nothing. Snakemake's lock on the folder is held by now.
    if number := cancel_leftovers(Path.cwd()):
        print(
            f"dfsc: {number} jobs of an earlier run were cancelled; they go on from their checkpoints",
            file=sys.stderr,
        )
