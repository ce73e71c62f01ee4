"""Records metrics as if they were old, for tests of cleaning and archiving."""

import time

from django.core.management.base import BaseCommand
from monitoring.django_monitoring import metrics_collector


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser):
        parser.add_argument("--hours", type=int, required=True)
        parser.add_argument("--count", type=int, default=1000)

    def handle(self, *args, hours, count, **options):
        for number in range(count):
            metrics_collector.record("requests", at=time.time() - hours * 3600 - number, path="/old/", ms=12.5, status=200)
