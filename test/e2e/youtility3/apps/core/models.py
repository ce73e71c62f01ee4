"""Locations in a tree, and the tickets that are open there."""

from django.db import models


class Location(models.Model):
    name = models.CharField(max_length=100)
    parent = models.ForeignKey("self", null=True, related_name="children", on_delete=models.CASCADE)


class Ticket(models.Model):
    location = models.ForeignKey(Location, related_name="tickets", on_delete=models.CASCADE)
    title = models.CharField(max_length=200)
    status = models.CharField(max_length=20, default="open")
    priority = models.IntegerField(default=3)
    opened_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [models.Index(fields=["status", "priority"], name="ticket_status_priority")]
