"""The metrics: one sorted set in Redis for each kind, by time. Recording never breaks what is measured."""

import json
import time
import uuid
from datetime import datetime, timezone

from django.conf import settings
from django_redis import get_redis_connection
from redis.exceptions import RedisError

_BATCH = 1000


class MetricsCollector:
    kinds = ("requests", "queries", "errors", "cache")

    @property
    def _redis(self):
        return get_redis_connection("metrics")

    def record(self, kind, at=None, **fields):
        try:
            self._redis.zadd(f"metrics:{kind}", {json.dumps({"id": uuid.uuid4().hex, **fields}): at or time.time()})
        except RedisError:
            pass

    def get_metrics(self, kind, minutes=10):
        """What was recorded in the last minutes, oldest first."""
        rows = self._redis.zrangebyscore(f"metrics:{kind}", time.time() - minutes * 60, "+inf", withscores=True)
        return [{**json.loads(member), "at": at} for member, at in rows]

    def count_old_metrics(self, hours):
        return sum(self._redis.zcount(f"metrics:{kind}", "-inf", _hours_ago(hours)) for kind in self.kinds)

    def cleanup_old_metrics(self, hours=None):
        """Removes what is older than `hours`, METRICS_RETENTION_HOURS where left out."""
        before = _hours_ago(settings.METRICS_RETENTION_HOURS if hours is None else hours)
        removed = sum(self._redis.zremrangebyscore(f"metrics:{kind}", "-inf", before) for kind in self.kinds)
        return {"removed": removed}

    def memory_bytes(self):
        """What the metrics take up in Redis."""
        return sum(self._redis.memory_usage(f"metrics:{kind}") or 0 for kind in self.kinds)

    def archive(self, days):
        """Moves what is older than `days` to the database, batch by batch: first written there, then removed here."""
        from monitoring.models import ArchivedMetric

        archived = 0
        for kind in self.kinds:
            key = f"metrics:{kind}"
            while True:
                rows = self._redis.zrangebyscore(key, "-inf", _hours_ago(days * 24), 0, _BATCH, withscores=True)
                if not rows:
                    break
                ArchivedMetric.objects.bulk_create(
                    (
                        ArchivedMetric(
                            kind=kind,
                            at=datetime.fromtimestamp(at, timezone.utc),
                            fields=json.loads(member),
                            mark=json.loads(member)["id"],
                        )
                        for member, at in rows
                    ),
                    ignore_conflicts=True,
                )
                self._redis.zrem(key, *(member for member, _ in rows))
                archived += len(rows)
        return {"archived": archived}


def _hours_ago(hours):
    return time.time() - hours * 3600


metrics_collector = MetricsCollector()
