"""Files rebuilt from what pickles of the Hub import."""

from __future__ import annotations

from typing import TYPE_CHECKING

from picklegate.training.carriers import CONTAINERS, Sample
from picklegate.training.honest import Honest, sample_of
from picklegate.training.tree import Build, Call, Name, New, PersistentId, Tree

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable, Iterator, Sequence

    from picklegate.training.corpus import HubRow


def rebuild_hub(
    rows: Iterable[HubRow], rng: random.Random, *, containers: Sequence[str] = CONTAINERS
) -> Iterator[Sample]:
    """Rebuild the pickle of each row from what it imports, guessing by the case of a name how it is used."""
    for row in rows:
        honest = Honest(rng)
        items: list[Tree] = [honest.tensor() for _ in range(3)] if row.persistent else []
        for module, name in row.imports:
            if module == "torch" and name.endswith("Storage"):
                items.append(
                    PersistentId(("storage", Name(module, name), str(len(items)), "cpu", rng.randrange(1, 99)))
                )
            else:
                made = _rebuilt(module, name, honest)
                items += [made] if made is not None else []
        keys = [f"{honest.key()}_{place}" for place in range(len(items))]
        yield sample_of(dict(zip(keys, items, strict=True)), row.repo, "hub", containers, rng)


_OWN_SHAPE = {"_rebuild_tensor_v2", "_reconstruct", "ndarray", "dtype", "scalar", "encode", "_rebuild_parameter"}
_ENUM_ENDINGS = ("Type", "Strategy", "Names", "Mode", "Level", "Status", "Kind", "Precision", "Backend")


def _rebuilt(module: str, name: str, honest: Honest) -> Tree:
    rng = honest.rng
    if module.startswith("__torch__"):
        return Build(New(Name(module, name)), {"training": False, "_is_full_backward_hook": None})
    if name in _OWN_SHAPE or module in ("_codecs", "__builtin__", "builtins"):
        return honest.array() if rng.random() < 0.5 else None
    if name == "OrderedDict":
        return honest.ordered()
    if (module, name) in (("torch", "device"), ("torch", "Size")):
        return Call(Name(module, name), ("cuda", 0) if name == "device" else ([3, 4],))
    if name.endswith(_ENUM_ENDINGS):
        return Call(Name(module, name), (honest.texts.member().lower(),))
    if name[:1].isupper():
        return Build(New(Name(module, name)), honest.state())
    return Name(module, name)
