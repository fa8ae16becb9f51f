"""A training program as teams write it, whole under the guard, in a process of its own.

Prints one JSON object: what it computed under the guard, and for the training loop what it computes without.
"""

from __future__ import annotations

import copy
import json
import multiprocessing
import pickle
import sys
import tempfile
import threading
from concurrent.futures import ProcessPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import Any

# Heavy libraries are imported where they are needed: a spawned worker imports this module.


class Squares:
    """A dataset of numbers, with an object beside each that its worker has to pickle."""

    def __len__(self) -> int:
        """Eight of them."""
        return 8

    def __getitem__(self, index: int) -> tuple[float, Fraction]:
        """A number and its share."""
        return float(index), Fraction(index, 8)


def third(value: int) -> Fraction:
    """What a worker gives back: an object whose class has to be imported."""
    return Fraction(value, 3)


def gathered(rows: list[Any]) -> tuple[Any, list[Fraction]]:
    """A batch."""
    import torch

    return torch.tensor([[row[0]] for row in rows]), [row[1] for row in rows]


def trained(folder: Path, context: str, workers: int) -> float:
    """A loop over a DataLoader with workers, with a checkpoint after each epoch from which the next one goes on."""
    import torch
    from torch.utils.data import DataLoader

    from picklegate import safe_torch_load

    torch.manual_seed(0)
    model = torch.nn.Linear(1, 1)
    optimizer = torch.optim.Adam(model.parameters())
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1)
    loader = DataLoader(Squares(), 4, num_workers=workers, collate_fn=gathered, multiprocessing_context=context)
    loss = torch.zeros(())
    for epoch in range(workers):
        for batch, shares in loader:
            loss = ((model(batch) - batch * float(sum(shares))) ** 2).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        scheduler.step()
        path = folder / f"{epoch}.pt"
        state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "scheduler": scheduler.state_dict()}
        torch.save(state, path)
        model.load_state_dict(torch.load(path)["model"])
        optimizer.load_state_dict(safe_torch_load(path)["optimizer"])
        scheduler.load_state_dict(torch.load(path, weights_only=False)["scheduler"])
    return float(loss)


def threaded(folder: Path) -> int:
    """How many loads in several threads at once gave what was saved."""
    import torch

    found: list[bool] = []

    def work(number: int) -> None:
        path = folder / f"thread{number}.pt"
        torch.save({"at": torch.tensor(number)}, path)
        found.extend(torch.load(path)["at"].item() == number for _ in range(5))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(found)


def channels(folder: Path) -> dict[str, Any]:
    """What comes through each channel between processes of one program, and through a file."""
    import joblib

    found: dict[str, Any] = {}
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        found["executor"] = list(pool.map(third, range(3)))
    with multiprocessing.Pool(1) as forked:
        found["pool"] = forked.map(third, range(3))
    receive, send = multiprocessing.Pipe()
    send.send([third(value) for value in range(3)])
    found["pipe"] = receive.recv()
    queue: Any = multiprocessing.SimpleQueue()
    queue.put([third(value) for value in range(3)])
    found["queue"] = queue.get()
    found["joblib"] = joblib.Parallel(2)(joblib.delayed(third)(value) for value in range(3))
    joblib.dump([third(value) for value in range(3)], folder / "thirds.joblib")
    found["file"] = joblib.load(folder / "thirds.joblib")
    found["copy"] = copy.deepcopy(pickle.loads(pickle.dumps([third(value) for value in range(3)])))
    return {name: list(map(str, values)) for name, values in found.items()}


def main() -> None:
    """Train without the guard, then do all of it under the guard."""
    from picklegate import guarded

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found: dict[str, Any] = {"plain": trained(folder, "fork", 2)}
        original = pickle.loads
        with guarded():
            found["fork"] = trained(folder, "fork", 2)
            found["spawn"] = trained(folder, "spawn", 1)
            found["threads"] = threaded(folder)
            found["channels"] = channels(folder)
        found["restored"] = pickle.loads is original
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()
