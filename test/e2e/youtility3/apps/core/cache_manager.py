"""What is cached, under which keys, and how it is warmed."""

from functools import wraps

from django.conf import settings
from django.core.cache import cache
from monitoring.django_monitoring import metrics_collector

_MISSING = object()


def cached(prefix, name, compute):
    """The cached value of `prefix:name`, computed where it is missing; hits and misses are counted by prefix."""
    key = f"{prefix}:{name}"
    value = cache.get(key, _MISSING)
    metrics_collector.record("cache", prefix=prefix, hit=value is not _MISSING)
    if value is _MISSING:
        value = compute()
        cache.set(key, value, settings.CACHE_TIMEOUT)
    return value


def cache_decorator(timeout, key_prefix):
    """Caches what a function returns, by its arguments, for `timeout` seconds."""

    def decorate(function):
        @wraps(function)
        def wrapper(*args):
            return cached(key_prefix, ":".join(str(arg) for arg in args) or "all", lambda: function(*args))

        return wrapper

    return decorate


class TreeCache:
    """The trees of locations below each root."""

    @staticmethod
    def get_tree(root_id):
        return cached("tree", root_id, lambda: TreeCache._build(_children(), root_id))

    @staticmethod
    def warm_cache():
        """Caches every tree, read by one query, and returns how many there are."""
        children = _children()
        trees = {f"tree:{root}": TreeCache._build(children, root) for root, _ in children.get(None, [])}
        cache.set_many(trees, settings.CACHE_TIMEOUT)
        return {"trees": len(trees)}

    @staticmethod
    def count_stale():
        """How many of the cached trees are not as the database has them; it only reads."""
        children = _children()
        roots = [root for root, _ in children.get(None, [])]
        kept = cache.get_many([f"tree:{root}" for root in roots])
        return sum(
            1 for root in roots if kept.get(f"tree:{root}", _MISSING) not in (_MISSING, TreeCache._build(children, root))
        )

    @staticmethod
    def _build(children, root_id):
        return {
            "id": root_id,
            "children": [{"name": name, **TreeCache._build(children, child)} for child, name in children.get(root_id, [])],
        }


def _children():
    from apps.core.models import Location

    children = {}
    for id, name, parent in Location.objects.order_by("id").values_list("id", "name", "parent_id"):
        children.setdefault(parent, []).append((id, name))
    return children
