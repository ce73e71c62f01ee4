from apps.core import views
from django.urls import path

urlpatterns = [
    path("tree/<int:root_id>/", views.tree),
    path("report/<int:root_id>/", views.report),
    path("tickets/", views.tickets),
    path("slow/", views.slow),
    path("summary/", views.summary),
    path("search/", views.search),
    path("hoard/", views.hoard),
    path("broken/", views.broken),
]
