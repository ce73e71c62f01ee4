"""Moves old metrics to the database."""

import json

from django.core.management.base import BaseCommand
from monitoring.django_monitoring import metrics_collector


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser):
        parser.add_argument("--days", type=int, required=True)

    def handle(self, *args, days, **options):
        return json.dumps(metrics_collector.archive(days))
