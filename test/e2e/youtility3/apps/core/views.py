"""Pages, as JSON."""

from apps.core.cache_manager import TreeCache, cached
from apps.core.models import Ticket
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


def summary(request):
    """Takes the database long, and nothing where it is cached."""
    return JsonResponse({"tickets": cached("summary", "all", _count_slowly)})


def _count_slowly():
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*), pg_sleep(1.2) FROM core_ticket")
        return cursor.fetchone()[0]


def search(request):
    """Reads the whole table of tickets as often as it is told to, since no index has their titles."""
    for number in range(int(request.GET.get("times", "1"))):
        Ticket.objects.filter(title=f"ticket {number}").count()
    return JsonResponse({"searched": True})


_hoarded = []


def hoard(request):
    """Keeps so many megabytes until the process ends, as a leak does."""
    _hoarded.append(b"x" * (int(request.GET.get("mb", "1")) * 1_000_000))
    return JsonResponse({"hoarded": len(_hoarded)})


def broken(request):
    raise RuntimeError("this page is broken")
