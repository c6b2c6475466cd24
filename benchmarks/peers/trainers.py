"""One way to train, in a process of its own: `trainers.py WAY JOB ANSWER`; `train_speed.py` starts it.

JOB is a JSON file: `model` (a folder), `adapter` (a folder of PEFT's, the matrices to begin with), `batches` (lists of
rows, each `input_ids` and `labels`), `rate`, `dtype`. ANSWER gets the loss, the seconds and the processor seconds of
each step, the most memory that the process took, and, of doxa, the best rate of products that was measured in it.
"""

import json
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any


def own(job: dict[str, Any]) -> dict[str, Any]:
    """Doxa's steps."""
    import torch
    from limits import rates

    from doxa.models.handle import load
    from doxa.training.rows import TrainingTokens
    from doxa.training.steps import adamw_step, forward_backward, load_state, trainable
    from doxa.words.tuning import Configuration

    dtype = job["dtype"]
    flops, _ = rates(torch.float32 if dtype == "float32" else torch.bfloat16)
    configuration = Configuration(job["rate"], rank=job["rank"], alpha=job["alpha"], dtype=dtype)
    made = trainable(load(job["model"]), configuration, 0)
    load_state(made, Path(job["adapter"]), with_optimizer=False)
    losses, seconds, processor = [], [], []
    for batch in job["batches"]:
        began, spent = time.perf_counter(), time.process_time()
        count = sum(label != -100 for row in batch for label in row["labels"])
        rows = [
            TrainingTokens(
                str(n), tuple(row["input_ids"]), tuple(float(label != -100) / count for label in row["labels"])
            )
            for n, row in enumerate(batch)
        ]
        losses.append(forward_backward(made, rows).total)
        adamw_step(made, job["rate"], configuration)
        seconds.append(time.perf_counter() - began)
        processor.append(time.process_time() - spent)
    return {"losses": losses, "seconds": seconds, "processor": processor, "flops": flops}


def peers(way: str, job: dict[str, Any]) -> dict[str, Any]:
    """TRL's SFTTrainer, or Transformers' Trainer, with PEFT."""
    import torch
    from datasets import Dataset
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer, DataCollatorForSeq2Seq, Trainer, TrainerCallback
    from transformers import TrainingArguments as Arguments

    narrow = job["dtype"] == "bfloat16"
    network = AutoModelForCausalLM.from_pretrained(
        job["model"], dtype=torch.bfloat16 if narrow else torch.float32, attn_implementation="sdpa"
    )
    tokenizer = AutoTokenizer.from_pretrained(job["model"])
    network = PeftModel.from_pretrained(network, job["adapter"], is_trainable=True)
    rows = [row for batch in job["batches"] for row in batch]
    times: list[float] = []
    processor: list[float] = []

    class Clock(TrainerCallback):  # type: ignore[misc]
        def on_step_begin(self, *arguments: Any, **named: Any) -> None:
            times.append(-time.perf_counter())
            processor.append(-time.process_time())

        def on_step_end(self, *arguments: Any, **named: Any) -> None:
            times[-1] += time.perf_counter()
            processor[-1] += time.process_time()

    with tempfile.TemporaryDirectory() as folder:
        settings: dict[str, Any] = {
            "output_dir": folder,
            "per_device_train_batch_size": len(job["batches"][0]),
            "num_train_epochs": 1,
            "train_sampling_strategy": "sequential",
            "learning_rate": job["rate"],
            "lr_scheduler_type": "constant",
            "optim": "adamw_torch",
            "adam_beta2": 0.95,
            "weight_decay": 0.0,
            "max_grad_norm": 0.0,
            "logging_steps": 1,
            "save_strategy": "no",
            "report_to": [],
            "disable_tqdm": True,
            "use_cpu": True,
            "bf16": narrow,
            "gradient_checkpointing": False,  # it would be slower
        }
        if way == "trl":
            from trl import SFTConfig, SFTTrainer

            trainer: Any = SFTTrainer(
                network,
                args=SFTConfig(max_length=None, **settings),
                train_dataset=Dataset.from_list(rows),
                processing_class=tokenizer,
                callbacks=[Clock()],
            )
        else:
            trainer = Trainer(
                network,
                args=Arguments(**settings),
                train_dataset=Dataset.from_list(rows),
                data_collator=DataCollatorForSeq2Seq(tokenizer, label_pad_token_id=-100),
                callbacks=[Clock()],
            )
        trainer.train()
        losses = [line["loss"] for line in trainer.state.log_history if "loss" in line]
    return {"losses": losses, "seconds": times, "processor": processor}


def main() -> None:
    """Train and answer."""
    way, job, answer = sys.argv[1:]
    body = json.loads(Path(job).read_text())
    done = own(body) if way == "doxa" else peers(way, body)
    done["memory"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    Path(answer).write_text(json.dumps(done))


if __name__ == "__main__":
    main()
