"""Runs inside a target's Django project and does one thing there for Paramedic, which starts it and reads its answer.

Standard input is one line of JSON, `{"do": …, "project": …, "settings": …, …}`. Standard output is lines of JSON:
`{"begun": true}` before the first effect, then `{"value": …}` or `{"error": …}`. What the project itself prints goes to
standard error. Standard input stays open while Paramedic lives: when it closes, this process and all that it has started
are killed. Runs on Python 3.8 and Django 3.2 or newer.
"""

import importlib
import json
import os
import re
import signal
import sys
import threading
import traceback

LARGEST_ANSWER = 1024 * 1024
DEEPEST_ANSWER = 100
SAMPLED_KEYS = 10000
LOCK_TIMEOUT = "5s"
PASSES = (
    "builtins.ConnectionError",
    "builtins.TimeoutError",
    "django.db.utils.InterfaceError",
    "django.db.utils.OperationalError",
    "django_redis.exceptions.ConnectionInterrupted",
    "redis.exceptions.ConnectionError",
    "redis.exceptions.TimeoutError",
)
SECRET_SETTING = re.compile("API|TOKEN|KEY|SECRET|PASS|SIGNATURE", re.I)


class Refused(Exception):
    """What is asked for cannot be done; the text is for people."""


def main():
    answers, request = take_over_streams()
    os.chdir(request["project"])
    # The folder of this file is no part of the project.
    sys.path[:] = [request["project"]] + [path for path in sys.path if path != os.path.dirname(os.path.abspath(__file__))]
    os.environ["DJANGO_SETTINGS_MODULE"] = request["settings"]

    def say(answer):
        os.write(answers, (answer + "\n").encode())

    stage = "setting Django up"
    try:
        import django

        django.setup()
        stage = "call"
        value = DOES[request["do"]](request, lambda: say('{"begun": true}'))
        say(encode(value))
    except Refused as refused:
        say(json.dumps({"error": {"refused": clean(str(refused), request)}}))
    except BaseException as error:
        say(json.dumps({"error": explain(error, stage, request)}))
    sys.stderr.flush()
    # Threads that the project started would keep the process.
    os._exit(0)


def take_over_streams():
    """A private descriptor for answers, and the request; the project reads nothing and prints to standard error."""
    answers, orders = os.dup(1), os.dup(0)
    os.dup2(2, 1)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    line = b""
    while not line.endswith(b"\n"):
        piece = os.read(orders, 65536)
        if not piece:
            os._exit(2)
        line += piece

    def die_with_paramedic():
        while os.read(orders, 4096):
            pass
        if os.getpgrp() == os.getpid():
            os.killpg(os.getpgrp(), signal.SIGKILL)
        os._exit(2)

    threading.Thread(target=die_with_paramedic, daemon=True).start()
    return answers, json.loads(line)


def encode(value):
    from django.core.serializers.json import DjangoJSONEncoder

    if too_deep(value, DEEPEST_ANSWER):
        raise Refused(f"the answer is nested more than {DEEPEST_ANSWER} levels deep")
    try:
        text = json.dumps({"value": value}, cls=DjangoJSONEncoder, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise Refused(f"the answer is no JSON: {error}") from None
    if len(text) > LARGEST_ANSWER:
        raise Refused(f"the answer is larger than {LARGEST_ANSWER // 1024 // 1024} MiB")
    return text


def too_deep(value, left):
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, (list, tuple)):
        return False
    return left == 0 or any(too_deep(one, left - 1) for one in value)


def explain(error, stage, request):
    """What was raised, where in the project, and whether it may pass."""
    lines = getattr(type(error), "__mro__", ())
    names = [f"{one.__module__}.{one.__qualname__}" for one in lines]
    message = str(error)
    if "django.db.utils.Error" in names:
        message += f" (database {places_of_databases()})"
    frames = traceback.extract_tb(error.__traceback__)
    project = os.path.join(os.path.realpath(request["project"]), "")
    own = [frame for frame in frames if os.path.realpath(frame.filename).startswith(project)]
    where = f"{os.path.realpath(own[-1].filename)[len(project):]} line {own[-1].lineno}" if own else ""
    return {
        "stage": stage,
        "type": type(error).__name__,
        "message": clean(message, request),
        "where": where,
        "passes": any(name in PASSES for name in names),
        **({"happened": error.happened} if stage == "call" and hasattr(error, "happened") else {}),
    }


def places_of_databases():
    from django.db import connections

    found = [f"{one.settings_dict['HOST']}:{one.settings_dict['PORT']}" for one in connections.all()]
    return ", ".join(found)


def clean(text, request):
    """One line without what the settings or the environment keep secret."""
    text = re.sub(r"//[^\s/@]*@", "//", text)
    for secret in sorted(secrets_of_settings() | set(request.get("secrets", [])), key=len, reverse=True):
        text = text.replace(secret, "[secret]")
    return " ".join(text.split())[:400]


def secrets_of_settings():
    found = set()
    try:
        from django.conf import settings

        collect(found, {name: getattr(settings, name) for name in dir(settings) if name.isupper()}, False, 6)
    except Exception:
        pass
    return found


def collect(found, value, secret, left):
    if isinstance(value, dict):
        for name, one in value.items():
            collect(found, one, secret or bool(SECRET_SETTING.search(str(name))), left - 1) if left else None
    elif isinstance(value, (list, tuple)):
        for one in value:
            collect(found, one, secret, left - 1) if left else None
    elif isinstance(value, str):
        if secret and len(value) >= 4:
            found.add(value)
        password = re.match(r"[a-z0-9+]+://[^\s/@:]*:([^\s/@]+)@", value)
        if password:
            found.add(password.group(1))


def resolve(name):
    """What a dotted name stands for, or the management command of a name without dots."""
    if "." not in name:
        from django.core.management import call_command, get_commands

        if name not in get_commands():
            raise Refused(f"the project has no management command {name}")
        return lambda **arguments: parsed(call_command(name, **arguments))
    parts = name.split(".")
    for length in range(len(parts) - 1, 0, -1):
        module_name = ".".join(parts[:length])
        try:
            found = importlib.import_module(module_name)
        except ModuleNotFoundError as error:
            # A module that is there may itself miss another one; that is not for us to hide.
            if error.name and (module_name == error.name or module_name.startswith(error.name + ".")):
                continue
            raise
        for part in parts[length:]:
            if not hasattr(found, part):
                raise Refused(f"there is no {name} in the project: {module_name} has no such {part}")
            found = getattr(found, part)
        if not callable(found):
            raise Refused(f"{name} is nothing that can be called")
        return found
    raise Refused(f"there is no {name} in the project: no module {parts[0]} can be imported")


def parsed(printed):
    """What a management command returns is text; one that is JSON is taken as such."""
    try:
        return json.loads(printed)
    except (TypeError, ValueError):
        return printed


def check(request, begin):
    """Whether all names can be called and the default cache answers. With `count`: what it counts."""
    for name in request["names"]:
        resolve(name)
    if request.get("cache"):
        ping_shared_cache()
    return counted(request)


def counted(request):
    """What the configured function counts, None where there is none."""
    if not request.get("count"):
        return None
    count = resolve(request["count"])(**request["countArguments"])
    if isinstance(count, bool) or not isinstance(count, int) or count < 0:
        raise Refused(f"{request['count']} must return how many there are, as a whole number")
    return count


def ping_shared_cache():
    from django.core.cache import caches

    cache = caches["default"]
    kind = type(cache).__name__
    if kind in ("LocMemCache", "DummyCache"):
        raise Refused(f"the default cache is a {kind}, which no other process shares: it cannot be warmed from outside")
    client = redis_client(cache)
    if client is None:
        cache.get("paramedic")
    else:
        client.ping()


def call(request, begin):
    functions = [(name, resolve(name)) for name in request["names"]]
    # Before anything has begun, so that a system that is away has changed nothing for sure.
    if request.get("cache"):
        ping_shared_cache()
    counted(request)
    begin()
    return [{"name": name, "answer": plain(function(**request["arguments"]))} for name, function in functions]


def plain(value):
    """The answer of something that was called for its effect, where it is a little JSON."""
    try:
        return json.loads(json.dumps(value, allow_nan=False)) if len(json.dumps(value)) < 1000 else None
    except (TypeError, ValueError):
        return None


def report(request, begin):
    return resolve(request["names"][0])(**request["arguments"])


def cache_of(request):
    from django.conf import settings
    from django.core.cache import caches

    if request["cache"] not in settings.CACHES:
        raise Refused(f"the project has no cache {request['cache']}; it has {', '.join(sorted(settings.CACHES))}")
    return caches[request["cache"]]


def redis_client(cache):
    """The connection of django-redis or of Django's own Redis cache; None for other kinds."""
    kind = f"{type(cache).__module__}.{type(cache).__name__}"
    if kind.startswith("django_redis."):
        return cache.client.get_client(write=True)
    if kind == "django.core.cache.backends.redis.RedisCache":
        return cache._cache.get_client(write=True)
    return None


def look_at_cache(request, begin):
    """What `clear()` of a cache would empty. Of a Redis it empties the database, whoever else uses it."""
    cache = cache_of(request)
    kind = type(cache).__name__
    if kind in ("LocMemCache", "DummyCache"):
        raise Refused(f"the cache {request['cache']} is a {kind}, which no other process shares: it cannot be cleared from outside")
    client = redis_client(cache)
    if client is None:
        return {"place": kind, "keys": None, "foreign": None}
    where = client.connection_pool.connection_kwargs
    place = f"Redis {where.get('host', where.get('path', 'localhost'))}:{where.get('port', 6379)}, database {where.get('db') or 0}"
    return {"place": place, "keys": client.dbsize(), "foreign": foreign_key(cache, client)}


def foreign_key(cache, client):
    """One key that this cache did not write, of at most some thousands looked at; None where there is none."""
    own = re.compile(re.escape(cache.make_key("", version=987654)).replace("987654", r"\d+"))
    cursor, seen = 0, 0
    while seen < SAMPLED_KEYS:
        cursor, keys = client.scan(cursor, count=500)
        for key in keys:
            text = key.decode(errors="replace") if isinstance(key, bytes) else key
            if not own.match(text):
                return text[: text.rfind(":") + 1][:60] + "…"
        seen += 500
        if cursor == 0:
            return None
    return None


def clear_cache(request, begin):
    found = look_at_cache(request, begin)
    if found["place"] != request["place"]:
        raise Refused(f"the cache {request['cache']} is now {found['place']}, not {request['place']} as planned")
    if found["foreign"] and not request["evenIfShared"]:
        raise Refused(f"the database also holds keys that are not this cache's, such as {found['foreign']}")
    begin()
    cache_of(request).clear()
    return {"keys": found["keys"]}


def migration_plan(request, begin):
    executor, name, steps = planned_migrations(request)
    return {
        "to": name,
        "steps": [
            {
                "app": migration.app_label,
                "name": migration.name,
                "backwards": backwards,
                "operations": [clean(operation.describe(), request)[:200] for operation in migration.operations[:20]],
                "lasting": next((clean(one.describe(), request) for one in migration.operations if not one.reversible), None),
            }
            for migration, backwards in steps
        ],
    }


def planned_migrations(request):
    from django.db import connection
    from django.db.migrations.executor import MigrationExecutor

    app, to = request["app"], request["to"]
    executor = MigrationExecutor(connection)
    executor.loader.check_consistent_history(connection)
    if app not in executor.loader.migrated_apps:
        known = ", ".join(sorted(executor.loader.migrated_apps))
        raise Refused(f"the project has no app {app} with migrations; it has {known}"[:400])
    names = sorted(name for label, name in executor.loader.disk_migrations if label == app)
    found = [name for name in names if name == to] or [name for name in names if name.startswith(to)]
    if len(found) != 1:
        what = "no migration" if not found else f"{len(found)} migrations that begin with"
        raise Refused(f"the app {app} has {what} {to}; it has {', '.join(names)}"[:400])
    if (app, found[0]) not in executor.loader.graph.nodes:
        raise Refused(f"the migration {app}.{found[0]} was replaced by a squashed one")
    return executor, found[0], executor.migration_plan([(app, found[0])])


def migrate(request, begin):
    from django.core.management import call_command

    _, name, steps = planned_migrations(request)
    now = [{"app": one.app_label, "name": one.name, "backwards": backwards} for one, backwards in steps]
    if not now and request["steps"] and len(migration_state(request, begin)) == len(request["steps"]):
        return {"migrated": []}
    if now != request["steps"]:
        raise Refused("what would be migrated is no longer what was planned")
    protect_all()
    begin()
    try:
        call_command("migrate", request["app"], name, interactive=False, verbosity=0)
    except BaseException as error:
        # Each migration is recorded by itself: those before the one that raised stay.
        error.happened = names_of(state_now(request))
        raise
    return {"migrated": names_of(now)}


def names_of(steps):
    return None if steps is None else [f"{one['app']}.{one['name']}" for one in steps]


def state_now(request):
    """Which steps have happened, over a new connection; None where that cannot be told."""
    from django.db import connection

    try:
        connection.close()
        return migration_state(request, None)
    except Exception:
        return None


def protect_all():
    """Every database of the project: a migration may use others than the one that is migrated."""
    from django.db import connections
    from django.db.backends.signals import connection_created

    # Connections that are made later, and those that are made anew, are protected as well.
    connection_created.connect(lambda connection, **_: protect(connection), weak=False)
    for one in connections.all():
        if one.connection is not None:
            protect(one)


def protect(connection):
    """Keeps a migration from holding others up, while it waits and after it was killed."""
    if connection.vendor != "postgresql":
        return
    with connection.cursor() as cursor:
        # A migration that waits for a lock makes everybody wait who comes after it.
        cursor.execute(f"SET lock_timeout = '{LOCK_TIMEOUT}'")
        if connection.pg_version >= 140000:
            # Postgres would go on with a statement whose client was killed, and keep its locks.
            cursor.execute("SET client_connection_check_interval = '1s'")


def migration_state(request, begin):
    """Those steps of a plan that have happened."""
    from django.db import connection
    from django.db.migrations.recorder import MigrationRecorder

    applied = MigrationRecorder(connection).applied_migrations()
    return [one for one in request["steps"] if ((one["app"], one["name"]) in applied) != one["backwards"]]


DOES = {
    "check": check,
    "call": call,
    "report": report,
    "look-at-cache": look_at_cache,
    "clear-cache": clear_cache,
    "migration-plan": migration_plan,
    "migrate": migrate,
    "migration-state": migration_state,
}

if __name__ == "__main__":
    main()
