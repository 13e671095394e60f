"""Read the repository: which commit, which tree, is anything uncommitted. Nothing here writes into it."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ops.hosts import runner
from ops.kernel import files, guard
from ops.kernel.context import Context
from ops.kernel.errors import ConfigurationError, OpsError, StepFailed

_FULL = 1_000_000
"""Bytes: with less a disk is full, whatever is left for root."""


@dataclass(frozen=True)
class Revision:
    """What a ref stands for.

    Args:
        commit: Full hash of the commit.
        ref: What was asked for, or the branch.
        tree: Hash of the tree that is deployed: the commit's, or the working tree's.
        dirty: Whether that tree has uncommitted work.
        left_out: Whether there is uncommitted work that is not deployed.
    """

    commit: str
    ref: str
    tree: str
    dirty: bool
    left_out: bool = False

    @property
    def release(self) -> str:
        """The release id: 12 digits of the commit, with the tree's when it holds uncommitted work."""
        return f"{self.commit[:12]}+{self.tree[:12]}" if self.dirty else self.commit[:12]


def resolve(context: Context, ref: str) -> Revision:
    """Find out what to deploy; an empty ref means HEAD, or the working tree where the environment allows it.

    Raises:
        ConfigurationError: Not a repository, no commit yet, or no such ref.
    """
    folder = context.settings.folder
    inside = _run(context, folder, "rev-parse", "--is-inside-work-tree", check=False)
    if inside.stdout.strip() != "true":
        raise _unusable(folder, inside.stderr)
    name = ref or "HEAD"
    if name.startswith("-"):
        raise ConfigurationError(f"{name!r} is not a git ref", hint="--ref BRANCH, TAG or COMMIT")
    commit = _git(
        context, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}", check=False
    ).strip()
    if not commit:
        raise ConfigurationError(
            f"there is no commit {name!r} here", hint="git log --oneline -5, or git fetch"
        )
    tree = _git(context, "rev-parse", f"{commit}^{{tree}}").strip()
    branch = ref or _git(context, "rev-parse", "--abbrev-ref", "HEAD").strip()
    changed = (
        bool(_git(context, "status", "--porcelain", "--untracked-files=normal").strip())
        if not ref
        else False
    )
    if not changed or not context.settings.environment.working_tree:
        return Revision(commit, branch, tree, dirty=False, left_out=changed)
    with objects(context) as environment:
        work = _write_tree(context, environment)
    return Revision(commit, branch, work, dirty=work != tree)


def _unusable(folder: Path, said: str) -> ConfigurationError:
    """Return the error for a folder that git does not work in: no repository, or another user's."""
    if "dubious ownership" in said:
        return ConfigurationError(
            f"git refuses {folder}",
            why="dubious ownership: it belongs to another user",
            hint=f"git config --global --add safe.directory {folder}",
        )
    return ConfigurationError(
        f"{folder} is not a git repository", hint="git init && git add -A && git commit -m first"
    )


def is_on(context: Context, commit: str, branch: str) -> bool | None:
    """Say whether a commit is on a branch, as origin has it or, without origin, as it is here.

    In a checkout of CI HEAD is no branch, and the branch itself is known as that of origin only.

    Returns:
        None when neither is known here, or not far enough back.
    """
    for ref in (f"refs/remotes/origin/{branch}", f"refs/heads/{branch}"):
        if _git(context, "rev-parse", "--verify", "--quiet", ref, check=False).strip():
            words = ("merge-base", "--is-ancestor", commit, ref)
            folder = context.settings.folder
            on = _run(context, folder, *words, check=False).code == 0
            shallow = _git(context, "rev-parse", "--is-shallow-repository").strip() == "true"
            return None if shallow and not on else on
    return None


def blob(context: Context, revision: Revision, path: str) -> str:
    """Return the hash of a file or folder inside the revision; empty when it is not there.

    Args:
        context: Surroundings.
        revision: Where to look.
        path: Relative to the repository's folder of ops.toml, "." for all of it.
    """
    with objects(context) as environment:
        if revision.dirty:
            _write_tree(context, environment)
        name = f"{revision.tree}:{_inside(context, path)}".removesuffix(":")
        return _git(
            context, "rev-parse", "--verify", "--quiet", name, check=False, environment=environment
        ).strip()


def added(
    context: Context, revision: Revision, before: str, path: str, suffix: str
) -> dict[str, str]:
    """Return the files below a path that a revision has and a commit does not, with their text.

    Args:
        context: Surroundings.
        revision: Where they are.
        before: Full hash of the commit; all files count when it is unknown here.
        path: Relative to the application's folder.
        suffix: How their names end.
    """
    with objects(context) as environment:
        if revision.dirty:
            _write_tree(context, environment)
        inside = _inside(context, str(context.settings.app.root / path))
        there = _files(context, environment, revision.tree, inside)
        known = _files(context, environment, before, inside) if before else set()
        return {
            name: _git(
                context, "cat-file", "blob", f"{revision.tree}:{name}", environment=environment
            )
            for name in sorted(there - known)
            if name.endswith(suffix)
        }


def _files(context: Context, environment: Mapping[str, str], tree: str, path: str) -> set[str]:
    words = ("ls-tree", "-r", "-z", "--name-only", "--full-tree", tree, "--", path or ".")
    output = _git(context, *words, check=False, environment=environment)
    return set(filter(None, output.split("\0")))


def export(
    context: Context, tree: str, dirty: bool, destination: Path, *, whole: bool = False
) -> None:
    """Write the application's folder of a tree into a folder, by git itself.

    Python's own way (a tar archive with a safe filter) is missing in Debian 12's Python 3.11.2.

    Args:
        context: Surroundings.
        tree: Its hash.
        dirty: Whether it holds uncommitted work.
        destination: The folder.
        whole: All of the folder of ops.toml, not only the application's in it.

    Raises:
        StepFailed: The working tree is not the one that was planned any more.
        OpsError: The disk is full.
    """
    if not files.in_scratch(destination):
        guard.effect(f"write the files of {tree[:12]} into {destination}")
    with objects(context) as environment, files.scratch() as folder:
        if dirty and _write_tree(context, environment) != tree:
            raise StepFailed(
                "the working tree has changed since the plan was made", hint="run it again"
            )
        inside = _inside(context, "." if whole else str(context.settings.app.root))
        alone = {**environment, "GIT_INDEX_FILE": str(folder / "index")}
        files.make_folder(destination, mode=0o755)
        _git(context, "read-tree", f"{tree}:{inside}", environment=alone)
        try:
            # From the top: below it git would leave out what is not in its own folder.
            words = ("checkout-index", "--all", f"--prefix={destination}/")
            _git(context, *words, environment=alone, top=True)
        except StepFailed as error:
            _explain_full_disk(destination, error)
            raise


def _explain_full_disk(folder: Path, error: StepFailed) -> None:
    """Raise one clear line in place of git's line for every file that it could not write."""
    if shutil.disk_usage(folder).free < _FULL:
        raise OpsError(
            f"cannot write {folder}", why="No space left on device", hint="check free space: df -h"
        ) from error


@contextlib.contextmanager
def objects(context: Context) -> Iterator[Mapping[str, str]]:
    """Give an environment in which git writes objects and index into a temporary folder, not into the repository."""
    real = _git(context, "rev-parse", "--git-path", "objects").strip()
    index = Path(context.settings.folder, _git(context, "rev-parse", "--git-path", "index").strip())
    with files.scratch() as folder:
        copy = folder / "index"
        files.make_folder(folder / "objects")
        if index.is_file():
            files.copy(index, copy)  # keeps git's cached file states, so only changes are read
        yield {
            "GIT_INDEX_FILE": str(copy),
            "GIT_OBJECT_DIRECTORY": str(folder / "objects"),
            "GIT_ALTERNATE_OBJECT_DIRECTORIES": str(Path(context.settings.folder, real).resolve()),
        }


def _write_tree(context: Context, environment: Mapping[str, str]) -> str:
    _git(context, "add", "--all", ".", environment=environment, top=True)
    return _git(context, "write-tree", environment=environment).strip()


def _inside(context: Context, path: str) -> str:
    """Return a path relative to the repository's top, for `tree:path`."""
    prefix = _git(context, "rev-parse", "--show-prefix").strip()
    joined = Path(prefix) / path
    return "" if str(joined) == "." else str(joined)


def _git(
    context: Context,
    *words: str,
    check: bool = True,
    environment: Mapping[str, str] | None = None,
    top: bool = False,
) -> str:
    folder = context.settings.folder
    if top:
        folder = Path(_git(context, "rev-parse", "--show-toplevel").strip())
    return _run(context, folder, *words, check=check, environment=environment).stdout


def _run(
    context: Context,
    folder: Path,
    *words: str,
    check: bool,
    environment: Mapping[str, str] | None = None,
) -> runner.Result:
    return runner.run(
        context,
        ["git", "-c", "core.fsmonitor=false", *words],
        reads=True,
        cwd=folder,
        environment={"GIT_OPTIONAL_LOCKS": "0", **(environment or {})},
        check=check,
    )
