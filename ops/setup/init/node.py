"""Node applications: static front ends by their tool, and servers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Final

from ops.setup.init.draft import Draft, Section
from ops.setup.init.repository import Repository


@dataclass(frozen=True)
class Tool:
    """A builder of front ends.

    Args:
        package: The package that says it is used.
        title: Its name.
        output: Folder of the built files.
        port: Port of its development server.
        options: What the development command gets after `--`; empty: it reads PORT.
        configuration: Names of its files.
        changed: Finds another output folder there.
    """

    package: str
    title: str
    output: str
    port: int
    options: str
    configuration: tuple[str, ...] = ()
    changed: str = r"outDir:\s*['\"]([\w./-]+)['\"]"


TOOLS: Final = (
    Tool(
        "next",
        "Next.js",
        "out",
        3000,
        "--port {port}",
        ("next.config.*",),
        r"distDir:\s*['\"]([\w./-]+)['\"]",
    ),
    Tool("nuxt", "Nuxt", ".output/public", 3000, "--port {port}"),
    Tool("astro", "Astro", "dist", 4321, "--port {port}", ("astro.config.*",)),
    Tool("@sveltejs/kit", "SvelteKit", "build", 5173, "--port {port} --strictPort"),
    Tool("@angular/cli", "Angular", "dist", 4200, "--port {port}"),
    Tool("react-scripts", "Create React App", "build", 3000, ""),
    Tool("@vue/cli-service", "Vue CLI", "dist", 8080, "--port {port}"),
    Tool("gatsby", "Gatsby", "public", 8000, "--port {port}"),
    Tool("vite", "Vite", "dist", 5173, "--port {port} --strictPort", ("vite.config.*",)),
    Tool("parcel", "Parcel", "dist", 1234, "--port {port}"),
    Tool(
        "webpack",
        "webpack",
        "dist",
        8080,
        "--port {port}",
        ("webpack.config.*",),
        r"path:[^,\n]*['\"]([\w./-]+)['\"]\)",
    ),
)
_SERVERS: Final = ["express", "fastify", "koa", "@nestjs/core", "@hapi/hapi", "hono", "restify"]


@dataclass(frozen=True)
class Front:
    """What a front end's configuration says of the back end.

    Args:
        proxied: Path prefixes that its development server passes on.
        where: The file that says so.
    """

    proxied: tuple[str, ...] = ()
    where: str = ""


def services(draft: Draft, repository: Repository) -> Front:
    """Add a service for each package.json that builds or serves something."""
    front = Front()
    for path in repository.named("package.json"):
        data = repository.json(path)
        scripts = _table(data, "scripts")
        packages = {**_table(data, "dependencies"), **_table(data, "devDependencies")}
        tool = next((each for each in TOOLS if each.package in packages), None)
        if tool is not None and "build" in scripts:
            found = _front_end(draft, repository, path, tool, data, scripts)
            front = found if found.proxied else front
        elif "start" in scripts and any(each in packages for each in _SERVERS):
            _server(draft, repository, path, data, scripts)
        elif "build" in scripts and "workspaces" not in data:
            draft.find("package.json with a build", path, "nothing: its tool is not known")
            draft.decide(
                f"{path} has a build whose output is not known: describe it as a service with `static`"
            )
    return front


def _front_end(
    draft: Draft,
    repository: Repository,
    path: PurePosixPath,
    tool: Tool,
    data: dict[str, Any],
    scripts: dict[str, Any],
) -> Front:
    made = _section(draft, repository, path, data, "frontend")
    text, where = _configuration(repository, path, tool)
    serves = tool.package == "next" and not re.search(r"output:\s*['\"]export['\"]", text)
    if serves:
        made.put("command", "npx next start --hostname 127.0.0.1 --port {port}")
    else:
        made.put("static", _output(tool, text, data), f"where {tool.title} puts what it built")
    made.put("route", ["/"])
    script = next((each for each in ("dev", "start", "serve") if each in scripts), "")
    if script:
        made.put("development", _development(repository, path, script, tool.options))
        made.put("port", _port(text) or tool.port)
    becomes = "command" if serves else "build, static"
    draft.find(f"{tool.title} front end", path, f"[{made.header}] {becomes}")
    draft.sections.append(made)
    proxied = _proxied(text)
    return Front(proxied, where) if proxied else Front()


def _server(
    draft: Draft,
    repository: Repository,
    path: PurePosixPath,
    data: dict[str, Any],
    scripts: dict[str, Any],
) -> None:
    made = _section(draft, repository, path, data, "web")
    if "build" not in scripts:
        made.values["build"] = (
            made.values["build"][:1] if isinstance(made.values["build"], list) else []
        )
    made.put("command", "env PORT={port} npm start", "PORT is what most servers read")
    if "dev" in scripts:
        made.put("development", "env PORT={port} npm run dev")
    made.put("port", 3000)
    draft.find("Node server", path, f"[{made.header}] command")
    draft.decide(f"{made.header}: does it listen on 127.0.0.1 and on the port in PORT?")
    draft.sections.append(made)


def _section(
    draft: Draft, repository: Repository, path: PurePosixPath, data: dict[str, Any], fallback: str
) -> Section:
    """Begin a service: its folder and its build by the package manager that left a lock file."""
    named = path.parent.name or str(data.get("name") or "").rpartition("/")[2]
    name = draft.service_name(named if path.parent.name else fallback, fallback)
    made = Section(f"services.{name}")
    if path.parent.parts:
        made.put("directory", str(path.parent))
    manager, install = _manager(repository, path.parent)
    made.put("build", [install, f"{manager} run build"])
    if install == "npm install":
        draft.decide(
            f"{path.parent or '.'} has no package-lock.json, so two builds may differ: npm install makes one"
        )
    elif manager != "npm":
        draft.decide(
            f"{manager} builds {made.header}: it must be on PATH where you deploy (invops brings npm only)"
        )
    return made


def _manager(repository: Repository, folder: PurePosixPath) -> tuple[str, str]:
    locks: dict[str, tuple[str, str]] = {
        "package-lock.json": ("npm", "npm ci"),
        "npm-shrinkwrap.json": ("npm", "npm ci"),
        "pnpm-lock.yaml": ("pnpm", "pnpm install --frozen-lockfile"),
        "yarn.lock": ("yarn", "yarn install --frozen-lockfile"),
        "bun.lockb": ("bun", "bun install --frozen-lockfile"),
        "bun.lock": ("bun", "bun install --frozen-lockfile"),
    }
    return next(
        (found for name, found in locks.items() if repository.has(folder / name)),
        ("npm", "npm install"),
    )


def _development(repository: Repository, path: PurePosixPath, script: str, options: str) -> str:
    manager, _ = _manager(repository, path.parent)
    if not options:
        return f"env PORT={{port}} {manager} run {script}"
    separator = "-- " if manager == "npm" else ""
    return f"{manager} run {script} {separator}{options}"


def _configuration(repository: Repository, path: PurePosixPath, tool: Tool) -> tuple[str, str]:
    for each in repository.named(*tool.configuration) if tool.configuration else []:
        if each.parent == path.parent:
            return repository.text(each), str(each)
    return "", ""


def _output(tool: Tool, text: str, data: dict[str, Any]) -> str:
    found = re.search(tool.changed, text)
    if found and not found[1].startswith((".", "/")):
        return found[1]
    if tool.package == "@angular/cli" and data.get("name"):
        return f"dist/{str(data['name']).rpartition('/')[2]}/browser"
    return tool.output


def _port(text: str) -> int | None:
    found = re.search(r"\bport:\s*(\d{2,5})", text)
    return int(found[1]) if found else None


def _proxied(text: str) -> tuple[str, ...]:
    """Return the keys of `proxy: {...}` in a configuration of Vite or webpack."""
    start = re.search(r"\bproxy:\s*\{", text)
    if not start:
        return ()
    keys = re.findall(r"['\"](/[\w/-]*)['\"]\s*:", text[start.end() :])
    return tuple(dict.fromkeys(key.rstrip("/") for key in keys if key.rstrip("/")))


def _table(data: dict[str, Any], key: str) -> dict[str, Any]:
    found = data.get(key)
    return found if isinstance(found, dict) else {}
