from django.urls import path
from monitoring import views

urlpatterns = [
    path("metrics/", views.metrics),
    path("health/", views.health),
    path("dashboard/", views.dashboard),
    path("alerts/", views.alerts),
    path("performance/queries/", views.slow_queries),
    path("performance/cache/", views.cache_performance),
]
