"""A summary as one short text, as the index and the cache of the environment keep it, and back."""

from __future__ import annotations

from picklegate.capabilities.effects import KINDS, WAYS, Effect, Parameter, Summary

_KINDS = dict(zip(KINDS, "xcnuiwWdgrka", strict=True))
_WAYS = dict(zip(WAYS, ("", "N", "I", "S", "T", "A", "K", "L"), strict=True))
_BINDINGS = {"": "", "unbound": "u", "class": "b", "static": "t"}
_CALLABLES = {"function": "F", "class": "C", "instance": "V", "native": "N"}
_OF_KIND = {code: name for name, code in _KINDS.items()}
_OF_WAY = {code: name for name, code in _WAYS.items()}
_OF_BINDING = {code: name for name, code in _BINDINGS.items()}
_OF_CALLABLE = {code: name for name, code in _CALLABLES.items()}


class Names:
    """A numbered list of names that many summaries share."""

    def __init__(self, names: list[str] | None = None) -> None:
        """Begin with these."""
        self.names = names or []
        self._numbers = {name: at for at, name in enumerate(self.names)}

    def number(self, name: str) -> int:
        """The number of a name, which is added if it is new."""
        return self._numbers.setdefault(name, self._added(name))

    def _added(self, name: str) -> int:
        if name not in self._numbers:
            self.names.append(name)
        return len(self.names) - 1


def shorten(summary: Summary, sinks: Names) -> str:
    """The summary as text; locations keep the line only, as the module is known."""
    head = _CALLABLES[summary.kind] + _BINDINGS[summary.binding] + ("?" if summary.opened else "")
    return ";".join((head, *(_effect(effect, sinks) for effect in summary.effects)))


def _effect(effect: Effect, sinks: Names) -> str:
    parameters = ",".join(map(_parameter, effect.parameters))
    line = effect.location.rpartition(":")[2]
    text = f"{_KINDS[effect.kind]}{_WAYS[effect.way]}{parameters}"
    if not effect.sink and not line:
        return text if effect.chain == 1 else f"{text}@{effect.chain}"
    return f"{text}@{effect.chain}.{sinks.number(effect.sink)}.{line}"


def _parameter(parameter: Parameter) -> str:
    position = "" if parameter.position < 0 else str(parameter.position)
    name = f"={parameter.name}" if parameter.name else ""
    return position + ("*" if parameter.rest else "") + name + (f"[{_safe(parameter.key)}" if parameter.key else "")


def _safe(key: str) -> str:
    return "".join(char if char.isidentifier() or char.isdigit() else "_" for char in key)


def expand(text: str, sinks: Names, location: str) -> Summary:
    """The summary of ``shorten``, of a module whose source is at ``location``; raises ValueError for any other text."""
    try:
        head, *effects = text.split(";")
        return Summary(
            kind=_OF_CALLABLE[head[0]],
            binding=_OF_BINDING[head[1:].rstrip("?")],
            opened=head.endswith("?"),
            effects=tuple(_expanded(item, sinks, location) for item in effects),
        )
    except (KeyError, IndexError) as error:
        raise ValueError("no summary in this text") from error


def _expanded(text: str, sinks: Names, location: str) -> Effect:
    what, _, reason = text.partition("@")
    chain, _, place = reason.partition(".")
    sink, _, line = place.partition(".")
    way = what[1] if what[1:2] in _OF_WAY and what[1:2] else ""
    parameters = what[1 + len(way) :]
    return Effect(
        kind=_OF_KIND[what[0]],
        way=_OF_WAY[way],
        parameters=tuple(map(_read_parameter, parameters.split(","))) if parameters else (),
        sink=sinks.names[int(sink)] if sink else "",
        chain=int(chain or 1),
        location=f"{location}:{line}" if line else "",
    )


def _read_parameter(text: str) -> Parameter:
    text, _, key = text.partition("[")
    position, _, name = text.partition("=")
    rest = position.endswith("*")
    position = position.rstrip("*")
    return Parameter(position=int(position) if position else -1, name=name, rest=rest, key=key)
