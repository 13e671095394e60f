"""Functions that a plan may name: each with its look-first, its undo and its limit.

A function becomes a step with `@step`; its place in the registry is its module and name. A run that another
process finishes is looked up here, so the database can never name code of its own.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import asdict, dataclass, is_dataclass
from typing import Any, Generic, ParamSpec, TypeVar, get_type_hints

from pydantic import SecretStr, TypeAdapter, ValidationError

from ops.kernel.context import Context
from ops.kernel.errors import ConfigurationError
from ops.kernel.plan import Ref, Step, as_ref

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True)
class Done:
    """A look-first found nothing left to do.

    Args:
        note: Why, for a person.
        result: What the step would have returned.
    """

    note: str
    result: Any = None


@dataclass(frozen=True)
class Action(Generic[P, R]):
    """A registered step function.

    Args:
        name: Name in the registry.
        function: The effect: `(context, **arguments) -> dataclass | None`.
        check: Looks first: `(context, **arguments) -> Done | None`.
        undo: Takes it back: `(context, result | None, **arguments) -> None`; must look first as well.
        limit: Seconds.
        title: With `{argument}` fields.
        interruptible: Whether a first Ctrl-C may stop it in the middle (downloads, builds).
        irreversible: Whether it cannot be taken back; its result then has a field `compatible`: does the version
            before still work after it?
    """

    name: str
    function: Callable[..., Any]
    check: Callable[..., Done | None] | None
    undo: Callable[..., None] | None
    limit: float
    title: str
    interruptible: bool
    irreversible: bool

    def __call__(self, context: Context, *args: Any, **arguments: Any) -> Any:
        """Run the effect itself, without journal or undo."""
        return self.function(context, *args, **arguments)

    def step(
        self,
        key: str = "",
        *,
        id: str = "",
        when: str = "",
        group: str = "",
        limit: float = 0,
        **arguments: Any,
    ) -> Step:
        """Make the step of a plan; wrong arguments fail here, before anything is shown.

        Args:
            key: Sub-key of the id when the plan has this step more than once.
            id: Other name than the function's.
            when: The condition, if its need is known only later.
            group: Steps of one group run at the same time.
            limit: Seconds, in place of the function's own.
            arguments: JSON values or `Ref`.

        Raises:
            ConfigurationError: An argument is missing, unknown or of the wrong type.
        """
        self._check_arguments(arguments)
        name = id or self.name.rpartition(".")[2].replace("_", "-")
        values = {
            name: each.to_json() if isinstance(each, Ref) else each
            for name, each in arguments.items()
        }
        shown = {name: _shown(each) for name, each in arguments.items()}
        return Step(
            id=f"{name}:{key}" if key else name,
            action=self.name,
            arguments=values,
            title=self.title.format(**shown),
            limit=limit or self.limit,
            when=when,
            reversible=not self.irreversible,
            group=group,
        )

    def _check_arguments(self, arguments: dict[str, Any]) -> None:
        parameters = dict(list(inspect.signature(self.function).parameters.items())[1:])
        hints = get_type_hints(self.function)
        missing = [
            n for n, each in parameters.items() if each.default is each.empty and n not in arguments
        ]
        unknown = [n for n in arguments if n not in parameters]
        if missing or unknown:
            raise ConfigurationError(f"step {self.name}: missing {missing}, unknown {unknown}")
        for name, value in arguments.items():
            if not isinstance(value, Ref):
                self._check_type(name, value, hints[name])

    def _check_type(self, name: str, value: Any, expected: Any) -> None:
        if isinstance(value, SecretStr):
            raise ConfigurationError(
                f"step {self.name}: {name} is a secret", hint="pass its reference"
            )
        try:
            TypeAdapter(expected).validate_python(value)
        except ValidationError as error:
            raise ConfigurationError(
                f"step {self.name}: {name}={value!r} is not a {expected}"
            ) from error

    def result_fields(self) -> set[str]:
        """Return the fields of the result, empty when it returns none."""
        returned = get_type_hints(self.function).get("return")
        return set(getattr(returned, "__dataclass_fields__", ()))


def _shown(value: Any) -> str:
    if isinstance(value, Ref):
        return f"<{value.step}>"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


_registry: dict[str, Action[Any, Any]] = {}


def step(
    *,
    title: str,
    limit: float,
    check: Callable[..., Done | None] | None = None,
    undo: Callable[..., None] | None = None,
    interruptible: bool = False,
    irreversible: bool = False,
) -> Callable[[Callable[..., R]], Action[Any, R]]:
    """Register a module-level function as a step; see `Action` for the arguments."""

    def decorate(function: Callable[..., R]) -> Action[Any, R]:
        name = f"{function.__module__}.{function.__qualname__}".removeprefix("ops.")
        made: Action[Any, R] = Action(
            name, function, check, undo, limit, title, interruptible, irreversible
        )
        _registry[name] = made
        return made

    return decorate


def find(name: str) -> Action[Any, Any]:
    """Look a step up.

    Raises:
        ConfigurationError: No such step in this version.
    """
    if name not in _registry:
        raise ConfigurationError(f"this version of invops has no step {name!r}")
    return _registry[name]


def check_references(steps: tuple[Step, ...]) -> None:
    """Make sure that each reference names a field of an earlier step's result.

    Raises:
        ConfigurationError: It does not.
    """
    fields: dict[str, set[str]] = {}
    for each in steps:
        for ref in each.results_needed():
            if ref.field not in fields.get(ref.step, set()):
                raise ConfigurationError(
                    f"step {each.id} refers to {ref.step}.{ref.field}, which does not exist"
                )
        if each.id in fields:
            raise ConfigurationError(f"two steps are called {each.id}")
        fields[each.id] = find(each.action).result_fields()


def resolve(arguments: dict[str, Any], results: dict[str, Any]) -> dict[str, Any]:
    """Replace references by the recorded results of earlier steps."""
    resolved = {}
    for name, value in arguments.items():
        ref = as_ref(value)
        resolved[name] = value if ref is None else (results.get(ref.step) or {}).get(ref.field)
    return resolved


def result_json(value: Any) -> Any:
    """Return a step's result as JSON.

    Raises:
        ConfigurationError: It holds a secret.
    """
    data = asdict(value) if is_dataclass(value) and not isinstance(value, type) else value
    if isinstance(data, SecretStr) or (
        isinstance(data, dict) and any(isinstance(v, SecretStr) for v in data.values())
    ):
        raise ConfigurationError("a step returned a secret", hint="return its reference")
    return data
