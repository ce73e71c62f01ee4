"""Fills the database with locations and tickets."""

from apps.core.models import Location, Ticket
from django.core.management.base import BaseCommand
from django.db import transaction


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser):
        parser.add_argument("--roots", type=int, default=20)
        parser.add_argument("--tickets", type=int, default=500)

    @transaction.atomic
    def handle(self, *args, roots, tickets, **options):
        leaves = []
        for number in range(roots):
            root = Location.objects.create(name=f"site {number}")
            floors = [Location(name=f"site {number}, floor {floor}", parent=root) for floor in range(5)]
            leaves.extend(Location.objects.bulk_create(floors))
        Ticket.objects.bulk_create(
            Ticket(
                location=leaves[number % len(leaves)],
                title=f"ticket {number}",
                status="closed" if number % 3 == 0 else "open",
                priority=number % 5,
            )
            for number in range(tickets)
        )
