"""The Llama of language_model.py on several CPU ranks with PyTorch's or DeepSpeed's parallelism: prints one JSON line.

    torchrun --nproc-per-node 2 parallel.py CONFIG_FOLDER --mode ddp|fsdp2|dtensor|deepspeed1|deepspeed3 [--steps N]

ddp: DistributedDataParallel. fsdp2: fully_shard on each layer and the model. dtensor: column- and row-wise parallel
attention and feed-forward layers. deepspeedN: ZeRO stage N. The batch is 8 x 256 over all ranks.
"""
import argparse
import json
import os
import time

import torch
import torch.distributed as dist
from transformers import LlamaConfig, LlamaForCausalLM

BATCH, LENGTH = 8, 256


def shard(model, mode, world):
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard
    from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module

    mesh = init_device_mesh("cpu", (world,))
    for layer in model.model.layers:
        if mode == "fsdp2":
            fully_shard(layer, mesh=mesh)
        else:
            columns = ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "mlp.gate_proj", "mlp.up_proj"]
            plan = {name: ColwiseParallel() for name in columns} | {name: RowwiseParallel() for name in ("self_attn.o_proj", "mlp.down_proj")}
            parallelize_module(layer, mesh, plan)
    if mode == "fsdp2":
        fully_shard(model, mesh=mesh)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("config")
    parser.add_argument("--mode", required=True)
    parser.add_argument("--steps", type=int, default=10)
    a = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    world, rank = dist.get_world_size(), dist.get_rank()
    config = LlamaConfig.from_pretrained(a.config, attn_implementation="sdpa", use_cache=False)
    model = LlamaForCausalLM(config)
    fused = a.mode == "ddp"
    if a.mode == "ddp":
        model = torch.nn.parallel.DistributedDataParallel(model)
    elif a.mode in ("fsdp2", "dtensor"):
        shard(model, a.mode, world)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=fused)
    rows = BATCH if a.mode == "dtensor" else BATCH // world
    engine = None
    if a.mode.startswith("deepspeed"):
        import deepspeed

        engine, *_ = deepspeed.initialize(model=model, optimizer=optimizer, config={
            "train_micro_batch_size_per_gpu": rows, "gradient_clipping": 1.0, "zero_allow_untested_optimizer": True,
            "zero_optimization": {"stage": int(a.mode[-1])}, "steps_per_print": 10**9})
    ids = torch.randint(0, config.vocab_size, (rows, LENGTH))
    times = []
    for _ in range(a.steps + 2):
        at = time.perf_counter()
        loss = (engine or model)(input_ids=ids, labels=ids).loss
        if engine:
            engine.backward(loss)
            engine.step()
        else:
            loss.backward()
            if a.mode != "dtensor":
                torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0, foreach=False)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        dist.barrier()
        times.append(time.perf_counter() - at)
    steady = sorted(times[2:])
    if rank == 0:
        print(json.dumps({"tokens_per_second": BATCH * LENGTH / steady[len(steady) // 2]}))
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
