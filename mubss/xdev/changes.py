"""What `modify` does to one document, as MySQL's JSON functions do it (JSON_SET, JSON_REMOVE, JSON_ARRAY_APPEND).

A member is made only in an object that is there; an index past the end appends; `[0]` of what is no array is that
value, and a higher index makes an array of it.
"""

from __future__ import annotations

from typing import Any

Steps = tuple[str | int, ...]


def set_value(value: Any, steps: Steps, new: Any) -> Any:
    """`value` with `new` at the end of `steps`."""
    step, rest = steps[0], steps[1:]
    if isinstance(step, str):
        if isinstance(value, dict):
            if not rest:
                value[step] = new
            elif step in value:
                value[step] = set_value(value[step], rest, new)
        return value
    if isinstance(value, list):
        if step < len(value):
            value[step] = set_value(value[step], rest, new) if rest else new
        elif not rest:
            value.append(new)
        return value
    if step == 0:
        return set_value(value, rest, new) if rest else new
    return value if rest else [value, new]


def unset(value: Any, steps: Steps) -> None:
    """Removes what stands at the end of `steps`, if it is there."""
    *parents, last = steps
    for step in parents:
        value = _step(value, step)
    if isinstance(last, str):
        if isinstance(value, dict):
            value.pop(last, None)
    elif isinstance(value, list) and last < len(value):
        del value[last]


def array_append(value: Any, steps: Steps, new: Any) -> Any:
    """`value` with `new` behind the array at the end of `steps`; what is no array there becomes one."""
    if not steps:
        if isinstance(value, list):
            value.append(new)
            return value
        return [value, new]
    step, rest = steps[0], steps[1:]
    if isinstance(step, str):
        if isinstance(value, dict) and step in value:
            value[step] = array_append(value[step], rest, new)
    elif isinstance(value, list):
        if step < len(value):
            value[step] = array_append(value[step], rest, new)
    elif step == 0:
        return array_append(value, rest, new)
    return value


def _step(value: Any, step: str | int) -> Any:
    if isinstance(step, str):
        return value.get(step) if isinstance(value, dict) else None
    if isinstance(value, list):
        return value[step] if step < len(value) else None
    return value if step == 0 else None
