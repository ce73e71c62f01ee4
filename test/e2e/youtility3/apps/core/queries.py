"""Queries of tickets and the reports made of them."""

from apps.core.cache_manager import cached
from apps.core.models import Location, Ticket
from django.conf import settings
from django.core.cache import cache
from django.db.models import Count, Min


class QueryRepository:
    @staticmethod
    def open_tickets(limit=50):
        tickets = Ticket.objects.filter(status="open").select_related("location").order_by("priority", "id")
        return [{"title": ticket.title, "location": ticket.location.name} for ticket in tickets[:limit]]


class ReportQueryRepository:
    """How many tickets each root has, by status."""

    @staticmethod
    def get_report(root_id):
        return cached("report", root_id, lambda: ReportQueryRepository._count(root_id))

    @staticmethod
    def warm_report_cache():
        roots = list(Location.objects.filter(parent=None).values_list("id", flat=True))
        reports = {f"report:{root}": ReportQueryRepository._count(root) for root in roots}
        cache.set_many(reports, settings.CACHE_TIMEOUT)
        return {"reports": len(reports)}

    @staticmethod
    def _count(root_id):
        rows = (
            Ticket.objects.filter(location__parent_id=root_id)
            .values("status")
            .annotate(count=Count("id"), most_urgent=Min("priority"))
            .order_by("status")
        )
        return list(rows)
