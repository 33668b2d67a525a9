"""Wires the apps: settings in, apps and their store out."""

from contextlib import AsyncExitStack
from typing import Final

from realtime_hub.adapters.sqlite_apps import SqliteApps
from realtime_hub.apps.service import Apps
from realtime_hub.clock import Clock
from realtime_hub.config import HubSettings

APPS_FILE: Final = "apps.sqlite3"


def build_apps(settings: HubSettings, clock: Clock, stack: AsyncExitStack) -> Apps:
    """Open the store and make the apps; *stack* closes it. Without apps there is no file."""
    if not settings.apps:
        return Apps({}, None, clock)
    store = SqliteApps(settings.state / APPS_FILE)
    stack.callback(store.close_file)
    return Apps({app.name: app.all_domains for app in settings.apps}, store, clock)
