"""Pages, as JSON."""

from apps.core.cache_manager import TreeCache
from apps.core.queries import QueryRepository, ReportQueryRepository
from django.db import connection
from django.http import JsonResponse


def tree(request, root_id):
    return JsonResponse(TreeCache.get_tree(root_id))


def report(request, root_id):
    return JsonResponse({"report": ReportQueryRepository.get_report(root_id)})


def tickets(request):
    return JsonResponse({"tickets": QueryRepository.open_tickets()})


def slow(request):
    """Holds a session of the database for some seconds, as a bad query does."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(%s)", [float(request.GET.get("seconds", "1"))])
    return JsonResponse({"slept": True})


def broken(request):
    raise RuntimeError("this page is broken")
