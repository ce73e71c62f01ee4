"""What the metrics say, for people, for Prometheus and for programs."""

import os
from collections import Counter, defaultdict
from pathlib import Path

from apps.core.cache_manager import TreeCache
from django.conf import settings
from django.core.cache import cache
from django.db import DatabaseError, connection
from django.http import HttpResponse, JsonResponse
from monitoring.django_monitoring import metrics_collector

_MINUTES = settings.METRICS_WINDOW_MINUTES


def p95(values):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))] if ordered else 0.0


def get_performance_summary(minutes=_MINUTES):
    requests = metrics_collector.get_metrics("requests", minutes=minutes)
    queries = metrics_collector.get_metrics("queries", minutes=minutes)
    errors = metrics_collector.get_metrics("errors", minutes=minutes)
    by_path = defaultdict(list)
    for one in requests:
        by_path[one["path"]].append(one["ms"])
    slow = [{"path": path, "p95_time": p95(times), "count": len(times)} for path, times in by_path.items()]
    return {
        "requests": len(requests),
        "response_time_p95": p95([one["ms"] for one in requests]),
        "query_time_p95": p95([one["ms"] for one in queries]),
        "queries": len(queries),
        "error_rate": len(errors) / len(requests) if requests else 0.0,
        "errors": dict(Counter(one["type"] for one in errors)),
        "cache_hit_rate": get_cache_performance(minutes)["hit_rate"],
        "slow_endpoints": sorted(slow, key=lambda one: -one["p95_time"])[:10],
    }


def get_cache_performance(minutes=_MINUTES):
    """Hit rate in per cent, and the misses by prefix of the key."""
    lookups = metrics_collector.get_metrics("cache", minutes=minutes)
    hits = sum(one["hit"] for one in lookups)
    return {
        "hits": hits,
        "misses": len(lookups) - hits,
        "hit_rate": 100 * hits / len(lookups) if lookups else 100.0,
        "miss_patterns": dict(Counter(one["prefix"] for one in lookups if not one["hit"])),
    }


def get_performance_trends(start_date, end_date):
    minutes = (end_date - start_date).total_seconds() / 60
    summary = get_performance_summary(minutes)
    times = [one["ms"] for one in metrics_collector.get_metrics("requests", minutes=minutes)]
    half = len(times) // 2
    earlier, later = _mean(times[:half]), _mean(times[half:])
    return {
        "avg_response_time": _mean(times),
        "avg_query_time": _mean([one["ms"] for one in metrics_collector.get_metrics("queries", minutes=minutes)]),
        "cache_hit_rate": summary["cache_hit_rate"],
        "error_rate": 100 * summary["error_rate"],
        "response_time_trend": (later - earlier) / earlier if earlier else 0.0,
    }


def _mean(values):
    return sum(values) / len(values) if values else 0.0


def get_process():
    """This process: when it was started, in seconds since 1970, and its memory. From /proc, as in proc(5)."""
    started = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")
    booted = next(int(line.split()[1]) for line in Path("/proc/stat").read_text().splitlines() if "btime" in line)
    resident = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return {"started": booted + started, "resident_bytes": resident}


def get_database():
    """The sessions of the application's role and the size of its database; empty where the database does not answer."""
    try:
        with connection.cursor() as cursor:
            cursor.execute(
                """SELECT count(*), current_setting('max_connections')::int, pg_database_size(current_database()),
                   coalesce(max(extract(epoch FROM now() - query_start)) FILTER (WHERE state = 'active'), 0)::float
                   FROM pg_stat_activity WHERE usename = current_user AND pid <> pg_backend_pid()"""
            )
            connections, limit, size, longest = cursor.fetchone()
            return {
                "connections": connections,
                "connections_limit": limit,
                "bytes": size,
                "longest_query_seconds": longest,
            }
    except DatabaseError:
        return {}


def _stale_entries():
    try:
        return {"stale_entries": TreeCache.count_stale()}
    except Exception:
        return {}


def metrics(request):
    """Prometheus's text format; JSON with ?format=json."""
    summary = get_performance_summary()
    if request.GET.get("format") == "json":
        return JsonResponse(summary)
    process = get_process()
    values = {
        "youtility3_response_time_p95_seconds": summary["response_time_p95"] / 1000,
        "youtility3_query_time_p95_seconds": summary["query_time_p95"] / 1000,
        "youtility3_error_ratio": summary["error_rate"],
        "youtility3_cache_hit_ratio": summary["cache_hit_rate"] / 100,
        "youtility3_requests": summary["requests"],
        "youtility3_metrics_bytes": metrics_collector.memory_bytes(),
        "process_start_time_seconds": process["started"],
        "process_resident_memory_bytes": process["resident_bytes"],
        **{f"youtility3_database_{name}": value for name, value in get_database().items()},
        **{f"youtility3_cache_{name}": value for name, value in _stale_entries().items()},
    }
    lines = [line for name, value in values.items() for line in (f"# TYPE {name} gauge", f"{name} {value:.10g}")]
    return HttpResponse("\n".join(lines) + "\n", content_type="text/plain; version=0.0.4; charset=utf-8")


def health(request):
    checks = {"database": _works(_ask_database), "cache": _works(_ask_cache)}
    healthy = all(checks.values())
    return JsonResponse({"healthy": healthy, **checks}, status=200 if healthy else 503)


def _ask_database():
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def _ask_cache():
    cache.set("health", "yes", 30)
    if cache.get("health") != "yes":
        raise RuntimeError("the cache forgets")


def _works(check):
    try:
        check()
        return True
    except Exception:
        return False


def dashboard(request):
    return JsonResponse(
        {
            **get_performance_summary(),
            "monitor_queries": settings.MONITOR_QUERIES,
            "metrics_retention_hours": settings.METRICS_RETENTION_HOURS,
            "metrics_bytes": metrics_collector.memory_bytes(),
            "resident_bytes": get_process()["resident_bytes"],
        }
    )


def alerts(request):
    summary = get_performance_summary()
    limits = {
        "HighResponseTime": summary["response_time_p95"] > 1000,
        "DatabaseQuerySlow": summary["query_time_p95"] > 100,
        "HighErrorRate": summary["error_rate"] > 0.05,
        "LowCacheHitRate": summary["cache_hit_rate"] < 50,
    }
    return JsonResponse({"alerts": [name for name, over in limits.items() if over]})


def slow_queries(request):
    least = float(request.GET.get("min_time", "100"))
    queries = [one for one in metrics_collector.get_metrics("queries", minutes=_MINUTES) if one["ms"] >= least]
    found = sorted(queries, key=lambda one: -one["ms"])[:20]
    return JsonResponse({"queries": [{"sql": one["sql"], "ms": one["ms"]} for one in found]})


def cache_performance(request):
    return JsonResponse({**get_cache_performance(), **_stale_entries()})
