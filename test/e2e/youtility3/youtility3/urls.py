"""Paths of the site."""

from django.urls import include, path

urlpatterns = [path("", include("apps.core.urls")), path("monitoring/", include("monitoring.urls"))]
