"""SDK v3: ModelTrainer in local containers."""

import json
import sys
from pathlib import Path

from sagemaker.core.training.configs import Compute, InputData
from sagemaker.train.model_trainer import Mode, ModelTrainer

spec = json.loads(sys.argv[1])
ModelTrainer(
    training_image=spec["image"],
    training_mode=Mode.LOCAL_CONTAINER,
    role="arn:aws:iam::111111111111:role/dummy",
    compute=Compute(instance_type="local_cpu", instance_count=spec["hosts"]),
    hyperparameters=spec["hyperparameters"],
    environment={"OMP_NUM_THREADS": "1"},  # several containers share this machine's cores
    local_container_root=spec["root"],
    input_data_config=[InputData(channel_name=name, data_source=folder) for name, folder in spec["channels"].items()],
    base_job_name="polyadic",
).train()
Path(sys.argv[2]).write_text(json.dumps("trained"))
