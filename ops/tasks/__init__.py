"""The Invoke layer: one module for each namespace, arguments only. Nothing heavy is imported here."""

from __future__ import annotations

from invoke.collection import Collection


def collection() -> Collection:
    """Return every task under its name on the command line."""
    from ops.tasks import (
        audit,
        backup,
        config,
        db,
        deploy,
        lock,
        maintenance,
        proxy,
        runs,
        services,
        setup,
        testing,
    )

    root = Collection()
    for each in (deploy.rollback, deploy.releases, deploy.drift, deploy.exec_, testing.test):
        root.add_task(each)
    for each in (services.start, services.stop, services.status, services.logs, setup.init):
        root.add_task(each)
    root.add_collection(Collection.from_module(audit), "audit")
    root.add_collection(Collection.from_module(backup), "backup")
    root.add_collection(Collection.from_module(config), "config")
    root.add_collection(Collection.from_module(db), "db")
    root.add_collection(Collection("deploy", deploy.deploy, deploy.check))
    root.add_collection(Collection.from_module(lock), "lock")
    root.add_collection(Collection.from_module(maintenance), "maintenance")
    root.add_collection(Collection.from_module(proxy), "proxy")
    root.add_collection(Collection.from_module(runs), "runs")
    root.add_collection(Collection("setup", setup.setup, setup.check))
    return root
