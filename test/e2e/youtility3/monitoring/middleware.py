"""Measures every request and, unless MONITOR_QUERIES is false, every query."""

import re
import time
from contextlib import nullcontext

from django.conf import settings
from django.db import connection
from monitoring.django_monitoring import metrics_collector


class MonitoringMiddleware:
    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        if request.path.startswith("/monitoring/"):
            return self.get_response(request)
        started = time.perf_counter()
        with connection.execute_wrapper(_measure) if settings.MONITOR_QUERIES else nullcontext():
            response = self.get_response(request)
        path = re.sub(r"\d+", "<n>", request.path)
        ms = (time.perf_counter() - started) * 1000
        metrics_collector.record("requests", path=path, ms=ms, status=response.status_code)
        if response.status_code >= 500:
            metrics_collector.record("errors", path=path, status=response.status_code, type=_type_of(request))
        return response

    def process_exception(self, request, exception):
        request.monitoring_error = type(exception).__name__


def _type_of(request):
    return getattr(request, "monitoring_error", "answer")


def _measure(execute, sql, params, many, context):
    started = time.perf_counter()
    try:
        return execute(sql, params, many, context)
    finally:
        metrics_collector.record("queries", sql=str(sql)[:200], ms=(time.perf_counter() - started) * 1000)
