"""Metrics that are old enough to leave Redis."""

from django.db import models


class ArchivedMetric(models.Model):
    kind = models.CharField(max_length=50)
    at = models.DateTimeField()
    fields = models.JSONField()
    # The same metric is never archived twice, also when archiving was interrupted.
    mark = models.CharField(max_length=100, unique=True)
